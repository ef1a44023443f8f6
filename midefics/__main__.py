"""The command line: every stage, the whole way, questions to the champion, the demo, the benchmarks."""

import os
import sys
from typing import NoReturn

import typer

from midefics.commands import data, export, fetch, platform, prompts, quarantine, review, stages
from midefics.commands.options import Debugging
from midefics.errors import MideficsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Open medical image archives in, an evaluated and registered visual question answering model out.\n\n"
    "Try `midefics run --config demo` for the whole way without Airflow, then "
    '`midefics ask IMAGE "Is the lesion benign or malignant?"`. Everything is kept under MIDEFICS_HOME (default `var/`).',
)
for _family in (stages, fetch, export, platform):
    app.add_typer(_family.app)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(
    data.app, name="data", help="What is stored: list it, look into it, trace it back, free what nothing needs."
)
app.add_typer(review.app, name="review")
app.add_typer(prompts.app, name="prompts")


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
        if Debugging.on:
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
