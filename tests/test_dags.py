"""The DAG files, parsed once in a process of their own, as Airflow's DAG processor would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "mlflow", "datasets", "great_expectations", "openai", "pandas")
PARSE = f"""
import json, sys, time
import airflow.sdk
sys.path.insert(0, "plugins")
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag("dags")
tasks = [task for dag in bag.dags.values() for task in dag.tasks]

def refused(dag_id, key, value):
    params = bag.dags[dag_id].params.deep_merge({{}}) if hasattr(bag.dags[dag_id].params, "deep_merge") else bag.dags[dag_id].params
    try:
        params.get_param(key).resolve(value)
    except Exception:
        return True
    return False

print(json.dumps({{
    "errors": bag.import_errors,
    "seconds": {{stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats}},
    "heavy": sorted(set({HEAVY!r}) & set(sys.modules)),
    "pools": sorted({{task.pool for task in tasks}}),
    "dags": {{dag.dag_id: {{
        "tasks": dag.task_ids,
        "owners": sorted({{task.owner for task in dag.tasks}}),
        "tags": sorted(dag.tags),
        "doc": bool(dag.doc_md),
        "max_active_runs": dag.max_active_runs,
        "params": {{key: bag.dags[dag.dag_id].params.get_param(key).description for key in dag.params}},
    }} for dag in bag.dags.values()}},
    "refused": [
        refused("midefics_ingest", "limit", 0),
        refused("midefics_ingest", "limit", "many"),
        refused("midefics_ingest", "sources", ["no/such name"]),
        refused("midefics_data", "minimum", 0),
        refused("midefics_data", "images", ["dataset/0123456789abcdef"]),
        refused("midefics_data", "dry_run", "perhaps"),
        refused("midefics_model", "approval", "nobody"),
        refused("midefics_model", "dataset", "images/0123456789abcdef"),
    ],
    "accepted": [
        not refused("midefics_ingest", "limit", 5),
        not refused("midefics_ingest", "sources", ["isic", "roco"]),
        not refused("midefics_data", "images", ["images/0123456789abcdef"]),
        not refused("midefics_model", "dataset", "dataset/0123456789abcdef"),
    ],
}}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("airflow")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    environment = kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
    result = subprocess.run(
        [sys.executable, "-c", PARSE], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_dags_parse_without_errors(parsed):
    assert parsed["errors"] == {}
    assert set(parsed["dags"]) >= {"midefics_ingest", "midefics_data", "midefics_model"}


def test_dag_files_parse_within_a_second_of_the_sdk(parsed):
    assert all(seconds < 1.0 for seconds in parsed["seconds"].values()), parsed["seconds"]


def test_parsing_loads_nothing_heavy(parsed):
    assert parsed["heavy"] == []


def test_every_pool_is_made_by_setup(parsed):
    pools = json.loads((REPOSITORY / "docker" / "pools.json").read_text(encoding="utf-8"))
    assert set(parsed["pools"]) <= {*pools, "default_pool"}
    assert "gpu" in parsed["pools"]


def test_dags_tell_what_they_are_and_run_one_at_a_time(parsed):
    for dag in parsed["dags"].values():
        assert dag["doc"] and "midefics" in dag["tags"] and dag["owners"] == ["midefics"]
        assert dag["max_active_runs"] == 1
        assert all(dag["params"].values()), "every field of the form is described"


def test_forms_refuse_bad_values_and_take_good_ones(parsed):
    assert all(parsed["refused"]), parsed["refused"]
    assert all(parsed["accepted"]), parsed["accepted"]


def test_model_dag_asks_before_it_promotes(parsed):
    tasks = parsed["dags"]["midefics_model"]["tasks"]
    assert tasks.index("register") < tasks.index("approve") < tasks.index("promote")


def test_data_dag_estimates_and_asks_before_it_labels(parsed):
    tasks = parsed["dags"]["midefics_data"]["tasks"]
    assert tasks.index("estimate") < tasks.index("spending") < tasks.index("label") < tasks.index("assemble")


@pytest.mark.parametrize("file", sorted((REPOSITORY / "dags").glob("*.py")), ids=lambda file: file.name)
def test_dag_file_is_short_and_reads_no_environment(file: Path):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert "os.environ" not in text
