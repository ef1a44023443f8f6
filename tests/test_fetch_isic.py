"""The ISIC fetcher against a server that speaks the archive's protocol, and does not always speak it well."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midefics.config import SourceConfig
from midefics.errors import MideficsError, ServiceError, SourceError
from midefics.fetching import fetch
from midefics.fetching.outcome import Fetched
from midefics.fetching.pace import Pace
from midefics.records import Case
from midefics.sources import isic
from midefics.stages import ingest
from tests.archive_server import ArchiveServer, Fault
from tests.rows import jpeg, make_services

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "isic"
SEARCH = "/api/v2/images/search/"


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        yield server


def spec(server: ArchiveServer, **changes: Any) -> SourceConfig:
    quick = {"base_url": f"{server.url}/api/v2", "requests_per_second": 1000, "retry_wait_s": 0.01, "attempts": 3}
    return SourceConfig.model_validate({"path": "isic", "fetch": quick | {"timeout_s": 20} | changes})


def run(server: ArchiveServer, home: Path, **changes: Any) -> Fetched:
    return fetch("isic", spec(server, **changes), home / "isic", make_services(home))


def filled(server: ArchiveServer, count: int = 5) -> dict[str, str]:
    """So many images of different content; returns the paths of their files by id."""
    return {
        f"ISIC_{n:07d}": server.add_image(
            f"ISIC_{n:07d}", jpeg((64 + n, 48)), diagnosis_1="Benign", sex="male", image_type="dermoscopic"
        )
        for n in range(count)
    }


def rows(home: Path) -> list[dict[str, str]]:
    with (home / "isic" / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of everything but the lock."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def test_the_folder_is_as_isic_cli_writes_it(server: ArchiveServer, tmp_path: Path) -> None:
    server.add_image("ISIC_0000002", jpeg(), attribution="B", licence="CC-BY", diagnosis_1="Benign", melanocytic=True)
    server.add_image("ISIC_0000001", jpeg((70, 48)), attribution="A", image_type="dermoscopic", age_approx=55)
    server.add_image("ISIC_0000003", jpeg((71, 48)), attribution="Anonymous", mel_thick_mm=0.8)
    server.add_image("ISIC_0000004", jpeg((72, 48)), attribution="Anonymous", sex=None)
    fetched = run(server, tmp_path)
    assert (fetched.listed, fetched.new, fetched.unchanged, fetched.failures) == (4, 4, 0, ())
    folder = tmp_path / "isic"
    assert (folder / "metadata.csv").read_bytes().decode() == (
        "isic_id,attribution,copyright_license,age_approx,diagnosis_1,image_type,mel_thick_mm,melanocytic,sex\r\n"
        "ISIC_0000001,A,CC-0,55,,dermoscopic,,,\r\n"
        "ISIC_0000002,B,CC-BY,,Benign,,,True,\r\n"
        "ISIC_0000003,Anonymous,CC-0,,,,0.8,,\r\n"
        "ISIC_0000004,Anonymous,CC-0,,,,,,\r\n"
    )
    assert (folder / "attribution.txt").read_text() == "A\n\nB\n\nAnonymous"
    assert (folder / "licenses" / "CC-BY.txt").read_text() == "The text of CC-BY"
    assert (folder / "ISIC_0000001.jpg").read_bytes() == jpeg((70, 48))
    assert not list(folder.rglob("*.partial"))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real ISIC images in {REAL}")
def test_the_real_archive_comes_through_as_it_is(server: ArchiveServer, tmp_path: Path) -> None:
    with (REAL / "metadata.csv").open(newline="") as file:
        originals = list(csv.DictReader(file))
    for row in originals:
        fixed = {"attribution": row.pop("attribution"), "licence": row.pop("copyright_license")}
        server.add_image(identifier := row.pop("isic_id"), (REAL / f"{identifier}.jpg").read_bytes(), **row, **fixed)
        row["isic_id"] = identifier
    server.page_size = 40
    assert run(server, tmp_path).new == 90
    assert (tmp_path / "isic" / "metadata.csv").read_bytes() == (REAL / "metadata.csv").read_bytes()
    ours, theirs = list(isic.cases(tmp_path / "isic")), list(isic.cases(REAL))
    assert [case.model_dump(exclude={"path"}) for case in ours] == [
        case.model_dump(exclude={"path"}) for case in theirs
    ]
    assert all(isinstance(case, Case) and case.path.read_bytes() for case in ours)


def test_nothing_new_means_nothing_is_downloaded_or_written(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server)
    run(server, tmp_path)
    before, asked = state(tmp_path / "isic"), server.count("/images/")
    fetched = run(server, tmp_path)
    assert (fetched.listed, fetched.new, fetched.changed, fetched.unchanged, fetched.bytes) == (5, 0, 0, 5, 0)
    assert state(tmp_path / "isic") == before
    assert server.count("/images/") == asked


def test_only_what_is_new_or_changed_comes(server: ArchiveServer, tmp_path: Path) -> None:
    paths = filled(server)
    run(server, tmp_path)
    server.records = [one for one in server.records if one["isic_id"] != "ISIC_0000001"]
    server.add_image("ISIC_0000000", jpeg((200, 100)), diagnosis_1="Malignant")
    server.add_image("ISIC_0000009", jpeg((201, 100)), diagnosis_1="Malignant")
    asked = len(server.seen)
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.changed, fetched.unchanged, fetched.withdrawn) == (1, 1, 3, 1)
    assert {one.path for one in server.seen[asked:] if one.path.startswith("/images/")} == {
        paths["ISIC_0000000"],
        server.records[0]["files"]["full"]["url"].removeprefix(server.url).partition("?")[0],
    }
    assert [row["isic_id"] for row in rows(tmp_path)] == [f"ISIC_000000{n}" for n in (0, 2, 3, 4, 9)]
    assert (tmp_path / "isic" / "ISIC_0000000.jpg").read_bytes() == jpeg((200, 100))


def test_a_file_of_the_same_size_at_another_address_is_looked_at(server: ArchiveServer, tmp_path: Path) -> None:
    paths = filled(server, 2)
    run(server, tmp_path)
    for identifier, content in (("ISIC_0000000", jpeg((64, 48))), ("ISIC_0000001", bytes(len(jpeg((65, 48)))))):
        moved = f"/images/moved-{identifier}.jpg"
        server.files[moved] = content
        record = next(one for one in server.records if one["isic_id"] == identifier)
        record["files"]["full"]["url"] = f"{server.url}{moved}"
        del server.files[paths[identifier]]
    fetched = run(server, tmp_path)
    assert (fetched.changed, fetched.unchanged) == (1, 1)
    assert fetched.bytes == len(jpeg((65, 48)))
    assert (tmp_path / "isic" / "ISIC_0000001.jpg").read_bytes() == bytes(len(jpeg((65, 48))))


def test_images_of_an_earlier_download_are_taken_over(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server, 3)
    (tmp_path / "isic").mkdir()
    for n in range(2):
        (tmp_path / "isic" / f"ISIC_{n:07d}.jpg").write_bytes(jpeg((64 + n, 48)))
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.unchanged) == (1, 2)


def test_query_collections_and_most_images_are_passed_on(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server, 6)
    server.add_image("ISIC_0000007", jpeg(), sex="female")
    server.page_size = 2
    fetched = run(server, tmp_path, query="sex:male", collections=[65, 70], max_images=3)
    assert fetched.listed == 3
    assert [row["isic_id"] for row in rows(tmp_path)] == ["ISIC_0000003", "ISIC_0000004", "ISIC_0000005"]
    first = server.seen[0].query
    assert (first["query"], first["collections"], first["limit"]) == ("sex:male", "65,70", "3")


PAGE_FAULTS = {
    "cut off": Fault(cut=100),
    "half a page": Fault(body=b'{"count": 5, "next": null, "results": [{"isic_id"'),
    "no fields": Fault(body=b'{"results": [{"isic_id": "ISIC_0000001"}], "next": null}'),
    "an id that is a path": Fault(
        body=json.dumps({"next": None, "results": [{"isic_id": "../../ISIC_0000001"}]}).encode()
    ),
    "next elsewhere": Fault(body=b'{"count": 0, "next": "https://evil.example/api/v2/x", "results": []}'),
    "HTTP 500": Fault(status=500),
    "HTTP 429": Fault(status=429, headers={"Retry-After": "0.05"}),
    "stall": Fault(cut=50, stall=True),
    "not JSON": Fault(status=200, body=b"<html>maintenance</html>"),
}


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_a_spoilt_page_is_asked_for_again(server: ArchiveServer, tmp_path: Path, name: str) -> None:
    filled(server)
    server.page_size = 2
    server.faults[SEARCH] = [Fault(), PAGE_FAULTS[name]]
    fetched = run(server, tmp_path, timeout_s=0.5 if "stall" in name else 20)
    assert (fetched.listed, fetched.new) == (5, 5)
    assert server.count(SEARCH) == 4  # three pages, one of them twice


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("half a page", SourceError, "page 2 of the search: malformed page"),
        ("next elsewhere", SourceError, "https://evil.example/api/v2/x"),
        ("HTTP 500", ServiceError, "page 2 of the search: server error: HTTP 500; rerun"),
        ("stall", ServiceError, "page 2 of the search: stalled"),
    ],
)
def test_a_page_that_stays_spoilt_ends_the_run(
    server: ArchiveServer, tmp_path: Path, name: str, error: type[MideficsError], told: str
) -> None:
    filled(server)
    server.page_size = 2
    server.faults[SEARCH] = [Fault(), *[PAGE_FAULTS[name]] * 3]
    with pytest.raises(error) as caught:
        run(server, tmp_path, timeout_s=0.5 if "stall" in name else 20)
    assert type(caught.value) is error
    assert told in str(caught.value)
    assert not (tmp_path / "isic" / "metadata.csv").exists()
    assert run(server, tmp_path).unchanged == 2  # the first page's images have not come in vain


def test_a_query_that_is_not_understood_is_named(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server, 1)
    with pytest.raises(SourceError, match=r"HTTP 400.*sources\.isic\.fetch\.query: 'nonsense'"):
        run(server, tmp_path, query="nonsense")


def test_a_search_that_finds_nothing_leaves_the_table_alone(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server, 2)
    run(server, tmp_path)
    before = (tmp_path / "isic" / "metadata.csv").read_bytes()
    with pytest.raises(SourceError, match="no images for 'sex:other'"):
        run(server, tmp_path, query="sex:other")
    assert (tmp_path / "isic" / "metadata.csv").read_bytes() == before


IMAGE_FAULTS = {
    "wrong checksum": Fault(body=bytes(len(jpeg((65, 48))))),
    "wrong size": Fault(body=jpeg((65, 48))[:-7]),
    "server error": Fault(status=502),
    "stalled": Fault(cut=100, stall=True),
    "connection broken": Fault(cut=100),
}


@pytest.mark.parametrize("name", IMAGE_FAULTS)
def test_a_spoilt_image_is_asked_for_again(server: ArchiveServer, tmp_path: Path, name: str) -> None:
    paths = filled(server)
    server.faults[paths["ISIC_0000001"]] = [IMAGE_FAULTS[name]] * 2
    fetched = run(server, tmp_path, timeout_s=0.5 if "stall" in name else 20)
    assert (fetched.new, fetched.failures) == (5, ())
    assert (tmp_path / "isic" / "ISIC_0000001.jpg").read_bytes() == jpeg((65, 48))
    assert server.count(paths["ISIC_0000001"]) == 3


@pytest.mark.parametrize("name", [*IMAGE_FAULTS, "not in the archive", "refused by the archive"])
def test_an_image_that_stays_unavailable_is_a_row_without_an_image(
    server: ArchiveServer, tmp_path: Path, name: str
) -> None:
    codes = {"not in the archive": Fault(status=404), "refused by the archive": Fault(status=403)}
    server.always[filled(server)["ISIC_0000001"]] = (IMAGE_FAULTS | codes)[name]
    fetched = run(server, tmp_path, timeout_s=0.5 if "stall" in name else 20)
    assert (fetched.listed, fetched.new, fetched.failed) == (5, 4, {name: 1})
    assert [failure.id for failure in fetched.failures] == ["ISIC_0000001"]
    assert len(rows(tmp_path)) == 5
    rejected = [case.reason for case in isic.cases(tmp_path / "isic") if not isinstance(case, Case)]
    assert rejected == ["missing image"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"x-amz-checksum-sha1": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"x-amz-checksum-crc32": "AAAAAA=="},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_every_checksum_that_is_given_is_checked(
    server: ArchiveServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    server.always[filled(server)["ISIC_0000001"]] = Fault(headers=headers)
    fetched = run(server, tmp_path)
    assert fetched.failed == {"wrong checksum": 1}
    assert next(iter(headers)).lower() in fetched.failures[0].detail


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"00000000000000000000000000000000-2"'},
        {"ETag": '"00000000000000000000000000000000"', "x-amz-server-side-encryption": "aws:kms"},
        {"ETag": 'W/"00000000000000000000000000000000"'},
        {"x-amz-checksum-crc32": "AAAAAA==-2"},
        {"x-amz-checksum-crc32": "y/Q5Jg=="},
    ],
    ids=["uploaded in parts", "managed key", "weak", "digest of digests", "true"],
)
def test_what_is_no_checksum_of_the_file_is_passed_over(
    server: ArchiveServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    path = filled(server, 1)["ISIC_0000000"]
    server.add_image("ISIC_0000000", b"123456789")  # its CRC-32, the algorithm's check value, is 0xcbf43926
    server.always[path] = Fault(headers=headers)
    assert run(server, tmp_path).new == 1


def test_too_many_failures_end_the_run_with_the_way_out(server: ArchiveServer, tmp_path: Path) -> None:
    paths = filled(server)
    for n in range(2):
        server.always[paths[f"ISIC_000000{n}"]] = Fault(status=404)
    with pytest.raises(SourceError) as caught:
        run(server, tmp_path)
    assert str(caught.value) == (
        "isic: 2 of 5 images can't be fetched (2 not in the archive), first ISIC_0000000: HTTP 404; rerun `midefics fetch "
        "isic`, or with --set sources.isic.fetch.max_failed_share=0.41 to go on without them"
    )
    assert len(rows(tmp_path)) == 5


def test_an_archive_that_is_down_is_left_in_peace(server: ArchiveServer, tmp_path: Path) -> None:
    for path in filled(server, 60).values():
        server.always[path] = Fault(status=503)
    with pytest.raises(ServiceError, match="the archive seems to be down"):
        run(server, tmp_path, attempts=1, concurrency=1)
    assert server.count("/images/") <= 22


def test_an_archive_that_is_not_there_is_a_service_error(server: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="page 1 of the search: connection broken"):
        run(server, tmp_path, base_url="http://127.0.0.1:9/api/v2/")


def test_a_pause_that_is_asked_for_is_kept(server: ArchiveServer, tmp_path: Path) -> None:
    path = filled(server, 10)["ISIC_0000009"]
    server.faults[path] = [Fault(status=429, headers={"Retry-After": "0.4"})]
    assert run(server, tmp_path, concurrency=1).new == 10
    refused, following = next((a, b) for a, b in itertools.pairwise(server.seen) if a.path == path)
    assert following.path == path
    assert following.at - refused.at >= 0.4


def test_a_pause_burns_no_try_but_does_not_last_for_ever(server: ArchiveServer, tmp_path: Path) -> None:
    path = filled(server)["ISIC_0000001"]
    server.faults[path] = [Fault(status=429, headers={"Retry-After": "0.01"})] * 10
    assert run(server, tmp_path, attempts=1).new == 5
    server.always[SEARCH] = Fault(status=429, headers={"Retry-After": "86400"})
    with pytest.raises(ServiceError, match="told to wait: HTTP 429 1 times, the last asks for a pause of 86400 s"):
        run(server, tmp_path)


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_requests_keep_the_rate_and_a_pause_holds_for_all() -> None:
    clock = Clock()
    pace = Pace(4, lambda: clock.now, clock.sleep)
    left = []
    for request in range(6):
        pace.enter()
        left.append(clock.now)
        if request == 3:
            pace.pause(10)
    assert left == [100, 100.25, 100.5, 100.75, 110.75, 111]


def test_a_pause_holds_for_those_who_wait_already() -> None:
    clock, paused = Clock(), []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 100 and not paused:  # another thread is refused while this one waits for its turn
            paused.append(pace.pause(5))

    pace = Pace(2, lambda: clock.now, sleep)
    pace.enter()
    pace.enter()
    assert clock.now == 105.5


def test_a_file_that_was_cut_off_is_gone_on_with(server: ArchiveServer, tmp_path: Path) -> None:
    content = jpeg() + bytes(200_000)
    path = server.add_image("ISIC_0000001", content, diagnosis_1="Benign")
    server.faults[path] = [Fault(cut=120_000), Fault(cut=50_000)]
    fetched = run(server, tmp_path)
    assert fetched.new == 1
    assert (tmp_path / "isic" / "ISIC_0000001.jpg").read_bytes() == content
    asked = [one.headers.get("range") for one in server.seen if one.path == path]
    # The last byte of a part is asked for again.
    assert asked == [None, "bytes=119999-", "bytes=169998-"]
    assert fetched.bytes == len(content) + 2


def test_a_file_that_changes_between_two_parts_is_begun_anew(server: ArchiveServer, tmp_path: Path) -> None:
    path = server.add_image("ISIC_0000001", b"a" * 5000)
    server.faults[path] = [Fault(cut=3000)]
    with pytest.raises(ServiceError, match="connection broken"):
        run(server, tmp_path, attempts=1)
    server.add_image("ISIC_0000001", b"b" * 5000)
    assert run(server, tmp_path).new == 1
    assert (tmp_path / "isic" / "ISIC_0000001.jpg").read_bytes() == b"b" * 5000


def test_a_server_without_ranges_sends_the_file_anew(server: ArchiveServer, tmp_path: Path) -> None:
    path = server.add_image("ISIC_0000001", b"a" * 5000)
    server.faults[path] = [
        Fault(cut=3000),
        Fault(status=200, body=b"a" * 5000, headers={"ETag": '"x"'}),
    ]
    assert run(server, tmp_path).new == 1
    assert (tmp_path / "isic" / "ISIC_0000001.jpg").read_bytes() == b"a" * 5000


def test_a_connection_that_drips_counts_as_stalled(server: ArchiveServer, tmp_path: Path) -> None:
    server.always[filled(server)["ISIC_0000001"]] = Fault(drip_s=0.05)
    assert run(server, tmp_path, attempts=1, timeout_s=0.3).failed == {"stalled": 1}


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/images/x.jpg", "https://evil.example/x.jpg", "file:///etc/passwd", "http://a@127.0.0.1/"],
)
def test_a_redirect_to_an_unexpected_host_is_not_followed(server: ArchiveServer, tmp_path: Path, location: str) -> None:
    where = location.format(port=server.url.rpartition(":")[2])
    server.always[filled(server)["ISIC_0000001"]] = Fault(status=302, headers={"Location": where})
    fetched = run(server, tmp_path)
    assert fetched.failed == {"link not allowed": 1}
    assert "fetch.allowed_hosts" in fetched.failures[0].detail


def test_a_redirect_at_home_is_followed_and_a_circle_is_not(server: ArchiveServer, tmp_path: Path) -> None:
    paths = filled(server)
    server.always[paths["ISIC_0000001"]] = Fault(status=307, headers={"Location": "/elsewhere.jpg"})
    server.files["/elsewhere.jpg"] = jpeg((65, 48))
    server.always[paths["ISIC_0000002"]] = Fault(status=301, headers={"Location": paths["ISIC_0000002"]})
    fetched = run(server, tmp_path)
    assert (fetched.new, fetched.failed) == (4, {"redirected too often": 1})


def test_an_image_at_another_host_is_not_asked_for(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server)
    server.records[0]["files"]["full"]["url"] = "https://evil.example/x.jpg"
    assert run(server, tmp_path).failed == {"link not allowed": 1}


def test_an_image_larger_than_allowed_is_refused(server: ArchiveServer, tmp_path: Path) -> None:
    filled(server)
    server.add_image("ISIC_0000001", bytes(2**20 + 1))
    assert run(server, tmp_path, max_image_mb=1).failed == {"too large": 1}


def test_ingest_fetches_first(server: ArchiveServer, tmp_path: Path) -> None:
    from midefics.config import RunConfig

    server.always[filled(server)["ISIC_0000004"]] = Fault(status=404)
    content = {"name": "tried", "base_model": "tiny-idefics", "sources": {"isic": spec(server).model_dump()}}
    manifest = ingest.run(RunConfig.model_validate(content), services=make_services(tmp_path))
    assert (manifest.rows, manifest.rejected) == (4, {"missing image": 1})


def command(home: Path, server: ArchiveServer, *more: str) -> subprocess.Popen[str]:
    sets = {"base_url": f"{server.url}/api/v2", "requests_per_second": 1000, "retry_wait_s": 0.01, "attempts": 2}
    options = [f"--set=sources.isic.fetch.{key}={value}" for key, value in sets.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "midefics", "fetch", "isic", "--source", f"isic={home / 'isic'}", *options, *more],
        env={**os.environ, "MIDEFICS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_tells_what_came(server: ArchiveServer, tmp_path: Path) -> None:
    server.always[filled(server, 6)["ISIC_0000005"]] = Fault(status=404)
    out, _ = command(tmp_path, server, "--query", "sex:male", "--limit", "5", "--json").communicate(timeout=60)
    told = json.loads(out.splitlines()[-1])
    assert (told["listed"], told["new"], told["failed"]) == (5, 4, {"not in the archive": 1})
    out, _ = command(tmp_path, server).communicate(timeout=60)
    assert "unchanged" in out
    assert "ISIC_0000005: HTTP 404" in out


def test_a_dead_archive_is_one_line_that_a_retry_may_mend(server: ArchiveServer, tmp_path: Path) -> None:
    server.always[SEARCH] = Fault(status=500)
    failing = command(tmp_path, server)
    out, err = failing.communicate(timeout=60)
    assert (failing.returncode, out) == (75, "")
    assert err.splitlines()[-1].startswith("error: isic: page 1 of the search: server error: HTTP 500")


def test_a_drawn_archive_is_not_fetched_into(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "midefics", "fetch", "isic", "--config", "demo"],
        env={**os.environ, "MIDEFICS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "synthetic_cases draws the archive and fetch downloads it" in done.stderr.splitlines()[-1]


def test_a_run_that_is_killed_is_gone_on_with(server: ArchiveServer, tmp_path: Path) -> None:
    paths = filled(server, 40)
    server.page_size = 10
    # The server says nothing more in the middle of one file, so that the run is killed with a part of it.
    large = server.add_image("ISIC_0000020", jpeg() + bytes(300_000), diagnosis_1="Benign")
    server.faults[large] = [Fault(cut=150_000, stall=True)]
    killed = command(tmp_path, server, "--set=sources.isic.fetch.concurrency=1")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.rglob("ISIC_0000020*.partial")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    had = {path.name for path in (tmp_path / "isic").glob("*.jpg")}
    server.add_image("ISIC_0000099", jpeg((150, 150)))
    fetched = run(server, tmp_path)
    assert (fetched.listed, fetched.new, fetched.unchanged) == (41, 41 - len(had), len(had))
    whole = [one for one in server.seen if one.path in paths.values() and one.path != large]
    assert len(whole) == 39  # no file was asked for twice
    ranges = [one.headers.get("range") for one in server.seen if one.path == large]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert (tmp_path / "isic" / "ISIC_0000020.jpg").read_bytes() == jpeg() + bytes(300_000)
    assert len(rows(tmp_path)) == 41


def test_two_runs_into_one_folder_do_not_meet(server: ArchiveServer, tmp_path: Path) -> None:
    from midefics.fetching.journal import held

    filled(server, 1)
    with held("isic", tmp_path / "isic"), pytest.raises(ServiceError, match="another process is fetching"):
        run(server, tmp_path)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"path": "x", "fetch": {"colour": "red"}}, "colour"),
        ({"path": "x", "fetch": {}, "synthetic_cases": 3}, "leave one out"),
        ({"path": "x", "fetch": {"base_url": "ftp://x/"}}, "base_url"),
    ],
)
def test_a_wrong_configuration_is_refused(source: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SourceConfig.model_validate(source)


def test_a_source_without_a_fetcher_is_refused() -> None:
    from midefics.config import load_config
    from midefics.errors import ConfigError

    with pytest.raises(ConfigError, match=r"mura\.fetch: only isic and roco can be fetched"):
        load_config("idefics_9b", values={"sources.mura.fetch": "{}"})
