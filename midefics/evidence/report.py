"""An evaluation in, one self-contained HTML page, its plots and a machine-readable `report.json` out."""

import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from midefics.config import RunConfig
from midefics.evidence.plots import plot_losses, plot_scores
from midefics.evidence.published import published_on
from midefics.evidence.rules import assess
from midefics.evidence.scores import Answered, exact_match
from midefics.records import Manifest, Record


class Example(Record):
    """One held-out image with every question asked about it."""

    id: str
    source: str
    image: bytes
    other: bytes
    """What was shown in the swap control."""
    answered: tuple[Answered, ...]


def write_report(
    folder: Path,
    config: RunConfig,
    dataset: Manifest,
    facts: Mapping[str, float],
    history: Sequence[Mapping[str, float]],
    examples: Sequence[Example],
) -> None:
    """Writes `report.html`, `scores.png`, `losses.png` and `report.json` into a folder."""
    plot_scores(facts, folder / "scores.png")
    plot_losses(history, folder / "losses.png")
    (folder / "report.json").write_text(
        json.dumps({"config": config.name, "dataset": dataset.digest, "figures": facts}, indent=2), encoding="utf-8"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = _as_url
    template = (resources.files("midefics.evidence") / "templates" / "report.html").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        config=config,
        dataset=dataset,
        facts=facts,
        slices=["", *sorted(key.removesuffix("questions") for key in facts if key.endswith("/questions"))],
        published_on=published_on,
        rules=assess(facts, config.promote),
        examples=examples,
        plots={name: (folder / f"{name}.png").read_bytes() for name in ("scores", "losses")},
        right=lambda answer, truth: exact_match(answer, truth) == 1.0,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def pick_examples(answered: Sequence[Answered], images: Mapping[str, tuple[bytes, bytes]], count: int) -> list[Example]:
    """Takes images of every source in turn, in the order of their ids: examples that nobody chose for their answers.

    Args:
        answered: every question.
        images: the right and the swapped picture of each image's id.
        count: how many images.
    """
    by_source: dict[str, dict[str, list[Answered]]] = defaultdict(lambda: defaultdict(list))
    for one in answered:
        by_source[one.source][one.id].append(one)
    queues = [sorted(by_source[source].items()) for source in sorted(by_source)]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    return [
        Example(id=id_, source=asked[0].source, image=images[id_][0], other=images[id_][1], answered=tuple(asked))
        for id_, asked in turns[:count]
    ]


def _as_url(picture: bytes) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
