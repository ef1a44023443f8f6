"""A task's manifests in, the addresses of its MLflow run and its report out: buttons on the task's page."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import attrs
from airflow.sdk import BaseOperatorLink

TIMEOUT_S = 3
REPORT = "artifacts/evaluation/report.html"
"""Where evaluate puts its report among the artifacts of the training run."""


@attrs.define()
class MlflowRunLink(BaseOperatorLink):
    """To the run that a stage logged, or that its input comes from."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """The run's page; empty where there is no run, or MLflow has no pages (a database file)."""
        from midefics.config import load_settings

        return run_page(load_settings().mlflow_address, _run_id(operator))


@attrs.define()
class EvaluationReportLink(BaseOperatorLink):
    """To the report in MLflow: a browser does not follow a page's link to a local file."""

    name = "Evaluation report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """The report's page; empty for other stages."""
        from midefics.config import load_settings

        if operator.stage != "evaluate":
            return ""
        page = run_page(load_settings().mlflow_address, _run_id(operator))
        return f"{page}/{REPORT}" if page else ""


@attrs.define()
class ValidationPagesLink(BaseOperatorLink):
    """To the Data Docs of what validate checked."""

    name = "Data Docs"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """The page inside Airflow; empty for other stages."""
        return page_of("validation/index.html") if operator.stage == "validate" and operator.manifest else ""


@attrs.define()
class ProfileLink(BaseOperatorLink):
    """To the profile of what validate let through, with a contact sheet of what it did not."""

    name = "Profile"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """The page inside Airflow; empty where the stage made none."""
        profile = operator.manifest.get("facts", {}).get("profile")
        return page_of(f"outputs/{operator.manifest['uri']}/{profile}") if profile else ""


@attrs.define()
class ReviewLink(BaseOperatorLink):
    """To the page where people accept, edit and reject the conversations that label wrote."""

    name = "Review"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """The page inside Airflow; empty for other stages, and where nothing was written."""
        if operator.stage != "label" or operator.manifest.get("kind") != "conversations":
            return ""
        return f"{airflow_address()}/midefics-review/?of={quote(operator.manifest['uri'])}"


def page_of(path: str) -> str:
    """The address of a page that a stage made (see stage_pages)."""
    return f"{airflow_address()}/midefics/{path}"


def airflow_address() -> str:
    """Where Airflow's pages are; only the path of it, or nothing, where no address is configured."""
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


def run_page(tracking_uri: str | None, run_id: str | None) -> str:
    """A run's page in MLflow's UI, or nothing: a missing button never fails a task."""
    if not run_id or not (tracking_uri or "").startswith(("http://", "https://")):
        return ""
    root = str(tracking_uri).rstrip("/")
    try:
        with urlopen(f"{root}/api/2.0/mlflow/runs/get?run_id={quote(run_id)}", timeout=TIMEOUT_S) as answer:  # noqa: S310 (http only)
            experiment = json.load(answer)["run"]["info"]["experiment_id"]
    except (OSError, ValueError, KeyError):
        return root
    return f"{root}/#/experiments/{experiment}/runs/{run_id}"


def _run_id(operator: Any) -> str | None:
    """Of the task's own manifest, else of an input: evaluate logs to the run that trained."""
    if not operator.manifest:
        return None
    found = [manifest.get("facts", {}).get("run_id") for manifest in (operator.manifest, *_manifests(operator.inputs))]
    return next(filter(None, found), None)


def _manifests(inputs: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(inputs, Mapping):
        yield inputs
    elif not isinstance(inputs, str):
        for each in inputs or ():
            yield from _manifests(each)
