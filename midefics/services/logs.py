"""A level in; the log of this process set up: times and messages on standard error, without what libraries say to themselves."""

import logging
import warnings

NOISY = ("httpx", "httpx2", "httpcore", "alembic", "mlflow.store", "matplotlib", "great_expectations", "botocore")


def set_up(level: int) -> None:
    """Called once at a process's door."""
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # else it misses an optional kernel at every start
    if level > logging.DEBUG:  # what libraries warn their own developers of
        warnings.simplefilter("ignore")
