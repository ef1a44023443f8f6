"""Prompts in MLflow's registry, for real, in a SQLite file."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from midefics.prompts import load_prompt
from midefics.services import Services
from midefics.services.prompt_registry import registry_of, template
from midefics.stages import label
from tests.chat_server import chat_server, conversation
from tests.rows import make_row, make_services, stored
from tests.test_command_line import midefics
from tests.test_label import config

TURNS = (
    ("What is seen?", "A nevus."),
    ("Is it benign?", "Yes."),
    ("What is next?", "Watch it."),
    ("Why?", "To be sure."),
)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return make_services(tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def test_a_prompt_is_registered_once_for_each_content(services: Services) -> None:
    registry = registry_of(services)
    first, other = load_prompt("vqa-1", "a: one"), load_prompt("vqa-1", "a: two")
    assert registry.numbers(first) == []
    assert [registry.register(one)[1:] for one in (first, first, other, first)] == [
        (1, True), (1, False), (2, True), (1, False),
    ]  # fmt: skip
    assert (registry.numbers(first), registry.numbers(other)) == ([1], [2])
    found = services.tracking.client.get_prompt_version("midefics.vqa-1", 2)
    assert found.tags["digest"] == other.digest
    assert found.tags["prompt_version"] == other.version
    assert found.template == template(other)
    assert [message["role"] for message in found.template] == ["system", "user", "assistant", "user"]
    assert "a: two" in found.template[0]["content"]
    assert found.template[-1]["content"] == "{{fence}}\n{{metadata}}\n{{fence}}"
    assert services.tracking.versions() == {}


def test_label_registers_what_it_used_and_a_dead_registry_costs_nothing(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with chat_server(lambda _: conversation(*TURNS)) as server:
        update = {"openai_base_url": server.base_url, "openai_api_key": SecretStr("x")}
        services.settings = services.settings.model_copy(update=update)
        given = stored(services, "validated", [make_row(1)])
        version = label.run(config(), given, services=services).facts["prompt_version"]
        found = services.tracking.client.get_prompt_version("midefics.vqa-isic-1", 1)
        assert found.tags["prompt_version"] == version
        dead = make_services(tmp_path / "dead", mlflow_tracking_uri="http://127.0.0.1:9", **update)
        made = label.run(config(), stored(dead, "validated", [make_row(1)]), services=dead)
    assert made.rows == 1
    assert "its prompts are not in MLflow's registry" in caplog.text


def test_the_command_lists_shows_and_registers(tmp_path: Path) -> None:
    done = midefics(tmp_path, "prompts", "register", "text-1")
    assert done.stdout.startswith("midefics.text-1 version 1: text-1-"), done.stderr
    listed = {
        one["name"]: one["registered"] for one in json.loads(midefics(tmp_path, "prompts", "ls", "--json").stdout)
    }
    assert listed == {
        "vqa-isic-1": [], "vqa-mura-1": [], "vqa-roco-1": [], "modelcall-isic-1": [], "modelcall-mura-1": [], "text-1": [1], "vqa-1": [],
    }  # fmt: skip
    assert "Breslow thickness" in midefics(tmp_path, "prompts", "show", "modelcall-isic-1").stdout
    refused = midefics(tmp_path, "prompts", "show", "none")
    assert (refused.returncode, "prompts: none is not one of vqa-isic-1" in refused.stderr) == (1, True)
