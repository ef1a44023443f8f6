"""What becomes of one request or one image: it is had, or there is a reason why not; and the account of all of them."""

from collections import Counter
from typing import Literal, NamedTuple

from midefics.errors import MideficsError, ServiceError, SourceError
from midefics.records import Record

GIVEN_UP_IN_A_ROW = 20
"""So many images in a row that the archive did not answer for, and it counts as down."""


class UnavailableError(Exception):
    """Something can't be had from the archive; for good, or as far as this try goes."""

    def __init__(self, reason: str, detail: str, *, again: bool | None = None, passing: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        """A short stable code that counts can be kept by: `wrong size`."""
        self.detail = detail
        self.again = passing if again is None else again
        """Another try may help at once."""
        self.passing = passing
        """The archive's health, not its content: another run may help."""

    def explained(self, what: str, way_out: str) -> MideficsError:
        """The error as a user meets it."""
        return (ServiceError if self.passing else SourceError)(f"{what}: {self.reason}: {self.detail}; {way_out}")


class Outcome(NamedTuple):
    """What became of one image."""

    id: str
    what: Literal["new", "changed", "unchanged"] | UnavailableError
    bytes: int = 0
    """Received for it."""


class Failure(Record):
    """One image that can't be had."""

    id: str
    reason: str
    detail: str
    passing: bool
    """Whether another run may have it."""


class Fetched(Record):
    """The account of one run: `listed` = `new` + `changed` + `unchanged` + the failures."""

    source: str
    listed: int
    new: int
    changed: int
    """Had before, but the archive's file is another now."""
    unchanged: int
    withdrawn: int = 0
    """Fetched once, and no longer listed: their rows are gone, their files are left."""
    bytes: int
    """Received, whole images and parts."""
    failed: dict[str, int]
    """How many images could not be had, by reason."""
    failures: tuple[Failure, ...]


class Account:
    """Adds outcomes up."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._counts: Counter[str] = Counter()
        self._failures: list[Failure] = []
        self._bytes = self._in_a_row = 0

    def add(self, outcome: Outcome) -> None:
        """Counts one image.

        Raises:
            ServiceError: the archive has not answered for many images in a row.
        """
        self._bytes += outcome.bytes
        if not isinstance(outcome.what, UnavailableError):
            self._counts[outcome.what] += 1
            self._in_a_row = 0
            return
        why = outcome.what
        self._failures.append(Failure(id=outcome.id, reason=why.reason, detail=why.detail, passing=why.passing))
        self._in_a_row = self._in_a_row + 1 if why.passing else 0
        if self._in_a_row == GIVEN_UP_IN_A_ROW:
            raise why.explained(
                f"{self._source}: {outcome.id} and the {GIVEN_UP_IN_A_ROW - 1} images before it",
                f"the archive seems to be down; `midefics fetch {self._source}` goes on from here later",
            )

    def told(self, withdrawn: int = 0) -> Fetched:
        """The account as it stands."""
        return Fetched(
            source=self._source,
            listed=self._counts.total() + len(self._failures),
            new=self._counts["new"],
            changed=self._counts["changed"],
            unchanged=self._counts["unchanged"],
            withdrawn=withdrawn,
            bytes=self._bytes,
            failed=dict(sorted(Counter(failure.reason for failure in self._failures).items())),
            failures=tuple(sorted(self._failures, key=lambda failure: failure.id)),
        )
