"""A data set in, a promoted model version out: on a new data set, every week (midefics_retrain), or by hand."""

from datetime import timedelta

import forms
from airflow.sdk import PartitionedAssetTimetable, dag
from approval import PromotionApproval, decision
from stage_assets import DATASET, newest_dataset
from stage_task import stage

CONFIG = "{{ ti.xcom_pull(task_ids='newest_dataset', key='config') }}"


@dag(
    schedule=PartitionedAssetTimetable(assets=DATASET),
    max_active_runs=1,
    params=forms.MODEL,
    tags=["midefics", "model"],
    default_args={"owner": "midefics", "retries": 2, "retry_delay": timedelta(seconds=10)},
    user_defined_macros={"decision": decision},
    doc_md=__doc__,
)
def midefics_model():
    """Nothing reaches `@champion` without the evidence of its own run and somebody's approval."""
    dataset = newest_dataset()
    train = stage("train", config=CONFIG, inputs=dataset)
    evaluate = stage("evaluate", config=CONFIG, inputs=[dataset, train.output])
    made = [train.output, evaluate.output]
    register = stage("register", config=CONFIG, inputs=[dataset, *made], skip_when="{{ params.dry_run }}")
    approve = PromotionApproval(
        task_id="approve",
        manifests=[*made, register.output],
        approval="{{ params.approval }}",
        params=forms.APPROVAL,
    )
    promote = stage(
        "promote",
        config=CONFIG,
        inputs=register.output,
        arguments="{{ decision(ti.xcom_pull(task_ids='approve')) }}",
        skip_when="{{ params.dry_run }}",
        trigger_rule="none_failed",
    )
    approve >> promote


midefics_model()
