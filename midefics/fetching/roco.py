"""An official ROCO checkout without images in, `images/ROCO_….jpg` beside each `dlinks.txt` out.

The figures are PubMed Central's. Two ways lead to them:

- `files`, its cloud service, https://pmc.ncbi.nlm.nih.gov/tools/pmcaws: a public S3 bucket of single files, listed by
  `?list-type=2&prefix=PMC5665693.`: `PMC5665693.1/cureus-0009-00000001639-i01.jpg`, with size and MD5.
- `packages`, the articles' `.tar.gz` at ftp.ncbi.nlm.nih.gov as `dlinks.txt` names them, over https. NCBI moved them to
  `pub/pmc/deprecated/` in April 2026 and removed them in August; a mirror of `pub/pmc/` still works. Of a package only
  the figures that are named are unpacked; no package is kept.

What can't be had for good (`no such figure`, a hostile package) is remembered and not asked for again.
"""

import html
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

from midefics.config import FetchConfig
from midefics.fetching.checks import Promise, etag_md5
from midefics.fetching.client import Client
from midefics.fetching.download import Downloads, Wanted
from midefics.fetching.journal import Entry, Journal, held
from midefics.fetching.outcome import Account, Fetched, Outcome, UnavailableError
from midefics.fetching.roco_links import FTP, Figure, Package, figures
from midefics.fetching.unpack import unpack
from midefics.services.progress import Progress

CLOUD = "https://pmc-oa-opendata.s3.amazonaws.com/"
PACKAGES = f"https://{FTP}/pub/pmc/"
MB = 2**20
NOT_REMEMBERED = ("refused by the archive", "link not allowed")
"""Verdicts on who asks, not on what is asked for."""
_OBJECT = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)


class Bench(NamedTuple):
    """What a download needs."""

    spec: FetchConfig
    client: Client
    downloads: Downloads
    journal: Journal


class Listed(NamedTuple):
    """One file in the bucket."""

    key: str
    size: int
    etag: str


def fetch(spec: FetchConfig, folder: Path, progress: Progress) -> Fetched:
    """Has the figures that the lists name and that are not there yet.

    Raises:
        SourceError: no `dlinks.txt`, or one in another format.
        ServiceError: PubMed Central does not answer.
    """
    wanted = list(islice(figures(folder), spec.max_images))
    way, home = (_by_file, CLOUD) if spec.layout == "files" else (_by_package, PACKAGES)
    account = Account("roco")
    with held("roco", folder) as journal, Client(spec, home, ()) as client:
        bench = Bench(spec, client, Downloads(client, journal.place), journal)
        with progress.track("fetch roco", len(wanted)) as counter, ThreadPoolExecutor(spec.concurrency) as pool:
            for outcomes in pool.map(partial(_brought, bench, way), _by_article(wanted)):
                for outcome in outcomes:
                    account.add(outcome)
                    counter.advance()
    return account.told()


def _by_article(wanted: list[Figure]) -> list[list[Figure]]:
    """One piece of work for each article, and one for each line that can't be followed."""
    groups: dict[object, list[Figure]] = {}
    for figure in wanted:
        groups.setdefault(figure.source, []).append(figure)
    return list(groups.values())


def _brought(
    bench: Bench, way: Callable[[Bench, Package, list[Figure]], Iterator[Outcome]], group: list[Figure]
) -> list[Outcome]:
    source = group[0].source
    if isinstance(source, UnavailableError):
        return [Outcome(figure.id, source) for figure in group]
    outcomes, missing = [], []
    for figure in group:
        known = bench.journal.get(figure.id)
        if figure.target.is_file() and figure.target.stat().st_size:
            outcomes.append(Outcome(figure.id, "unchanged"))
        elif known and known.reason and known.version == _version(bench.spec, figure):
            detail = f"known from an earlier run; delete {bench.journal.path} to try again"
            outcomes.append(Outcome(figure.id, UnavailableError(known.reason, detail)))
        else:
            missing.append(figure)
    try:
        found = list(way(bench, source, missing)) if missing else []
    except UnavailableError as error:
        found = [Outcome(figure.id, error) for figure in missing]
    for figure, outcome in zip(missing, found, strict=True):
        _remember(bench, figure, outcome)
    return outcomes + found


def _remember(bench: Bench, figure: Figure, outcome: Outcome) -> None:
    why = outcome.what if isinstance(outcome.what, UnavailableError) else None
    if why is None or not (why.again or why.passing or why.reason in NOT_REMEMBERED):
        entry = Entry(_version(bench.spec, figure), reason=why.reason if why else "")
        bench.journal.put(figure.id, entry)


def _version(spec: FetchConfig, figure: Figure) -> str:
    """What a verdict rests on: under other circumstances the figure is asked for again."""
    limits = f"{spec.max_image_mb}/{spec.max_package_mb}/{spec.max_unpacked_mb}"
    return f"{spec.layout} {spec.base_url or ''} {limits} {figure.source} {figure.name}"


def _by_file(bench: Bench, package: Package, group: list[Figure]) -> Iterator[Outcome]:
    listed = _listed(bench.client, package.article)
    for figure in group:
        try:
            received = bench.downloads.get(_wanted(bench, package, figure, listed))
        except UnavailableError as error:
            yield Outcome(figure.id, error)
        else:
            yield Outcome(figure.id, "new", received.bytes)


def _wanted(bench: Bench, package: Package, figure: Figure, listed: list[Listed]) -> Wanted:
    if not listed:
        raise UnavailableError("not in the archive", f"no files of {package.article}")
    versions = re.compile(rf"{package.article}\.([0-9]+)/{re.escape(figure.name)}")
    found = [(int(match.group(1)), one) for one in listed if (match := versions.fullmatch(one.key))]
    if not found:
        raise UnavailableError("no such figure", f"{package.article} has no {figure.name}")
    _, oldest = min(found)  # the figure as it was when ROCO was made
    limit = bench.spec.max_image_mb * MB
    if oldest.size > limit:
        raise UnavailableError("too large", f"{oldest.key} has {oldest.size:,} bytes, {limit:,} are allowed")
    figure.target.parent.mkdir(exist_ok=True)
    digest = etag_md5({"server": "AmazonS3", "etag": oldest.etag})
    promised = (Promise("etag in the listing", "md5", digest),) if digest else ()
    return Wanted(bench.client.base + quote(oldest.key), figure.target, limit, oldest.size, promised)


def _listed(client: Client, article: str) -> list[Listed]:
    """All files of an article, of all its versions."""
    listed: list[Listed] = []
    asked = {"list-type": "2", "prefix": f"{article}."}
    while True:
        text = client.read(f"{client.base}?{urlencode(asked)}", _listing)
        listed += [_object(content) for content in _OBJECT.findall(text)]
        token = _field(text, "NextContinuationToken")
        if not token or token == asked.get("continuation-token"):
            return listed
        asked["continuation-token"] = token


def _listing(content: bytes) -> str:
    text = content.decode()
    if not text.rstrip().endswith("</ListBucketResult>"):
        raise ValueError("no whole ListBucketResult")
    for one in _OBJECT.findall(text):
        _object(one)
    return text


def _object(content: str) -> Listed:
    return Listed(_field(content, "Key"), int(_field(content, "Size")), _field(content, "ETag"))


def _field(content: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", content, re.DOTALL)
    return html.unescape(found.group(1)) if found else ""


def _by_package(bench: Bench, package: Package, group: list[Figure]) -> Iterator[Outcome]:
    path = bench.journal.place / f"{package.article}.tar.gz"
    limit = bench.spec.max_package_mb * MB
    try:
        received = bench.downloads.get(Wanted(bench.client.base + package.path, path, limit))
        names = {figure.name for figure in group}
        contents = unpack(path, names, bench.spec.max_image_mb * MB, bench.spec.max_unpacked_mb * MB)
    finally:
        path.unlink(missing_ok=True)
    for number, figure in enumerate(group):
        content = contents.get(figure.name)
        if not content:
            reason = "no such figure" if content is None else "empty file"
            yield Outcome(figure.id, UnavailableError(reason, f"{package.article}'s package, {figure.name}"))
            continue
        part = bench.journal.place / f"{figure.target.name}.partial"
        part.write_bytes(content)
        figure.target.parent.mkdir(exist_ok=True)
        part.replace(figure.target)
        yield Outcome(figure.id, "new", 0 if number else received.bytes)
