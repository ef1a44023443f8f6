"""Who may train: locks, heartbeats and word between machines, in a folder and in S3."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from midefics.records import Manifest
from midefics.services.following import follow
from midefics.services.heartbeat import Heartbeat
from midefics.services.progress import Progress
from midefics.services.stopping import StopRequest
from midefics.services.storage import Storage
from midefics.services.trainings import Pace, Process, State, Trainings

TRAINING = "ab" * 32
ADAPTER = Manifest(kind="adapter", uri=f"adapter/{'0' * 16}", rows=1, bytes=1, digest="0" * 64)
ELSEWHERE = Process(host="elsewhere", number=1, born=0.0)


class Request(StopRequest):
    """Notes that it was asked, in the place of ending the test's process."""

    def ask(self, reason: str) -> None:
        self.reason = reason


def machine(storage: Storage, home: Path, dead_after_s: float = 1.0) -> Trainings:
    return Trainings(storage.store, home, shared=True, pace=Pace(0.1, dead_after_s, 0.3))


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_process_of_a_machine_has_the_lock(storage: Storage, tmp_path: Path) -> None:
    one, other = machine(storage, tmp_path), machine(storage, tmp_path)
    with one.lock(TRAINING) as ours, other.lock(TRAINING) as theirs, other.lock("cd" * 32) as another:
        assert (ours, theirs, another) == (True, False, True)
    with other.lock(TRAINING) as theirs:
        assert theirs


def test_a_dead_process_of_this_machine_is_followed_on_at_once(storage: Storage, tmp_path: Path) -> None:
    trainings = machine(storage, tmp_path, dead_after_s=1000)
    dead = Process.ours().model_copy(update={"born": 1.0})  # the number is in use again, by us
    trainings.write(TRAINING, State(owner="dead", process=dead, run_id="run"))
    state = trainings.take(TRAINING)
    assert state is not None
    assert state.run_id == "run"


def test_a_living_process_of_this_machine_with_another_home_has_it(storage: Storage, tmp_path: Path) -> None:
    trainings = machine(storage, tmp_path)
    trainings.write(TRAINING, State(owner="we", process=Process.ours()))
    assert trainings.take(TRAINING) is None


def test_a_silent_machine_is_taken_for_dead_and_a_beating_one_is_not(storage: Storage, tmp_path: Path) -> None:
    trainings = machine(storage, tmp_path)
    silent = State(owner="other", process=ELSEWHERE)
    trainings.write(TRAINING, silent)
    assert trainings.take(TRAINING) is not None
    trainings.write(TRAINING, silent)
    beating = threading.Timer(0.3, trainings.write, (TRAINING, silent.model_copy(update={"beat": 1})))
    beating.start()
    assert trainings.take(TRAINING) is None
    beating.join()


def test_of_two_machines_that_claim_at_once_one_has_it(storage: Storage, tmp_path: Path) -> None:
    taken: list[State | None] = []
    machines = [machine(storage, tmp_path / str(number)) for number in range(2)]
    threads = [threading.Thread(target=lambda one=one: taken.append(one.take(TRAINING))) for one in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state is None for state in taken].count(False) == 1


def test_a_finished_training_begins_a_new_run(storage: Storage, tmp_path: Path) -> None:
    trainings = machine(storage, tmp_path)
    trainings.write(TRAINING, State(owner="we", process=ELSEWHERE, run_id="old", state="finished", manifest=ADAPTER))
    state = trainings.take(TRAINING)
    assert state is not None
    assert state.run_id == ""


def test_a_follower_elsewhere_sees_progress_and_the_manifest(storage: Storage, tmp_path: Path) -> None:
    here, there = machine(storage, tmp_path / "here"), machine(storage, tmp_path / "there")
    told = tmp_path / "progress.json"
    found: list[Manifest | None] = []
    state = State(owner="we", process=ELSEWHERE)
    here.write(TRAINING, state)
    follower = threading.Thread(
        target=lambda: found.append(follow(there, TRAINING, Progress(told), StopRequest())), daemon=True
    )
    with Heartbeat(here, TRAINING, state, Request()) as heartbeat:
        follower.start()
        heartbeat.progress(7, 12, "loss 0.5")
        until(lambda: told.is_file() and '"done": 7, "total": 12, "note": "loss 0.5"' in told.read_text())
        heartbeat.finished(ADAPTER)
        follower.join(20)
    assert found == [ADAPTER]


def test_a_machine_that_was_taken_for_dead_stops_and_touches_nothing(storage: Storage, tmp_path: Path) -> None:
    trainings, stop = machine(storage, tmp_path), Request()
    ours = trainings.take(TRAINING)
    assert ours is not None
    with Heartbeat(trainings, TRAINING, ours, stop) as heartbeat:
        trainings.write(TRAINING, State(owner="other", process=ELSEWHERE))
        until(lambda: stop.reason)
        assert heartbeat.lost
    assert stop.reason == "elsewhere has taken this training over"
    state = trainings.state(TRAINING)
    assert state is not None
    assert (state.owner, state.state) == ("other", "running")


def test_a_request_to_stop_reaches_another_machine_once(storage: Storage, tmp_path: Path) -> None:
    trainings, stop = machine(storage, tmp_path), Request()
    ours = trainings.take(TRAINING)
    assert ours is not None
    trainings.ask_to_stop(TRAINING, ours.model_copy(update={"process": ELSEWHERE}))
    with Heartbeat(trainings, TRAINING, ours, stop):
        until(lambda: stop.reason)
    again = trainings.take(TRAINING)
    assert again is not None
    assert not trainings.asked_to_stop(TRAINING, again.owner)


def test_a_training_that_nobody_watches_stops(tmp_path: Path) -> None:
    trainings, stop = Trainings(Storage(tmp_path).store, tmp_path, shared=False, pace=Pace(0.1, 1, 0)), Request()
    with trainings.lock(TRAINING):
        ours = trainings.take(TRAINING)
        assert ours is not None
        heartbeat = Heartbeat(trainings, TRAINING, ours, stop, outlive_s=0.5)
        heartbeat._parent = os.getpid()  # as if the parent that we have were another than the one we began with
        trainings.talk_to_a_file = lambda _: None  # the test's own output stays where it is
        with heartbeat:
            until(lambda: stop.reason)
    assert stop.reason == "nobody has watched it for 0 s"


@pytest.mark.parametrize("content", [b"", b"{", b'{"owner": 3}'])
def test_a_heartbeat_that_is_none_is_as_if_there_were_none(storage: Storage, tmp_path: Path, content: bytes) -> None:
    trainings = machine(storage, tmp_path)
    storage.store.write(trainings.key(TRAINING), content)
    assert trainings.take(TRAINING) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"{}"])
def test_a_request_to_stop_that_is_none_stops_nothing_and_no_heartbeat(
    storage: Storage, tmp_path: Path, content: bytes
) -> None:
    trainings, stop = machine(storage, tmp_path), Request()
    ours = trainings.take(TRAINING)
    assert ours is not None
    storage.store.write(f"trainings/{TRAINING[:16]}.stop", content)
    with Heartbeat(trainings, TRAINING, ours, stop) as heartbeat:
        until(lambda: heartbeat.state.beat >= 2)
    assert stop.reason == ""
