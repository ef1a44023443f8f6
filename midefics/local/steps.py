"""Task instances and progress files in, one line for each step of the whole way out."""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from midefics.local.places import progress_file
from midefics.records import Record

Instance = Mapping[str, Any]
"""A task instance as Airflow's REST API tells of it."""

WAY = {
    "midefics_ingest": ("chosen_sources", "ingest", "publish_archives"),
    "midefics_data": ("arrived_sources", "validate", "estimate", "spending", "label", "assemble", "publish_dataset"),
    "midefics_model": ("newest_dataset", "train", "evaluate", "register", "approve", "promote"),
}
"""The tasks of the DAGs in the order of the data."""
SILENT = (
    *("chosen_sources", "all_were_read", "publish_archives", "arrived_sources", "estimate", "spending"),
    *("publish_dataset", "newest_dataset"),
)
"""Tasks that only look something up or publish it: shown when they fail, or ask a person."""
WORDS = {
    None: "waiting",
    "scheduled": "queued",
    "success": "done",
    "awaiting_input": "asks a person",
    "up_for_retry": "failed, tries again",
    "upstream_failed": "not reached",
}


class Step(Record):
    """One task, for one source where it is mapped."""

    dag_id: str
    stage: str
    source: str = ""
    state: str | None = None
    progress: str = ""
    seconds: float | None = None

    @property
    def word(self) -> str:
        """The state in plain words."""
        return WORDS.get(self.state, self.state or "")


def steps(home: Path, instances: Sequence[Instance]) -> list[Step]:
    """All steps in the order of the data, those that Airflow knows nothing of yet too."""
    found: list[Step] = []
    sources = _sources(instances)
    for dag_id, tasks in WAY.items():
        for task_id in tasks:
            mine = [each for each in instances if each["dag_id"] == dag_id and each["task_id"] == task_id]
            if task_id in SILENT:
                mine = [each for each in mine if each["state"] in ("failed", "awaiting_input")]
            elif not mine:
                found.append(Step(dag_id=dag_id, stage=task_id))
            for instance in sorted(mine, key=lambda each: int(each["map_index"])):
                found.append(_step(home, instance, sources.get((dag_id, instance["map_index"]), "")))
    return found


def seconds_by_stage(instances: Sequence[Instance]) -> dict[str, float]:
    """Wall-clock seconds of each stage, from its first task's start to its last one's end."""
    spans: dict[str, list[datetime.datetime]] = {}
    for instance in instances:
        if instance["start_date"] and instance["end_date"] and instance["task_id"] not in SILENT:
            moments = spans.setdefault(instance["task_id"], [])
            moments += [_moment(instance["start_date"]), _moment(instance["end_date"])]
    return {stage: round((max(moments) - min(moments)).total_seconds(), 1) for stage, moments in spans.items()}


def _sources(instances: Sequence[Instance]) -> dict[tuple[str, int], str]:
    """DAG and map index to source: Airflow names a mapped task only once it runs (before it is a number), and one is enough."""
    return {
        (each["dag_id"], each["map_index"]): str(each["rendered_map_index"] or "")
        for each in instances
        if _is_named(each) and each["map_index"] >= 0
    }


def _is_named(instance: Instance) -> bool:
    return not str(instance["rendered_map_index"] or "0").isdigit()


def _step(home: Path, instance: Instance, source: str) -> Step:
    return Step(
        dag_id=instance["dag_id"],
        stage=instance["task_id"],
        source=source,
        state=instance["state"],
        progress="" if instance["state"] == "skipped" else _progress(home, instance),
        seconds=_seconds(instance),
    )


def _progress(home: Path, instance: Instance) -> str:
    file = progress_file(
        home, instance["dag_id"], instance["dag_run_id"], instance["task_id"], int(instance["map_index"])
    )
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    of_total = f" of {state['total']}" if state["total"] else ""
    return f"{state['name']} {state['done']}{of_total} {state['note']}".strip()


def _seconds(instance: Instance) -> float | None:
    if not instance["start_date"]:
        return None
    end = _moment(instance["end_date"]) if instance["end_date"] else datetime.datetime.now(datetime.UTC)
    return round((end - _moment(instance["start_date"])).total_seconds(), 1)


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
