"""The errors a user may meet: each says what is wrong with which thing, and the way out."""


class MideficsError(Exception):
    """Anything we can explain; the command line prints it as one line and ends with `exit_code`."""

    exit_code = 1
    """1: trying again can't help. 75 (EX_TEMPFAIL): it may, and Airflow does."""


class ConfigError(MideficsError):
    """A configuration file or environment variable is wrong; the message holds the key's full path."""


class SourceError(MideficsError):
    """An archive is missing, empty or not in the format it should have."""


class DataError(MideficsError):
    """Too large a share of the rows is bad, or a stage's input is not what it needs."""


class StorageError(MideficsError):
    """Something could not be read from or written to storage."""


class UnreachableError(StorageError):
    """The place where outputs are kept does not answer."""

    exit_code = 75


class ServiceError(MideficsError):
    """A service we talk to (MLflow, the label writer, Airflow) did not answer, or not as it should."""

    exit_code = 75


class RefusedError(ServiceError):
    """A service refused for good: a wrong key, an exhausted quota, a model that does not exist."""

    exit_code = 1


class ModelError(MideficsError):
    """A model can't be built, loaded, trained or asked."""


class BusyError(MideficsError):
    """A machine has what we need, and others have it now."""

    exit_code = 75


class StoppedError(MideficsError):
    """The work was told to stop, and has kept what it needs to go on."""

    exit_code = 75


class LostError(MideficsError):
    """One of several processes that work together died; the work can be gone on with."""

    exit_code = 75
