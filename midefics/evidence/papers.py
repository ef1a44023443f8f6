"""Rows in, what travels with their pictures out: who is to be named for each, and a bill of materials of their licences."""

import csv
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

from midefics.licences import Licence, licence, together
from midefics.records import Row

ATTRIBUTION, BILL = "ATTRIBUTION.csv", "LICENCES.json"
NO_IMAGE = ", without the image"
"""Ends the name of whoever wrote the turns that are about a term of medicine alone."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 (spreadsheets take the wide ones too)
"""What a cell must not start with, or a spreadsheet runs it."""


class Papers:
    """Writes `ATTRIBUTION.csv` as rows are added, `LICENCES.json` when the block has ended, and counts for the card."""

    def __init__(self, folder: Path) -> None:
        self.images: Counter[tuple[str, str]] = Counter()
        """By source and split."""
        self.written: Counter[tuple[str, str]] = Counter()
        """By source and licence, as the archive wrote it."""
        self.turns: Counter[str] = Counter()
        """By who wrote them, and with which prompt: `gpt-4o, prompt vqa-1`."""
        self.components: dict[str, set[str]] = defaultdict(set)
        """By split."""
        self._folder = folder
        self._digests: dict[tuple[str, str], hashlib._Hash] = defaultdict(hashlib.sha256)
        self._file = (folder / ATTRIBUTION).open("w", encoding="utf-8", newline="")
        self._table = csv.writer(self._file, lineterminator="\n")
        self._table.writerow(("id", "source", "licence", "attribution"))

    def add(self, row: Row) -> None:
        """Takes one row into account."""
        kind, split = (row.source, row.licence), row.split or "train"
        self._table.writerow(map(safe_cell, (row.id, row.source, row.licence, row.attribution)))
        self.images[row.source, split] += 1
        self.written[kind] += 1
        self.components[split].add(row.group)
        self.turns[f"{row.writer}, prompt {row.prompt_version}" if row.prompt_version else row.writer] += len(row.turns)
        if row.text_only:
            self.turns[f"{row.labelling.get('text_only', '')}{NO_IMAGE}"] += len(row.text_only)
        self._digests[kind].update(f"{row.image_sha256}\n".encode())

    def licence(self) -> Licence:
        """Of all the pictures together."""
        return together([licence(text) for _, text in sorted(self.written)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None:
            text = json.dumps(self._bill(), indent=2, ensure_ascii=False)
            (self._folder / BILL).write_text(text + "\n", encoding="utf-8")

    def _bill(self) -> dict[str, object]:
        attribution = hashlib.sha256((self._folder / ATTRIBUTION).read_bytes()).hexdigest()
        parts = [
            {"source": source, "written": text, "images": count, "images_sha256": self._digests[source, text].hexdigest(),
             **licence(text).model_dump()}
            for (source, text), count in sorted(self.written.items())
        ]  # fmt: skip
        return {
            "images": self.images.total(), "licence": self.licence().model_dump(), "attribution_sha256": attribution, "parts": parts
        }  # fmt: skip


def safe_cell(text: str) -> str:
    """The text as a spreadsheet may open it: what would be run as a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text
