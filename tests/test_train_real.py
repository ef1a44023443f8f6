"""Clinicians' questions about real radiographs as a training set, the whole way on the tiny model: what it learns of them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from midefics.records import Case
from midefics.sources import vqa_rad
from tests.test_command_line import midefics

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "vqa_rad"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no {REAL}; the real archives are kept beside the project's folder"),
]

CONFIG = """
name: radiology
base_model: tiny-idefics
sources: {{hf_dataset: {{path: "{archive}"}}}}
ingest: {{image_size: 160}}
train:
  sample: turn
  max_steps: 400
  batching: grouped
  batch_size: 16
  accumulation: 1
  frozen_outputs: true
  learning_rate: 5.0e-3
  schedule: cosine
  optimizer: adamw_torch
  lora: {{targets: text, dropout: 0.0}}
evaluate: {{batch_size: 64, max_new_tokens: 24}}
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """VQA-RAD in the shape of a Hugging Face data set, which is trained on; in its own it only ever evaluates."""
    rows = [
        {
            "id": case.path.stem,
            "image": {"bytes": case.path.read_bytes(), "path": case.path.name},
            "conversation": {"data": [turn.model_dump() for turn in case.turns]},
        }
        for case in vqa_rad.cases(REAL)
        if isinstance(case, Case)
    ]
    folder = tmp_path / "archive"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return folder


def test_the_tiny_model_trains_on_vqa_rad_and_its_evidence_adds_up(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "radiology.yaml"
    config.write_text(CONFIG.format(archive=archive))
    done = midefics(tmp_path / "home", "run", "--config", str(config), "--json", timeout_s=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    made = {manifest["kind"]: manifest for manifest in map(json.loads, done.stdout.splitlines())}
    images, adapter, facts = made["images"], made["adapter"]["facts"], made["evaluation"]["facts"]
    assert images["rows"] + sum(images["rejected"].values()) == 111
    assert adapter["loss_last"] < adapter["loss_first"]
    assert facts["after_closed"] > facts["before_closed"]
    told = ("questions", "majority", "before", "after", "swapped", "visual_gain", "visual_gain_low", "visual_gain_high")
    kept = {key: facts[key] for key in (*told, *(key for key in facts if "_open_" in key or key.endswith("_closed")))}
    print({key: adapter[key] for key in ("steps", "loss_first", "loss_last")} | kept)  # noqa: T201 (with -s)
