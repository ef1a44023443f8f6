"""ROCO's `dlinks.txt` in, the figures to have out. What a line says is read, never run.

A line has an id, the shell command that fetches the article's package, and the figure's name in it. One row:

    ROCO_00016<TAB>wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC5665693.tar.gz -P /path/to/Dir<TAB>cureus-0009-00000001639-i01.jpg
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from midefics.errors import SourceError
from midefics.fetching.outcome import UnavailableError
from midefics.sources.reading import text_lines
from midefics.sources.roco import SPLITS

FTP = "ftp.ncbi.nlm.nih.gov"
_ID = re.compile(r"ROCO_[0-9]{1,9}")
_LINK = re.compile(r"(?:ftp|https)://\S+")
_PACKAGE = re.compile(r"/pub/pmc/(?:deprecated/)?(oa_package/[0-9a-f]{2}/[0-9a-f]{2}/(PMC[0-9]{1,12})\.tar\.gz)")
_FIGURE = re.compile(r"[\w()+,=@~-][\w()+,=@~. -]{0,200}", re.ASCII)


class Package(NamedTuple):
    """Where an article's figures come from."""

    article: str
    """`PMC5665693`."""
    path: str
    """Below `pub/pmc/`."""


class Figure(NamedTuple):
    """One line of the list."""

    id: str
    name: str
    """In the package."""
    target: Path
    source: Package | UnavailableError
    """The reason where the line can't be followed."""


def figures(root: Path) -> Iterator[Figure]:
    """Every line of every list below the folder, in their order.

    Raises:
        SourceError: no such list, or an id that is none.
    """
    lists = [
        folder / "dlinks.txt"
        for top in (root, root / "data")
        for split in SPLITS
        for folder in (top / split / "radiology", top / split / "non-radiology")
        if (folder / "dlinks.txt").is_file()
    ]
    if not lists:
        raise SourceError(
            f"roco: no dlinks.txt below {root}; put an official checkout there (https://github.com/razorx89/roco-dataset)"
        )
    for path in lists:
        for number, line in enumerate(text_lines("roco", root, path), start=1):
            yield _figure(path, number, line)


def _figure(path: Path, number: int, line: str) -> Figure:
    identifier, _, rest = line.partition("\t")
    command, _, name = rest.rpartition("\t")
    identifier, name = identifier.strip(), name.strip()
    if not _ID.fullmatch(identifier):
        raise SourceError(f"roco: {path}:{number}: {identifier[:50]!r} is no ROCO id; fetch the list again")
    target = path.parent / "images" / f"{identifier}.jpg"
    if not _FIGURE.fullmatch(name):
        return Figure(
            identifier, name, target, UnavailableError("link not allowed", f"{name[:100]!r} is no figure's name")
        )
    return Figure(identifier, name, target, _package(command))


def _package(command: str) -> Package | UnavailableError:
    links = _LINK.findall(command)
    link = urlsplit(links[0]) if len(links) == 1 else None
    if (
        link is None
        or link.netloc != FTP
        or link.query
        or link.fragment
        or not (found := _PACKAGE.fullmatch(link.path))
    ):
        return UnavailableError("link not allowed", f"{command[:200]!r} names no package of {FTP}")
    return Package(found.group(2), found.group(1))
