"""What labelling may cost, and who is asked: the real operator, with the answers that Airflow would bring it."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = "name: tried\nbase_model: tiny-idefics\nsources: {isic: {path: a}, roco: {path: b}}\nlabel: "


@pytest.fixture(scope="module")
def spending(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    sys.path.insert(0, str(REPOSITORY / "plugins"))
    import spending

    return spending


def estimate(
    requests: int, dollars: float | None, hours: float | None = None, left: float | None = None
) -> dict[str, Any]:
    found = {"writer": "gpt-3.5-turbo", "rows": 100, "in_ledger": 100 - requests, "to_ask": requests}
    found |= {"prompt_tokens_estimated": 1000 * requests, "answer_tokens_at_most": 700 * requests, "tokens_by": "hand"}
    found |= {"dollars_at_most": dollars, "dollars_at_most_in_batches": None if dollars is None else dollars / 2}
    budget = {"budget_name": "tried", "budget_dollars": left and 10.0, "budget_left_dollars": left}
    return found | {"prices_as_of": "2026-06", "hours_at_limits": hours, "within_budget": True} | budget


class Instance:
    """A task instance that remembers what was pushed; its id is only handed on."""

    id = "00000000-0000-0000-0000-000000000000"

    def __init__(self) -> None:
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


@pytest.fixture
def gate(spending: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a task over isic and roco, and what Airflow gives it; nothing of Airflow's own answers."""
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **_: None)

    def made(label: str, *estimates: dict[str, Any], dry_run: bool = False) -> tuple[Any, dict[str, Any]]:
        file = tmp_path / "tried.yaml"
        file.write_text(CONFIG + label)
        import forms

        arrived = [{"source": name, "inputs": {}} for name in ("isic", "roco")]
        task = spending.SpendingApproval(
            task_id="spending",
            config=str(file),
            arrived=arrived,
            estimates=list(estimates),
            dry_run=str(dry_run),
            params=forms.SPENDING,
        )
        instance = Instance()
        return task, {"ti": instance, "task_instance": instance}

    return made


def test_sources_are_added_up_and_each_stands_by_itself(gate: Any) -> None:
    task, context = gate("{}", estimate(60, 1.25, 0.5), estimate(40, 0.75, 0.25))
    found = task.execute(context)
    assert (found["dollars"], found["hours_at_limits"], found["to_ask"], found["in_ledger"]) == (2.0, 0.75, 100, 100)
    assert {name: one["dollars"] for name, one in found["sources"].items()} == {"isic": 1.25, "roco": 0.75}
    assert context["ti"].pushed == {
        "estimate": "at most $2.00, 100 requests, 170,000 tokens at most, 0.75 h at the configured limits; "
        "100 answers are in the ledger"
    }


@pytest.mark.parametrize(
    ("label", "dollars", "asked"),
    [
        ("{}", 100.0, False),
        ("{approve_above_usd: 2}", 1.0, False),
        ("{approve_above_usd: 1.99}", 1.0, True),
        ("{approve_above_usd: 1.99, mode: batch}", 1.0, False),
        ("{approve_above_usd: 0.99, mode: batch}", 1.0, True),
        ("{approve_above_usd: 1000}", None, True),
    ],
)
def test_a_person_is_asked_where_the_sum_passes_the_threshold(
    gate: Any, label: str, dollars: float | None, asked: bool
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    task, context = gate(label, estimate(50, dollars), estimate(50, dollars))
    if asked:
        with pytest.raises(TaskAwaitingInput):
            task.execute(context)
    else:
        assert task.execute(context)["to_ask"] == 100


def test_nobody_is_asked_in_a_dry_run_or_where_nothing_is_paid(gate: Any) -> None:
    task, context = gate("{approve_above_usd: 0}", estimate(50, 9.0), estimate(50, 9.0), dry_run=True)
    assert task.execute(context)["dollars"] == 18.0
    task, context = gate("{approve_above_usd: 0}", estimate(0, None), estimate(0, 0.0))
    assert task.execute(context)["to_ask"] == 0


def test_the_question_shows_the_figures_of_each_source(gate: Any) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    task, context = gate("{approve_above_usd: 1.25}", estimate(60, 1.25, 0.5, 1.0), estimate(40, 0.0123, None, 1.0))
    with pytest.raises(TaskAwaitingInput):
        task.execute(context)
    assert task.subject == "Spend at most $1.26 on labelling?"
    for line in (
        "| isic | 100 | 40 | 60 | 102,000 | $1.25 | 0.50 |",
        "| roco | 100 | 60 | 40 | 68,000 | $0.0123 | as the service allows |",
        "| **together** | 200 | 100 | 100 | 170,000 | $1.26 | as the service allows |",
        "Budget `tried`: $1.00 of $10.00 left. **It does not suffice**",
    ):
        assert line in task.body


def answer(option: str, **form: str | None) -> dict[str, Any]:
    form = {"signature": None, "reason": None} | form
    who = {"id": "1", "name": "admin"}
    return {
        "chosen_options": [option],
        "params_input": form,
        "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
        "responded_by_user": who,
    }


def test_an_approval_lets_labelling_go_on(gate: Any) -> None:
    task, context = gate("{approve_above_usd: 1}", estimate(60, 1.0), estimate(40, 1.0))
    found = task.execute_complete(context, answer("Approve", signature="Ann"))
    assert (found["dollars"], found["approved_by"]) == (2.0, "Ann")
    assert task.execute_complete(context, answer("Approve"))["approved_by"] == "admin"


def test_a_refusal_skips_what_follows_and_says_why(gate: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    task, context = gate("{approve_above_usd: 1}", estimate(60, 1.0), estimate(40, 1.0))
    with pytest.raises(AirflowSkipException, match="admin refused: too dear; nothing is asked"):
        task.execute_complete(context, answer("Reject", reason="too dear"))
