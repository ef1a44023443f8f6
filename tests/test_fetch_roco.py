"""The ROCO fetcher against a server that has the packages and the cloud's bucket; some packages are hostile."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midefics.config import SourceConfig
from midefics.errors import ServiceError, SourceError
from midefics.fetching import fetch
from midefics.fetching.outcome import Fetched, UnavailableError
from midefics.fetching.roco_links import figures
from midefics.fetching.unpack import unpack
from midefics.records import Case
from midefics.sources import roco
from tests.archive_server import ArchiveServer, Fault
from tests.rows import jpeg, make_services

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "roco"
WGET = "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/{path} -P /path/to/Dir"


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        yield server


def article(number: int) -> str:
    return f"PMC{number:07d}"


def package_path(number: int) -> str:
    return f"oa_package/0a/{number:02x}/{article(number)}.tar.gz"


def checkout(home: Path, *lines: str, captions: int = 0, kind: str = "radiology") -> Path:
    """An official checkout with these lines in its list; returns the folder of the images."""
    folder = home / "roco" / "data" / "test" / kind
    folder.mkdir(parents=True)
    (folder / "dlinks.txt").write_text("".join(f"{line}\n" for line in lines))
    (folder / "captions.txt").write_text("".join(f"ROCO_{n:05d}\t Chest x-ray number {n}.\n" for n in range(captions)))
    return folder / "images"


def line(number: int, figure: str = "fig-1.jpg", package: int | None = None) -> str:
    path = package_path(number if package is None else package)
    return f"ROCO_{number:05d}\t{WGET.format(path=path)}\t{figure}"


def tar(*members: tarfile.TarInfo | tuple[str, bytes], compress: bool = True) -> bytes:
    """A package of these members: (name, content), or whatever else tarfile can name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                made.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                made.addfile(info, io.BytesIO(member[1]))
    return gzip.compress(buffer.getvalue(), 1, mtime=0) if compress else buffer.getvalue()


def special(name: str, kind: bytes, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def run(server: ArchiveServer, home: Path, layout: str = "packages", **changes: Any) -> Fetched:
    base = f"{server.url}/pub/pmc/" if layout == "packages" else f"{server.url}/bucket/"
    quick = {"layout": layout, "base_url": base, "requests_per_second": 1000, "retry_wait_s": 0.01, "attempts": 3}
    limits = {"timeout_s": 20, "max_failed_share": 1.0, "max_package_mb": 1, "max_unpacked_mb": 4, "max_image_mb": 1}
    spec = SourceConfig.model_validate({"path": "roco", "fetch": quick | limits | changes})
    return fetch("roco", spec, home / "roco", make_services(home))


def put(server: ArchiveServer, number: int, content: bytes) -> str:
    path = f"/pub/pmc/{package_path(number)}"
    server.files[path] = content
    return path


def test_only_the_named_figures_are_unpacked(server: ArchiveServer, tmp_path: Path) -> None:
    images = checkout(
        tmp_path, line(1), line(2, "fig-2.jpg", package=1), line(3, "a b (1).jpg"), captions=4, kind="radiology"
    )
    paper = (f"{article(1)}/paper.nxml", b"<article/>")
    put(server, 1, tar(paper, (f"{article(1)}/fig-1.jpg", jpeg()), (f"{article(1)}/fig-2.jpg", jpeg((70, 48)))))
    put(server, 3, tar((f"{article(3)}/a b (1).jpg", jpeg((71, 48)))))
    fetched = run(server, tmp_path)
    assert (fetched.listed, fetched.new, fetched.failed) == (3, 3, {})
    assert fetched.bytes == sum(map(len, server.files.values()))
    assert sorted(path.name for path in images.iterdir()) == ["ROCO_00001.jpg", "ROCO_00002.jpg", "ROCO_00003.jpg"]
    assert (images / "ROCO_00002.jpg").read_bytes() == jpeg((70, 48))
    assert len(server.seen) == 2  # two figures of one package are one download
    assert {path.name for path in (tmp_path / "roco" / ".fetch").iterdir()} == {"journal.jsonl", "lock"}
    found = [case for case in roco.cases(tmp_path / "roco") if isinstance(case, Case)]
    assert [case.group for case in found] == [article(1), article(1), article(3)]


def test_what_is_there_is_not_asked_for_again(server: ArchiveServer, tmp_path: Path) -> None:
    images = checkout(tmp_path, line(1), line(2), line(3))
    for n in (1, 2):
        put(server, n, tar((f"{article(n)}/fig-1.jpg", jpeg())))
    put(server, 3, tar((f"{article(3)}/other.jpg", jpeg())))
    assert run(server, tmp_path).failed == {"no such figure": 1}
    (images / "ROCO_00002.jpg").write_bytes(b"")  # as some copies in the wild have it
    asked = len(server.seen)
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.unchanged, fetched.failed) == (1, 1, {"no such figure": 1})
    assert "delete" in fetched.failures[0].detail
    assert [one.path for one in server.seen[asked:]] == [f"/pub/pmc/{package_path(2)}"]


GOOD = (f"{article(1)}/fig-1.jpg", jpeg())
HOSTILE = {
    "parent folder": ("path outside the package", tar(GOOD, ("../../evil.jpg", b"x"))),
    "figure in the parent folder": ("path outside the package", tar(("../fig-1.jpg", b"x"))),
    "hidden parent folder": ("path outside the package", tar(GOOD, (f"{article(1)}/../../../evil.jpg", b"x"))),
    "absolute name": ("path outside the package", tar(GOOD, ("/etc/cron.d/evil", b"x"))),
    "backslashes": ("path outside the package", tar(GOOD, ("..\\..\\evil.jpg", b"x"))),
    "symbolic link": ("link in the package", tar(special(GOOD[0], tarfile.SYMTYPE, "/etc/passwd"))),
    "symbolic link beside": ("link in the package", tar(GOOD, special("x", tarfile.SYMTYPE, ".."))),
    "hard link": ("link in the package", tar(special(GOOD[0], tarfile.LNKTYPE, "/etc/passwd"))),
    "character device": ("device in the package", tar(special(GOOD[0], tarfile.CHRTYPE))),
    "block device": ("device in the package", tar(GOOD, special("sda", tarfile.BLKTYPE))),
    "pipe": ("device in the package", tar(special(GOOD[0], tarfile.FIFOTYPE))),
    "gzip bomb": ("package too large", gzip.compress(bytes(64 * 2**20), 9)),
    "tar bomb": ("package too large", tar(GOOD, *[(f"{n}", bytes(2**20)) for n in range(8)])),
    "many files": ("package too large", tar(*[(f"{n}", b"") for n in range(5_001)])),
    "large figure": ("too large", tar((GOOD[0], bytes(2**20 + 1)))),
    "wrong figure": ("no such figure", tar((f"{article(1)}/fig-10.jpg", jpeg()))),
    "folder in its place": ("no such figure", tar(special(GOOD[0], tarfile.DIRTYPE))),
    "empty figure": ("empty file", tar((GOOD[0], b""))),
    "no tar": ("broken package", gzip.compress(b"not a tar" * 200)),
    "no gzip": ("broken package", b"<html>not found</html>"),
    "plain tar": ("broken package", tar(GOOD, compress=False)),
    "cut off": ("broken package", tar(GOOD, ("rest", os.urandom(50_000)))[:-20_000]),
    "nothing": ("broken package", b""),
}


def _long_header(size: int) -> bytes:
    """A package whose first header claims a name of so many bytes, which are sent as well."""
    info = special("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    info.size = size
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"a" * size, 1)


def _headers(content: bytes, count: int) -> bytes:
    """A package of so many extended headers, one upon the other, and a figure."""
    info = special("x", tarfile.XHDTYPE)
    info.size = len(content)
    header = info.tobuf(tarfile.USTAR_FORMAT) + content.ljust(512, b"\0")
    return gzip.compress(header * count + tar(GOOD, compress=False), 1)


def _false_size() -> bytes:
    """A figure whose header claims 8 GB, of which little comes."""
    info = tarfile.TarInfo(GOOD[0])
    info.size = 8 * 2**30
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 10_000)


def _false_checksum() -> bytes:
    whole = bytearray(tar(GOOD))
    whole[-8] ^= 1  # the CRC-32 at gzip's end
    return bytes(whole)


HOSTILE |= {
    "name of 2 MB": ("package too large", _long_header(2 * 2**20)),
    "name of 5 KB": ("package too large", _long_header(5000)),
    "headers without a file": ("broken package", _headers(b"11 path=abc\n", 2000)),
    "sparse in no way": (
        "broken package",
        _headers(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n27 GNU.sparse.realsize=no\n", 1),
    ),
    "false size": ("too large", _false_size()),
    "false checksum": ("broken package", _false_checksum()),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_package_is_refused_with_its_reason(server: ArchiveServer, tmp_path: Path, name: str) -> None:
    reason, content = HOSTILE[name]
    images = checkout(tmp_path, line(1), line(2))
    put(server, 1, content)
    put(server, 2, tar((f"{article(2)}/fig-1.jpg", jpeg())))
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.failed) == (1, {reason: 1})
    assert [path.name for path in images.iterdir()] == ["ROCO_00002.jpg"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "ROCO_00002.jpg", "captions.txt", "dlinks.txt", "journal.jsonl", "lock",
    ]  # fmt: skip
    asked = len(server.seen)
    assert run(server, tmp_path).failed == {reason: 1}
    assert len(server.seen) == asked


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=30))
def test_no_package_leads_to_anything_but_contents_or_a_reason(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    pax = tarfile.TarInfo("x")
    pax.pax_headers = {"path": f"{article(1)}/" + "long" * 50}
    whole = bytearray(tar(pax, GOOD, ("n" * 150, b"rest"), compress=False))
    for place, value in flips:
        whole[place] = value
    path = tmp_path / "package.tar.gz"
    path.write_bytes(gzip.compress(bytes(whole), 1))
    try:
        assert set(unpack(path, {"fig-1.jpg"}, 2**20, 2**22)) <= {"fig-1.jpg"}
    except UnavailableError as error:
        assert error.reason


def test_a_package_larger_than_allowed_is_not_even_downloaded(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1), line(2))
    put(server, 1, bytes(2**20 + 1))
    path = put(server, 2, bytes(2**20 + 1))
    server.always[path] = Fault(headers={"Content-Length": str(2**40)}, cut=2**20 + 1)
    fetched = run(server, tmp_path)
    assert (fetched.failed, fetched.bytes) == ({"too large": 2}, 0)


@pytest.mark.parametrize(
    "command",
    [
        "wget -r ftp://evil.example/pub/pmc/oa_package/00/9e/PMC1.tar.gz -P x",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov.evil.example/pub/pmc/oa_package/00/9e/PMC1.tar.gz",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov@evil.example/pub/pmc/oa_package/00/9e/PMC1.tar.gz",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov:2121/pub/pmc/oa_package/00/9e/PMC1.tar.gz",
        "wget -r http://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC1.tar.gz",
        "wget -r file:///etc/passwd",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/../../../etc/PMC1.tar.gz",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC1.tar.gz?x=1",
        "wget -r ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC1.tar.gz;touch${IFS}hacked",
        "touch hacked",
        "wget ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/9e/PMC1.tar.gz ftp://evil.example/x",
        "$(touch hacked)",
        "",
    ],
)
def test_a_line_that_names_no_package_is_refused_and_never_run(
    server: ArchiveServer, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkout(tmp_path, f"ROCO_00001\t{command}\tfig-1.jpg")
    assert run(server, tmp_path).failed == {"link not allowed": 1}
    assert not server.seen
    assert not list(tmp_path.rglob("hacked*"))


@pytest.mark.parametrize("figure", ["../evil.jpg", "/etc/passwd", "a/b.jpg", "..", ".", "", ".hidden"])
def test_a_figure_whose_name_is_a_path_is_refused(server: ArchiveServer, tmp_path: Path, figure: str) -> None:
    checkout(tmp_path, line(1, figure))
    assert run(server, tmp_path).failed == {"link not allowed": 1}
    assert not server.seen


def test_a_list_that_is_no_text_stops_the_run(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1, "-x\0.jpg"))
    with pytest.raises(SourceError, match=r"dlinks.txt is not a readable text file: it holds NUL"):
        run(server, tmp_path)


def test_an_id_that_is_a_path_stops_the_run(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1).replace("ROCO_00001", "../../evil"))
    with pytest.raises(SourceError, match=r"dlinks.txt:1: '../../evil' is no ROCO id"):
        run(server, tmp_path)


def test_a_folder_without_a_list_is_refused(server: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no dlinks.txt below .*roco; put an official checkout there"):
        run(server, tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real ROCO lists in {REAL}")
def test_every_real_line_is_understood() -> None:
    found = list(figures(REAL))
    assert len(found) == 3446
    assert not [figure for figure in found if isinstance(figure.source, UnavailableError)]
    assert tuple(found[0].source) == ("PMC5665693", "oa_package/00/9e/PMC5665693.tar.gz")
    assert found[0].target == REAL / "data" / "test" / "radiology" / "images" / "ROCO_00016.jpg"


FAULTS = {
    "server error": Fault(status=500),
    "told to wait": Fault(status=429, headers={"Retry-After": "0.02"}),
    "connection broken": Fault(cut=200),
    "stalled": Fault(cut=200, stall=True),
    "wrong checksum": Fault(body=b"x" * len(tar(GOOD))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoilt_download_is_tried_again(server: ArchiveServer, tmp_path: Path, name: str) -> None:
    images = checkout(tmp_path, line(1))
    server.faults[put(server, 1, tar(GOOD))] = [FAULTS[name]] * 2
    assert run(server, tmp_path, timeout_s=0.5 if "stall" in name else 20).new == 1
    assert (images / "ROCO_00001.jpg").read_bytes() == jpeg()


def test_a_package_that_was_cut_off_is_gone_on_with_in_the_next_run(server: ArchiveServer, tmp_path: Path) -> None:
    images = checkout(tmp_path, line(1))
    content = tar(GOOD, ("rest", os.urandom(100_000)))
    path = put(server, 1, content)
    server.faults[path] = [Fault(cut=60_000)]
    assert run(server, tmp_path, attempts=1).failed == {"connection broken": 1}
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.bytes) == (1, len(content) - 60_000 + 1)
    assert server.seen[-1].headers["range"] == "bytes=59999-"
    assert (images / "ROCO_00001.jpg").read_bytes() == jpeg()


def test_a_redirect_to_an_unexpected_host_is_not_followed(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1))
    path = put(server, 1, tar(GOOD))
    server.faults[path] = [Fault(status=302, headers={"Location": "https://evil.example/PMC1.tar.gz"})]
    assert run(server, tmp_path).failed == {"link not allowed": 1}
    assert run(server, tmp_path).new == 1  # a verdict on the way, not on the package


def test_packages_that_are_gone_end_the_run_with_the_way_out(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1), line(2))
    with pytest.raises(SourceError, match=r"roco: 2 of 2 images can't be fetched \(2 not in the archive\)"):
        run(server, tmp_path, max_failed_share=0.25)


def test_a_figure_comes_from_the_cloud_in_its_oldest_version(server: ArchiveServer, tmp_path: Path) -> None:
    images = checkout(tmp_path, line(1), line(2, "fig-2.jpg", package=1), line(3), line(4))
    server.files = {
        f"/bucket/{article(1)}.1/fig-1.jpg": jpeg(),
        f"/bucket/{article(1)}.2/fig-1.jpg": jpeg((99, 48)),
        f"/bucket/{article(1)}.2/fig-2.jpg": jpeg((70, 48)),
        f"/bucket/{article(1)}.1/fig-10.jpg": b"another figure",
        f"/bucket/{article(1)}0.1/fig-1.jpg": b"another article",
        f"/bucket/{article(3)}.1/fig-1xjpg": b"another figure",
    }
    fetched = run(server, tmp_path, layout="files")
    assert (fetched.new, fetched.failed) == (2, {"no such figure": 1, "not in the archive": 1})
    assert (images / "ROCO_00001.jpg").read_bytes() == jpeg()
    assert (images / "ROCO_00002.jpg").read_bytes() == jpeg((70, 48))
    assert [one.query["prefix"] for one in server.seen if one.path == "/bucket/"].count(f"{article(1)}.") == 1
    asked = len(server.seen)
    assert run(server, tmp_path, layout="files").unchanged == 2
    assert len(server.seen) == asked


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(cut=50),
        Fault(body=b"<ListBucketResult><Contents><Key>x</Key>"),
        Fault(body=b"<ListBucketResult><Contents><Key>x</Key></Contents></ListBucketResult>"),
        Fault(status=429, headers={"Retry-After": "0.02"}),
    ],
    ids=["HTTP 500", "cut off", "half a listing", "no size", "HTTP 429"],
)
def test_a_spoilt_listing_is_asked_for_again(server: ArchiveServer, tmp_path: Path, fault: Fault) -> None:
    checkout(tmp_path, line(1))
    server.files[f"/bucket/{article(1)}.1/fig-1.jpg"] = jpeg()
    server.faults["/bucket/"] = [fault] * 2
    assert run(server, tmp_path, layout="files").new == 1


def test_a_figure_that_is_not_what_the_listing_says_is_refused(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, line(1))
    path = f"/bucket/{article(1)}.1/fig-1.jpg"
    server.files[path] = jpeg()
    server.always[path] = Fault(body=bytes(len(jpeg())), headers={"ETag": '"some-other-server"'})
    fetched = run(server, tmp_path, layout="files")
    assert fetched.failed == {"wrong checksum": 1}
    assert "etag in the listing" in fetched.failures[0].detail
    assert server.count(path) == 3


def test_pubmed_central_that_is_down_is_left_in_peace(server: ArchiveServer, tmp_path: Path) -> None:
    checkout(tmp_path, *[line(n) for n in range(1, 80)])
    server.always["/bucket/"] = Fault(status=503)
    with pytest.raises(ServiceError, match="the archive seems to be down"):
        run(server, tmp_path, layout="files", attempts=1, concurrency=1)
    assert len(server.seen) <= 22


def command(home: Path, server: ArchiveServer) -> subprocess.Popen[str]:
    sets = {"layout": "packages", "base_url": f"{server.url}/pub/pmc/", "concurrency": 1, "requests_per_second": 1000}
    options = [f"--set=sources.roco.fetch.{key}={value}" for key, value in sets.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "midefics", "fetch", "roco", f"--source=roco={home / 'roco'}", "--json", *options],
        env={**os.environ, "MIDEFICS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_that_is_killed_is_gone_on_with(server: ArchiveServer, tmp_path: Path) -> None:
    images = checkout(tmp_path, *[line(n) for n in range(1, 11)])
    for n in range(1, 11):
        path = put(server, n, tar((f"{article(n)}/fig-1.jpg", jpeg((60 + n, 48))), ("rest", os.urandom(50_000))))
        if n == 6:
            server.faults[path] = [Fault(cut=30_000, stall=True)]
    killed = command(tmp_path, server)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.rglob(f"{article(6)}*.partial")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(images.iterdir())) == 5
    told = json.loads(command(tmp_path, server).communicate(timeout=60)[0].splitlines()[-1])
    assert (told["new"], told["unchanged"], told["failed"]) == (5, 5, {})
    assert [(images / f"ROCO_{n:05d}.jpg").read_bytes() for n in range(1, 11)] == [
        jpeg((60 + n, 48)) for n in range(1, 11)
    ]
    assert len(server.seen) == 11  # the sixth twice, and the second time only what was left of it
    assert [one.headers.get("range", "")[:8] for one in server.seen].count("bytes=29") == 1
