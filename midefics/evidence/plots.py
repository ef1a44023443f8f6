"""Figures in, PNG files out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = {"majority": "#b8b8b8", "before": "#8aa4c8", "after": "#1f5fa8", "swapped": "#d98b3a"}
NAMES = {
    "majority": "most frequent answer",
    "before": "base model",
    "after": "tuned model",
    "swapped": "tuned model, image swapped",
}


def plot_scores(facts: Mapping[str, float], path: Path) -> None:
    """Bars of exact match with their 95 % intervals, for all questions and for each source."""
    slices = ["", *sorted(key.removesuffix("questions") for key in facts if key.endswith("/questions"))]
    figure, axes = _axes(8, 3.6)
    width = 0.8 / len(NAMES)
    for index, (who, name) in enumerate(NAMES.items()):
        values = [facts[f"{prefix}{who}"] for prefix in slices]
        # An interval can end a rounding error inside the estimate; an error bar must not be negative.
        below = [max(0.0, value - facts[f"{prefix}{who}_low"]) for prefix, value in zip(slices, values, strict=True)]
        above = [max(0.0, facts[f"{prefix}{who}_high"] - value) for prefix, value in zip(slices, values, strict=True)]
        places = [place + (index - 1.5) * width for place in range(len(slices))]
        axes.bar(
            places,
            values,
            width * 0.92,
            yerr=[below, above],
            label=name,
            color=COLOURS[who],
            ecolor="#444444",
            capsize=2,
        )
    axes.set_xticks(range(len(slices)), [prefix.rstrip("/") or "all" for prefix in slices])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("exact match")
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(NAMES))
    _save(figure, path)


def plot_losses(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Training and validation loss over the steps, on a logarithmic scale."""
    figure, axes = _axes(8, 3.0)
    for key, style, name in (("loss", "-", "training"), ("validation_loss", "o", "validation")):
        points = [(point["step"], point[key]) for point in history if key in point]
        if points:
            axes.plot(
                *zip(*points, strict=True), style, label=name, color=COLOURS["after" if key == "loss" else "swapped"]
            )
    axes.set_yscale("log")
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss per answer token")
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # the object-oriented way needs no display and keeps no global state

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130, metadata={"Software": None})
