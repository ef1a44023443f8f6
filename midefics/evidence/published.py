"""An evaluation set's name in, what others have reported on it out: so that a run can be read beside the literature.

Figures are on the sets' own test questions, which a run meets only where its archive holds just those. They were read in papers'
digests and projects' pages, see `where`, and nobody here has reproduced them.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """One model's scores on one evaluation set, in per cent; None where not reported."""

    source: str
    model: str
    closed: float | None
    """Accuracy on closed questions."""
    open: float | None
    """Token recall on open questions; token F1 where `where` says so."""
    where: str


_LLAVA_MED = "Li et al. 2023 (LLaVA-Med), fine-tuned"
_FLAMINGO = "Med-Flamingo, as a benchmark's listing has it; closed and open not told apart"
_GEMMA = "MedGemma-4b-it, self-reported; token F1 of all questions"

PUBLISHED = (
    Published("vqa_rad", "LLaVA-Med", 84.2, None, _LLAVA_MED),
    Published("slake", "LLaVA-Med", 85.3, None, _LLAVA_MED),
    Published("path_vqa", "LLaVA-Med", 91.2, None, _LLAVA_MED),
    Published("vqa_rad", "LLaVA, general", 65.1, None, "Li et al. 2023, fine-tuned"),
    Published("slake", "LLaVA, general", 63.2, None, "Li et al. 2023, fine-tuned"),
    Published("path_vqa", "LLaVA, general", 63.2, None, "Li et al. 2023, fine-tuned"),
    Published("vqa_rad", "STLLaVA-Med-7B", 60.4, 37.1, "its model zoo"),
    Published("slake", "STLLaVA-Med-7B", 57.7, 46.7, "its model zoo"),
    Published("path_vqa", "STLLaVA-Med-7B", 52.9, 11.9, "its model zoo"),
    Published("vqa_rad", "Med-Flamingo", None, 45.4, _FLAMINGO),
    Published("slake", "Med-Flamingo", None, 43.5, _FLAMINGO),
    Published("path_vqa", "Med-Flamingo", None, 31.3, _FLAMINGO),
    Published("vqa_rad", "MedGemma-4b-it", None, 49.9, _GEMMA),
    Published("slake", "MedGemma-4b-it", None, 62.3, _GEMMA),
)


def published_on(source: str) -> list[Published]:
    """What is known of one set, in the table's order."""
    return [one for one in PUBLISHED if one.source == source]
