"""Images of every source in, a data set with splits out: whenever an archive has changed; publishes what is new."""

from datetime import timedelta

import forms
from airflow.sdk import FixedKeyMapper, IdentityMapper, PartitionedAssetTimetable, ProductMapper, dag, task_group
from stage_assets import ARCHIVES, arrived_sources, publish_dataset
from stage_task import stage

CONFIG = "{{ ti.xcom_pull(task_ids='arrived_sources', key='config') }}"
ONE_RUN_A_CONFIGURATION = ProductMapper(IdentityMapper(), FixedKeyMapper("all"))


@dag(
    schedule=PartitionedAssetTimetable(assets=ARCHIVES, default_partition_mapper=ONE_RUN_A_CONFIGURATION),
    max_active_runs=1,
    params=forms.DATA,
    tags=["midefics", "data"],
    default_args={"owner": "midefics", "retries": 2, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
)
def midefics_data():
    """Every source goes its own way up to its conversations; then all of them become one data set."""

    @task_group
    def prepare(source, images):
        validate = stage("validate", config=CONFIG, source=source, inputs=images)
        estimate = "{% if params.dry_run %}--dry-run{% endif %}"
        return stage("label", config=CONFIG, source=source, inputs=validate.output, arguments=estimate).output

    conversations = prepare.expand_kwargs(arrived_sources())
    assemble = stage("assemble", config=CONFIG, inputs=conversations, skip_when="{{ params.dry_run }}")
    publish_dataset(assemble.output)


midefics_data()
