"""Every week: trains again on the newest data set of the deployment's configuration, whether or not a new one has come."""

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, dag


@dag(
    schedule=CronTriggerTimetable("0 3 * * 1", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["midefics", "model"],
    default_args={"owner": "midefics", "retries": 2, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
)
def midefics_retrain():
    """A DAG that new data start can't be started by the clock too: Airflow's timetables for assets with partitions have none."""
    TriggerDagRunOperator(task_id="train_again", trigger_dag_id="midefics_model")


midefics_retrain()
