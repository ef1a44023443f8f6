"""The command line: every stage, the whole way, questions to the champion, the demo, the benchmarks."""

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from midefics.config import RunConfig, load_config, load_settings, shipped_configs
from midefics.errors import ConfigError, MideficsError
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.progress import Progress
from midefics.stages import STAGES, latest_inputs, run_stage

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Open medical image archives in, an evaluated and registered visual question answering model out.\n\n"
    "Try `midefics run --config demo` for the whole way without Airflow, then "
    '`midefics ask IMAGE "Is the lesion benign or malignant?"`. Everything is kept under MIDEFICS_HOME (default `var/`).',
)
out = Console()
told_to_debug = False


def _debug(on: bool) -> bool:
    global told_to_debug
    told_to_debug = told_to_debug or on
    logging.basicConfig(
        level=logging.DEBUG if on else logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    for noisy in ("httpx", "httpx2", "alembic", "mlflow.store", "matplotlib", "great_expectations"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # else it misses an optional kernel at every start
    if not on:  # what libraries warn their own developers of
        warnings.simplefilter("ignore")
    return on


Config = Annotated[str, typer.Option("--config", "-c", help=f"A YAML file, or one of: {', '.join(shipped_configs())}.")]
Sources = Annotated[
    list[str] | None, typer.Option("--source", metavar="NAME=PATH", help="Read a source from this folder; repeatable.")
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="Only this source; repeatable.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value: `train.max_steps=20`; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Last line of standard output: the result as JSON, for machines.")]
ProgressFile = Annotated[
    Path | None, typer.Option("--progress-file", help="Keep the progress in this small JSON file.")
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_debug, is_eager=True, help="Full logs, and a traceback on errors.")
]
Manifests = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MANIFEST]...",
        help="The inputs: a manifest's file, folder or JSON. Unset: the newest of this configuration.",
    ),
]


def _config(name: str, sources: list[str] | None, only: list[str] | None, sets: list[str] | None) -> RunConfig:
    config = load_config(
        name, {key: Path(value) for key, value in map(_pair, sources or [])}, dict(map(_pair, sets or []))
    )
    return config.only(only) if only else config


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ConfigError(f"{text!r}: expected NAME=VALUE")
    return key, value


def _run(
    name: str, config: RunConfig, manifests: list[str] | None, services: Services, **options: str | None
) -> Manifest:
    given = [services.storage.find(reference) for reference in manifests or []]
    return run_stage(name, config, latest_inputs(name, config, given, services), services, **options)


def _tell(manifest: Manifest, as_json: bool, seconds: float | None = None) -> None:
    if as_json:
        print(manifest.model_dump_json(), flush=True)
        return
    table = Table(show_header=False, box=None, title=f"{manifest.kind} {manifest.digest[:16]}", title_justify="left")
    table.add_row("rows", f"{manifest.rows:,}")
    for reason, count in manifest.rejected.items():
        table.add_row("quarantined", f"{count:,}  {reason}")
    for fact, value in manifest.facts.items():
        table.add_row(fact, f"{value:.4g}" if isinstance(value, float) else str(value))
    table.add_row("kept in", str(load_settings().home / "data" / manifest.uri))
    if seconds is not None:
        table.add_row("seconds", f"{seconds:.1f}")
    out.print(table)


def _add_stage_command(name: str) -> None:
    stage = STAGES[name]

    @app.command(
        name, help=f"{stage.summary}\n\nNeeds: {', '.join(stage.consumes) or 'the archives'}. Makes: {stage.produces}."
    )
    def command(
        manifests: Manifests = None,
        config: Config = "demo",
        source: Sources = None,
        only: Only = None,
        set_: Sets = None,
        as_json: AsJson = False,
        progress_file: ProgressFile = None,
        debug: Debug = False,
    ) -> None:
        del debug
        started = time.monotonic()
        services = Services(load_settings(), Progress(progress_file))
        manifest = _run(name, _config(config, source, only, set_), manifests, services)
        _tell(manifest, as_json, time.monotonic() - started)


for _name in ("ingest", "validate"):
    _add_stage_command(_name)


@app.command(
    help=f"{STAGES['label'].summary}\n\nNeeds: validated. Makes: conversations. `--dry-run` estimates and spends nothing."
)
def label(
    manifests: Manifests = None,
    config: Config = "demo",
    source: Sources = None,
    only: Only = None,
    set_: Sets = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would ask for, and ask for nothing.")
    ] = False,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Writes the conversations."""
    del debug
    services = Services(load_settings(), Progress(progress_file))
    run_config = _config(config, source, only, set_)
    if not dry_run:
        _tell(_run("label", run_config, manifests, services), as_json)
        return
    from midefics.stages.label import estimate

    given = [services.storage.find(reference) for reference in manifests or []]
    result = estimate(run_config, *latest_inputs("label", run_config, given, services), services=services)
    print(json.dumps(result) if as_json else "\n".join(f"{key}: {value}" for key, value in result.items()))


for _name in ("assemble", "train", "evaluate", "register"):
    _add_stage_command(_name)


@app.command(
    help=f"{STAGES['promote'].summary}\n\nNeeds: registration. Its rules must hold, or a person must stand for it with `--approved-by`."
)
def promote(
    manifests: Manifests = None,
    config: Config = "demo",
    set_: Sets = None,
    approved_by: Annotated[str | None, typer.Option("--approved-by", metavar="NAME", help="Who approves it.")] = None,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Moves the alias."""
    del debug
    services = Services(load_settings(), Progress(progress_file))
    _tell(_run("promote", _config(config, None, None, set_), manifests, services, approved_by=approved_by), as_json)


@app.command()
def run(
    config: Config = "demo",
    source: Sources = None,
    only: Only = None,
    set_: Sets = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """The whole way without Airflow: every stage from the archives to a registered version.

    Ends with `@champion` where the configuration says `promote.approval: auto` and the promotion rules hold.
    """
    del debug
    services, run_config = Services(load_settings()), _config(config, source, only, set_)
    made: list[Manifest] = []
    for name, stage in STAGES.items():
        if name == "promote" and not _may_promote(run_config, made[-1]):
            break
        started = time.monotonic()
        made.append(
            run_stage(name, run_config, [manifest for manifest in made if manifest.kind in stage.consumes], services)
        )
        _tell(made[-1], as_json, time.monotonic() - started)


def _may_promote(config: RunConfig, registration: Manifest) -> bool:
    log = logging.getLogger(__name__)
    if not registration.facts["proposable"]:
        log.info("not promoted: a promotion rule does not hold\n%s", registration.facts["rules"])
    elif config.promote.approval == "human":
        log.info("not promoted: a person decides. `midefics promote --config %s --approved-by NAME`", config.name)
    return bool(registration.facts["proposable"]) and config.promote.approval == "auto"


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
    name: Annotated[str, typer.Argument(help="data, or all.")] = "all",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure: every figure beside the original notebook's way and the bound, in one run. Exit code 1 where a goal is missed."""
    del debug
    from midefics.bench import report

    raise typer.Exit(report(name, as_json, Services(load_settings())))


def main() -> NoReturn:
    """Runs the command line; an error we can explain is one line on standard error."""
    # Nothing of ours may call home or look for files on a hub that a local model does not have.
    os.environ.update(
        {"MLFLOW_DISABLE_TELEMETRY": "1", "GX_ANALYTICS_ENABLED": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    )
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # One thread, as torchrun sets it: small models run faster, and results do not depend on the number of cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (MideficsError, OSError) as error:
        if told_to_debug:
            raise
        text = (
            str(error)
            if isinstance(error, MideficsError)
            else f"{error.filename or 'system'}: {error.strerror or error}"
        )
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))
    sys.exit(0)


if __name__ == "__main__":
    main()
