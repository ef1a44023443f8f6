"""Questions to the champion, the platform on this machine, benchmarks."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from midefics.commands.options import AsJson, Config, Debug
from midefics.config import load_settings
from midefics.errors import ConfigError
from midefics.services import Services

app = typer.Typer()


@app.command()
def ask(
    what: Annotated[
        list[str], typer.Argument(metavar="[IMAGE] QUESTION", help="An image file and a question, or a question alone.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="Any MLflow model URI.")] = "models:/midefics@champion",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Ask the champion: `midefics ask hand.png "Is there an abnormality?"`. For research, not for clinical decisions."""
    del debug
    if len(what) > 2:
        raise ConfigError(f"expected [IMAGE] QUESTION, got {len(what)} arguments; put the question in quotes")
    image = Path(what[0]) if len(what) == 2 else None
    answer = Services(load_settings()).tracking.ask(model, image, what[-1])
    print(json.dumps({"model": model, "question": what[-1], "answer": answer}) if as_json else answer)


@app.command()
def demo(config: Config = "demo", debug: Debug = False) -> None:
    """The whole way under Airflow, on this machine: what `make demo` runs. Everything stays up until `midefics down`."""
    del debug
    from midefics.local.demo import run_demo

    raise typer.Exit(run_demo(load_settings(), config))


@app.command()
def down(debug: Debug = False) -> None:
    """Stop every server that `midefics demo` started, and nothing else."""
    del debug
    from midefics.local.demo import stop

    stop(load_settings())


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="data, grounding, label, train, validation, or all.")] = "all",
    shape: Annotated[
        Literal["tiny", "9b"], typer.Option(help="train: the tiny base, or random weights in the shape of IDEFICS-9b.")
    ] = "tiny",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure: every figure beside the original notebook's way and the bound, in one run. Exit code 1 where a goal is missed."""
    del debug
    from midefics.bench import report

    raise typer.Exit(report(name, as_json, Services(load_settings()), **({"shape": shape} if name == "train" else {})))
