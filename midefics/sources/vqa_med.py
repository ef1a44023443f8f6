"""A folder of VQA-Med 2019 in, cases out: radiological images with one question of each kind, to evaluate on.

Licence: the challenge's own terms, for research. Ben Abacha et al. 2019, https://www.imageclef.org/2019/medical/vqa. Lists hold
one line per question, `image|question|answer`, in the test list with the question's category in between; the pictures lie in
the folder beside them whose name ends in `images`. One line:

    synpic41148|what kind of image is this?|cta - ct angiography
    synpic52143|modality|is this a contrast or noncontrast mri?|contrast
"""

from collections.abc import Iterator
from pathlib import Path

from midefics.errors import SourceError
from midefics.records import Case, Rejected
from midefics.sources.archive import Source
from midefics.sources.questions import Asked, EvaluationSet, cases_of, nothing_composed
from midefics.sources.reading import require_folder, shown, text_lines

EXPECTED = "one list *QA_Pairs*.txt or *Ref_Answers*.txt of VQA-Med 2019 and its folder of images beside it"
LICENCE = "research only (ImageCLEF VQA-Med 2019)"
ATTRIBUTION = "VQA-Med 2019, Ben Abacha et al.; images from MedPix"
PATTERNS = ("*Ref_Answers*.txt", "All_QA_Pairs*.txt", "*QA_Pairs*.txt")
SEPARATOR = "|"

GLOSSARY = ""


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the images that questions are asked about, each with all of them, in the order of their ids.

    Raises:
        SourceError: no such folder, no list or no folder of images, or a line in another format.
    """
    require_folder("vqa_med", root, EXPECTED)
    listed = next((path for pattern in PATTERNS for path in sorted(root.glob(pattern)) if path.is_file()), None)
    images = next(
        (path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower().endswith("images")), None
    )
    if not listed or not images:
        raise SourceError(f"vqa_med: no list of questions, or no folder of images, in {root}; expected {EXPECTED}")
    yield from cases_of(EvaluationSet("vqa_med", root, images, LICENCE, ATTRIBUTION), _asked(root, listed))


def _asked(root: Path, path: Path) -> Iterator[Asked]:
    for line in text_lines("vqa_med", root, path):
        fields = line.split(SEPARATOR)
        if len(fields) not in (3, 4):
            raise SourceError(f"vqa_med: {path} has a line of {len(fields)} fields, not 3 or 4: {shown(line)}")
        yield Asked(f"{fields[0].strip()}.jpg", fields[-2], fields[-1], path.name)


SOURCE = Source(cases=cases, conversation=nothing_composed, glossary=GLOSSARY, role="evaluation")
