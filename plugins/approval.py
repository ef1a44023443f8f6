"""A registered version's manifests in, a person's decision out: the numbers on the page where it is approved."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowSkipException
from stage_links import run_page

if TYPE_CHECKING:
    from airflow.sdk import Context


class PromotionApproval(ApprovalOperator):
    """Asks a person whether a version may be let out; skipped where the configuration leaves that to the rules.

    Args:
        manifests: of train, evaluate and register, in this order.
        approval: a template; `auto` skips the question.
    """

    template_fields: Sequence[str] = ("subject", "body", "manifests", "approval")

    def __init__(self, *, manifests: Any, approval: str, **kwargs: Any) -> None:
        super().__init__(subject="", **kwargs)
        self.manifests = manifests
        self.approval = approval

    def execute(self, context: "Context") -> Any:
        """Puts the question and waits.

        Raises:
            AirflowSkipException: nobody is to be asked.
        """
        if self.approval == "auto":
            raise AirflowSkipException("approval: auto; the rules decide alone")
        from midefics.config import load_settings

        adapter, evaluation, registration = (manifest["facts"] for manifest in self.manifests)
        self.subject = f"Let version {registration['version']} of {registration['model_name']} out as @champion?"
        self.body = approval_body(adapter, evaluation, registration, load_settings().mlflow_address)
        return super().execute(context)


def approval_body(
    adapter: Mapping[str, Any], evaluation: Mapping[str, Any], registration: Mapping[str, Any], tracking_uri: str | None
) -> str:
    """What is known of a version, as Markdown."""
    name, version = registration["model_name"], registration["version"]
    verdict = (
        "The rules let it through." if registration["proposable"] else "**The rules advise against it**: see below."
    )
    rows = {
        "before (base model)": _share(evaluation, "before"),
        "after (fine-tuned)": _share(evaluation, "after"),
        "difference, 95 % interval": f"{evaluation['difference']:+.3f} ({_interval(evaluation)})",
        "after, each image swapped for another": _share(evaluation, "swapped"),
        "right image minus swapped, lower end of the interval": f"{evaluation['visual_gain_low']:+.3f}",
    }
    table = "\n".join(f"| {label} | {value} |" for label, value in rows.items())
    page = run_page(tracking_uri, registration.get("run_id"))
    root = str(tracking_uri).rstrip("/")
    links = (
        f"[MLflow run]({page}) · [version {version}]({root}/#/models/{name}/versions/{version})"
        if page
        else "no MLflow server"
    )
    return f"""Version **{version}** of `{name}`. {verdict}

Exact match on {evaluation["questions"]:.0f} held-out questions:

| | |
| --- | ---: |
{table}

Training loss {adapter["loss_first"]:.3f} → {adapter["loss_last"]:.3f}.

{registration["rules"]}

{links}
"""


def decision(answer: Mapping[str, Any] | None) -> str:
    """Arguments for `midefics promote`: who approved, or, where nobody was asked, that the rules decide."""
    if not answer:
        return "--set promote.approval=auto"
    return shlex.join(["--approved-by", signed_by(answer)])


def signed_by(answer: Mapping[str, Any]) -> str:
    """Who answered: by the name that the form was signed with, else the account's."""
    account = (answer.get("responded_by_user") or {}).get("name")
    return str(answer["params_input"].get("signature") or account or "unnamed")


def _share(facts: Mapping[str, Any], key: str) -> str:
    return f"{facts[key]:.3f}"


def _interval(facts: Mapping[str, Any]) -> str:
    return f"{facts['difference_low']:+.3f} to {facts['difference_high']:+.3f}"
