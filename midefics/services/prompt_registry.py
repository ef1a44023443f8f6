"""Versioned prompts in, versions in MLflow's prompt registry out: one for each content, however often it is registered.

A prompt's file is a prompt there (`midefics.vqa-isic-1`), with its digest as a tag of the version. The registry's templates
have their variables in double braces, ours in dollars: they are translated, so that its page shows what is filled in.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from midefics.errors import ServiceError
from midefics.prompts import Prompt
from midefics.services import Services
from midefics.services.tracking import all_pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

PREFIX = "midefics."
DIGEST, VERSION = "digest", "prompt_version"
_IS_PROMPT = "name = '{name}' AND tags.`mlflow.prompt.is_prompt` = 'true'"
_VARIABLE = re.compile(r"\$(\w+)")
_FILLED = ("glossary", "tools")
"""Variables that are fixed with the prompt; the others are the row's."""


class Registered(NamedTuple):
    """One prompt in the registry."""

    name: str
    number: int
    """The registry's own count, from 1."""
    is_new: bool


class PromptRegistry:
    """MLflow's, where it is an MLflow that has one."""

    def __init__(self, client: "MlflowClient", uri: str) -> None:
        self._client, self._uri = client, uri

    def register(self, prompt: Prompt) -> Registered:
        """Adds a version, unless one has the same digest.

        Raises:
            ServiceError: MLflow does not answer, or has no registry of prompts.
        """
        from mlflow import MlflowException

        name = PREFIX + prompt.name
        tags = {DIGEST: prompt.digest, VERSION: prompt.version}
        try:
            for version in self._versions(name):
                if version.tags.get(DIGEST) == prompt.digest:
                    return Registered(name, _number(version), False)
            made = self._client.register_prompt(name, template(prompt), f"midefics {prompt.version}", tags)
        except MlflowException as error:
            raise self._explained(error) from error
        return Registered(name, made.version, True)

    def numbers(self, prompt: Prompt) -> list[int]:
        """The registry's numbers of the versions with a prompt's digest.

        Raises:
            ServiceError: as above.
        """
        from mlflow import MlflowException

        try:
            versions = self._versions(PREFIX + prompt.name)
        except MlflowException as error:
            raise self._explained(error) from error
        return [_number(version) for version in versions if version.tags.get(DIGEST) == prompt.digest]

    def _versions(self, name: str) -> "list[ModelVersion]":
        """All of a prompt, oldest first: a registered model with a tag, among which alone the open-source MLflow can search."""
        found: list[ModelVersion] = list(
            all_pages(partial(self._client.search_model_versions, _IS_PROMPT.format(name=name)))
        )
        return sorted(found, key=_number)

    def _explained(self, error: Exception) -> ServiceError:
        return ServiceError(f"MLflow's prompt registry at {self._uri}: {str(error).splitlines()[0]}")


def registry_of(services: Services) -> PromptRegistry:
    """The registry of the MLflow that is configured.

    Raises:
        ServiceError: MLflow does not answer.
    """
    tracking = services.tracking
    return PromptRegistry(tracking.client, tracking.uri)


def register_quietly(prompts: Mapping[str, Prompt], services: Services) -> None:
    """Registers the prompts that were used, where an MLflow is configured; what goes wrong is told, and stops nothing."""
    if not prompts or services.settings.mlflow_tracking_uri is None:
        return
    try:
        told = [registry_of(services).register(prompt) for _, prompt in sorted(prompts.items())]
    except Exception as error:  # paid conversations must not be lost for a registry's sake
        log.warning("label: its prompts are not in MLflow's registry (%s)", " ".join(str(error).split())[:200])
    else:
        log.info("label: prompts in MLflow's registry: %s", _listed(told))


def template(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as MLflow's chat template."""
    fixed = dict(zip(_FILLED, (prompt.glossary, prompt.tools), strict=True))

    def filled(found: re.Match[str]) -> str:
        return fixed.get(found[1], f"{{{{{found[1]}}}}}")

    return [{"role": role, "content": _VARIABLE.sub(filled, text).strip()} for role, text in prompt.parts()]


def _number(version: "ModelVersion") -> int:
    return int(version.version)


def _listed(told: Iterable[Registered]) -> str:
    return ", ".join(f"{one.name} version {one.number}" for one in told)
