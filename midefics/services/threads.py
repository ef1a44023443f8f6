"""A function and its arguments in, results in the same order out, made by several threads with only a few ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 4
"""Calls in hand for each thread: enough that none waits for the reader, few enough that memory stays flat."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Argument], Result], arguments: Iterable[Argument], threads: int
) -> Iterator[Result]:
    """Like `map`, for work that lets go of the interpreter's lock: decoding, resizing, hashing, waiting.

    Raises:
        Exception: whatever a call raises, at its place in the order.
    """
    if threads == 1:
        yield from map(function, arguments)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="midefics") as pool:
        try:
            for argument in arguments:
                waiting.append(pool.submit(function, argument))
                if len(waiting) >= AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
