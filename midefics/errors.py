"""The errors a user may meet: each says what is wrong with which thing, and the way out."""


class MideficsError(Exception):
    """Anything we can explain; the command line prints it as one line and exits with 1."""


class ConfigError(MideficsError):
    """A configuration file or environment variable is wrong; the message holds the key's full path."""


class SourceError(MideficsError):
    """An archive is missing, empty or not in the format it should have."""


class DataError(MideficsError):
    """Too large a share of the rows is bad, or a stage's input is not what it needs."""


class StorageError(MideficsError):
    """Something could not be read from or written to storage."""


class ServiceError(MideficsError):
    """A service we talk to (MLflow, the label writer, Airflow) refused or did not answer."""


class ModelError(MideficsError):
    """A model can't be built, loaded, trained or asked."""
