"""What came of each row in, whether too many got nothing out."""

from midefics.errors import DataError
from midefics.records import Row
from midefics.services.conversations import Written


class Tally:
    """Of each source's rows, how many got a conversation."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.bad: dict[str, int] = {}
        self.first: dict[str, tuple[str, Written]] = {}
        self.versions: set[str] = set()

    def count(self, row: Row, written: Written, version: str) -> None:
        """Takes in what came of one row."""
        self.asked[row.source] = self.asked.get(row.source, 0) + 1
        self.versions.add(version)
        if not written.turns:
            self.bad[row.source] = self.bad.get(row.source, 0) + 1
            self.first.setdefault(row.source, (row.id, written))

    def require_enough(self, max_bad_share: float) -> None:
        """Refuses a stage's output that lacks too much.

        Raises:
            DataError: a source has too large a share of rows without a conversation.
        """
        for name, bad in self.bad.items():
            rows, (identifier, first) = self.asked[name], self.first[name]
            if bad > max_bad_share * rows:
                raise DataError(
                    f"{name}: {bad} of {rows} rows got no conversation, first {identifier} ({first.reason}: "
                    f"{' '.join(first.detail.split())[:120]}); rerun with label.max_bad_share above {max_bad_share:g} "
                    "to quarantine them"
                )
