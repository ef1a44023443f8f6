"""Derived columns of each source in, a verdict on every row out, and Data Docs that show how it was reached.

Great Expectations does both from the same suite. Its suites and results are kept in `<home>/great_expectations`, the
site in `<home>/data_docs`: of every suite the newest runs stay, older ones leave with their pages.
"""

import fcntl
import html
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from midefics.errors import DataError, StorageError
from midefics.records import Scalar

log = logging.getLogger(__name__)

KEPT_RUNS = 20
"""Of every suite in the Data Docs."""
INDEX = "data_docs/index.html"
"""Relative to MIDEFICS_HOME."""
_VIEW = {"module_name": "midefics.services.data_docs_view"}


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
    severity: Literal["critical", "warning"] = "critical"
    """A row that fails a `critical` check is put in quarantine; a `warning` is only shown."""


class Verdict(NamedTuple):
    """What a suite says of a source."""

    failed: dict[str, str]
    """Row id to the reason of the first check in the suite that it fails."""
    warned: dict[str, int]
    """Reason to the number of rows, of the checks that only warn."""
    expectations: int
    met: int


class _Run(NamedTuple):
    results: Any
    pages: tuple[Any, Any]
    """Identifiers of what the Data Docs show anew."""


class Expectations:
    """The Great Expectations project under MIDEFICS_HOME."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.index = home / INDEX

    def verdicts(
        self,
        tables: Mapping[str, Sequence[Mapping[str, Scalar]]],
        suites: Mapping[str, Sequence[Check]],
        run_name: str,
    ) -> dict[str, Verdict]:
        """Checks every table against the suite of its name, and adds the run to the Data Docs.

        A check applies where a row of the table has its column; an empty cell passes all but `NotBeNull`.

        Args:
            tables: rows by suite name; each row has an `id`.
            suites: checks by suite name.
            run_name: what the run is called in the Data Docs.

        Raises:
            DataError: a check can't be made on such values.
            StorageError: the project's files can't be written.
        """
        try:
            with self._alone(), _quiet():
                context = self._context()
                runs = {name: _run(context, name, rows, suites[name], run_name) for name, rows in tables.items()}
                self._forget_old_runs()
                context.build_data_docs(resource_identifiers=[page for run in runs.values() for page in run.pages])
        except OSError as error:
            raise StorageError(f"{error.filename or self._home}: {error.strerror or error}; is it writable?") from error
        return {name: _verdict(name, run.results) for name, run in runs.items()}

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


def _run(context: Any, name: str, rows: Sequence[Mapping[str, Scalar]], checks: Sequence[Check], run_name: str) -> _Run:
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    frame = _frame(rows, checks)
    expectations = [_expectation(check) for check in checks if check.column in frame.columns]
    suite = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=expectations))
    asset = context.data_sources.add_or_update_pandas("archives").add_dataframe_asset(name)
    definition = gx.ValidationDefinition(name=name, data=asset.add_batch_definition_whole_dataframe("all"), suite=suite)
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[context.validation_definitions.add(definition)],
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["id"],
            "return_unexpected_index_query": False,
        },
    )
    outcome = context.checkpoints.add(checkpoint).run(
        batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=run_name)
    )
    identifier, results = next(iter(outcome.run_results.items()))
    return _Run(results, (identifier, identifier.expectation_suite_identifier))


def _frame(rows: Sequence[Mapping[str, Scalar]], checks: Sequence[Check]) -> Any:
    """Only the columns that are checked, so that nothing else reaches a page; text can't be markup there."""
    import pandas as pd  # type: ignore[import-untyped] # no stubs installed

    columns = {"id"} | ({check.column for check in checks} & {name for row in rows for name in row})

    def cell(value: Scalar) -> Scalar:
        return html.escape(value, quote=False) if isinstance(value, str) else value

    return pd.DataFrame([{name: cell(row.get(name)) for name in sorted(columns)} for row in rows])


def _expectation(check: Check) -> Any:
    import great_expectations as gx

    kind = getattr(gx.expectations, f"ExpectColumnValuesTo{check.expectation}")
    consequence = "put in quarantine as" if check.severity == "critical" else "let through with the warning"
    rule = ", ".join(f"{name} {value}" for name, value in check.arguments.items())
    return kind(
        column=check.column,
        description=f"{check.note} A row that fails is {consequence} “{check.reason}”.",
        notes=f"{check.expectation} {rule}",
        severity=check.severity,
        meta={"reason": check.reason},
        **check.arguments,
    )


def _verdict(name: str, results: Any) -> Verdict:
    failed: dict[str, str] = {}
    warned: dict[str, int] = {}
    met = 0
    for result in results.results:
        configuration = result.expectation_config
        if (result.exception_info or {}).get("raised_exception"):
            raise DataError(
                f"{name}: {configuration.kwargs['column']} can't be checked: "
                f"{result.exception_info['exception_message']}; look at its values in the archive"
            )
        met += result.success
        ids = [entry["id"] for entry in result.result.get("unexpected_index_list") or ()]
        reason = configuration.meta["reason"]
        if configuration.severity == "critical":
            for identifier in ids:
                failed.setdefault(identifier, reason)
        elif ids:
            warned[reason] = warned.get(reason, 0) + len(ids)
    return Verdict(failed, warned, len(results.results), met)


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
