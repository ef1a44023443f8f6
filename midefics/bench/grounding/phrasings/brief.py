"""Short questions and short answers."""

from midefics.bench.grounding.phrasing import Phrasing
from midefics.bench.grounding.phrasings import brief_bone, brief_figure, brief_skin
from midefics.bench.grounding.phrasings.brief_wrong import FINDINGS, WRONG

BRIEF = Phrasing(
    openings={"isic": brief_skin.OPENINGS, "mura": brief_bone.OPENINGS, "roco": brief_figure.OPENINGS},
    later={"isic": brief_skin.LATER, "mura": brief_bone.LATER, "roco": brief_figure.LATER},
    wrong=WRONG,
    findings=FINDINGS,
)
