"""What a reader of configurations says of what it refuses."""

from pathlib import Path

from pydantic import ValidationError


def absolute(location: str) -> str:
    """A path from here on; an address stays as it is."""
    return location if "://" in location else str(Path(location).absolute())


def problems(error: ValidationError) -> str:
    """All of them in one line, each with its full path."""

    def one(problem: dict[str, object]) -> str:
        where = ".".join(str(part) for part in problem["loc"])  # type: ignore[attr-defined]
        message = str(problem["msg"]).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            return f"{where}: no such key"
        return f"{where}: {message}" if where else message

    return "; ".join(one(dict(problem)) for problem in error.errors())
