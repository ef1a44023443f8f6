"""A training that another process is at in; its progress as it goes, and its manifest, out."""

import logging
import time

from midefics.errors import StoppedError
from midefics.records import Manifest
from midefics.services.progress import Counter, Progress
from midefics.services.stopping import StopRequest
from midefics.services.trainings import Pulse, Trainings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


def follow(trainings: Trainings, training: str, progress: Progress, stop: StopRequest) -> Manifest | None:
    """Waits until whoever trains it ends; None where that came to nothing and we may try ourselves.

    SIGTERM is passed on: a task that follows ends the training as one that runs it would. Ctrl-C only ends following.

    Raises:
        StoppedError: we were told to stop.
    """
    # Gently: an exception out of a signal's handler may meet code that swallows it, such as a log's.
    with stop.gentle(), progress.track("train") as counter:
        manifest = _watch(trainings, training, counter, stop)
    if not stop.reason:
        return manifest
    state = trainings.state(training)
    if state and state.state == "running" and stop.reason == "SIGTERM":
        trainings.ask_to_stop(training, state)
        log.info("train: told process %s on %s to save and leave", state.process.number, state.process.host)
    raise StoppedError(f"train: stopped following ({stop.reason})")


def _watch(trainings: Trainings, training: str, counter: Counter, stop: StopRequest) -> Manifest | None:
    pulse, followed = Pulse(trainings.pace.dead_after_s), ""
    while not stop.reason:
        state = trainings.state(training)
        if state and pulse.beats(state):
            if state.owner != followed:
                followed = state.owner
                number, host = state.process.number, state.process.host
                log.info("train: process %s on %s is at this training already; following it", number, host)
                counter.go_on(state.step)
            trainings.followed(training).touch()
            counter.total = state.steps or None
            counter.advance(state.step - counter.done, state.note)
        elif state and state.owner == followed and state.manifest:
            return state.manifest
        elif _free(trainings, training):
            return None
        time.sleep(LOOK_EVERY_S)
    return None


def _free(trainings: Trainings, training: str) -> bool:
    with trainings.lock(training) as ours:
        return ours
