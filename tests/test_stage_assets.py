"""What is published, what is not, and what a reader makes of it: the tasks' own functions, with small stand-ins for Airflow's events."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    import stage_assets

    return stage_assets


class Events:
    """The events of one asset, newest first, and what a task adds to them."""

    def __init__(self, *extras: dict[str, Any]) -> None:
        self.events = [SimpleNamespace(extra=extra) for extra in extras]
        self.extra: dict[str, Any] = {}
        self.partitions: list[str] = []

    def __getitem__(self, _asset: object) -> "Events":
        return self

    def __iter__(self) -> Any:
        return iter(self.events)

    def ascending(self, up: bool) -> "Events":
        assert not up
        return self

    def limit(self, _count: int) -> "Events":
        return self

    def add_partitions(self, keys: str | list[str]) -> None:
        self.partitions += [keys] if isinstance(keys, str) else keys


class Instance:
    """A task instance that knows the configuration's name."""

    def __init__(self) -> None:
        self.pushed = "demo"

    def xcom_pull(self, **_where: str) -> str:
        return self.pushed

    def xcom_push(self, _key: str, value: str) -> None:
        self.pushed = value


def images(source: str, digest: str) -> dict[str, Any]:
    return {"kind": "images", "digest": digest * 64, "facts": {"sources": source}}


def published(**digests: str) -> dict[str, Any]:
    return {"config": "demo", "images": {name: images(name, digest) for name, digest in digests.items()}}


def publish(assets: Any, before: Events, *read: dict[str, Any]) -> Events:
    told = Events()
    assets.publish_archives.function(read, ti=Instance(), inlet_events=before, outlet_events=told)
    return told


def test_only_archives_that_changed_are_published_with_the_state_of_all(assets: Any) -> None:
    told = publish(assets, Events(published(isic="a", mura="b")), images("isic", "a"), images("roco", "c"))
    assert told.partitions == ["demo|roco"]
    assert told.extra == published(isic="a", mura="b", roco="c")


def test_nothing_is_published_when_nothing_has_changed(assets: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="no archive has changed"):
        publish(assets, Events(published(isic="a")), images("isic", "a"))


def test_another_configurations_events_are_not_ours(assets: Any) -> None:
    other = published(isic="a") | {"config": "idefics_9b"}
    assert publish(assets, Events(other), images("isic", "a")).partitions == ["demo|isic"]


def arrived(assets: Any, events: Events, woken_for: str | None = "demo|all", **form: Any) -> list[str]:
    params = {"config": None, "minimum": None, "images": None} | form
    run = SimpleNamespace(partition_key=woken_for)
    found = assets.arrived_sources.function(params=params, dag_run=run, ti=Instance(), inlet_events=events)
    return [one["source"] for one in found]


def test_a_data_set_waits_for_all_its_sources_or_for_the_minimum(assets: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    two = Events(published(isic="a", roco="c"))
    with pytest.raises(AirflowSkipException, match="waiting for mura: 2 of 3 are there"):
        arrived(assets, two)
    assert arrived(assets, two, minimum=2) == ["isic", "roco"]
    assert arrived(assets, Events(published(isic="a", mura="b", roco="c")), None) == ["isic", "mura", "roco"]


def test_the_newest_event_of_the_configuration_counts(assets: Any) -> None:
    newer, older = published(isic="b", mura="b", roco="b"), published(isic="a", mura="a", roco="a")
    run = SimpleNamespace(partition_key="demo|all")
    params = {"config": None, "minimum": None, "images": None}
    found = assets.arrived_sources.function(
        params=params, dag_run=run, ti=Instance(), inlet_events=Events({"config": "other"}, newer, older)
    )
    assert {one["inputs"]["digest"][0] for one in found} == {"b"}


def test_a_configuration_that_is_none_fails_for_good(assets: Any) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="nowhere"):
        arrived(assets, Events(), config="nowhere")


def test_a_data_set_is_published_once(assets: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    manifest = {"kind": "dataset", "digest": "d" * 64}
    told = Events()
    assets.publish_dataset.function(manifest, ti=Instance(), inlet_events=Events(), outlet_events=told)
    assert told.partitions == ["demo|all"]
    with pytest.raises(AirflowSkipException, match="nothing has changed"):
        assets.publish_dataset.function(
            manifest, ti=Instance(), inlet_events=Events(told.extra), outlet_events=Events()
        )
