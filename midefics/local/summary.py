"""A finished demo in, what came out of it as a record, a table and `demo/summary.json`."""

from pathlib import Path
from typing import Any

from rich.table import Table

from midefics.local.follow import MODEL, Follower
from midefics.local.mlflow import run_url
from midefics.local.steps import seconds_by_stage
from midefics.records import Manifest, Record
from midefics.services import Services
from midefics.services.expectations import INDEX


class Summary(Record):
    """What `demo/summary.json` holds."""

    model_version: str
    alias: str
    before: float
    """Share of the held-out questions that the base model answers exactly right."""
    after: float
    difference_ci: tuple[float, float]
    """95 % interval of after - before."""
    questions: int
    dataset_digest: str
    seconds: dict[str, float]
    """Wall clock, by stage."""
    urls: dict[str, str]
    """Every address, by what is there."""


def summarise(follower: Follower, services: Services, mlflow_url: str) -> Summary:
    """Reads the manifests of the model's run."""
    dataset, train, evaluation, registration, promotion = (
        follower.result(MODEL, task_id) for task_id in ("newest_dataset", "train", "evaluate", "register", "promote")
    )
    facts = evaluation["facts"]
    return Summary(
        model_version=str(registration["facts"]["version"]),
        alias=str(promotion["facts"].get("alias", "champion")),
        before=facts["before"],
        after=facts["after"],
        difference_ci=(facts["difference_low"], facts["difference_high"]),
        questions=facts["questions"],
        dataset_digest=dataset["digest"],
        seconds=seconds_by_stage(follower.instances),
        urls=_urls(follower, mlflow_url, train["facts"], registration["facts"]) | _pages(services, evaluation),
    )


def save(summary: Summary, home: Path) -> Path:
    """Writes the summary, whole or not at all."""
    file = home / "demo" / "summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")
    part.replace(file)
    return file


def comparison(summary: Summary) -> Table:
    """Before and after, and what was registered."""
    low, high = summary.difference_ci
    grid = Table(show_header=False, box=None, pad_edge=False)
    grid.add_row("exact match on held-out questions", f"{summary.questions} questions")
    grid.add_row("  before (base model)", f"{summary.before:.3f}")
    grid.add_row("  after (fine-tuned)", f"{summary.after:.3f}")
    grid.add_row("  difference", f"{summary.after - summary.before:+.3f}   95 % interval {low:+.3f} to {high:+.3f}")
    grid.add_row("registered", f"version {summary.model_version}, now @{summary.alias}")
    grid.add_row("data set", summary.dataset_digest[:16])
    return grid


def addresses(summary: Summary) -> str:
    """Every address, one a line: a table would cut them."""
    return "\n".join(f"{name:<24} {url}" for name, url in summary.urls.items())


def _urls(follower: Follower, mlflow_url: str, train: dict[str, Any], registration: dict[str, Any]) -> dict[str, str]:
    if not mlflow_url.startswith("http"):
        mlflow = {"MLflow": mlflow_url}
    else:
        page = f"{mlflow_url}/#/models/{registration['model_name']}"
        mlflow = {
            "MLflow run": run_url(mlflow_url, str(train["run_id"])),
            "registered model": page,
            "registered version": f"{page}/versions/{registration['version']}",
        }
    runs = {f"Airflow {dag_id}": follower.api.run_page(dag_id, run_id) for dag_id, run_id in follower.runs.items()}
    return {"Airflow": follower.api.url, **runs, **mlflow}


def _pages(services: Services, evaluation: dict[str, Any]) -> dict[str, str]:
    pages = {
        "validation pages": services.settings.home / INDEX,
        "evaluation report": services.storage.folder(Manifest.model_validate(evaluation)) / "report.html",
    }
    return {name: page.as_uri() for name, page in pages.items() if page.is_file()}
