"""What is stored, how it hangs together, and what may go."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from midefics.__main__ import app
from midefics.commands.data_tables import grown
from midefics.errors import ServiceError
from midefics.records import Kind, Manifest
from midefics.services import Services
from midefics.services.checkpoints import Checkpoints
from midefics.services.garbage import find_garbage, remove_garbage
from midefics.services.inventory import ancestry, inventory
from midefics.services.tracking import Tracking
from tests.rows import make_row, make_services

DAY_S = 86_400


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with nothing in it; making one takes seconds."""
    home = tmp_path_factory.mktemp("registry")
    Tracking.connect(make_services(home).settings).versions()
    return home / "mlflow"


@pytest.fixture
def services(location: str, tmp_path: Path, registry: Path) -> Services:
    shutil.copytree(registry, tmp_path / "home" / "mlflow")
    return make_services(tmp_path / "home", store=location)


def make(services: Services, kind: Kind, number: int, *parents: Manifest, **facts: str) -> Manifest:
    with services.storage.draft(kind, [parent.digest for parent in parents]) as draft:
        draft.add(make_row(number, licence="CC-BY" if number % 2 else "CC-0"))
        draft.facts.update(facts)
    return draft.manifest


def digests(*manifests: Manifest) -> set[str]:
    return {manifest.digest for manifest in manifests}


def test_names_are_configurations_and_model_versions(services: Services) -> None:
    images = make(services, "images", 1)
    dataset = make(services, "dataset", 1, images)
    services.storage.remember("demo", dataset)
    registration = make(services, "registration", 1, dataset, model_name="midefics", version="3")
    named = {item.output.manifest.kind: item.named_by for item in inventory(services.storage)}
    assert named == {
        "images": (),
        "dataset": ("latest of demo", "midefics 3"),
        "registration": ("midefics 3",),
    }
    assert [item.output.manifest for item in inventory(services.storage, "registration")] == [registration]


def test_lineage_ends_with_sources_and_licences(services: Services) -> None:
    one, two = make(services, "images", 1), make(services, "images", 2)
    dataset = make(services, "dataset", 1, one, two)
    gone = make(services, "images", 3)
    evaluation = make(services, "evaluation", 1, dataset, gone)
    services.storage.store.delete(gone.uri)
    found = ancestry(services.storage, evaluation)
    assert [parent.manifest for parent in found.parents] == [dataset, None]
    assert [dict(parent.sources) for parent in found.parents[0].parents] == [
        {("isic", "CC-BY"): 1},
        {("isic", "CC-0"): 1},
    ]


def test_an_ancestor_of_two_parents_is_shown_once(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    dataset = make(services, "dataset", 1, make(services, "images", 1))
    evaluation = make(services, "evaluation", 1, dataset, make(services, "adapter", 1, dataset))
    console = Console(width=100)
    with console.capture() as told:
        console.print(grown(ancestry(services.storage, evaluation)))
    assert told.get().count("CC-BY") == 1
    assert told.get().count("as above") == 1


def test_what_is_named_stays_with_all_its_parents(services: Services) -> None:
    kept = [make(services, "images", 1)]
    for kind in ("dataset", "adapter", "evaluation"):
        kept.append(make(services, kind, 1, *kept[-1:]))  # type: ignore[arg-type]
    kept.append(make(services, "registration", 1, *kept[1:], model_name="midefics", version="1"))
    client = services.tracking.client
    client.create_registered_model("midefics")
    tags = {f"{one.kind}_digest": one.digest for one in kept[1:4]}
    client.create_model_version("midefics", "file:///nowhere", tags=tags)
    client.create_model_version("midefics", "file:///nowhere")
    client.delete_model_version("midefics", "2")
    deleted = make(services, "registration", 2, model_name="midefics", version="2")
    foreign = [make(services, "dataset", 4)]
    foreign.append(make(services, "registration", 3, *foreign, model_name="another", version="7"))
    newest = make(services, "validated", 5, make(services, "images", 5))
    services.storage.remember("demo", newest)
    loose = [make(services, "images", 6), deleted]
    loose.append(make(services, "conversations", 6, loose[0]))
    garbage = find_garbage(services, older_than_s=0)
    assert digests(*(output.manifest for output in garbage.outputs)) == digests(*loose)
    assert (garbage.unknown_models, garbage.leftovers) == (("another",), [])
    assert garbage.bytes == sum(manifest.bytes for manifest in loose)
    remove_garbage(garbage, services.storage)
    left = digests(*(output.manifest for output in services.storage.outputs()))
    assert left == digests(*kept, *foreign, newest) | set(newest.parents)
    assert find_garbage(services, older_than_s=0).outputs == []


def test_what_is_young_stays_with_all_its_parents(tmp_path: Path, registry: Path) -> None:
    shutil.copytree(registry, tmp_path / "mlflow")
    services = make_services(tmp_path)
    parent, old = make(services, "images", 1), make(services, "images", 2)
    child = make(services, "validated", 1, parent)
    for manifest, days in ((parent, 9), (old, 9), (child, 6)):
        written = time.time() - days * DAY_S
        os.utime(services.storage.folder(manifest) / "manifest.json", (written, written))
    garbage = find_garbage(services, older_than_s=7 * DAY_S)
    assert [output.manifest for output in garbage.outputs] == [old]


def test_what_was_made_again_in_the_meantime_stays(services: Services) -> None:
    manifest = make(services, "images", 1)
    garbage = find_garbage(services, older_than_s=0)
    make(services, "images", 1, seconds="2")
    remove_garbage(garbage, services.storage)
    assert services.storage.find(manifest.digest).facts == {"seconds": "2"}


def test_nothing_goes_where_mlflow_does_not_answer(tmp_path: Path) -> None:
    services = make_services(tmp_path, mlflow_tracking_uri="http://127.0.0.1:9")
    make(services, "images", 1)
    with pytest.raises(ServiceError, match="does not answer"):
        find_garbage(services, older_than_s=0)


@pytest.fixture
def told(services: Services, location: str, monkeypatch: pytest.MonkeyPatch) -> "Told":
    monkeypatch.setenv("MIDEFICS_HOME", str(services.settings.home))
    monkeypatch.setenv("MIDEFICS_STORE", location)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Told()


class Told:
    """What `midefics data …` prints."""

    def text(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["data", *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    def json(self, *arguments: str) -> object:
        return json.loads(self.text(*arguments, "--json").splitlines()[-1])


def test_the_commands_tell_the_same_in_both_places(services: Services, told: Told) -> None:
    images = make(services, "images", 1)
    with services.storage.draft("validated", [images.digest]) as draft:
        draft.add(make_row(1, licence="CC-BY"))
        draft.facts["unexpected"] = 0.25
    services.storage.remember("demo", draft.manifest)
    listed = told.json("ls")
    assert [(one["kind"], one["digest"], one["named_by"]) for one in listed] == [
        ("images", images.digest, []),
        ("validated", draft.manifest.digest, ["latest of demo"]),
    ]
    assert "2 outputs" in told.text("ls")
    shown = told.json("show", draft.manifest.digest[:16])
    assert shown["manifest"] == draft.manifest.model_dump(mode="json")
    assert [(row["id"], "image" in row) for row in shown["first_rows"]] == [("isic/ISIC_0000001", False)]
    assert "isic/ISIC_0000001" in told.text("show", draft.manifest.uri)
    traced = told.json("lineage", draft.manifest.uri)
    assert traced["parents"][0]["sources"] == [{"source": "isic", "licence": "CC-BY", "rows": 1}]
    assert "isic: 1 rows, CC-BY" in told.text("lineage", draft.manifest.uri)


def test_gc_takes_the_checkpoints_of_a_training_that_was_given_up(services: Services) -> None:
    checkpoints = Checkpoints(services.storage.store, "a" * 64, 2)
    checkpoints.save(3, lambda folder: (folder / "state").write_text("12345"), {})
    assert find_garbage(services, DAY_S).leftovers == []
    garbage = find_garbage(services, 0)
    assert [(left.address.rpartition("/")[2], left.bytes) for left in garbage.leftovers] == [
        (f"{'a' * 16}-00000003", 5)
    ]
    remove_garbage(garbage, services.storage)
    assert checkpoints.newest() is None


def test_gc_deletes_only_when_told_to(services: Services, told: Told) -> None:
    loose = make(services, "images", 1)
    assert told.json("gc")["outputs"] == []
    for _ in range(2):
        dry = told.json("gc", "--older-than", "0")
        assert [one["digest"] for one in dry["outputs"]] == [loose.digest]
        assert (dry["deleted"], dry["bytes"]) == (False, loose.bytes)
    assert "nothing was deleted" in told.text("gc", "--older-than", "0")
    assert told.json("gc", "--older-than", "0", "--yes")["deleted"]
    assert list(services.storage.outputs()) == []
    assert list(services.storage.store.keys("images/")) == []
