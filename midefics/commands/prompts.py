"""The prompts of the label writer: which there are, what one says, and their versions in MLflow's prompt registry."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from midefics.commands.options import AsJson, Debug, out
from midefics.config import load_settings
from midefics.errors import ConfigError
from midefics.prompts import Prompt
from midefics.services import Services
from midefics.services.prompt_registry import registry_of
from midefics.stages.tasks import every_prompt

app = typer.Typer(no_args_is_help=True, help="The prompts of the label writer, and MLflow's registry of them.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Unset: all of them.")]


@app.command()
def ls(as_json: AsJson = False, debug: Debug = False) -> None:
    """List every prompt with its version and where MLflow's registry has it."""
    del debug
    registry = registry_of(Services(load_settings()))
    rows = [(prompt.name, prompt.version, prompt.digest, registry.numbers(prompt)) for prompt in every_prompt()]
    if as_json:
        print(json.dumps([dict(zip(("name", "version", "digest", "registered"), row, strict=True)) for row in rows]))
        return
    table = Table(title="prompts", title_justify="left")
    for column in ("name", "version", "in MLflow as version"):
        table.add_column(column)
    for name, version, _, numbers in rows:
        table.add_row(name, version, ", ".join(map(str, numbers)) or "-")
    out.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="As `midefics prompts ls` shows it.")], debug: Debug = False) -> None:
    """Print one prompt as a model gets it, with a row that says nothing."""
    del debug
    (prompt,) = _chosen([name])
    print(f"{prompt.version}\n")
    for message in prompt.messages({}):
        print(f"=== {message['role']}\n{message['content']}\n")


@app.command()
def register(names: Names = None, debug: Debug = False) -> None:
    """Put prompts into MLflow's registry; those that are in it already are left alone."""
    del debug
    registry = registry_of(Services(load_settings()))
    for prompt in _chosen(names or []):
        made = registry.register(prompt)
        print(f"{made.name} version {made.number}: {prompt.version}{'' if made.is_new else ' (known already)'}")


def _chosen(names: Sequence[str]) -> list[Prompt]:
    prompts = {prompt.name: prompt for prompt in every_prompt()}
    for name in names:
        if name not in prompts:
            raise ConfigError(f"prompts: {name} is not one of {', '.join(prompts)}")
    return [prompts[name] for name in names] if names else list(prompts.values())
