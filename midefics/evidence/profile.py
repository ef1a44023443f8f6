"""A validated data set's rows in, one at a time; one self-contained page out that shows what is in it.

Counted is what was let through. Nothing on the page leads to a patient, and no time is on it: the page is part of the
data set's digest.
"""

import base64
import hashlib
import heapq
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from PIL import Image

from midefics.config import RunConfig
from midefics.evidence.distributions import FIELDS, Bar, Distribution, Numbers
from midefics.pictures import BROKEN
from midefics.records import Manifest, Row
from midefics.services.expectations import Verdict

PROFILE = "profile.html"
"""Relative to the folder of the stage's output."""
SHOWN = 24
"""Pictures on a contact sheet, at most."""
SIDE = 112
"""Longer side of each, pixels."""

SIDES = (0, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384)
"""Edges of the classes of picture sizes, pixels."""


class Shown(NamedTuple):
    """One picture on a contact sheet."""

    rank: int
    """Drawn from the seed and the id: the same rows show the same pictures, in whatever order they come."""
    id: str
    image: bytes
    reason: str


class Sheet:
    """A sample of the pictures that came, each as likely as any other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lowest: list[tuple[int, Shown]] = []

    def add(self, row: Row, reason: str = "") -> None:
        """Takes one picture in."""
        rank = int.from_bytes(hashlib.sha256(f"{self._seed}:{row.id}".encode()).digest()[:8])
        if len(self._lowest) < SHOWN or -rank > self._lowest[0][0]:
            put = heapq.heappush if len(self._lowest) < SHOWN else heapq.heappushpop
            put(self._lowest, (-rank, Shown(rank, row.id, row.image, reason)))

    @property
    def pictures(self) -> list[Shown]:
        """The sample, by reason and id."""
        return sorted((shown for _, shown in self._lowest), key=lambda shown: (shown.reason, shown.id))


class SourceProfile:
    """What is counted of one source."""

    def __init__(self, seed: int) -> None:
        self.passed = 0
        self.reasons: Counter[str] = Counter()
        self.present: Counter[str] = Counter()
        """Rows in which a metadata field has a value."""
        self.distributions = {name: Distribution() for name in FIELDS}
        self.licences, self.formats = Distribution(), Distribution()
        self.ages, self.sides = Numbers(range(0, 121, 10)), Numbers(SIDES)
        self.accepted, self.rejected = Sheet(seed), Sheet(seed)

    def accept(self, row: Row) -> None:
        """Counts a row that is let through."""
        self.passed += 1
        self.present.update(name for name, value in row.metadata.items() if value not in (None, ""))
        for name, fields in FIELDS.items():
            self.distributions[name].add(next((row.metadata[field] for field in fields if field in row.metadata), None))
        self.licences.add(row.licence)
        self.formats.add(row.format or None)
        self.ages.add(row.metadata.get("age_approx", row.metadata.get("age")))
        self.sides.add(max(row.width, row.height))
        self.accepted.add(row)

    def reject(self, row: Row, reason: str) -> None:
        """Counts a row that is not."""
        self.reasons[reason] += 1
        self.rejected.add(row, reason)

    def bars(self) -> dict[str, list[Bar]]:
        """The distributions that say something, by their titles."""
        numbers = {"age, years": self.ages.bars(), "longer side, pixels": self.sides.bars()}
        named = self.distributions | {"licence": self.licences, "file": self.formats}
        return {
            title: bars for title, bars in ({name: one.bars() for name, one in named.items()} | numbers).items() if bars
        }

    def missing(self) -> list[Bar]:
        """Metadata fields that some rows lack, those that lack most often first."""
        lacking = [(self.passed - count, name) for name, count in self.present.items() if count < self.passed]
        return [
            Bar(name, count, count / self.passed) for count, name in sorted(lacking, key=lambda one: (-one[0], one[1]))
        ]


class Profile:
    """Counts rows as they go by, and writes the page at the end."""

    def __init__(self, config: RunConfig, images: Sequence[Manifest]) -> None:
        self._config, self._images = config, images
        self._sources: dict[str, SourceProfile] = {}

    def accept(self, row: Row) -> None:
        """Takes in a row that is let through."""
        self._source(row).accept(row)

    def reject(self, row: Row, reason: str) -> None:
        """Takes in a row that is put in quarantine."""
        self._source(row).reject(row, reason)

    def write(self, folder: Path, verdicts: Mapping[str, Verdict], released: int) -> None:
        """Writes `profile.html` into a folder."""
        unread: Counter[str] = Counter()
        for manifest in self._images:
            unread.update(manifest.rejected)
        page = _template().render(
            config=self._config,
            sources=dict(sorted(self._sources.items())),
            verdicts=verdicts,
            unread=sorted(unread.items()),
            passed=sum(source.passed for source in self._sources.values()),
            rejected=sum(source.reasons.total() for source in self._sources.values()),
            released=released,
        )
        (folder / PROFILE).write_text(page, encoding="utf-8")

    def _source(self, row: Row) -> SourceProfile:
        return self._sources.setdefault(row.source, SourceProfile(self._config.seed))


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["thumbnail"] = _as_url
    text = (resources.files("midefics.evidence") / "templates" / PROFILE).read_text(encoding="utf-8")
    return environment.from_string(text)


def _as_url(picture: bytes) -> str:
    """A small JPEG as a data URL; empty where the picture can't be decoded."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            small, file = image.convert("RGB"), io.BytesIO()
    except BROKEN:
        return ""
    small.thumbnail((SIDE, SIDE))
    small.save(file, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
