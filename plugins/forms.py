"""The trigger forms of the DAGs: every field described and checked, here and by the REST API alike."""

from airflow.sdk import Param

CONFIG = Param(
    None,
    type=["null", "string"],
    title="Configuration",
    description="A shipped one's name, or a YAML file's path; the deployment's own (MIDEFICS_CONFIG) where empty.",
)

INGEST = {
    "config": CONFIG,
    "sources": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": "^[a-z0-9_-]+$"},
        title="Sources",
        description="Names of archives, one a line; all those of the configuration where empty.",
    ),
    "limit": Param(
        None, type=["null", "integer"], minimum=1, title="Limit", description="Images per source; all where empty."
    ),
}

DATA = {
    "config": CONFIG,
    "minimum": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Minimum of sources",
        description="Make a data set as soon as so many sources have arrived; all of the configuration where empty.",
    ),
    "images": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": "^images/[0-9a-f]{16}$"},
        title="Snapshot",
        description="Manifests' uris, images/ and 16 digits, one a line: a data set of a past state; the newest where empty.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Estimate what labelling would cost, and stop there: the result of the task spending.",
    ),
}

MODEL = {
    "config": CONFIG,
    "dataset": Param(
        None,
        type=["null", "string"],
        pattern="^dataset/[0-9a-f]{16}$",
        title="Data set",
        description="A manifest's uri, dataset/ and 16 digits; the newest of the configuration where empty.",
    ),
    "approval": Param(
        "human",
        type="string",
        enum=["human", "auto"],
        title="Approval",
        description="human: somebody approves in Airflow; auto: the promotion rules decide alone.",
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Train and evaluate, and register nothing."),
}

APPROVAL = {
    "signature": Param(
        None,
        type=["null", "string"],
        title="Signature",
        description="Your name for the ledger; your Airflow account where empty.",
    )
}
SPENDING = APPROVAL | {
    "reason": Param(
        None, type=["null", "string"], title="Reason", description="Why not, where you refuse; for the log."
    )
}
