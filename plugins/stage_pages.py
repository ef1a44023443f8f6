"""Pages that stages made, shown to those who are signed in to Airflow: the Data Docs, and what lies in a stage's output.

/midefics/validation/index.html              Great Expectations' Data Docs
/midefics/outputs/validated/<digest>/profile.html
"""

from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from stage_mount import in_menu, mounted

PREFIX = "/midefics"
SHOWN = {".html": "text/html", ".css": "text/css", ".png": "image/png", ".json": "application/json", ".md": "text/plain",
         ".csv": "text/plain"}  # fmt: skip
"""What is served and as what: no rows, no weights."""
HEADERS = {
    # The pages quote what archives and models wrote: they run no script, load nothing from elsewhere, and stay in this frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=60",
}


def _application() -> Any:
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse

    from midefics.config import load_settings
    from midefics.errors import MideficsError
    from midefics.services import Services

    application = FastAPI(
        title="midefics", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)]
    )

    def page(folder: Path, name: str) -> Any:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or path.suffix not in SHOWN or not path.is_file():
            raise HTTPException(404, f"no page {name}")
        return FileResponse(path, media_type=SHOWN[path.suffix], headers=HEADERS)

    @application.get("/validation/{name:path}")
    def validation(name: str) -> Any:
        return page(load_settings().home / "data_docs", name or "index.html")

    @application.get("/outputs/{kind}/{digest}/{name:path}")
    def output(kind: str, digest: str, name: str) -> Any:
        if not (kind.isalpha() and digest.isalnum()):
            raise HTTPException(404, "no such output")
        storage = Services(load_settings()).storage
        try:
            folder = storage.folder(storage.find(f"{kind}/{digest}"))
        except MideficsError as error:
            raise HTTPException(404, f"no output {kind}/{digest}") from error
        return page(folder, name)

    return application


class StagePages(AirflowPlugin):
    """Mounts the pages, and puts the Data Docs into Airflow's menu."""

    name = "midefics_pages"
    fastapi_apps = [mounted(_application, PREFIX, "midefics")]  # noqa: RUF012 (Airflow's form)
    external_views = [in_menu("Data validation", f"{PREFIX}/validation/index.html", "midefics-validation")]  # noqa: RUF012 (as above)
