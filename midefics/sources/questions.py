"""Single questions about images in, one case an image with all of its questions out: how evaluation sets are laid out."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from midefics.errors import SourceError
from midefics.records import Case, Rejected, Scalar, Turn
from midefics.sources.archive import Metadata
from midefics.sources.reading import image_problem, name_problem, shown


class Asked(NamedTuple):
    """One question of an evaluation set."""

    image: str
    """The image file, relative to the folder of images."""
    question: str
    answer: str
    origin: str
    """The list that holds it."""
    metadata: Mapping[str, Scalar] = MappingProxyType({})


class EvaluationSet(NamedTuple):
    """An archive's folder, and what holds for all of its images."""

    source: str
    root: Path
    """Nothing outside is read."""
    images: Path
    licence: str
    attribution: str


def cases_of(archive: EvaluationSet, asked: Iterable[Asked]) -> Iterator[Case | Rejected]:
    """One case for each image that is asked about, in the order of the ids; the group is the image.

    The id is the image's path without its ending. A question without words or without an answer is left out. An image's
    metadata are those of its first question.

    Raises:
        SourceError: nothing is asked.
    """
    by_image: dict[str, list[Asked]] = {}
    for one in asked:
        by_image.setdefault(one.image, []).append(one)
    if not by_image:
        raise SourceError(f"{archive.source}: the lists in {archive.root} hold no questions; fetch the archive again")
    last = None
    for name in sorted(by_image, key=lambda name: (_stem(name), name)):
        if _stem(name) == last:
            yield _rejected(archive, name, "repeated id", by_image[name][0].origin)
        else:
            yield _case(archive, name, by_image[name])
        last = _stem(name)


def _case(archive: EvaluationSet, name: str, asked: list[Asked]) -> Case | Rejected:
    pairs = [(one.question.strip(), one.answer.strip()) for one in asked]
    turns = tuple(Turn(question=question, answer=answer) for question, answer in pairs if question and answer)
    path = archive.images / name
    if reason := name_problem(name) or image_problem(archive.root, path) or ("" if turns else "no question"):
        return _rejected(archive, name, reason, asked[0].origin)
    return Case(
        id=f"{archive.source}/{_stem(name)}",
        source=archive.source,
        path=path,
        group=name,
        metadata=dict(asked[0].metadata),
        licence=archive.licence,
        attribution=archive.attribution,
        turns=turns,
    )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if name.strip("/.") else name


def _rejected(archive: EvaluationSet, name: str, reason: str, origin: str) -> Rejected:
    identifier = f"{archive.source}/{shown(_stem(name))}"
    return Rejected(id=identifier, source=archive.source, reason=reason, detail=shown(name), origin=origin)


def nothing_composed(metadata: Metadata) -> tuple[Turn, ...]:  # noqa: ARG001 (every source has the same signature)
    """No conversation: the archive brings its own questions."""
    return ()
