"""Faults of what turns text and pictures into a model's inputs; the table is in test_upstream_faults.py."""

import http.server
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    IdeficsProcessor,
)
from transformers.models.idefics import processing_idefics

from midefics.records import Turn
from midefics.vlm.collate import opened
from midefics.vlm.families.idefics import Control, image_attention
from midefics.vlm.generate import Prompt, answers
from midefics.vlm.load import Loaded, load_base
from tests.idefics import IDEFICS, OTHER, TURN, batch
from tests.rows import encoded, jpeg


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Loaded:
    return load_base(tiny_base)


@pytest.fixture(scope="module")
def upstream(loaded: Loaded) -> IdeficsProcessor:
    return IdeficsProcessor(loaded.processor.image_processor, loaded.processor.tokenizer, image_size=32)


def test_the_processor_fails_on_prompts(upstream: IdeficsProcessor) -> None:
    with pytest.raises(UnboundLocalError):
        upstream([["User:", "Hello"]])


def test_the_processor_leaves_out_the_end_of_utterances(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    end = Control.of(loaded.processor.tokenizer).end
    assert not upstream.tokenizer_was_trained_with_end_of_utterance_token
    assert end not in upstream(text=[["User:", "Hello", "\nAssistant: Yes"]])["input_ids"]
    assert IDEFICS.encode([TURN], loaded.processor, None, 512).input_ids.count(end) == 2


@pytest.fixture
def picture_server() -> Iterator[tuple[str, list[str]]]:
    """The address of a picture, and who has asked for it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(jpeg())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x.jpg", asked
        server.shutdown()


def test_the_processor_fetches_a_question_that_is_a_url(
    picture_server: tuple[str, list[str]], upstream: IdeficsProcessor, loaded: Loaded
) -> None:
    address, asked = picture_server
    hostile = Turn(question=address, answer=address)
    assert answers(loaded, [Prompt(address, jpeg(), (hostile,))], 1, 2)
    IDEFICS.encode([hostile], loaded.processor, jpeg(), 512)
    assert asked == []
    upstream(text=[["User:", address]])
    assert asked == ["/x.jpg"]


def test_the_processor_takes_peoples_words_for_control_tokens(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    image = Control.of(loaded.processor.tokenizer).image
    assert image in upstream(text=[["User:", "Is <image> a tag?"]])["input_ids"]
    assert image not in IDEFICS.encode_question([], "Is <image> a tag?", loaded.processor, None)


def test_truncation_cuts_the_image_off(upstream: IdeficsProcessor, loaded: Loaded) -> None:
    image = Control.of(loaded.processor.tokenizer).image
    text = [["A long question before the picture", Image.new("RGB", (32, 32), (200, 90, 30)), "Why?"]]
    cut = upstream(text=text, truncation=True, max_length=6)
    assert image not in cut["input_ids"]
    assert not cut["image_attention_mask"].any()
    first = IDEFICS.encode([TURN], loaded.processor, jpeg(), 512)
    assert image in IDEFICS.encode([TURN, OTHER], loaded.processor, jpeg(), len(first.input_ids)).input_ids


def test_pillow_turns_16_bit_greys_white() -> None:
    slope = Image.fromarray(np.linspace(1000, 5000, 64, dtype=np.uint16).reshape(8, 8))
    assert len(np.unique(np.asarray(slope.convert("RGB")))) < 3
    assert len(np.unique(np.asarray(opened(encoded(slope))))) == 64


def test_a_broken_torchvision_breaks_the_processor_and_none_is_installed(tmp_path: Path) -> None:
    package, facts = tmp_path / "torchvision", tmp_path / "torchvision-0.28.0.dist-info"
    package.mkdir()
    facts.mkdir()
    package.joinpath("__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    facts.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    command = [sys.executable, "-c", "from transformers import IdeficsProcessor"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "torchvision::nms" in done.stderr
    project = Path(__file__).parents[1]
    for file in ("pyproject.toml", "docker/constraints.txt"):
        assert "torchvision" not in (project / file).read_text()


def test_the_processor_builds_its_mask_in_a_loop_and_ours_equals_it(loaded: Loaded) -> None:
    tokenizer = loaded.processor.tokenizer
    theirs = processing_idefics.image_attention_mask_for_packed_input_ids_pt
    assert "for idx, token_id in enumerate(input_ids[batch_idx])" in inspect.getsource(theirs)
    ids = batch(loaded.processor, TURN, OTHER)["input_ids"]
    of_each_image, _ = theirs(ids, tokenizer)
    expected = processing_idefics.incremental_to_binary_attention_mask(of_each_image, "pt", num_classes=1)
    assert torch.equal(image_attention(ids, Control.of(tokenizer)), expected)
