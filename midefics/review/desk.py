"""What a person asks for or decides in, the view of a conversation or a line in the ledger out."""

from fastapi import HTTPException

from midefics.errors import DataError, StorageError
from midefics.review.checked import checked_turns
from midefics.review.form import Asked, Decided
from midefics.review.page import Progress, View, of_person
from midefics.review.queue import Entry, Queue
from midefics.services import Services
from midefics.services.reviews import MAX_REASON, Review


class Desk:
    """What one person sees and does."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._queue = Queue(services)

    def view(self, asked: Asked, reviewer: str, may_decide: bool) -> View:
        """The page that was asked for.

        Raises:
            HTTPException: 404, there is no such conversation.
        """
        sample = self._sample(asked)
        asked = asked.model_copy(update={"at": min(asked.at, len(sample))})
        entry = sample[asked.at - 1]
        reviews = self._services.reviews.current(entry.key.row for entry in sample)
        mine = of_person(reviews, reviewer)
        taken = [mine[entry.key] for entry in sample if entry.key in mine]
        progress = Progress(len(taken), sum(review.decision == "reject" for review in taken), len(sample))
        others = [review for review in reviews if review.key == entry.key and review.reviewer != reviewer]
        shown = others if entry.key in mine else ()
        row, sources = self._queue.row(entry), self._queue.sources(asked.sample)
        return View(asked, entry, row, progress, sources, mine.get(entry.key), shown, may_decide)

    def decide(self, decided: Decided, reviewer: str) -> Asked:
        """Takes a decision down; returns the next conversation that the person has not decided on.

        Raises:
            DataError: the edit is no conversation or not confirmed, or the rejection has no reason.
            HTTPException: 404, there is no such conversation.
        """
        sample = self._sample(decided.asked)
        entry = next((entry for entry in sample if entry.key == (decided.row, decided.turns_sha256)), None)
        if entry is None:
            raise HTTPException(404, "this conversation is not in the sample any more; it may have been written anew")
        self._services.reviews.decide([self._review(decided, entry, reviewer)])
        return decided.asked.model_copy(update={"at": self._next(decided.asked.at, sample, reviewer)})

    def _review(self, decided: Decided, entry: Entry, reviewer: str) -> Review:
        if decided.decision == "reject" and not decided.reason:
            raise DataError("say why it is rejected, in a word or two")
        if len(decided.reason) > MAX_REASON:
            raise DataError(f"the reason is {len(decided.reason):,} characters long, at most {MAX_REASON:,} are kept")
        turns = (
            checked_turns(self._queue.row(entry), decided.pairs, decided.confirmed)
            if decided.decision == "edit"
            else ()
        )
        return Review(
            row=entry.key.row,
            turns_sha256=entry.key.turns_sha256,
            source=entry.source,
            decision=decided.decision,
            turns=turns,
            reason=decided.reason,
            reviewer=reviewer,
        )

    def _next(self, at: int, sample: list[Entry], reviewer: str) -> int:
        mine = of_person(self._services.reviews.current(entry.key.row for entry in sample), reviewer)
        places = [*range(at + 1, len(sample) + 1), *range(1, at)]
        return next((place for place in places if sample[place - 1].key not in mine), at)

    def _sample(self, asked: Asked) -> list[Entry]:
        try:
            sample = self._queue.take(asked.sample)
        except (DataError, StorageError) as error:
            raise HTTPException(404, str(error)) from error
        if not sample:
            raise HTTPException(404, f"no conversation of source {asked.sample.source}")
        return sample
