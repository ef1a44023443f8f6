"""The outside world as one argument: every stage gets `Services` and takes from it what it needs."""

from functools import cached_property
from typing import TYPE_CHECKING

from midefics.config import Settings
from midefics.services.progress import Progress
from midefics.services.storage import Storage

if TYPE_CHECKING:
    from midefics.services.ledger import Ledger
    from midefics.services.releases import Releases
    from midefics.services.tracking import Tracking


class Services:
    """Builds each service when it is first asked for, so that a stage pays only for those it uses."""

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress or Progress()

    @cached_property
    def storage(self) -> Storage:
        """Stage outputs, in a folder or in S3."""
        return Storage.at(self.settings.store, self.settings.home)

    @cached_property
    def ledger(self) -> "Ledger":
        """Answers that were paid for."""
        from midefics.services.ledger import Ledger

        return Ledger.open(self.settings.home / "ledger.db")

    @cached_property
    def releases(self) -> "Releases":
        """Whom people let out of the quarantine."""
        from midefics.services.releases import Releases

        return Releases(self.ledger.engine)

    @cached_property
    def tracking(self) -> "Tracking":
        """MLflow's runs and registry."""
        from midefics.services.tracking import Tracking

        return Tracking.connect(self.settings)
