"""A request about to be sent in, leave to spend its price out: what a run may cost is asked before, and told after."""

from typing import TYPE_CHECKING, Protocol

from midefics.errors import MideficsError

if TYPE_CHECKING:
    from midefics.services.ledger import Answer
    from midefics.services.requests import Request


class BudgetError(MideficsError):
    """The money is spent or reserved; what was answered is kept."""


class Budget(Protocol):
    """Money that several workers may spend from."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit; without one nothing is set aside, and reservations have no name."""
        ...

    def reserve(self, request: "Request") -> str:
        """Sets the most aside that a request may cost; returns the reservation's name.

        Raises:
            BudgetError: there is not enough left.
        """
        ...

    def settle(self, reservation: str, answer: "Answer") -> None:
        """Books what the answer cost in place of what was reserved."""
        ...

    def cancel(self, reservation: str) -> None:
        """Gives back what was reserved: nothing was paid."""
        ...

    def forfeit(self, reservation: str) -> None:
        """Books what was reserved as spent: no answer came in time, and it may have been paid."""
        ...


class NoBudget:
    """Spends what it takes."""

    limited = False

    def reserve(self, request: "Request") -> str:
        """Always."""
        del request
        return ""

    def settle(self, reservation: str, answer: "Answer") -> None:
        """Nothing to book."""

    def cancel(self, reservation: str) -> None:
        """Nothing to give back."""

    def forfeit(self, reservation: str) -> None:
        """Nothing to book."""
