"""Conversations to review, shown to those who are signed in to Airflow; those who may edit the data DAG decide on them.

/midefics-review/                                       a random sample of the newest
/midefics-review/?of=conversations/<digest>             of one output of label
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from stage_mount import in_menu, mounted

PREFIX = "/midefics-review"
DAG = "midefics_data"
"""Whose editors decide."""


def _application() -> Any:
    from typing import Annotated
    from urllib.parse import urlsplit

    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
    from airflow.configuration import conf
    from fastapi import Depends, HTTPException, Request

    from midefics.config import load_settings
    from midefics.review.application import review_application
    from midefics.services import Services

    signed_in = Annotated[Any, Depends(get_user)]
    refuse_others = requires_access_dag(method="PUT", param_dag_id=DAG)

    def reader(user: signed_in) -> str:
        return str(user.get_name())

    def may_decide(request: Request, user: signed_in) -> bool:
        try:
            refuse_others(request, user)
        except HTTPException:
            return False
        return True

    address = urlsplit(conf.get("api", "base_url", fallback=""))
    return review_application(
        Services(load_settings()), reader, may_decide, origins={f"{address.scheme}://{address.netloc}"}
    )


class StageReview(AirflowPlugin):
    """Mounts the page, and puts it into Airflow's menu."""

    name = "midefics_review"
    fastapi_apps = [mounted(_application, PREFIX, "midefics review")]  # noqa: RUF012 (Airflow's form)
    external_views = [in_menu("Review conversations", f"{PREFIX}/", "midefics-review")]  # noqa: RUF012 (as above)
