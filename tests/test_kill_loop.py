"""Processes ended by SIGKILL at random moments: what is there afterwards is what is there when nobody kills."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from midefics.records import Kind
from midefics.services.storage import Storage

KILLS = int(os.environ.get("MIDEFICS_KILLS", "4"))
"""In each place, half of them in ingest and half in assemble."""
VALUES = {"sources.isic.synthetic_cases": 24, "assemble.test_share": 0.3, "assemble.validation_share": 0.3}
OPTIONS = ["--config", "demo", "--only", "isic", *(f"--set={key}={value}" for key, value in VALUES.items())]


class Runs:
    """`midefics` as processes on one home and one place of storage."""

    def __init__(self, home: Path, location: str) -> None:
        self._environment = {**os.environ, "MIDEFICS_HOME": str(home), "MIDEFICS_STORE": location}
        self.storage = Storage.at(location, home)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "midefics", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=self._environment, **pipes)

    def result(self, *arguments: str) -> object:
        process = self.start(*arguments, "--json")
        told, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
        return json.loads(told.splitlines()[-1])

    def killed(self, stage: str, moment_s: float, at_work: bool) -> bool:
        """Whether a kill this long after the start, or after the beginning of the work, came before the end."""
        process = self.start(stage, *OPTIONS)
        if at_work:
            wait_for_work(process, stage)
        try:
            process.communicate(timeout=moment_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return process.returncode != 0

    def seconds(self, stage: str) -> tuple[float, float]:
        """How long the stage takes, and how long it is at work: the rest is loading Python."""
        started = time.monotonic()
        process = self.start(stage, *OPTIONS)
        wait_for_work(process, stage)
        at_work = time.monotonic()
        process.communicate()
        return time.monotonic() - started, time.monotonic() - at_work

    def half_written(self) -> str:
        """What the last kill left behind, in one word."""
        if list(self.storage.store.disk.rglob(".draft-*")):
            return "a draft"
        known = tuple(f"{output.manifest.uri}/" for output in self.storage.outputs())
        partial = [key for key in self.storage.store.keys("") if not key.startswith((*known, "latest/"))]
        return "objects without a manifest" if partial else "nothing"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_at_random_moments_change_nothing(location: str, tmp_path: Path) -> None:
    undisturbed, runs = Runs(tmp_path / "undisturbed", str(tmp_path / "reference")), Runs(tmp_path / "home", location)
    left: Counter[str] = Counter()
    for stage, kind, after in (("ingest", "images", ["validate", "label"]), ("assemble", "dataset", [])):
        expected = undisturbed.result(stage, *OPTIONS)["digest"]
        left += kill_loop(runs, stage, kind, expected, undisturbed.seconds(stage))
        assert runs.result(stage, *OPTIONS)["digest"] == expected
        for following in after:
            assert runs.result(following, *OPTIONS)["digest"] == undisturbed.result(following, *OPTIONS)["digest"]
    listed = runs.result("data", "ls")
    assert [one["kind"] for one in listed] == ["images", "validated", "conversations", "dataset"]
    garbage = runs.result("data", "gc", "--older-than", "0", "--yes")
    assert garbage["outputs"] == []
    assert runs.result("data", "gc", "--older-than", "0")["leftovers"] == []
    assert runs.result("data", "ls") == listed
    told = f"{left.total()} kills on {location} left {dict(left)}; gc removed {len(garbage['leftovers'])}"
    print(told)  # noqa: T201 (the figures, for those who ask with -s)


def kill_loop(runs: Runs, stage: str, kind: Kind, expected: str, seconds: tuple[float, float]) -> Counter[str]:
    """Runs a stage again and again until half of the kills have met it; one that ends before its kill starts afresh."""
    left: Counter[str] = Counter()
    chance = random.Random(stage)  # noqa: S311 (moments, no secret)
    while left.total() < KILLS // 2:
        at_work = left.total() % 4 > 0  # most of a short run is loading Python, where a kill meets nothing
        if runs.killed(stage, chance.uniform(0.0, 1.1) * seconds[at_work], at_work):
            left[runs.half_written()] += 1
        for output in runs.storage.outputs(kind):
            assert output.manifest.digest == expected
            assert len(list(runs.storage.rows(output.manifest))) == output.manifest.rows
            runs.storage.store.delete(output.manifest.uri)
    return left


def wait_for_work(process: subprocess.Popen[str], stage: str) -> None:
    assert process.stderr
    for line in process.stderr:
        if f" {stage}: " in line:
            return
