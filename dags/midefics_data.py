"""Medical image archives in, a data set with splits out: publishes the asset `midefics_dataset`."""

from datetime import timedelta

import forms
from airflow.sdk import dag, task_group
from stage_task import DATASET, chosen_sources, stage

CONFIG = "{{ params.config }}"


@dag(
    schedule=None,
    max_active_runs=1,
    params=forms.DATA,
    tags=["midefics", "data"],
    default_args={"owner": "midefics", "retries": 2, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
)
def midefics_data():
    """Every source goes its own way up to its conversations; then all of them become one data set."""

    @task_group
    def prepare(source):
        limit = "{% if params.limit %}--set sources.{{ task.source }}.limit={{ params.limit }}{% endif %}"
        ingest = stage("ingest", config=CONFIG, source=source, arguments=limit)
        validate = stage("validate", config=CONFIG, source=source, inputs=ingest.output)
        estimate = "{% if params.dry_run %}--dry-run{% endif %}"
        return stage("label", config=CONFIG, source=source, inputs=validate.output, arguments=estimate).output

    conversations = prepare.expand(source=chosen_sources())
    stage("assemble", config=CONFIG, inputs=conversations, outlets=[DATASET], skip_when="{{ params.dry_run }}")


midefics_data()
