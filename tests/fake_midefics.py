"""Stands in for the Python that runs stages (MIDEFICS_PYTHON): `fake_midefics.py -m midefics STAGE …` tells and prints a manifest."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

KINDS = {
    "ingest": "images",
    "validate": "validated",
    "label": "conversations",
    "assemble": "dataset",
    "train": "adapter",
    "evaluate": "evaluation",
    "register": "registration",
    "promote": "promotion",
}
FACTS = {
    "train": {"run_id": "0", "loss_first": 3.2, "loss_last": 0.4},
    "evaluate": {
        "before": 0.3,
        "after": 0.8,
        "difference": 0.5,
        "difference_low": 0.4,
        "difference_high": 0.6,
        "questions": 240,
        "swapped": 0.4,
        "visual_gain_low": 0.3,
    },
    "register": {"model_name": "midefics", "version": "7", "run_id": "0", "proposable": True, "rules": ""},
    "promote": {"alias": "champion"},
}
ESTIMATE = {
    "writer": "offline",
    "rows": 1,
    "in_ledger": 0,
    "to_ask": 0,
    "prompt_tokens_estimated": 0,
    "answer_tokens_at_most": 0,
    "tokens_by": "4 characters a token",
    "dollars_at_most": 0.0,
    "dollars_at_most_in_batches": 0.0,
    "prices_as_of": "2026-06",
    "hours_at_limits": None,
    "budget_name": "demo",
    "budget_dollars": None,
    "budget_left_dollars": None,
    "within_budget": True,
}


def main(stage: str, *arguments: str) -> None:
    progress = Path(arguments[arguments.index("--progress-file") + 1])
    progress.parent.mkdir(parents=True, exist_ok=True)
    for done in range(4):
        progress.write_text(json.dumps({"name": stage, "done": done, "total": 3, "note": ""}))
        sys.stderr.write(f"{stage}: {done} of 3\n")
        time.sleep(0.2)
    if "--dry-run" in arguments:
        sys.stdout.write(json.dumps(ESTIMATE) + "\n")
        return
    digest = hashlib.sha256(stage.encode()).hexdigest()
    kind = KINDS[stage]
    facts = FACTS.get(stage, {})
    if stage == "ingest":
        facts = {"sources": arguments[arguments.index("--only") + 1]}
    manifest = {"kind": kind, "uri": f"{kind}/{digest[:16]}", "rows": 1, "bytes": 1, "digest": digest, "facts": facts}
    data = Path(os.environ["MIDEFICS_HOME"], "data")
    for file in (data / manifest["uri"] / "manifest.json", data / "latest" / "demo" / f"{kind}.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(manifest))
    sys.stdout.write(json.dumps(manifest) + "\n")


if __name__ == "__main__":
    main(*sys.argv[3:])
