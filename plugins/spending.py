"""Estimates of what labelling costs in, a person's decision out where the sum passes `label.approve_above_usd`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from approval import signed_by

if TYPE_CHECKING:
    from airflow.sdk import Context

Estimate = Mapping[str, Any]
"""As `midefics label --dry-run` prints it, or the sum of several."""
APPROVE, REFUSE = "Approve", "Reject"
DOLLARS = {"online": "dollars_at_most", "batch": "dollars_at_most_in_batches"}
"""The key of an estimate that holds for a `label.mode`."""
SUMMED = ("rows", "in_ledger", "to_ask", "prompt_tokens_estimated", "answer_tokens_at_most", *DOLLARS.values())


class SpendingApproval(HITLOperator):
    """Adds the estimates up, which is its result, and asks a person whether so much may be spent.

    Nobody is asked in a dry run, within `label.approve_above_usd`, or where nothing is to be paid. A refusal skips this task and
    what follows: the run ends well, and nothing was spent.

    Args:
        config: the configuration's name.
        arrived: the sources, as `arrived_sources` returns them.
        estimates: of each, in the same order.
        dry_run: a template; `True` asks nobody.
    """

    template_fields: Sequence[str] = ("subject", "body", "config", "arrived", "estimates", "dry_run")

    def __init__(self, *, config: str, arrived: Any, estimates: Any, dry_run: str, **kwargs: Any) -> None:
        super().__init__(subject="", options=[APPROVE, REFUSE], **kwargs)
        self.config = config
        self.arrived = arrived
        self.estimates = estimates
        self.dry_run = dry_run

    def execute(self, context: "Context") -> Any:
        """Returns the sum, or puts the question and waits.

        Raises:
            AirflowFailException: the configuration does not hold.
        """
        mode, limit = self._mode_and_limit()
        found = self._sum(mode)
        for name, estimate in found["sources"].items():
            self.log.info("%s: %s", name, told(estimate))
        self.log.info("together: %s", told(found))
        context["ti"].xcom_push("estimate", told(found))  # legible in the UI's list, where a mapping is folded up
        if self.dry_run == "True" or limit is None or not found["to_ask"] or not passes(found["dollars"], limit):
            return found
        self.subject = f"Spend {dollars(found['dollars'])} on labelling?"
        self.body = spending_body(found, limit)
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """Takes the answer.

        Raises:
            AirflowSkipException: the person refused.
        """
        answer = super().execute_complete(context, event)
        who = signed_by(answer)
        if answer["chosen_options"] != [APPROVE]:
            why = answer["params_input"].get("reason") or "no reason given"
            raise AirflowSkipException(f"{who} refused: {why}; nothing is asked, and nothing was spent")
        self.log.info("%s approved", who)
        return self._sum(self._mode_and_limit()[0]) | {"approved_by": who}

    def _mode_and_limit(self) -> tuple[str, float | None]:
        from midefics.config import load_config
        from midefics.errors import MideficsError

        try:
            label = load_config(self.config).label
        except MideficsError as error:
            raise AirflowFailException(str(error)) from error
        return label.mode, label.approve_above_usd

    def _sum(self, mode: str) -> dict[str, Any]:
        names = [one["source"] for one in self.arrived]
        return total(dict(zip(names, self.estimates, strict=True)), mode)


def total(estimates: Mapping[str, Estimate], mode: str) -> dict[str, Any]:
    """The sum over all sources, with each source's own; unknown where one is unknown.

    The hours are those of one source after the other: together they share the service's limits.
    """
    every = [estimate | {"dollars": estimate[DOLLARS[mode]]} for estimate in estimates.values()]
    sums = {key: _sum_of(every, key) for key in ("dollars", "hours_at_limits", *SUMMED)}
    shared = ("writer", "tokens_by", "prices_as_of", "budget_name", "budget_dollars", "budget_left_dollars")
    first = {key: every[0][key] for key in shared}
    left = first["budget_left_dollars"]
    within = left is None or (sums["dollars"] is not None and sums["dollars"] <= left)
    return {"mode": mode, **sums, **first, "within_budget": within, "sources": dict(zip(estimates, every, strict=True))}


def passes(amount: float | None, limit: float) -> bool:
    """Whether so many dollars need a person's word; an unknown price always does."""
    return amount is None or amount > limit


def told(found: Estimate) -> str:
    """An estimate in a sentence."""
    tokens = found["prompt_tokens_estimated"] + found["answer_tokens_at_most"]
    parts = [dollars(found["dollars"]), f"{found['to_ask']:,} requests", f"{tokens:,} tokens at most", hours(found)]
    return f"{', '.join(parts)}; {found['in_ledger']:,} answers are in the ledger"


def spending_body(found: Estimate, limit: float) -> str:
    """The figures of each source and their sum, as Markdown."""
    rows = [_row(name, estimate) for name, estimate in found["sources"].items()]
    rows += [_row("**together**", found)] if len(rows) > 1 else []
    table = "\n".join(rows)
    budget = (
        f"Budget `{found['budget_name']}`: {dollars(found['budget_left_dollars'], '')} of "
        f"{dollars(found['budget_dollars'], '')} left. "
        + ("" if found["within_budget"] else "**It does not suffice**: labelling will stop where it is used up.")
        if found["budget_dollars"] is not None
        else "No budget limits it (`label.budget_usd`)."
    )
    return f"""`{found["writer"]}` is to write conversations, {"in batches" if found["mode"] == "batch" else "online"}. That may cost
more than **{dollars(limit, "")}** (`label.approve_above_usd`), so somebody decides first. What is in the ledger is not paid again.

| | rows | in ledger | to ask | tokens at most | dollars | hours |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

Tokens by {found["tokens_by"]}, each answer as long as it may be; prices of {found["prices_as_of"]}. {budget}

A refusal skips the rest of the run; what other runs have paid stays in the ledger.
"""


def dollars(amount: float | None, bound: str = "at most ") -> str:
    """Dollars in words; to the hundredth of a cent where they are few."""
    return "an unknown price" if amount is None else f"{bound}${amount:,.{2 if amount >= 1 or not amount else 4}f}"


def hours(found: Estimate) -> str:
    """Hours in words; unknown where no limit of one's own is configured."""
    known = found["hours_at_limits"]
    return "hours as the service allows" if known is None else f"{known:,.2f} h at the configured limits"


def _row(name: str, found: Estimate) -> str:
    tokens = found["prompt_tokens_estimated"] + found["answer_tokens_at_most"]
    known = found["hours_at_limits"]
    cells = [name, *(f"{found[key]:,}" for key in ("rows", "in_ledger", "to_ask")), f"{tokens:,}"]
    cells += [dollars(found["dollars"], ""), "as the service allows" if known is None else f"{known:,.2f}"]
    return f"| {' | '.join(cells)} |"


def _sum_of(estimates: Iterable[Estimate], key: str) -> Any:
    values = [estimate[key] for estimate in estimates]
    return None if None in values else round(sum(values), 6)
