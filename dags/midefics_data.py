"""Images of every source in, a data set with splits out: whenever an archive has changed; publishes what is new."""

from datetime import timedelta

import forms
from airflow.sdk import FixedKeyMapper, IdentityMapper, PartitionedAssetTimetable, ProductMapper, dag
from spending import SpendingApproval
from stage_assets import ARCHIVES, arrived_sources, publish_dataset
from stage_task import mapped, stage

CONFIG = "{{ ti.xcom_pull(task_ids='arrived_sources', key='config') }}"
SOURCE = "{{ ti.xcom_pull(task_ids='arrived_sources')[ti.map_index].source }}"
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
    """What labelling costs is known, and approved where it must be, before anything is spent; every source is labelled by itself."""
    arrived = arrived_sources()
    validate = mapped("validate", config=CONFIG).expand_kwargs(arrived)
    by_source = {"config": CONFIG, "source": SOURCE}
    estimate = mapped("label", "estimate", arguments="--dry-run", **by_source).expand(inputs=validate.output)
    spending = SpendingApproval(
        task_id="spending",
        config=CONFIG,
        arrived=arrived,
        estimates=estimate.output,
        dry_run="{{ params.dry_run }}",
        params=forms.SPENDING,
    )
    label = mapped("label", skip_when="{{ params.dry_run }}", **by_source).expand(inputs=validate.output)
    spending >> label
    publish_dataset(stage("assemble", config=CONFIG, inputs=label.output).output)


midefics_data()
