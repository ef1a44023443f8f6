"""The command line as a person meets it: real processes, one line of error, nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rows import jpeg


def midefics(
    home: Path, *arguments: str, timeout_s: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    # MLflow sets its own variable in this process when another test connects.
    unset = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MLFLOW_TRACKING_URI", "MIDEFICS_STORE", "MIDEFICS_LEDGER_URL")
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-m", "midefics", *arguments],
        env={**clean, "MIDEFICS_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def archive(folder: Path, table: str, **images: bytes) -> Path:
    folder.mkdir()
    (folder / "metadata.csv").write_text(table)
    for name, content in images.items():
        (folder / f"{name}.jpg").write_bytes(content)
    return folder


HEADER = "isic_id,attribution,copyright_license,benign_malignant,diagnosis\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ingest", "--config", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["ingest", "--set", "train.lora.rank=3"], "train.lora.rank: no such key"),
        (["ingest", "--source", "isic"], "'isic': expected NAME=VALUE"),
        (["ingest", "--source", "isic=/nowhere", "--only", "isic"], "/nowhere"),
        (["ingest", "--only", "hospital"], "sources.hospital: not in this configuration"),
        (["train"], "train needs one manifest of kind dataset"),
        (["validate", "nowhere"], "nowhere: no manifest there"),
        (["ask", "a", "b", "c"], "expected [IMAGE] QUESTION"),
        (["bench", "everything"], "bench everything: expected one of"),
    ],
)
def test_an_error_is_one_line_that_names_the_thing(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = midefics(tmp_path, *arguments)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert told in last
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_empty_archive_writes_nothing(tmp_path: Path) -> None:
    folder = archive(tmp_path / "isic", HEADER)
    done = midefics(tmp_path / "home", "ingest", "--source", f"isic={folder}", "--only", "isic")
    assert done.returncode == 1
    assert "isic" in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "home").rglob("manifest.json"))


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in midefics(tmp_path, "ingest", "--config", "nowhere.yaml", "--debug").stderr


def test_json_ends_with_the_manifest(tmp_path: Path) -> None:
    lines = "".join(f"ISIC_000000{n},A,CC-0,benign,nevus\n" for n in range(4))
    folder = archive(tmp_path / "isic", HEADER + lines, **{f"ISIC_000000{n}": jpeg() for n in range(3)})
    done = midefics(tmp_path / "home", "ingest", "--source", f"isic={folder}", "--only", "isic", "--json")
    manifest = json.loads(done.stdout.splitlines()[-1])
    assert (manifest["kind"], manifest["rows"], manifest["rejected"]) == ("images", 3, {"missing image": 1})


def test_a_dead_mlflow_is_one_line_that_a_retry_may_mend(tmp_path: Path) -> None:
    done = midefics(tmp_path, "ask", "What?", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 75
    assert "MLflow at http://127.0.0.1:9 does not answer" in done.stderr.splitlines()[-1]


def test_help_names_every_command(tmp_path: Path) -> None:
    text = midefics(tmp_path, "--help").stdout
    assert all(
        name in text for name in ("ingest", "validate", "label", "assemble", "train", "evaluate", "register", "ask")
    )
