"""Columns of each source's rows in, a portion at a time; a verdict on every row out, and Data Docs that show why.

Great Expectations does both from the same suite. Its suites and results are kept in `<home>/great_expectations`, the
site in `<home>/data_docs`: of every suite the newest runs stay, older ones leave with their pages.
"""

import fcntl
import html
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from midefics.errors import StorageError
from midefics.records import Scalar
from midefics.services.outcomes import Outcome

log = logging.getLogger(__name__)

KEPT_RUNS = 20
"""Of every suite in the Data Docs."""
ROWS_AT_ONCE = 50_000
"""Judged together: bounds the memory, and costs Great Expectations about a second."""
INDEX = "data_docs/index.html"
"""Relative to MIDEFICS_HOME."""
_VIEW = {"module_name": "midefics.services.data_docs_view"}
_FORMAT = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["id"],
    "return_unexpected_index_query": False,
}

Columns = Mapping[str, Scalar]
Suites = Callable[[str], Sequence["Check"]]
"""The checks of a suite, by its name."""


class Check(NamedTuple):
    """One line of a suite: an expectation on one column, and what it means for a row to fail it."""

    column: str
    expectation: str
    """The class's name in `great_expectations.expectations`, without its `ExpectColumnValuesTo`: `BeInSet`."""
    arguments: dict[str, Any]
    reason: str
    """The short stable code that failing rows are counted under."""
    note: str
    """What is asked for and why, for the Data Docs: a sentence or two, without markup."""
    action: Literal["warn", "quarantine", "fail"] = "quarantine"
    """A row that fails is let through and counted (`warn`), or is not let through."""
    max_share: float | None = None
    """When more of a source's rows fail, the run stops."""


class Verdict(NamedTuple):
    """What a suite says of a source."""

    rows: int
    checks: tuple[Check, ...]
    """Those that apply."""
    failed: dict[str, list[str]]
    """Row id to the reasons of the checks that it fails, in the suite's order; those that only warn aside."""
    warned: dict[str, int]
    """Reason to the number of rows, of the checks that only warn and that a row fails."""
    first: dict[str, str]
    """The id of the first row that is warned of, by reason."""
    met: int
    """How many of the checks all rows meet."""


class Expectations:
    """The Great Expectations project under MIDEFICS_HOME."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.index = home / INDEX

    @contextmanager
    def judging(self, suites: Suites, late: Sequence[str] = ()) -> Iterator["Judgement"]:
        """Opens a judgement; rows are given to it in the block.

        A check applies where a row of its suite has its column; an empty cell passes all but `NotBeNull`.

        Args:
            suites: the checks of each suite.
            late: columns that come for all rows once more, without the others.

        Raises:
            DataError: a check can't be made on such values.
            StorageError: the project's files can't be written.
        """
        try:
            with _quiet():
                with self._alone():
                    context = self._context()
                yield Judgement(context, suites, late)
        except OSError as error:
            raise StorageError(f"{error.filename or self._home}: {error.strerror or error}; is it writable?") from error

    def publish(self, judgement: "Judgement", run_name: str) -> dict[str, Verdict]:
        """Adds the run to the Data Docs, called so, and says what became of every row. To be called in the block."""
        outcomes = judgement.outcomes()
        with self._alone():
            pages = [
                page
                for name, outcome in outcomes.items()
                for page in _stored(judgement.context, name, outcome, run_name)
            ]
            self._forget_old_runs()
            judgement.context.build_data_docs(resource_identifiers=pages)
        return {name: _verdict(outcome) for name, outcome in outcomes.items()}

    def _context(self) -> Any:
        import great_expectations as gx
        from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig

        def on_disk(folder: Path) -> dict[str, str]:
            return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}

        project = self._home / "great_expectations"
        in_memory = {"class_name": "InMemoryStoreBackend"}
        site = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": on_disk(self.index.parent),
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": {**_VIEW, "class_name": "Index"}},
            "site_section_builders": {
                "expectations": {"view": {**_VIEW, "class_name": "Page"}},
                "validations": {"view": {**_VIEW, "class_name": "Page"}},
                "profiling": "None",  # the word; a real None crashes the site builder
            },
        }
        config = DataContextConfig(
            expectations_store_name="suites",
            validation_results_store_name="results",
            checkpoint_store_name="checkpoints",
            stores={
                "suites": {"class_name": "ExpectationsStore", "store_backend": on_disk(project / "suites")},
                "results": {"class_name": "ValidationResultsStore", "store_backend": on_disk(project / "results")},
                "checkpoints": {"class_name": "CheckpointStore", "store_backend": in_memory},
                "validation_definition_store": {"class_name": "ValidationDefinitionStore", "store_backend": in_memory},
            },
            data_docs_sites={"midefics": site},
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        )
        return gx.get_context(project_config=config, mode="ephemeral")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Mapped tasks may validate several sources at once; they share the suites' files and the site's index.
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / ".data_docs.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _forget_old_runs(self) -> None:
        for suite in (self._home / "great_expectations" / "results").glob("*/"):
            runs = sorted(suite.glob("*/*/"), key=lambda run: run.name)  # <run name>/<time>
            for run in runs[:-KEPT_RUNS]:
                shutil.rmtree(run)


class Judgement:
    """Takes rows in and judges `ROWS_AT_ONCE` of a suite together."""

    def __init__(self, context: Any, suites: Suites, late: Sequence[str]) -> None:
        self.context = context
        self._suites, self._late = suites, frozenset(late)
        self._waiting: dict[tuple[str, bool], list[Columns]] = {}
        self._outcomes: dict[str, Outcome] = {}

    def add(self, suite: str, columns: Columns) -> None:
        """Takes one row in: its `id` and all its columns but the late ones, an empty cell for a column it lacks."""
        self._take(suite, columns, late=False)

    def add_late(self, suite: str, columns: Columns) -> None:
        """Takes in the `id` and the late columns of a row."""
        self._take(suite, columns, late=True)

    def outcomes(self) -> dict[str, Outcome]:
        """What came of all the rows, by suite."""
        for suite, late in list(self._waiting):
            self._judge(suite, late)
        return self._outcomes

    def _take(self, suite: str, columns: Columns, late: bool) -> None:
        waiting = self._waiting.setdefault((suite, late), [])
        waiting.append(columns)
        if len(waiting) == ROWS_AT_ONCE:
            self._judge(suite, late)

    def _judge(self, suite: str, late: bool) -> None:
        rows = self._waiting.pop((suite, late))
        outcome = self._outcomes.setdefault(suite, Outcome(self._suites(suite)))
        checks = [check for check in outcome.checks if (check.column in self._late) == late]
        outcome.add(checks, _results(self.context, suite, rows, checks), rows)


def _results(context: Any, name: str, rows: Sequence[Columns], checks: Sequence[Check]) -> Any:
    import great_expectations as gx

    suite = gx.ExpectationSuite(name=name, expectations=[_expectation(check) for check in checks])
    asset = context.data_sources.add_or_update_pandas("archives").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": _frame(rows, checks)})
    return batch.validate(suite, result_format=_FORMAT)


def _frame(rows: Sequence[Columns], checks: Sequence[Check]) -> Any:
    """Only the columns that are checked, so that nothing else reaches a page; text can't be markup there."""
    import pandas as pd  # type: ignore[import-untyped] # no stubs installed

    def cell(value: Scalar) -> Scalar:
        return html.escape(value, quote=False) if isinstance(value, str) else value

    columns = sorted({"id"} | {check.column for check in checks})
    return pd.DataFrame({name: [cell(row.get(name)) for row in rows] for name in columns})


def _expectation(check: Check) -> Any:
    import great_expectations as gx

    kind = getattr(gx.expectations, f"ExpectColumnValuesTo{check.expectation}")
    rule = ", ".join(f"{name} {value}" for name, value in check.arguments.items())
    return kind(
        column=check.column,
        description=f"{check.note} {_consequence(check)}",
        notes=f"{check.expectation} {rule}",
        severity="warning" if check.action == "warn" else "critical",
        meta={"reason": check.reason},
        **check.arguments,
    )


def _consequence(check: Check) -> str:
    done = "let through with the warning" if check.action == "warn" else "put in quarantine as"
    limit = "" if check.max_share is None else f"; the run stops when more than {check.max_share:.4g} of the rows do"
    return f"A row that fails is {done} “{check.reason}”{limit}."


def _stored(context: Any, name: str, outcome: Outcome, run_name: str) -> tuple[Any, Any]:
    """Puts suite and results into their stores, and names the pages to be made of them."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    applied = [_expectation(check) for check in outcome.applied()]
    context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=applied))
    run = RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
    suite = ExpectationSuiteIdentifier(name)
    page = ValidationResultIdentifier(suite, run_id=run, batch_identifier=f"archives-{name}")
    context.validation_results_store.set(page, outcome.results(name, run))
    return page, suite


def _verdict(outcome: Outcome) -> Verdict:
    failed: dict[str, list[str]] = {}
    for check, tally in outcome.tallies():
        for row in tally.ids:
            failed.setdefault(row, []).append(check.reason)
    warned = {check.reason: tally for check, tally in outcome.tallies() if check.action == "warn" and tally.first}
    return Verdict(
        rows=outcome.rows,
        checks=tuple(outcome.applied()),
        failed=failed,
        warned={reason: tally.unexpected for reason, tally in warned.items()},
        first={reason: str(tally.first) for reason, tally in warned.items()},
        met=sum(not tally.unexpected for _, tally in outcome.tallies()),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    # Great Expectations logs every store it opens; warnings and errors stay.
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
