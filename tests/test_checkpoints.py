"""Checkpoints of a training in a folder: which stay, and what happens where the store does not answer."""

from collections.abc import Iterator
from pathlib import Path

from midefics.errors import UnreachableError
from midefics.services.checkpoints import Checkpoints
from midefics.services.local_store import LocalStore
from midefics.services.object_store import Folder

TRAINING = "a" * 64


class Mute(LocalStore):
    """Takes what is put into it, and does not tell what it has."""

    def uris(self, kind: Folder) -> Iterator[str]:
        raise UnreachableError(f"{kind} does not answer")


def save(checkpoints: Checkpoints, step: int) -> None:
    checkpoints.save(step, lambda folder: (folder / "state").write_text(f"of step {step}"), {"said": step})


def steps(root: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in (root / "checkpoints").iterdir())


def test_so_many_of_the_newest_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(LocalStore(tmp_path), TRAINING, 2)
    for step in (3, 6, 9):
        save(checkpoints, step)
    assert steps(tmp_path) == [6, 9]
    newest = checkpoints.newest()
    assert newest is not None
    assert (newest.step, newest.facts) == (9, {"said": 9})


def test_a_damaged_later_one_does_not_crowd_out_the_one_just_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(LocalStore(tmp_path), TRAINING, 1)
    save(checkpoints, 9)
    (tmp_path / "checkpoints" / f"{TRAINING[:16]}-00000009" / "state").write_text("half")
    save(checkpoints, 6)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 6


def test_a_store_that_does_not_answer_ends_no_training(tmp_path: Path) -> None:
    save(Checkpoints(Mute(tmp_path), TRAINING, 1), 3)
    assert steps(tmp_path) == [3]
