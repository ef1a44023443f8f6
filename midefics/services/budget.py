"""A request about to be sent in, leave to spend its price out: what a run may cost is asked before, and told after."""

from typing import TYPE_CHECKING, Protocol

from midefics.errors import MideficsError

if TYPE_CHECKING:
    from midefics.services.ledger import Answer
    from midefics.services.llm import Request


class BudgetError(MideficsError):
    """The money is spent or reserved; what was answered is kept."""


class Budget(Protocol):
    """Money that several workers may spend from."""

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
        """Gives back what was reserved: no answer came."""
        ...


class NoBudget:
    """Spends what it takes."""

    def reserve(self, request: "Request") -> str:
        """Always."""
        del request
        return ""

    def settle(self, reservation: str, answer: "Answer") -> None:
        """Nothing to book."""

    def cancel(self, reservation: str) -> None:
        """Nothing to give back."""
