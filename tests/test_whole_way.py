"""From drawn archives to an answer of the champion in a process of its own, every stage for real, the model barely trained."""

import json
import shutil
from pathlib import Path

import pytest

from tests.test_command_line import midefics

SMALL = (
    *("--set", "sources.isic.synthetic_cases=24", "--set", "sources.mura.synthetic_cases=24"),
    *("--set", "sources.roco.synthetic_cases=24", "--set", "train.max_steps=4", "--set", "evaluate.max_questions=12"),
    *(
        "--set",
        "evaluate.max_new_tokens=8",
        "--set",
        "promote.min_difference=-2",
        "--set",
        "promote.min_visual_gain=-2",
    ),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(tiny_base, home / "cache" / "base_models" / tiny_base.name)
    return home


def test_every_stage_ends_with_the_champion(home: Path) -> None:
    done = midefics(home, "run", "--config", "demo", *SMALL, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    made = {manifest["kind"]: manifest for manifest in map(json.loads, done.stdout.splitlines())}
    assert list(made) == [
        "images",
        "validated",
        "conversations",
        "dataset",
        "adapter",
        "evaluation",
        "registration",
        "promotion",
    ]
    assert made["promotion"]["facts"]["alias"] == "champion"
    evaluation = home / "data" / made["evaluation"]["uri"]
    assert "held-out questions" in (evaluation / "report.html").read_text()
    assert len((evaluation / "answers.jsonl").read_text().splitlines()) == 12


def test_the_champion_answers_in_a_process_of_its_own(home: Path) -> None:
    image = min((home / "archives" / "demo" / "isic").glob("*.jpg"))
    done = midefics(home, "ask", str(image), "Is the lesion benign or malignant?", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert isinstance(json.loads(done.stdout)["answer"], str)


def test_the_version_holds_safetensors_and_says_what_it_was_made_of(home: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    version = client.get_model_version_by_alias("midefics", "champion")
    assert version.tags["quantisation"] == "nf4, double"
    assert version.tags["writer"] == "offline"
    assert len(version.tags["dataset_digest"]) == 64
    assert client.get_run(version.run_id).info.status == "FINISHED"
    files = [path.name for path in (home / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert "adapter_model.safetensors" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_another_version_shares_the_base_of_the_first(home: Path) -> None:
    again = midefics(home, "register", "--config", "demo", "--json")
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout.splitlines()[-1])["facts"]["version"] == "2"
    versions = [path for path in (home / "mlflow" / "artifacts").rglob("*.safetensors") if "artifacts" in path.parts]
    assert {path.name for path in versions} == {"adapter_model.safetensors"}
    assert len(list((home / "data" / "base").rglob("model.safetensors"))) == 1


def test_a_version_is_exported_with_its_difference_from_what_was_trained(home: Path) -> None:
    folder = home / "export"
    done = midefics(
        home, "export-model", "models:/midefics@champion", str(folder), "--questions", "6", "--json",
        "--max-exact-match-loss", "1", "--max-nll-difference", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["format"], told["questions"]) == ("merged-bf16", 6)
    assert told == json.loads((folder / "difference.json").read_text())
    refused = midefics(home, "export-model", "models:/midefics@champion", str(folder))
    assert "is not empty" in refused.stderr


def test_training_again_gives_the_same_adapter(home: Path) -> None:
    first = json.loads((home / "data" / "latest" / "demo" / "adapter.json").read_text())
    again = midefics(home, "train", "--config", "demo", *SMALL, "--json")
    assert json.loads(again.stdout.splitlines()[-1])["digest"] == first["digest"]


def test_evidence_of_another_adapter_is_refused(home: Path) -> None:
    adapter = json.loads((home / "data" / "latest" / "demo" / "adapter.json").read_text())
    other = json.dumps(adapter | {"digest": "0" * 64})
    refused = midefics(home, "register", "--config", "demo", other)
    assert refused.returncode == 1
    assert "is not of adapter 0000000000000000" in refused.stderr.splitlines()[-1]
