"""People's decisions on conversations in, what holds of them out: one table that only grows, beside the ledger's.

A decision is on the words that somebody read: a row's id and the digest of its turns. Where the conversation is written
anew, it says nothing any more. Nothing is ever changed or deleted; who changes their mind adds a line.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from sqlalchemy import Column, DateTime, Engine, Index, Integer, MetaData, Select, String, Table, Text, func, select
from sqlalchemy.exc import SQLAlchemyError

from midefics.errors import StorageError
from midefics.records import Digest, Record, Turn

Word = Literal["accept", "edit", "reject"]
MAX_REASON = 2000
ROWS_PER_QUERY = 500

_METADATA = MetaData()
_REVIEWS = Table(
    "reviews",
    _METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("row", String(300), nullable=False),
    Column("turns_sha256", String(64), nullable=False),
    Column("source", String(100), nullable=False),
    Column("decision", String(10), nullable=False),
    Column("turns", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reviewer", String(200), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Index("ix_reviews_conversation", "row", "turns_sha256"),
)


class Key(NamedTuple):
    """One conversation in the words that it had."""

    row: str
    turns_sha256: str


class Review(Record):
    """One person's decision on one conversation."""

    row: str
    turns_sha256: Digest
    """Of the turns that the person was shown, see `turns_digest`."""
    source: str
    decision: Word
    turns: tuple[Turn, ...] = ()
    """The conversation as the person would have it; only where the decision is `edit`."""
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    reviewer: Annotated[str, Field(min_length=1, max_length=200)]
    reference: str = ""
    """Names the decision where it came from (an import), so that it isn't taken a second time; empty for those made here."""

    @model_validator(mode="after")
    def _edits_have_turns(self) -> Self:
        if bool(self.turns) != (self.decision == "edit"):
            raise ValueError("an edit needs turns, and nothing else has them")
        return self

    @property
    def key(self) -> Key:
        """What was decided on."""
        return Key(self.row, self.turns_sha256)


class Verdict(NamedTuple):
    """What all decisions on one conversation come to."""

    decision: Word
    turns: tuple[Turn, ...] = ()
    """In place of those that were read; only of an edit."""
    reason: str = ""


class Reviews:
    """The table of decisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def decide(self, reviews: Iterable[Review]) -> int:
        """Adds decisions, all or none; returns how many. Those whose reference is known already are left out.

        Raises:
            StorageError: the database can't be written.
        """
        try:
            with self._engine.begin() as connection:
                new = {review.reference or number: review for number, review in enumerate(reviews)}
                named = any(review.reference for review in new.values())
                asked = select(_REVIEWS.c.reference).where(_REVIEWS.c.reference != "")
                known = set(connection.scalars(asked)) if named else set()
                rows = [_values(review) for reference, review in new.items() if reference not in known]
                if rows:
                    connection.execute(_REVIEWS.insert(), rows)
        except SQLAlchemyError as error:
            raise self._explained(error) from error
        return len(rows)

    def current(self, rows: Iterable[str] | None = None) -> list[Review]:
        """The newest decision of each person on each conversation, in the order they were made.

        Args:
            rows: ids to ask about; all where unset.
        """
        if rows is None:
            return [review for _, review in self._newest(None)]
        wanted = sorted(set(rows))
        chunks = [wanted[start : start + ROWS_PER_QUERY] for start in range(0, len(wanted), ROWS_PER_QUERY)]
        found = [numbered for chunk in chunks for numbered in self._newest(chunk)]
        return [review for _, review in sorted(found, key=lambda numbered: numbered[0])]

    def verdicts(self) -> dict[Key, Verdict]:
        """What the decisions on every conversation come to."""
        by_key: dict[Key, list[Review]] = defaultdict(list)
        for review in self.current():
            by_key[review.key].append(review)
        return {key: verdict(reviews) for key, reviews in by_key.items()}

    def history(self) -> list[Review]:
        """All decisions, the oldest first."""
        return [review for _, review in self._read(select(_REVIEWS).order_by(_REVIEWS.c.number))]

    def _newest(self, rows: Sequence[str] | None) -> list[tuple[int, Review]]:
        person = (_REVIEWS.c.row, _REVIEWS.c.turns_sha256, _REVIEWS.c.reviewer)
        last = select(func.max(_REVIEWS.c.number)).group_by(*person)
        if rows is not None:
            last = last.where(_REVIEWS.c.row.in_(rows))
        return self._read(select(_REVIEWS).where(_REVIEWS.c.number.in_(last)).order_by(_REVIEWS.c.number))

    def _read(self, query: "Select[Any]") -> list[tuple[int, Review]]:
        try:
            with self._engine.connect() as connection:
                found = connection.execute(query).mappings().all()
        except SQLAlchemyError as error:
            raise self._explained(error) from error
        fields = Review.model_fields
        return [
            (
                row["number"],
                Review.model_validate({name: row[name] for name in fields} | {"turns": _turns(row["turns"])}),
            )
            for row in found
        ]

    def _explained(self, error: SQLAlchemyError) -> StorageError:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        return StorageError(f"reviews in {self._engine.url.render_as_string()}: {reason}")


def turns_digest(turns: Iterable[Turn]) -> str:
    """SHA-256 of a conversation's words, in hexadecimal."""
    words = [[turn.question, turn.answer] for turn in turns]
    return hashlib.sha256(json.dumps(words, ensure_ascii=False).encode()).hexdigest()


def verdict(reviews: Sequence[Review]) -> Verdict:
    """What people's newest decisions on one conversation come to, the oldest first.

    One rejection rejects, until who gave it takes it back; else the newest edit holds.
    """
    for decision in ("reject", "edit"):
        if found := [review for review in reviews if review.decision == decision]:
            return Verdict(found[-1].decision, found[-1].turns, found[-1].reason)
    return Verdict("accept")


def _values(review: Review) -> dict[str, object]:
    turns = json.dumps([turn.model_dump() for turn in review.turns], ensure_ascii=False) if review.turns else ""
    return review.model_dump() | {"turns": turns, "decided_at": datetime.now(UTC)}


def _turns(text: str) -> tuple[Turn, ...]:
    return tuple(Turn.model_validate(turn) for turn in json.loads(text)) if text else ()
