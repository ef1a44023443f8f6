"""The pages inside Airflow: who may see them, and that nothing else of the disk is served."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DIGEST = "0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data_docs").mkdir()
    (tmp_path / "data_docs" / "index.html").write_text("<h1>Data Docs</h1>")
    output = tmp_path / "data" / "validated" / DIGEST
    output.mkdir(parents=True)
    manifest = f'{{"kind":"validated","uri":"validated/{DIGEST}","rows":1,"bytes":1,"digest":"{DIGEST * 4}"}}'
    (output / "manifest.json").write_text(manifest)
    (output / "profile.html").write_text("<h1>Profile</h1>")
    (output / "part-00000.parquet").write_bytes(b"rows")
    (tmp_path / "ledger.db").write_bytes(b"secrets")
    monkeypatch.setenv("MIDEFICS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def pages(home: Path, tmp_path_factory: pytest.TempPathFactory):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    import stage_pages
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi.testclient import TestClient

    application = stage_pages._application()
    signed_in = TestClient(application)
    application.dependency_overrides[get_user] = lambda: "somebody"
    yield signed_in
    application.dependency_overrides.clear()


def test_a_stranger_is_refused(pages) -> None:
    pages.app.dependency_overrides.clear()
    assert pages.get("/validation/index.html").status_code == 401
    assert pages.get(f"/outputs/validated/{DIGEST}/profile.html").status_code == 401


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/validation/", "Data Docs"),
        ("/validation/index.html", "Data Docs"),
        (f"/outputs/validated/{DIGEST}/profile.html", "Profile"),
    ],
)
def test_pages_are_shown_and_run_no_script(pages, path: str, text: str) -> None:
    answer = pages.get(path)
    assert answer.status_code == 200
    assert text in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src")


@pytest.mark.parametrize(
    "path",
    [
        f"/outputs/validated/{DIGEST}/part-00000.parquet",
        f"/outputs/validated/{DIGEST}/nowhere.html",
        f"/outputs/validated/{'f' * 16}/profile.html",
        "/outputs/..%2f..%2fetc/passwd/x.html",
        "/validation/..%2fledger.db",
        "/validation/%2e%2e/ledger.db",
        "/validation/..%2fdata%2fvalidated%2f0123456789abcdef%2fprofile.html",
        "/validation//etc/hostname",
    ],
)
def test_nothing_else_is_served(pages, path: str) -> None:
    assert pages.get(path).status_code == 404
