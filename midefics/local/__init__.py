"""The platform on one machine: Airflow and MLflow as processes of ours, spoken to over HTTP."""
