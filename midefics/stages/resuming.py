"""A training's identity in; the right to train it and what is known of it, or the result of the process that has it, out."""

import hashlib
import json
import logging
from collections.abc import Callable
from typing import NamedTuple

from midefics.base_models import base_model
from midefics.config import RunConfig
from midefics.errors import StorageError
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.checkpoints import Checkpoint, Checkpoints
from midefics.services.following import follow
from midefics.services.heartbeat import Heartbeat
from midefics.services.stopping import StopRequest
from midefics.services.trainings import Process, State, Trainings

log = logging.getLogger(__name__)

OF_NO_CONSEQUENCE = {
    "checkpoint_every",
    "keep_checkpoints",
    "sample_answers",
    "workers",
    "frozen_outputs_gb",
    "rendezvous",
}
"""Keys of `train` that the adapter does not depend on."""
TRAINING, PROCESS = "midefics.training", "midefics.process"
"""Tags of an MLflow run."""


class Ours(NamedTuple):
    """A training that this process has the right to."""

    identity: str
    checkpoints: Checkpoints
    start: Checkpoint | None
    """What it goes on from."""
    heartbeat: Heartbeat
    stop: StopRequest

    @property
    def run_id(self) -> str:
        """Of the MLflow run that goes on; empty where a new one begins."""
        return str(self.start.facts["run_id"] if self.start else self.heartbeat.state.run_id)

    @property
    def tags(self) -> dict[str, str]:
        """By which others find out whose run it is."""
        return {TRAINING: self.identity, PROCESS: Process.ours().model_dump_json()}


class Manner(NamedTuple):
    """How a training begins and how long it may go on."""

    fresh: bool
    """Earlier checkpoints of the same training are thrown away."""
    outlive_s: float | None
    """How long it goes on once the process that started this one is gone and nobody follows; None: to the end."""


def identity(config: RunConfig, dataset: Manifest) -> str:
    """What makes two trainings the same: the data set's digest and all of the configuration that changes the result."""
    content = {
        "dataset": dataset.digest,
        "base_model": [config.base_model, base_model(config.base_model).revision],
        "seed": config.seed,
        "train": config.train.model_dump(mode="json", exclude=OF_NO_CONSEQUENCE),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def one_at_a_time(
    config: RunConfig, dataset: Manifest, services: Services, manner: Manner, train: Callable[[Ours], Manifest]
) -> Manifest:
    """Trains, unless another process trains the same: then its manifest is ours.

    Raises:
        StoppedError: SIGTERM or Ctrl-C came.
    """
    training = identity(config, dataset)
    trainings = Trainings(services.storage.store, services.settings.home, shared=services.settings.store is not None)
    checkpoints = Checkpoints(services.storage.store, training, config.train.keep_checkpoints)
    with StopRequest().listening() as stop:
        while True:
            with trainings.lock(training) as locked:
                state = trainings.take(training) if locked else None
                if state:
                    state = _afresh(state, checkpoints) if manner.fresh else state
                    with Heartbeat(trainings, training, state, stop, manner.outlive_s) as heartbeat:
                        _end_the_abandoned(config, services, trainings, state.run_id)
                        made = train(Ours(training, checkpoints, checkpoints.newest(), heartbeat, stop))
                        _tidy(heartbeat, checkpoints, made)
                        return made
            if manifest := follow(trainings, training, services.progress, stop):
                return manifest


def _tidy(heartbeat: Heartbeat, checkpoints: Checkpoints, made: Manifest) -> None:
    """Tells followers and frees the checkpoints; the adapter is stored, so a bucket that is silent by now fails nothing."""
    try:
        heartbeat.finished(made)
        checkpoints.clear()
    except StorageError as error:
        log.warning("train: done, but the checkpoints stay until `midefics data gc` (%s)", error)


def _afresh(state: State, checkpoints: Checkpoints) -> State:
    checkpoints.clear()
    return state.model_copy(update={"run_id": ""})


def _end_the_abandoned(config: RunConfig, services: Services, trainings: Trainings, ours: str) -> None:
    """Runs of killed processes that nobody has gone on with: MLflow can't know that they are no longer RUNNING."""
    for run_id, tags in services.tracking.running(config.register_.experiment):
        if run_id == ours or PROCESS not in tags:
            continue
        if trainings.abandoned(tags[TRAINING], Process.model_validate_json(tags[PROCESS])):
            log.info("train: the process of MLflow run %s is gone; the run is ended as KILLED", run_id)
            services.tracking.end(run_id, "KILLED")
