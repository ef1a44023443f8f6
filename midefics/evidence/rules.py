"""An evaluation's figures in, pass or fail for each promotion rule out. A new rule is a function in the table."""

from collections.abc import Callable, Mapping

from midefics.config import PromoteConfig
from midefics.records import Assessment, Scalar

Facts = Mapping[str, Scalar]


def better_than_base(facts: Facts, config: PromoteConfig) -> Assessment:
    """The tuned model beats the base on the same questions, beyond chance."""
    low, high = _number(facts, "difference_low"), _number(facts, "difference_high")
    detail = f"after - before = {_number(facts, 'difference'):+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, must lie above {config.min_difference}"
    return Assessment(rule="better than the base", passed=low > config.min_difference, detail=detail)


def looks_at_the_image(facts: Facts, config: PromoteConfig) -> Assessment:
    """The tuned model gets worse when shown another image."""
    low, high = _number(facts, "visual_gain_low"), _number(facts, "visual_gain_high")
    detail = f"right - swapped image = {_number(facts, 'visual_gain'):+.3f}, 95 % interval {low:+.3f} to {high:+.3f}, must lie above {config.min_visual_gain}"
    return Assessment(rule="looks at the image", passed=low > config.min_visual_gain, detail=detail)


RULES: tuple[Callable[[Facts, PromoteConfig], Assessment], ...] = (better_than_base, looks_at_the_image)


def assess(facts: Facts, config: PromoteConfig) -> list[Assessment]:
    """Applies every rule."""
    return [rule(facts, config) for rule in RULES]


def as_markdown(assessments: list[Assessment]) -> str:
    """The decisions as a Markdown table."""
    lines = [f"| {one.rule} | {'pass' if one.passed else '**fail**'} | {one.detail} |" for one in assessments]
    return "\n".join(["| rule | result | evidence |", "| --- | --- | --- |", *lines])


def _number(facts: Facts, key: str) -> float:
    value = facts[key]
    return float(value) if isinstance(value, int | float) else float("nan")
