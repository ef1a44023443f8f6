"""Conversations in, Label Studio's tasks out; its export (JSON, not JSON-MIN) in, decisions out.

https://labelstud.io/guide/task_format
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from midefics.review.edits import as_text
from midefics.review.outside import QUESTION, Found, Sheet
from midefics.services.reviews import Review

INTERFACE = f"""\
<View>
  <Header value="$row"/>
  <Image name="image" value="$image"/>
  <Text name="metadata" value="$metadata"/>
  <Paragraphs name="conversation" value="$conversation" layout="dialogue" nameKey="author" textKey="text"/>
  <Header value="{QUESTION}"/>
  <Choices name="decision" toName="conversation" choice="single-radio" required="true">
    <Choice value="accept" hotkey="a"/>
    <Choice value="edit" hotkey="e"/>
    <Choice value="reject" hotkey="r"/>
  </Choices>
  <TextArea name="edited" toName="conversation" value="$as_text" rows="12" maxSubmissions="1" editable="true"
            visibleWhen="choice-selected" whenTagName="decision" whenChoiceValue="edit"/>
  <TextArea name="reason" toName="conversation" rows="2" maxSubmissions="1" placeholder="Why"/>
</View>
"""
"""The labelling interface that the tasks fit."""


def task(sheet: Sheet) -> dict[str, Any]:
    """A task; people's decisions are its annotations."""
    row = sheet.row
    speakers = [("Doctor", turn.question, "Assistant", turn.answer) for turn in row.turns]
    dialogue = [
        {"author": author, "text": text}
        for one, asked, other, said in speakers
        for author, text in ((one, asked), (other, said))
    ]
    return {
        "data": {
            "row": row.id,
            "turns_sha256": sheet.turns_sha256,
            "source": row.source,
            "image": sheet.picture,
            "metadata": json.dumps(row.metadata, ensure_ascii=False, sort_keys=True),
            "conversation": dialogue,
            "as_text": as_text(row.turns),
            "writer": row.writer,
        },
        "annotations": [_annotation(review) for review in sheet.reviews],
    }


def found(entry: Mapping[str, Any]) -> Iterator[Found]:
    """The decisions on one task; skipped ones are none."""
    data = entry["data"]
    for annotation in entry.get("annotations") or ():
        said = {result["from_name"]: result["value"] for result in annotation["result"]}
        if annotation.get("was_cancelled") or "decision" not in said:
            continue
        yield Found(
            row=data["row"],
            turns_sha256=data["turns_sha256"],
            decision=said["decision"]["choices"][0],
            edited=_text(said, "edited"),
            reason=_text(said, "reason"),
            reviewer=_person(annotation.get("completed_by")),
            when=str(annotation.get("updated_at") or annotation.get("created_at") or ""),
        )


def _annotation(review: Review) -> dict[str, Any]:
    results = [_result("decision", "choices", {"choices": [review.decision]})]
    texts = {"edited": as_text(review.turns), "reason": review.reason}
    results += [_result(name, "textarea", {"text": [text]}) for name, text in texts.items() if text]
    return {"completed_by": {"email": review.reviewer}, "result": results}


def _result(name: str, kind: str, value: dict[str, list[str]]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "conversation", "type": kind, "value": value}


def _text(said: Mapping[str, Any], name: str) -> str:
    text = said.get(name, {}).get("text", "")
    return "\n".join(text) if isinstance(text, list) else str(text)


def _person(told: Any) -> str:
    """Label Studio gives a number, or, where the export is of snapshots, the whole account."""
    if isinstance(told, Mapping):
        return str(told.get("email") or told.get("username") or told.get("id") or "")
    return "" if told is None else str(told)
