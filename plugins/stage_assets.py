"""What was read and made, as Airflow's assets: published only when something has changed, and read as state.

Events may be merged or lost; so each carries all that a reader needs (the newest manifests of its configuration), and a reader
looks at the newest event of its configuration, whichever event it was that woke it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, task
from airflow.sdk.definitions.asset import Dataset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from midefics.config import RunConfig

ARCHIVES = Asset("midefics_archives")
"""Partitioned: the key `demo|isic` says that the archive isic, read under the configuration demo, has changed."""
DATASET = Dataset("midefics_dataset")
"""Partitioned by configuration, `demo|all`; its events carry the data set's manifest."""
LOOKED_BACK = 50
"""Events, newest first, among which that of a configuration is looked for."""
SEPARATOR = "|"

Manifest = Mapping[str, Any]


@task
def chosen_sources(params: Mapping[str, Any] | None = None, ti: Any = None) -> list[str]:
    """The sources to read: those of the form, else all of the configuration; XCom `config` is the configuration's name."""
    assert params is not None  # noqa: S101 (Airflow fills it in; the default marks it as a context key)
    config = _config(params["config"], ti)
    names = params["sources"] or list(config.sources)
    if unknown := sorted(set(names) - set(config.sources)):
        raise AirflowFailException(
            f"sources: {', '.join(unknown)} not configured; there are {', '.join(config.sources)}"
        )
    return list(dict.fromkeys(names))


@task(inlets=[ARCHIVES], outlets=[ARCHIVES], trigger_rule="all_done_min_one_success")
def publish_archives(
    images: Iterable[Manifest], ti: Any = None, inlet_events: Any = None, outlet_events: Any = None
) -> list[str]:
    """Publishes the partition of each archive that has changed since it was published last; returns their names.

    Raises:
        AirflowSkipException: none has.
    """
    config = ti.xcom_pull(task_ids="chosen_sources", key="config")
    known = dict(_newest(inlet_events, ARCHIVES, config).get("images", {}))
    read = {str(manifest["facts"]["sources"]): dict(manifest) for manifest in images}
    changed = [name for name, manifest in read.items() if known.get(name, {}).get("digest") != manifest["digest"]]
    if not changed:
        raise AirflowSkipException("no archive has changed since it was published last")
    outlet_events[ARCHIVES].extra = {"config": config, "images": known | read}
    outlet_events[ARCHIVES].add_partitions([f"{config}{SEPARATOR}{name}" for name in changed])
    return changed


@task(inlets=[ARCHIVES])
def arrived_sources(
    params: Mapping[str, Any] | None = None, dag_run: Any = None, ti: Any = None, inlet_events: Any = None
) -> list[dict[str, Any]]:
    """The sources to make a data set of, each with its images as `inputs`: the newest of the configuration, or the snapshot of the form.

    Raises:
        AirflowSkipException: fewer sources have arrived than the form's minimum (all of the configuration where empty).
    """
    assert params is not None  # noqa: S101 (as above)
    config = _config(params["config"] or _woken_for(dag_run), ti)
    told = _snapshot(params["images"]) or _newest(inlet_events, ARCHIVES, ti.xcom_pull(key="config")).get("images", {})
    arrived = {name: told[name] for name in config.sources if name in told}
    missing = [name for name in config.sources if name not in told]
    if len(arrived) < (params["minimum"] or len(config.sources)):
        raise AirflowSkipException(
            f"waiting for {', '.join(missing)}: {len(arrived)} of {len(config.sources)} are there"
        )
    return [{"source": name, "inputs": manifest} for name, manifest in arrived.items()]


@task(inlets=[DATASET], outlets=[DATASET])
def publish_dataset(manifest: Manifest, ti: Any = None, inlet_events: Any = None, outlet_events: Any = None) -> str:
    """Publishes a data set unless it is the one published last; returns its digest.

    Raises:
        AirflowSkipException: its content has not changed.
    """
    config = ti.xcom_pull(task_ids="arrived_sources", key="config")
    if _newest(inlet_events, DATASET, config).get("manifest", {}).get("digest") == manifest["digest"]:
        raise AirflowSkipException(f"data set {manifest['digest'][:16]} is published already: nothing has changed")
    outlet_events[DATASET].extra = {"config": config, "manifest": dict(manifest)}
    outlet_events[DATASET].add_partitions(f"{config}{SEPARATOR}all")
    return str(manifest["digest"])


@task(inlets=[DATASET])
def newest_dataset(
    params: Mapping[str, Any] | None = None, dag_run: Any = None, ti: Any = None, inlet_events: Any = None
) -> Manifest | str:
    """The data set to train on: that of the form, else the one whose publication started the run, else the configuration's latest."""
    from midefics.config import load_settings
    from midefics.services import Services

    assert params is not None  # noqa: S101 (as above)
    woken_for = _woken_for(dag_run)
    config = _config(params["config"] or woken_for, ti)
    if params["dataset"]:
        return str(params["dataset"])
    if woken_for and (published := _newest(inlet_events, DATASET, woken_for)):
        return dict(published["manifest"])
    latest = Services(load_settings()).storage.latest(config.name, "dataset")
    if latest is None:
        raise AirflowFailException(f"{config.name} has no data set yet; run the DAG midefics_ingest first")
    return latest.model_dump(mode="json")


def _woken_for(dag_run: Any) -> str:
    """The configuration whose event has started a run; empty where a person or the clock has."""
    return str(dag_run.partition_key or "").partition(SEPARATOR)[0]


def _newest(inlet_events: Any, asset: Asset, config: str) -> Mapping[str, Any]:
    """What the newest event of a configuration carries."""
    events = inlet_events[asset].ascending(False).limit(LOOKED_BACK)
    return next((event.extra for event in events if event.extra.get("config") == config), {})


def _snapshot(references: Iterable[str] | None) -> dict[str, Manifest]:
    """Images of the past by source."""
    from midefics.config import load_settings
    from midefics.errors import MideficsError
    from midefics.services import Services

    storage = Services(load_settings()).storage
    try:
        found = [storage.find(reference) for reference in references or ()]
    except MideficsError as error:
        raise AirflowFailException(str(error)) from error
    return {str(manifest.facts["sources"]): manifest.model_dump(mode="json") for manifest in found}


def _config(name: str | None, ti: Any) -> "RunConfig":
    """Loads a configuration, the deployment's own where none is named, and tells the other tasks its name."""
    from midefics.config import load_config, load_settings
    from midefics.errors import MideficsError

    try:
        chosen = name or load_settings().config
        config = load_config(chosen)
    except MideficsError as error:
        raise AirflowFailException(str(error)) from error
    ti.xcom_push("config", chosen)
    return config
