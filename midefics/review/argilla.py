"""Conversations in, Argilla's records out; its records as `dataset.records.to_json` writes them in, decisions out.

https://docs.argilla.io/latest/reference/argilla/records/records
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from midefics.review.edits import as_text
from midefics.review.outside import Found, Sheet
from midefics.services.reviews import Review

QUESTIONS = ("decision", "edited", "reason")
"""Of the data set: a label question (accept, edit, reject) and two text questions, the latter not required."""
SUBMITTED = (None, "submitted")
"""Statuses of a response that count; drafts and discarded ones don't."""


def record(sheet: Sheet) -> dict[str, Any]:
    """A record; people's decisions are its responses."""
    row = sheet.row
    return {
        "id": f"{row.id} {sheet.turns_sha256[:16]}",
        "fields": {
            "image": sheet.picture,
            "conversation": as_text(row.turns),
            "metadata": json.dumps(row.metadata, ensure_ascii=False, sort_keys=True),
        },
        "metadata": {"row": row.id, "turns_sha256": sheet.turns_sha256, "source": row.source, "writer": row.writer},
        "suggestions": {"edited": {"value": as_text(row.turns), "score": None, "agent": row.writer or None}},
        "responses": {name: found for name in QUESTIONS if (found := [_response(name, one) for one in sheet.reviews])},
        "vectors": {},
    }


def found(entry: Mapping[str, Any]) -> Iterator[Found]:
    """The decisions on one record."""
    metadata = entry["metadata"]
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for name in QUESTIONS:
        for response in (entry.get("responses") or {}).get(name) or ():
            if response.get("status") in SUBMITTED:
                said[str(response["user_id"])][name] = str(response["value"] or "")
    for reviewer, values in said.items():
        if "decision" in values:
            yield Found(
                row=metadata["row"],
                turns_sha256=metadata["turns_sha256"],
                decision=values["decision"],
                edited=values.get("edited", ""),
                reason=values.get("reason", ""),
                reviewer=reviewer,
                when=str(entry.get("updated_at") or ""),
            )


def _response(question: str, review: Review) -> dict[str, Any]:
    values = {"decision": review.decision, "edited": as_text(review.turns), "reason": review.reason}
    return {"value": values[question], "user_id": review.reviewer, "status": "submitted"}
