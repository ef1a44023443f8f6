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
OPTIONS = ["--config", "demo", "--only", "isic", "--set", "sources.isic.synthetic_cases=60"]


class Runs:
    """`midefics` as processes on one home and one place of storage."""

    def __init__(self, home: Path, location: str) -> None:
        self._environment = {**os.environ, "MIDEFICS_HOME": str(home), "MIDEFICS_STORE": location}
        self.storage = Storage.at(location, home)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "midefics", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, env=self._environment, **pipes)

    def result(self, *arguments: str) -> object:
        process = self.start(*arguments, "--json")
        told = process.communicate(timeout=120)[0]
        assert process.returncode == 0, told
        return json.loads(told.splitlines()[-1])

    def killed(self, stage: str, moment_s: float) -> bool:
        """Whether the kill came before the end."""
        process = self.start(stage, *OPTIONS)
        try:
            process.communicate(timeout=moment_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return process.returncode != 0

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
        started = time.monotonic()
        assert undisturbed.result(stage, *OPTIONS)["digest"] == expected
        left += kill_loop(runs, stage, kind, expected, time.monotonic() - started)
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


def kill_loop(runs: Runs, stage: str, kind: Kind, expected: str, seconds: float) -> Counter[str]:
    """Runs a stage again and again until half of the kills have met it; one that ends before its kill starts afresh."""
    left: Counter[str] = Counter()
    chance = random.Random(stage)  # noqa: S311 (moments, no secret)
    while left.total() < KILLS // 2:
        if runs.killed(stage, chance.uniform(0.2, 1.1) * seconds):
            left[runs.half_written()] += 1
        for output in runs.storage.outputs(kind):
            assert output.manifest.digest == expected
            assert len(list(runs.storage.rows(output.manifest))) == output.manifest.rows
            runs.storage.store.delete(output.manifest.uri)
    return left
