"""Prepare what comes next in a thread, while the caller uses what is there."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(function: Callable[[_Item], _Result], items: Iterable[_Item], *, ahead: int) -> Iterator[_Result]:
    """Yield `function(item)` of each item, in order, and compute up to `ahead` further results in one thread.

    With `ahead=0` there is no thread. An error of the function is raised where its result would have been yielded.

    Example:
        >>> list(map_ahead(str.upper, ["a", "b"], ahead=2))
        ['A', 'B']
    """
    if ahead == 0:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="tercet-ahead") as pool:
        waiting: deque[Future[_Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
