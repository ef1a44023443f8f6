"""A search of the ISIC Archive in, a folder as `isic image download` writes it out.

The archive's API, version 2, without a login: what is public. https://api.isic-archive.com/api/docs/swagger. A page:

    {"count": 81234, "next": "https://api.isic-archive.com/api/v2/images/search/?cursor=…", "previous": null, "results":
     [{"isic_id": "ISIC_0000000", "copyright_license": "CC-0", "attribution": "Anonymous", "public": true,
       "files": {"full": {"url": "https://content.isic-archive.com/….jpg?Expires=…", "size": 49982}, "thumbnail_256": {…}},
       "metadata": {"acquisition": {"pixels_x": 1022, …}, "clinical": {"age_approx": 55, …}}}, …]}

Every run reads all pages, since metadata change and images are withdrawn; images that are there with the right size
under the same address are left alone. The addresses are signed for a while only, so each page's images come before the
next page.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, Field

from midefics.config import FetchConfig
from midefics.errors import SourceError
from midefics.fetching.client import Client
from midefics.fetching.download import Downloads, Wanted
from midefics.fetching.isic_folder import Records, licence_path
from midefics.fetching.journal import Entry, Journal, held
from midefics.fetching.outcome import Account, Fetched, Outcome, UnavailableError
from midefics.services.progress import Progress
from midefics.sources.isic import SUFFIXES

HOME = "https://api.isic-archive.com/api/v2/"
HOSTS = ("content.isic-archive.com", "isic-archive.s3.amazonaws.com", "isic-archive.s3.us-east-1.amazonaws.com")
PAGE = 100
"""Images on a page: the most that the API gives."""
MB = 2**20


class File(BaseModel):
    """One file of an image."""

    url: str
    size: int = Field(gt=0)


class Files(BaseModel):
    """The files of an image; the thumbnail is of no use."""

    full: File


class Metadata(BaseModel):
    """What is known of an image."""

    acquisition: dict[str, Any]
    clinical: dict[str, Any]


class Image(BaseModel):
    """One image of a page; what else the API says is passed over."""

    isic_id: str = Field(pattern=r"^ISIC_[0-9]{7,12}$")
    attribution: str
    copyright_license: str
    files: Files
    metadata: Metadata

    @property
    def name(self) -> str:
        """The file's name in the folder."""
        suffix = PurePosixPath(urlsplit(self.files.full.url).path).suffix
        return f"{self.isic_id}{suffix if suffix.lower() in SUFFIXES else '.jpg'}"


class Page(BaseModel):
    """One answer of the search; `count` comes with the first alone, and is an estimate."""

    count: int | None = None
    next: str | None
    results: list[Image]


class Bench(NamedTuple):
    """What a download needs."""

    folder: Path
    journal: Journal
    downloads: Downloads
    limit: int


def fetch(spec: FetchConfig, folder: Path, progress: Progress) -> Fetched:
    """Brings the folder up to date with the search.

    Raises:
        SourceError: the search is not understood, finds nothing, or its pages stay unusable.
        ServiceError: the archive does not answer.
    """
    account = Account("isic")
    with held("isic", folder) as journal, Client(spec, HOME, HOSTS) as client:
        bench = Bench(folder, journal, Downloads(client, journal.place), spec.max_image_mb * MB)
        with Records(journal.place / "records.partial") as records:
            pages = _pages(client, spec)
            first = next(pages)
            total = min(first.count or len(first.results), spec.max_images or sys.maxsize)
            with progress.track("fetch isic", total) as counter, ThreadPoolExecutor(spec.concurrency) as pool:
                for page in chain([first], pages):
                    for outcome in pool.map(partial(_brought, bench), _taken(page, records, spec.max_images)):
                        account.add(outcome)
                        counter.advance()
                    if spec.max_images and len(records) >= spec.max_images:
                        break
            if not len(records):
                raise SourceError(f"isic: the archive has no images for {spec.query!r}; widen sources.isic.fetch.query")
            records.write(folder)
            _add_licences(client, folder, records.licences)
            withdrawn = sum(identifier not in records for identifier in journal.fetched())
    return account.told(withdrawn)


def _pages(client: Client, spec: FetchConfig) -> Iterator[Page]:
    asked = {"query": spec.query, "collections": ",".join(map(str, spec.collections))}
    asked = {name: text for name, text in asked.items() if text} | {"limit": str(min(PAGE, spec.max_images or PAGE))}
    url: str | None = f"{client.base}images/search/?{urlencode(asked)}"
    seen: set[str] = set()
    while url:
        seen.add(url)
        try:
            page = client.read(url, partial(_parsed, base=client.base, seen=seen))
        except UnavailableError as error:
            way_out = "rerun `midefics fetch isic`, which goes on from there"
            if error.reason == "refused by the archive":
                way_out = f"check sources.isic.fetch.query: {spec.query!r}"
            raise error.explained(f"isic: page {len(seen)} of the search", way_out) from error
        yield page
        url = page.next


def _parsed(content: bytes, base: str, seen: set[str]) -> Page:
    page = Page.model_validate_json(content)
    if page.next is None:
        return page
    if not page.next.startswith(base) or page.next in seen:
        raise ValueError(f"its next page would be {page.next[:200]}, which is not below {base} or was there before")
    return page


def _taken(page: Page, records: Records, most: int | None) -> list[Image]:
    """The page's images that are wanted, their records added; paging may repeat one while the archive grows."""
    taken = []
    for image in page.results:
        if image.isic_id not in records and not (most and len(records) >= most):
            fixed = (image.isic_id, image.attribution, image.copyright_license)
            records.add(fixed, image.metadata.acquisition | image.metadata.clinical)
            taken.append(image)
    return taken


def _brought(bench: Bench, image: Image) -> Outcome:
    """Has the image's file. Where the archive's new version can't be had, the old one stays until it can."""
    full, target = image.files.full, bench.folder / image.name
    version, known = urlsplit(full.url).path, bench.journal.get(image.isic_id)
    there = target.is_file()
    same_size = there and target.stat().st_size == full.size
    if same_size and (known is None or known.version == version):
        bench.journal.put(image.isic_id, known or Entry(version))
        return Outcome(image.isic_id, "unchanged")
    etag = known.etag if known and same_size else ""
    try:
        received = bench.downloads.get(Wanted(full.url, target, bench.limit, full.size, etag=etag))
    except UnavailableError as error:
        return Outcome(image.isic_id, error)
    bench.journal.put(image.isic_id, Entry(version, received.etag))
    if not received.changed:
        return Outcome(image.isic_id, "unchanged", received.bytes)
    return Outcome(image.isic_id, "changed" if there else "new", received.bytes)


def _add_licences(client: Client, folder: Path, licences: set[str]) -> None:
    for licence in sorted(licences):
        try:
            path = licence_path(folder, licence)
            if path.is_file():
                continue
            text = client.read(f"{client.base}zip-download/license-file/{quote(licence)}/", bytes.decode)
        except UnavailableError as error:
            raise error.explained(f"isic: the text of licence {licence}", "rerun `midefics fetch isic`") from error
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".partial")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
