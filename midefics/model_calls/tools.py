"""The classifiers that a conversation may call: what each does, and the classes that it tells apart."""

from typing import NamedTuple


class Tool(NamedTuple):
    """A classifier that may be called."""

    does: str
    classes: tuple[str, ...]


PARTS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
TOOLS = {
    "skin_cond_classifier": Tool(
        "tells what a skin lesion is from a picture of it",
        ("melanoma", "nevus", "basal cell carcinoma", "seborrheic keratosis"),
    ),
    **{
        f"{part}_abnormality_classifier": Tool(
            f"tells whether an X-ray of the {part} is abnormal", ("abnormal", "normal")
        )
        for part in PARTS
    },
}


def listed() -> str:
    """The tools in words, a line each."""
    return "\n".join(f"- {name}: {tool.does} ({', '.join(tool.classes)})" for name, tool in TOOLS.items())


def catalogue() -> str:
    """The tools in words, as a conversation begins with them."""
    return (
        f'You may call one of these, as <modelcall> {{"name": "…"}} </modelcall>, where it fits the image:\n{listed()}'
    )
