"""Great Expectations' results on portions of a suite's rows in, one result on all of them out.

Counts add up; of the values and ids of failing rows the first are kept for the Data Docs, and the ids alone of rows that
are not let through.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from midefics.errors import DataError
from midefics.records import Scalar

if TYPE_CHECKING:
    from midefics.services.expectations import Check

SHOWN_ROWS = 200
"""Failing rows on a page of the Data Docs, for each check; Great Expectations itself keeps as many values."""
SHOWN_VALUES = 20
_COUNTS = ("element_count", "missing_count", "unexpected_count")


class Tally:
    """What came of one check."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        """Of failing rows, unless the check only warns."""
        self.first: str | None = None
        self._counts: Counter[str] = Counter()
        self._values: list[Scalar] = []
        self._rows: list[dict[str, Scalar]] = []
        self._often: Counter[Scalar] = Counter()

    @property
    def unexpected(self) -> int:
        """Rows that fail."""
        return self._counts["unexpected_count"]

    @property
    def elements(self) -> int:
        """Rows that came."""
        return self._counts["element_count"]

    def add(self, result: Mapping[str, Any], keep_ids: bool) -> None:
        """Takes in the result on a portion."""
        for name in _COUNTS:
            self._counts[name] += result.get(name) or 0
        rows = result.get("unexpected_index_list") or []
        self._rows += rows[: SHOWN_ROWS - len(self._rows)]
        self._values += (result.get("unexpected_list") or [])[: SHOWN_ROWS - len(self._values)]
        for entry in result.get("partial_unexpected_counts") or []:
            if "value" in entry:  # values of several types can't be put in order, which is said in their place
                self._often[entry["value"]] += entry["count"]
        self.first = self.first or (rows[0]["id"] if rows else None)
        if keep_ids:
            self.ids += [row["id"] for row in rows]

    def result(self) -> dict[str, Any]:
        """In the form that Great Expectations' pages are made of."""
        present = self.elements - self._counts["missing_count"]
        return {
            **{name: self._counts[name] for name in _COUNTS},
            "missing_percent": _percent(self._counts["missing_count"], self.elements),
            "unexpected_percent": _percent(self.unexpected, present),
            "unexpected_percent_total": _percent(self.unexpected, self.elements),
            "unexpected_percent_nonmissing": _percent(self.unexpected, present),
            "partial_unexpected_list": self._values[:SHOWN_VALUES],
            "partial_unexpected_index_list": self._rows[:SHOWN_VALUES],
            "partial_unexpected_counts": [
                {"value": value, "count": count} for value, count in self._often.most_common(SHOWN_VALUES)
            ],
            "unexpected_list": self._values,
            "unexpected_index_list": self._rows,
        }


class Outcome:
    """What came of a suite."""

    def __init__(self, checks: Sequence["Check"]) -> None:
        self.checks = checks
        self._tallies = [Tally() for _ in checks]
        self._configurations: dict[int, Any] = {}
        self._seen: set[str] = set()
        self._meta: dict[str, Any] = {}

    @property
    def rows(self) -> int:
        """How many rows were judged."""
        return max((tally.elements for tally in self._tallies), default=0)

    def add(self, checks: Sequence["Check"], results: Any, rows: Iterable[Mapping[str, Scalar]]) -> None:
        """Takes in the results of some of the checks on a portion of the rows.

        Raises:
            DataError: a check can't be made on such values.
        """
        self._seen.update(*rows)
        self._meta = results.meta
        # Great Expectations gives the results in an order of its own: by column.
        found = {_key(result.expectation_config): result for result in results.results}
        for place, check in enumerate(self.checks):
            if check not in checks:
                continue
            result = found[check.column, check.reason]
            _refuse_exception(results.suite_name, check, result.exception_info or {})
            self._configurations[place] = result.expectation_config
            self._tallies[place].add(result.result, check.action != "warn")

    def applied(self) -> list["Check"]:
        """The checks whose column a row had."""
        return [check for check, _ in self.tallies()]

    def tallies(self) -> Iterator[tuple["Check", Tally]]:
        """The checks that apply with what came of them."""
        for check, tally in zip(self.checks, self._tallies, strict=True):
            if check.column in self._seen:
                yield check, tally

    def results(self, name: str, run: Any) -> Any:
        """The suite's result, as Great Expectations keeps it."""
        from great_expectations.core import ExpectationSuiteValidationResult

        made = [
            _as_result(self._configurations[place], self._tallies[place])
            for place, check in enumerate(self.checks)
            if check.column in self._seen
        ]
        met = sum(result.success for result in made)
        failing = {row for check, tally in self.tallies() if check.action != "warn" for row in tally.ids}
        told = f"{self.rows - len(failing):,} of {self.rows:,} rows"
        return ExpectationSuiteValidationResult(
            success=met == len(made),
            results=made,
            suite_name=name,
            statistics={
                "evaluated_expectations": len(made),
                "successful_expectations": met,
                "unsuccessful_expectations": len(made) - met,
                "success_percent": _percent(met, len(made)),
            },
            # The index shows this as the asset's name; it has no other cell for a text of ours.
            meta={
                **self._meta,
                "run_id": run,
                "validation_time": run.run_time,
                "batch_kwargs": {"data_asset_name": told},
            },
        )


def _key(configuration: Any) -> tuple[str, str]:
    return configuration.kwargs["column"], configuration.meta["reason"]


def _as_result(configuration: Any, tally: Tally) -> Any:
    from great_expectations.core import ExpectationValidationResult

    return ExpectationValidationResult(
        success=not tally.unexpected,
        expectation_config=configuration,
        result=tally.result(),
        exception_info={"raised_exception": False, "exception_traceback": None, "exception_message": None},
    )


def _refuse_exception(suite: str, check: "Check", info: Mapping[str, Any]) -> None:
    problems = [info, *(one for one in info.values() if isinstance(one, Mapping))]
    message = next((one["exception_message"] for one in problems if one.get("raised_exception")), None)
    if message is not None:
        raise DataError(f"{suite}: {check.column} can't be checked: {message}; look at its values in the archive")


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
