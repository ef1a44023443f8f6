"""Figures, files and model versions in; MLflow runs and its registry out."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from midefics.config.settings import Settings, without_password
from midefics.errors import ModelError, ServiceError, StoppedError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"


class Tracking:
    """MLflow: a server, or a SQLite file and a folder that a server may be started on."""

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        import mlflow

        self.uri = without_password(uri)
        """For messages."""
        self._artifacts = artifacts
        mlflow.set_tracking_uri(uri)
        self.client: MlflowClient = mlflow.MlflowClient(uri)

    @classmethod
    def connect(cls, settings: Settings) -> "Tracking":
        """Connects, after a look whether the server answers.

        Raises:
            ServiceError: it does not.
        """
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        uri = settings.mlflow_tracking_uri
        if uri is None:
            folder = settings.home / "mlflow"
            folder.mkdir(parents=True, exist_ok=True)
            return cls(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
        if uri.startswith("http"):
            try:
                httpx.get(f"{uri}/health", timeout=10).raise_for_status()
            except httpx.HTTPError as error:
                raise ServiceError(
                    f"MLflow at {settings.mlflow_address} does not answer ({str(error).replace(uri, str(settings.mlflow_address))}); "
                    f"start it, or unset MLFLOW_TRACKING_URI to use {settings.home / 'mlflow'}"
                ) from error
        return cls(uri, None)

    @contextmanager
    def run(
        self, experiment: str, name: str, tags: dict[str, str], params: dict[str, Any], run_id: str = ""
    ) -> Iterator[str]:
        """One MLflow run, RUNNING inside the block; it ends FINISHED, FAILED, or KILLED where the process is told to stop.

        With a `run_id` that run goes on, and a new one begins only where it is gone.
        """
        run_id = self._taken_up(run_id, tags, params) or self._begun(experiment, name, tags, params)
        status = "KILLED"
        try:
            yield run_id
            status = "FINISHED"
        except StoppedError:
            raise
        except Exception:
            status = "FAILED"
            raise
        finally:
            self.end(run_id, status)

    def end(self, run_id: str, status: str) -> None:
        """Ends a run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run_id, status)

    def running(self, experiment: str) -> Iterator[tuple[str, dict[str, str]]]:
        """The runs of an experiment that have not ended, with their tags."""
        found = self.client.get_experiment_by_name(experiment)
        if found:
            search = partial(self.client.search_runs, [found.experiment_id], "attributes.status = 'RUNNING'")
            for run in list(all_pages(search)):
                yield run.info.run_id, dict(run.data.tags)

    def last_step(self, run_id: str, figure: str) -> int:
        """The last step that a run has of a figure; -1 where it has none."""
        return max((point.step for point in self.client.get_metric_history(run_id, figure)), default=-1)

    def log_text(self, run_id: str, text: str, name: str) -> None:
        """Makes a text one of a run's files; the one of that name is replaced."""
        self.client.log_text(run_id, text, name)

    def _begun(self, experiment: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> str:
        found = self.client.get_experiment_by_name(experiment)
        location = str((self._artifacts / experiment).as_uri()) if self._artifacts else None
        experiment_id = (
            found.experiment_id if found else self.client.create_experiment(experiment, artifact_location=location)
        )
        run_id: str = self.client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        for key, value in params.items():
            self.client.log_param(run_id, key, value)
        return run_id

    def _taken_up(self, run_id: str, tags: dict[str, str], params: dict[str, Any]) -> str | None:
        from mlflow import MlflowException

        try:
            run = self.client.get_run(run_id) if run_id else None
        except MlflowException:
            run = None
        if run is None or run.info.lifecycle_stage != "active":
            if run_id:
                log.warning("MLflow at %s does not have run %s any more; a new one begins", self.uri, run_id)
            return None
        self.client.update_run(run_id, status="RUNNING")
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)
        for key in params.keys() - run.data.params.keys():  # all of them, unless the process was killed early
            self.client.log_param(run_id, key, params[key])
        return run_id

    def log(self, run_id: str, figures: dict[str, float], step: int = 0) -> None:
        """Adds one point to each figure's curve."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(run_id, [Metric(name, float(value), now, step) for name, value in figures.items()])

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Copies a folder's files to a run."""
        self.client.log_artifacts(run_id, str(folder), name)

    def register(self, run_id: str, model_name: str, description: str, tags: dict[str, str], **model: Any) -> str:
        """Logs a pyfunc model to a run and makes it a new version; returns the version.

        Args:
            run_id: the run that trained it.
            model_name: in the registry.
            description: Markdown, shown on the version's page.
            tags: of the version.
            model: what `mlflow.pyfunc.log_model` takes.
        """
        import mlflow

        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(registered_model_name=model_name, **model)
        version = str(info.registered_model_version)
        self.client.update_model_version(model_name, version, description)
        for key, value in tags.items():
            self.client.set_model_version_tag(model_name, version, key, value)
        # The run was FINISHED before; start_run() set it RUNNING and FINISHED again.
        return version

    def versions(self) -> dict[str, list["ModelVersion"]]:
        """Every version of every registered model, by the model's name.

        Raises:
            ServiceError: MLflow does not answer.
        """
        from mlflow import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            found: dict[str, list[ModelVersion]] = {
                model.name: [] for model in all_pages(self.client.search_registered_models)
            }
            for version in all_pages(self.client.search_model_versions):
                found.setdefault(version.name, []).append(version)
        except (MlflowException, SQLAlchemyError) as error:
            raise ServiceError(f"MLflow at {self.uri} does not answer ({str(error).splitlines()[0]})") from error
        return found

    def version(self, model_uri: str) -> "ModelVersion":
        """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

        Raises:
            ModelError: there is none.
        """
        from mlflow import MlflowException

        name, at, alias = model_uri.removeprefix("models:/").partition("@")
        try:
            if at:
                return self.client.get_model_version_by_alias(name, alias)
            name, _, number = name.partition("/")
            return self.client.get_model_version(name, number)
        except MlflowException as error:
            raise ModelError(f"{model_uri}: {error.message.splitlines()[0]}") from error

    def alias(self, model_name: str, alias: str) -> str | None:
        """The version an alias points to."""
        found = self.client.search_registered_models(f"name = '{model_name}'")
        return dict(found[0].aliases).get(alias) if found else None

    def set_alias(self, model_name: str, alias: str, version: str) -> None:
        """Points an alias to a version."""
        self.client.set_registered_model_alias(model_name, alias, version)
        log.info("%s version %s is now @%s", model_name, version, alias)

    def tag_version(self, model_name: str, version: str, tags: dict[str, str]) -> None:
        """Adds tags to a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(model_name, version, key, value)

    def ask(self, model_uri: str, image: Path | None, question: str) -> str:
        """Loads a registered model and asks it one question.

        Raises:
            ModelError: there is no such model, or it does not load.
            StorageError: the image can't be read.
        """
        import base64

        import mlflow

        encoded = base64.b64encode(image.read_bytes()).decode() if image else ""
        try:
            model = mlflow.pyfunc.load_model(model_uri)
        except mlflow.MlflowException as error:
            raise ModelError(
                f"{model_uri}: {error.message.splitlines()[0]}; `midefics run` makes and promotes one"
            ) from error
        return str(model.predict([{"image": encoded, "question": question}])[0])


def all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    """What a search of MLflow finds, page by page."""
    token: str | None = None
    while True:
        page = search(max_results=200, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
