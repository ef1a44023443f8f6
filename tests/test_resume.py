"""Trainings that are killed, stopped and started twice, as real processes: what comes out is what comes out undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midefics.services.storage import Storage
from tests.training_forge import Forge
from tests.trainings import history, house, options

KILLS = int(os.environ.get("MIDEFICS_KILLS", "20"))


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    command = [sys.executable, "-m", "tests.training_forge"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ}) as process:
        yield Forge(process)
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(forge: Forge, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest and the history of a training that nobody disturbs."""
    home = house(tmp_path_factory.mktemp("undisturbed"), tiny_base)
    manifest = forge.start(home, *options()).manifest()
    return {**manifest, "history": history(home, manifest)}


@pytest.fixture
def home(tmp_path: Path, tiny_base: Path) -> Path:
    return house(tmp_path / "home", tiny_base)


def runs(home: Path, tracked: str | None = None) -> list[tuple[str, str]]:
    """MLflow's runs, the oldest first, and their status."""
    import mlflow

    client = mlflow.MlflowClient(tracked or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("midefics")
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
    return [(run.info.run_id, run.info.status) for run in found]


def points(home: Path, run_id: str, figure: str) -> list[tuple[int, float]]:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    return [(point.step, point.value) for point in client.get_metric_history(run_id, figure)]


def kept(home: Path) -> list[str]:
    return sorted(path.name.split("-")[1] for path in (home / "data" / "checkpoints").glob("*-*"))


def test_a_killed_training_goes_on_to_the_same_adapter_in_the_same_run(
    forge: Forge, home: Path, undisturbed: dict[str, Any]
) -> None:
    for step in (4, 8, 11):
        training = forge.start(home, *options(), kill_at=step)
        assert training.end() == -signal.SIGKILL
        assert [status for _, status in runs(home)] == ["RUNNING"]
    assert kept(home) == ["00000006", "00000009"]
    training = forge.start(home, *options())
    manifest = training.manifest()
    assert "going on after step 9 of 12" in training.log
    assert manifest["digest"] == undisturbed["digest"]
    assert history(home, manifest) == undisturbed["history"]
    assert manifest["facts"]["tokens"] == undisturbed["facts"]["tokens"]
    [(run_id, status)] = runs(home)
    assert status == "FINISHED"
    assert manifest["facts"]["run_id"] == run_id
    assert points(home, run_id, "loss") == [(one["step"], one["loss"]) for one in undisturbed["history"]]
    assert kept(home) == []


@pytest.mark.parametrize("moment", ["on_substep_end", "on_step_end", "on_prediction_step"])
def test_sigterm_at_any_moment_saves_and_leaves(
    forge: Forge, home: Path, undisturbed: dict[str, Any], moment: str
) -> None:
    rarely = options(checkpoint_every=None)
    stopped = forge.start(home, *rarely, kill_at=4, kill_in=moment, kill_by=signal.SIGTERM)
    assert stopped.end() == 75
    assert stopped.log.splitlines()[-1] == (
        "error: train: stopped at step 4 of 12 (SIGTERM); the same command goes on from there"
    )
    assert [status for _, status in runs(home)] == ["KILLED"]
    resumed = forge.start(home, *rarely)
    manifest = resumed.manifest()
    assert "going on after step 4 of 12" in resumed.log
    assert manifest["digest"] == undisturbed["digest"]
    assert manifest["facts"]["tokens"] == undisturbed["facts"]["tokens"]
    assert [status for _, status in runs(home)] == ["FINISHED"]


def test_half_a_checkpoint_is_passed_over(forge: Forge, home: Path, undisturbed: dict[str, Any]) -> None:
    assert forge.start(home, *options(), kill_at=7).end() == -signal.SIGKILL
    newest = next((home / "data" / "checkpoints").glob("*-00000006"))
    weights = newest / "optimizer.pt"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    resumed = forge.start(home, *options())
    assert resumed.manifest()["digest"] == undisturbed["digest"]
    assert "checkpoint of step 6 is damaged (optimizer.pt is not as it was written)" in resumed.log
    assert "going on after step 3" in resumed.log


def test_another_training_does_not_go_on_from_it(forge: Forge, home: Path) -> None:
    assert forge.start(home, *options(), kill_at=7).end() == -signal.SIGKILL
    other = forge.start(home, *options(learning_rate=0.001))
    other.manifest()
    assert "going on after" not in other.log
    # The killed one is ended on the way, for nobody else would.
    assert [status for _, status in runs(home)] == ["KILLED", "FINISHED"]
    resumed = forge.start(home, *options())
    resumed.manifest()
    assert "going on after step 6" in resumed.log
    assert [status for _, status in runs(home)] == ["FINISHED", "FINISHED"]


def test_another_machine_goes_on_from_the_bucket(
    forge: Forge, tiny_base: Path, undisturbed: dict[str, Any], s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDEFICS_STORE", s3)
    one, other = house(tmp_path / "one", tiny_base, s3), house(tmp_path / "other", tiny_base, s3)
    tracked = f"sqlite:///{one / 'mlflow.db'}"
    monkeypatch.setenv("SHARED_MLFLOW", tracked)
    assert forge.start(one, *options(), kill_at=7).end() == -signal.SIGKILL
    bucket = Storage.at(s3, other).store
    [newest] = [key for key in bucket.keys("checkpoints/") if key.endswith("-00000006/optimizer.pt")]
    bucket.write(newest, bucket.read(newest).content[:-1])  # cut short in the bucket
    resumed = forge.start(other, *options())
    manifest = resumed.manifest()
    assert manifest["digest"] == undisturbed["digest"]
    assert "checkpoint of step 6 is damaged" in resumed.log
    assert "going on after step 3" in resumed.log
    assert list(bucket.keys("checkpoints/")) == []
    assert [status for _, status in runs(one, tracked)] == ["FINISHED"]


def test_fresh_starts_anew(forge: Forge, home: Path, undisturbed: dict[str, Any]) -> None:
    assert forge.start(home, *options(), kill_at=7).end() == -signal.SIGKILL
    fresh = forge.start(home, *options(), "--fresh")
    assert fresh.manifest()["digest"] == undisturbed["digest"]
    assert "going on after" not in fresh.log
    assert [status for _, status in runs(home)] == ["KILLED", "FINISHED"]


def test_a_second_start_follows_the_first(forge: Forge, home: Path, undisturbed: dict[str, Any]) -> None:
    first = forge.start(home, *options(), pace_s=0.4)
    first.says("train: 20 conversations")
    second = forge.start(home, *options())
    one, other = first.manifest(), second.manifest()
    assert one == other
    assert one["digest"] == undisturbed["digest"]
    assert f"process {first.number} on" in second.log
    assert "train: 20 conversations" not in second.log
    assert len(runs(home)) == 1


def test_a_follower_goes_on_where_the_first_is_killed(forge: Forge, home: Path, undisturbed: dict[str, Any]) -> None:
    first = forge.start(home, *options(), pace_s=0.4)
    first.says("train: 20 conversations")
    second = forge.start(home, *options())
    second.says("following it")
    first.says("checkpoint of step 3")
    os.kill(first.number, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    assert second.manifest()["digest"] == undisturbed["digest"]
    assert "going on after step" in second.log
    assert [status for _, status in runs(home)] == ["FINISHED"]


def test_sigterm_to_a_follower_ends_the_training(forge: Forge, home: Path) -> None:
    first = forge.start(home, *options(), pace_s=0.5)
    first.says("train: 20 conversations")
    second = forge.start(home, *options())
    second.says("following it")
    first.says("train 1 of 12")
    os.kill(second.number, signal.SIGTERM)
    assert (second.end(), first.end()) == (75, 75)
    assert [status for _, status in runs(home)] == ["KILLED"]


def test_a_full_disk_leaves_the_earlier_checkpoint(forge: Forge, home: Path) -> None:
    large = options(**{"lora.r": 64})  # 410,000 numbers learn: 1.6 MB, and 3.3 MB of the optimizer
    assert forge.start(home, *large, kill_at=4).end() == -signal.SIGKILL
    full = forge.start(home, *large, largest_file=2_500_000)
    assert full.end() == 1
    error = full.log.splitlines()[-1]
    assert error.startswith("error: checkpoint of step 6 could not be written")
    assert "the one of step 3 is whole" in error
    assert kept(home) == ["00000003"]
    assert [status for _, status in runs(home)] == ["FAILED"]
    resumed = forge.start(home, *large)
    resumed.manifest()
    assert "going on after step 3" in resumed.log


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_at_random_moments_change_nothing(
    forge: Forge, home: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    chance = random.Random(20)  # noqa: S311 (moments, no secret)
    kills, starts, restarts = 0, 0, 0
    often = options(checkpoint_every="1 steps")
    while kills < KILLS:
        training = forge.start(home, *often, pace_s=0.1)
        starts += 1
        training.says("train: 20 conversations")
        time.sleep(chance.uniform(0.0, 2.5))
        os.kill(training.number, signal.SIGKILL)
        if training.end() == 0:
            restarts += 1  # it was done before its kill came, and begins anew
        else:
            kills += 1
            assert [status for _, status in runs(home)][-1] == "RUNNING"
    manifest = forge.start(home, *often).manifest()
    assert manifest["digest"] == undisturbed["digest"]
    assert history(home, manifest) == undisturbed["history"]
    found = runs(home)
    assert [status for _, status in found] == ["FINISHED"] * (restarts + 1)
    for run_id, _ in found:
        assert points(home, run_id, "loss") == [(one["step"], one["loss"]) for one in undisturbed["history"]]
    print(f"{kills} kills in {starts} starts, {restarts} of them were done first")  # noqa: T201 (with -s)
