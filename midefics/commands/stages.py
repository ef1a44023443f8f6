"""Every stage as a command, and all of them as one."""

import json
import logging
import time
from typing import Annotated

import typer

from midefics.commands.options import (
    AsJson,
    Config,
    Debug,
    Manifests,
    Only,
    ProgressFile,
    Sets,
    Sources,
    chosen_config,
    inputs,
    tell,
)
from midefics.config import RunConfig, load_settings
from midefics.errors import ConfigError
from midefics.planning.gpus import GPUS
from midefics.records import Manifest
from midefics.services import Services
from midefics.services.progress import Progress
from midefics.stages import STAGES, run_stage

app = typer.Typer()


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
        chosen = chosen_config(config, source, only, set_)
        manifest = run_stage(name, chosen, inputs(name, chosen, manifests, services), services)
        tell(manifest, as_json, time.monotonic() - started)


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
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Exit with 75 while batches are under way; the next run goes on with them."),
    ] = False,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Writes the conversations."""
    del debug
    from midefics.services.batches import PendingError
    from midefics.stages.label import estimate

    started = time.monotonic()
    services, chosen = Services(load_settings(), Progress(progress_file)), chosen_config(config, source, only, set_)
    given = inputs("label", chosen, manifests, services)
    if not dry_run:
        try:
            made = run_stage("label", chosen, given, services, wait="no" if no_wait else "yes")
        except PendingError as pending:
            if as_json:
                print(json.dumps({"run_again_in_s": pending.run_again_in_s}), flush=True)
            raise
        tell(made, as_json, time.monotonic() - started)
        return
    result = estimate(chosen, *given, services=services)
    print(json.dumps(result) if as_json else "\n".join(f"{key}: {value}" for key, value in result.items()))


@app.command(
    help=f"{STAGES['assemble'].summary}\n\nNeeds: conversations. It keeps to the splits of the configuration's newest data set."
)
def assemble(
    manifests: Manifests = None,
    config: Config = "demo",
    source: Sources = None,
    only: Only = None,
    set_: Sets = None,
    extends: Annotated[
        str | None, typer.Option("--extends", metavar="MANIFEST", help="Keep to the splits of this data set.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Keep to no earlier splits: deal all images anew.")] = False,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Makes the data set."""
    del debug
    from midefics.stages.assemble import NOTHING

    if fresh and extends:
        raise ConfigError("--extends and --fresh: give one of them")
    started = time.monotonic()
    services, chosen = Services(load_settings(), Progress(progress_file)), chosen_config(config, source, only, set_)
    given = inputs("assemble", chosen, manifests, services)
    made = run_stage("assemble", chosen, given, services, extends=NOTHING if fresh else extends)
    tell(made, as_json, time.monotonic() - started)


@app.command(
    help=f"{STAGES['train'].summary}\n\nNeeds: dataset. Makes: adapter. Killed or stopped (SIGTERM, exit code 75), it goes on "
    "from its newest checkpoint when it is called again; called while another process trains the same, it follows "
    "that one."
)
def train(
    manifests: Manifests = None,
    config: Config = "demo",
    source: Sources = None,
    only: Only = None,
    set_: Sets = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Tell memory, hours and dollars by GPU; load and train nothing.")
    ] = False,
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", metavar="NAME", help=f"With --plan: only for this GPU ({', '.join(GPUS)}); repeatable."),
    ] = None,
    usd_per_hour: Annotated[
        list[str] | None,
        typer.Option(
            "--usd-per-hour",
            metavar="[GPU=]X",
            help="With --plan: dollars an hour, of every GPU or of this one; repeatable.",
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the checkpoints of the same training.")] = False,
    outlive: Annotated[
        float | None,
        typer.Option(
            "--outlive",
            metavar="SECONDS",
            min=1,
            help="How long to go on when the process that called this one is gone and nobody follows. Unset: to the end.",
        ),
    ] = None,
    as_json: AsJson = False,
    progress_file: ProgressFile = None,
    debug: Debug = False,
) -> None:
    """Trains, or tells what that would take."""
    del debug
    started = time.monotonic()
    services, chosen = Services(load_settings(), Progress(progress_file)), chosen_config(config, source, only, set_)
    given = inputs("train", chosen, manifests, services)
    if plan:
        from midefics.commands.plan import tell_plan

        dataset = next((one for one in given if one.kind == "dataset"), None)
        tell_plan(chosen, dataset, services, gpu or [], usd_per_hour or [], as_json)
        return
    options = {"fresh": "yes" if fresh else None, "outlive_s": str(outlive) if outlive else None}
    tell(run_stage("train", chosen, given, services, **options), as_json, time.monotonic() - started)


for _name in ("evaluate", "register"):
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
    started = time.monotonic()
    services, chosen = Services(load_settings(), Progress(progress_file)), chosen_config(config, sets=set_)
    given = inputs("promote", chosen, manifests, services)
    tell(run_stage("promote", chosen, given, services, approved_by=approved_by), as_json, time.monotonic() - started)


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
    services, chosen = Services(load_settings()), chosen_config(config, source, only, set_)
    made: list[Manifest] = []
    for name, stage in STAGES.items():
        if name == "promote" and not _may_promote(chosen, made[-1]):
            break
        started = time.monotonic()
        made.append(
            run_stage(name, chosen, [manifest for manifest in made if manifest.kind in stage.consumes], services)
        )
        tell(made[-1], as_json, time.monotonic() - started)


def _may_promote(config: RunConfig, registration: Manifest) -> bool:
    log = logging.getLogger(__name__)
    if not registration.facts["proposable"]:
        log.info("not promoted: a promotion rule does not hold\n%s", registration.facts["rules"])
    elif config.promote.approval == "human":
        log.info("not promoted: a person decides. `midefics promote --config %s --approved-by NAME`", config.name)
    return bool(registration.facts["proposable"]) and config.promote.approval == "auto"
