"""People's decisions in, what they do to the rows of a data set out: who stays out, and whose words are changed."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from midefics.records import Manifest, Row
from midefics.services import Services
from midefics.services.descriptions import described
from midefics.services.reviews import Key, Verdict, turns_digest

Way = Literal["honour", "require", "ignore"]
REJECTED = "rejected by a reviewer"
NOT_REVIEWED = "not reviewed"
EDITED = " edited"
"""Behind the writer's name, where a person has changed the words."""


class Verdicts(NamedTuple):
    """The decisions that matter to certain rows."""

    way: Way
    by_row: Mapping[str, Verdict]
    """By row id, of the conversations as they are now."""

    @classmethod
    def of(cls, way: Way, conversations: Sequence[Manifest], services: Services) -> "Verdicts":
        """Those on the conversations given; one that was written anew since is decided on no more."""
        verdicts = {} if way == "ignore" else services.reviews.verdicts()
        if not verdicts:
            return cls(way, {})
        decided = {key.row for key in verdicts}
        rows = (row for manifest in conversations for row in described(services.storage, manifest))
        keys = {row.id: Key(row.id, turns_digest(row.turns)) for row in rows if row.id in decided}
        return cls(way, {id_: verdicts[key] for id_, key in keys.items() if key in verdicts})

    def refusal(self, row: Row) -> str:
        """The reason for which a row stays out; empty where it comes in."""
        verdict = self.by_row.get(row.id)
        if verdict and verdict.decision == "reject":
            return REJECTED
        return NOT_REVIEWED if self.way == "require" and verdict is None else ""

    def detail(self, row: Row) -> str:
        """More about the reason."""
        verdict = self.by_row.get(row.id)
        return verdict.reason if verdict else "assemble.reviews: require lets in only what somebody accepted or edited"

    def wording(self, row: Row) -> dict[str, object]:
        """What an edit changes of a row."""
        verdict = self.by_row.get(row.id)
        edited = verdict is not None and verdict.decision == "edit"
        return {"turns": verdict.turns, "writer": row.writer + EDITED} if verdict and edited else {}

    def digest(self) -> str:
        """Of all that changes a data set; empty where nothing does."""
        content = [
            (row, verdict.decision, verdict.reason if verdict.decision == "reject" else "", turns_digest(verdict.turns))
            for row, verdict in sorted(self.by_row.items(), key=lambda item: item[0])
            if verdict.decision != "accept" or self.way == "require"
        ]
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16] if content else ""
