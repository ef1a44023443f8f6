"""Several processes that train together, on gloo and in 4 bit: they come to what one comes to, and end together."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable
from typing import Any

import psutil
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from midefics.config import TrainConfig
from midefics.errors import LostError, ModelError, StoppedError
from midefics.stages.launching import Outcome, came_of
from midefics.vlm.ranks import Ranks
from tests.test_resume import kept, points, runs
from tests.training_forge import Forge, Training
from tests.trainings import history, house, options

TWO = {"processes": 2, "accumulation": 1}
"""With as many samples a step as `options()` gives one process."""


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    command = [executable, "-m", "tests.training_forge"]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, env={**os.environ}) as process:
        yield Forge(process)
        process.stdin.close()


@pytest.fixture
def home(tmp_path: Path, tiny_base: Path) -> Path:
    return house(tmp_path / "home", tiny_base)


def weights(home: Path, manifest: dict[str, Any]) -> torch.Tensor:
    tensors = load_file(home / "data" / manifest["uri"] / "adapter" / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


def ranks(training: Training) -> list[psutil.Process]:
    """Those of a training, in the order of their ranks."""
    children = psutil.Process(training.number).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"nodes": 2}, "nodes needs rendezvous"),
        ({"parallel": "fsdp", "optimizer": "adamw_torch"}, "fsdp needs processes or nodes above 1"),
        ({"parallel": "fsdp", "processes": 2}, "fsdp needs optimizer: adamw_torch"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TrainConfig.model_validate(values)


def test_more_processes_than_configured_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ModelError, match="3 processes were started and the configuration says 2"):
        Ranks(2)


def test_the_first_error_is_the_one_that_is_told() -> None:
    outcomes = [
        Outcome(rank=1, at=1.0, error="ModelError", message="the image of row 3 can't be decoded"),
        Outcome(rank=0, at=2.0, error="LostError", message="Connection closed by peer"),
    ]
    with pytest.raises(ModelError, match="row 3"):
        came_of(outcomes, "", told=False)
    with pytest.raises(LostError, match=r"rank 1 .process 7. was killed"):
        came_of(outcomes, "rank 1 (process 7) was killed by SIGKILL", told=False)
    with pytest.raises(StoppedError):
        came_of([], "", told=True)


def test_two_processes_come_to_what_one_comes_to(forge: Forge, home: Path, tmp_path: Path, tiny_base: Path) -> None:
    other = house(tmp_path / "other", tiny_base)
    same = {"max_steps": 4, "lora.dropout": 0.0}
    one = forge.start(other, *options(**same)).manifest()
    two = forge.start(home, *options(**same, **TWO)).manifest()
    assert [step["loss"] for step in history(home, two)] == pytest.approx(
        [step["loss"] for step in history(other, one)], rel=1e-5
    )
    assert float((weights(home, two) - weights(other, one)).abs().max()) <= 1e-5
    assert two["facts"]["tokens"] == one["facts"]["tokens"]
    [(run_id, status)] = runs(home)
    assert status == "FINISHED"
    assert points(home, run_id, "loss") == [(step["step"], step["loss"]) for step in history(home, two)]


@pytest.mark.slow
def test_a_killed_rank_ends_the_other_and_they_go_on_to_the_same_adapter(
    forge: Forge, home: Path, tmp_path: Path, tiny_base: Path
) -> None:
    long = options(**TWO, max_steps=60)
    undisturbed = forge.start(house(tmp_path / "undisturbed", tiny_base), *long).manifest()
    for victim in (1, 0):
        training = forge.start(home, *long)
        training.says(f"checkpoint of step {6 if victim else 21} ")
        all_of_them = ranks(training)
        all_of_them[victim].kill()
        assert training.end() == 75
        assert f"rank {victim} (process {all_of_them[victim].pid}) was killed by SIGKILL" in training.log
        assert not any(process.is_running() for process in all_of_them)
    training = forge.start(home, *long)
    training.says("checkpoint of step 42 ")
    all_of_them = ranks(training)
    os.kill(training.number, signal.SIGKILL)
    assert training.end() == -signal.SIGKILL
    assert psutil.wait_procs(all_of_them, 10)[1] == []
    last = forge.start(home, *long)
    assert last.manifest()["digest"] == undisturbed["digest"]
    assert "going on after step" in last.log
    assert [status for _, status in runs(home)] == ["FINISHED"]


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["launcher", "second"])
def test_sigterm_saves_once_and_all_leave(forge: Forge, home: Path, tmp_path: Path, tiny_base: Path, whom: str) -> None:
    long = options(**TWO, max_steps=40, checkpoint_every=None)
    undisturbed = forge.start(house(tmp_path / "undisturbed", tiny_base), *long).manifest()
    training = forge.start(home, *long)
    training.says("train 1 of 40")
    os.kill(training.number if whom == "launcher" else ranks(training)[1].pid, signal.SIGTERM)
    assert training.end() == 75
    assert "stopped at step" in training.log
    assert len(kept(home)) == 1
    assert [status for _, status in runs(home)] == ["KILLED"]
    resumed = forge.start(home, *long)
    assert resumed.manifest()["digest"] == undisturbed["digest"]
    assert [status for _, status in runs(home)] == ["FINISHED"]


@pytest.mark.slow
def test_two_machines_return_the_same_manifest(forge: Forge, home: Path, tmp_path: Path, tiny_base: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    short = {"accumulation": 1, "max_steps": 4, "lora.dropout": 0.0}
    apart = options(**short, nodes=2, rendezvous=f"localhost:{port}")
    machines = [forge.start(home, *apart) for _ in range(2)]
    manifests = [machine.manifest() for machine in machines]
    assert manifests[0] == manifests[1]
    beside = house(tmp_path / "beside", tiny_base)
    assert forge.start(beside, *options(**short, processes=2)).manifest()["digest"] == manifests[0]["digest"]
    assert [status for _, status in runs(home)] == ["FINISHED"]


@pytest.mark.slow
def test_spread_weights_come_to_what_whole_ones_come_to(
    forge: Forge, home: Path, tmp_path: Path, tiny_base: Path
) -> None:
    same = {**TWO, "max_steps": 8, "lora.dropout": 0.0, "optimizer": "adamw_torch"}
    beside = house(tmp_path / "beside", tiny_base)
    copied = forge.start(beside, *options(**same)).manifest()
    spread = forge.start(home, *options(**same, parallel="fsdp")).manifest()
    assert [step["loss"] for step in history(home, spread)] == pytest.approx(
        [step["loss"] for step in history(beside, copied)], rel=1e-5
    )
    assert float((weights(home, spread) - weights(beside, copied)).abs().max()) <= 1e-5
    interrupted = house(tmp_path / "interrupted", tiny_base)
    training = forge.start(interrupted, *options(**same, parallel="fsdp"))
    training.says("checkpoint of step 3 ")
    ranks(training)[1].kill()
    assert training.end() == 75
    resumed = forge.start(interrupted, *options(**same, parallel="fsdp"))
    assert resumed.manifest()["digest"] == spread["digest"]
    assert "going on after step" in resumed.log
