"""A ROCO (version 1) folder in, cases out: figures of open-access articles with their captions.

Licence per row, in `licences.txt`: CC BY, CC BY-NC, …, or `NO-CC CODE`. https://github.com/razorx89/roco-dataset. Read
are the official layout, `data/{train,validation,test}/{radiology,non-radiology}/`, and the one on Kaggle,
`all_data/{train,validation,test}/radiology{train,val,test}data.csv`. One row of `captions.txt` and of `licences.txt`:

    ROCO_00264<TAB> Initial chest x-ray showing a left tension pneumothorax with shift of the mediastinum to the right, …
    ROCO_00264,PMC3160360_1749-7922-6-23-1.jpg,CC BY
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Turn
from midefics.sources.archive import Metadata, Source
from midefics.sources.reading import (
    NOT_STATED,
    ask,
    credit,
    csv_rows,
    image_problem,
    name_problem,
    require_folder,
    shown,
    text_lines,
    usable,
)

EXPECTED = "ROCO's data/ or Kaggle's all_data/ with train, validation or test in it"
SPLITS = ("train", "validation", "test")
MAX_ANSWER = 200
"""Characters of a caption that make an answer."""

GLOSSARY = """\
caption: what the article's authors wrote beneath the figure; arrows and letters that it mentions may be drawn in the image
keywords: words that were taken from the caption automatically, without order
radiology: whether the figure is a radiological image
archive_split: the archive's own split; says nothing about the image"""

_JUNK = re.compile(r"|x+|(figure|fig|image|table)s? ?\d*[a-z]?", re.IGNORECASE)
"""A caption, punctuation taken for spaces, that says nothing."""
_MODALITIES = {
    "X-ray": r"x[- ]?rays?|radiographs?|radiography|radiographic|cxr|orthopantomogram|opg",
    "CT": r"ct|hrct|cect|cbct|computed tomography|computed tomographic",
    "MRI": r"mri|(?-i:MR)|magnetic resonance",
    "Ultrasound": r"ultrasound|ultrasonography|ultrasonographic|sonography|sonogram|sonographic|echocardiogra\w+|doppler",
    "Angiography": r"angiogra\w+|arteriogra\w+|venogra\w+",
    "PET": r"(?-i:PET)|positron emission",
}
_MODALITY = {name: re.compile(rf"\b({words})\b", re.IGNORECASE) for name, words in _MODALITIES.items()}


class _Folder(NamedTuple):
    """One folder of images with what its files say, by ROCO id."""

    root: Path
    """Of the archive."""
    split: str
    radiology: bool
    images: Path
    keywords: dict[str, str]
    articles: dict[str, str]
    licences: dict[str, str]


class _Line(NamedTuple):
    """One row of a list of captions."""

    id: str
    image: str
    caption: str
    folder: _Folder
    origin: str


def cases(root: Path) -> Iterator[Case | Rejected]:
    """Lists the archive's images in the order of their ids.

    The group is the article (its PubMed Central id): the archive's own split has articles on both sides.

    Raises:
        SourceError: no such folder, neither layout, or no rows.
    """
    lines = sorted(_lines(root), key=lambda line: line.id)
    if not lines:
        raise SourceError(f"roco: the lists in {root} have no rows; expected {EXPECTED}; fetch the archive again")
    last = ""
    for line in lines:
        repeated = _rejected(line, "repeated id", "the id is listed more than once")
        yield repeated if line.id == last else _case(line)
        last = line.id


def _lines(root: Path) -> Iterator[_Line]:
    require_folder("roco", root, EXPECTED)
    lists = 0
    for top in (root, root / "data", root / "all_data"):
        for folder in (top / split / kind for split in SPLITS for kind in ("radiology", "non-radiology")):
            tables = sorted(folder.parent.glob(f"{folder.name.replace('-', '')}*data.csv"))
            captions = folder / "captions.txt"
            lists += len(tables) or captions.is_file()
            if tables:  # Kaggle's copy brings the official captions along, but names its images by article
                yield from _kaggle(tables[0], _folder(root, folder))
            elif captions.is_file():
                yield from _official(captions, _folder(root, folder))
    if not lists:
        raise SourceError(f"roco: no captions.txt and no radiology*data.csv below {root}; expected {EXPECTED}")


def _folder(root: Path, path: Path) -> _Folder:
    articles, licences = {}, {}
    if (path / "dlinks.txt").is_file():
        articles = {name: _article(rest) for name, rest in _pairs(root, path / "dlinks.txt")}
    if (path / "licences.txt").is_file():
        for _, row in csv_rows("roco", root, path / "licences.txt", ("ROCO_ID", "PMC_ID", "CC")):
            licences[row["ROCO_ID"]] = row["CC"].strip()
            articles[row["ROCO_ID"]] = _article(row["PMC_ID"])
    keywords = {}
    if (path / "keywords.txt").is_file():
        keywords = {name: " ".join(rest.split("\t")).strip() for name, rest in _pairs(root, path / "keywords.txt")}
    return _Folder(root, path.parent.name, path.name == "radiology", path / "images", keywords, articles, licences)


def _pairs(root: Path, path: Path) -> Iterator[tuple[str, str]]:
    for line in text_lines("roco", root, path):
        name, _, rest = line.partition("\t")
        yield name.strip(), rest


def _article(text: str) -> str:
    found = re.search(r"PMC\d+", text)
    return found.group() if found else ""


def _official(captions: Path, folder: _Folder) -> Iterator[_Line]:
    for number, line in enumerate(text_lines("roco", folder.root, captions), start=1):
        name, tab, caption = line.partition("\t")
        origin = f"{folder.split}/{captions.parent.name}/captions.txt:{number}"
        if not tab:
            raise SourceError(f"roco: {captions}:{number} has no tab; expected an id, a tab and a caption on each line")
        yield _Line(name.strip(), f"{name.strip()}.jpg", " ".join(caption.split()), folder, origin)


def _kaggle(table: Path, folder: _Folder) -> Iterator[_Line]:
    for number, row in csv_rows("roco", folder.root, table, ("id", "name", "caption")):
        origin = f"{folder.split}/{table.name}:{number}"
        yield _Line(row["id"].strip(), row["name"].strip(), " ".join(row["caption"].split()), folder, origin)


def _case(line: _Line) -> Case | Rejected:
    folder, path = line.folder, line.folder.images / line.image
    problem = name_problem(line.image) or (None if usable(line.id) else "unusable name")
    if problem := problem or image_problem(folder.root, path):
        return _rejected(line, problem, shown(line.image))
    if _JUNK.fullmatch(re.sub(r"\W+", " ", line.caption).strip()):
        return _rejected(line, "no caption", f"the caption is {shown(line.caption)!r}")
    article = folder.articles.get(line.id) or _article(line.image)
    page = f"https://www.ncbi.nlm.nih.gov/pmc/articles/{article}/" if article else "PubMed Central"
    licence, attribution = credit(folder.images.parents[3], folder.licences.get(line.id) or NOT_STATED, page)
    return Case(
        id=f"roco/{line.id}",
        source="roco",
        path=path,
        group=article or line.id,
        metadata={
            "archive_split": folder.split,
            "caption": line.caption,
            "keywords": folder.keywords.get(line.id, ""),
            "radiology": folder.radiology,
        },
        licence=licence,
        attribution=attribution,
    )


def _rejected(line: _Line, reason: str, detail: str) -> Rejected:
    return Rejected(id=f"roco/{shown(line.id)}", source="roco", reason=reason, detail=detail, origin=line.origin)


def conversation(metadata: Metadata) -> tuple[Turn, ...]:
    """The caption's first sentence; the modality and the side where the caption names exactly one."""
    caption = str(metadata.get("caption", ""))
    if not caption:
        return ()
    turns = [ask(metadata, ("What does this image show?", "What can be seen in this image?"), first_sentence(caption))]
    if metadata.get("radiology") and (found := modality(caption)):
        turns.append(ask(metadata, ("Which imaging modality is this?", "How was this image taken?"), f"{found}."))
    if found := side(caption):
        turns.append(
            ask(metadata, ("On which side is the finding?", "Left or right: which side is it?"), f"The {found}.")
        )
    return tuple(turns)


def first_sentence(caption: str) -> str:
    """The caption up to its first full stop before a capital letter, cut at a word beyond `MAX_ANSWER` characters."""
    sentence = re.split(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z])", caption, maxsplit=1)[0]
    if len(sentence) <= MAX_ANSWER:
        return sentence
    return sentence[:MAX_ANSWER].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def modality(caption: str) -> str | None:
    """The one modality that the caption names; None where it names none or several."""
    found = [name for name, words in _MODALITY.items() if words.search(caption)]
    return found[0] if len(found) == 1 else None


def side(caption: str) -> str | None:
    """`left` or `right` where the caption has exactly one of the two words."""
    found = {word.lower() for word in re.findall(r"\b(left|right)\b", caption, re.IGNORECASE)}
    return found.pop() if len(found) == 1 else None


def label(metadata: Metadata) -> str:
    """The modality, where the caption names exactly one; else whether it is a radiological image."""
    return modality(str(metadata.get("caption", ""))) or ("other" if metadata.get("radiology") else "not radiology")


SOURCE = Source(cases=cases, conversation=conversation, glossary=GLOSSARY, label=label)
