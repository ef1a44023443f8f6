"""The archive's records in; `metadata.csv`, `attribution.txt` and `licenses/` as `isic image download` writes them out.

Rows come in the order of their ids, so that the same images give the same file, byte for byte. What would not change is
not written.
"""

import csv
import filecmp
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from midefics.fetching.outcome import UnavailableError

FIRST_COLUMNS = ("isic_id", "attribution", "copyright_license")
ANONYMOUS = "Anonymous"
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .-]*")


class Records:
    """The records of one run, kept on disk: which columns there are is known only after the last of them."""

    def __init__(self, part: Path) -> None:
        self._file = part.open("w+", encoding="utf-8")
        self._places: dict[str, int] = {}
        self._columns: set[str] = set()
        self._credits: Counter[str] = Counter()
        self.licences: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        Path(self._file.name).unlink()

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, fixed: tuple[str, str, str], metadata: Mapping[str, Any]) -> None:
        """Takes one image's id, attribution, licence and metadata."""
        fields = {name: value for name, value in metadata.items() if name not in FIRST_COLUMNS}
        self._places[fixed[0]] = self._file.tell()
        self._columns |= fields.keys()
        self._credits[fixed[1]] += 1
        self.licences.add(fixed[2])
        self._file.write(json.dumps(dict(zip(FIRST_COLUMNS, fixed, strict=True)) | fields) + "\n")

    def write(self, folder: Path) -> None:
        """Writes the attributions and the table."""
        table = folder / ".metadata.csv.partial"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, (*FIRST_COLUMNS, *sorted(self._columns)))
            writer.writeheader()
            writer.writerows(self._in_order())
        credited = folder / ".attribution.txt.partial"
        credited.write_text("\n\n".join(self._attributions()), encoding="utf-8")
        _put(credited, folder / "attribution.txt")
        _put(table, folder / "metadata.csv")

    def _in_order(self) -> Iterator[dict[str, Any]]:
        for identifier in sorted(self._places):
            self._file.seek(self._places[identifier])
            yield json.loads(self._file.readline())

    def _attributions(self) -> list[str]:
        """The most frequent first, the nameless last."""
        return sorted(self._credits, key=lambda name: (name == ANONYMOUS, -self._credits[name], name))


def licence_path(folder: Path, licence: str) -> Path:
    """Where a licence's text belongs.

    Raises:
        UnavailableError: its name is no file name.
    """
    if not _LICENCE.fullmatch(licence):
        raise UnavailableError("malformed page", f"{licence[:100]!r} is no licence's name")
    return folder / "licenses" / f"{licence}.txt"


def _put(part: Path, target: Path) -> None:
    if target.is_file() and filecmp.cmp(part, target, shallow=False):
        part.unlink()
    else:
        part.replace(target)
