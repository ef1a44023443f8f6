"""Medical image archives in, their images out: every night and by hand; publishes those that have changed."""

from datetime import timedelta

import forms
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import CronTriggerTimetable, dag
from stage_assets import chosen_sources, publish_archives
from stage_task import mapped


@dag(
    schedule=CronTriggerTimetable("0 1 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    params=forms.INGEST,
    tags=["midefics", "data"],
    default_args={"owner": "midefics", "retries": 2, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
)
def midefics_ingest():
    """An archive that can't be read fails the run, but holds nothing else back."""
    ingest = mapped(
        "ingest",
        config="{{ ti.xcom_pull(task_ids='chosen_sources', key='config') }}",
        arguments="{% if params.limit %}--set sources.{{ task.source }}.limit={{ params.limit }}{% endif %}",
    ).expand(source=chosen_sources())
    publish_archives(ingest.output)
    ingest >> EmptyOperator(task_id="all_were_read")


midefics_ingest()
