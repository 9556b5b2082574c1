"""Prepare what comes next in a thread, while the caller uses what is there."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import repeat
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, ahead: int
) -> Generator[_Result, None, None]:
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


def read_ahead(items: Iterator[_Item], *, ahead: int) -> Generator[_Item, None, None]:
    """Yield the items of an iterator, of which one thread reads up to `ahead` further ones.

    An error of the iterator is raised where its item would have been yielded. Closing the generator ends the thread.

    Example:
        >>> list(read_ahead(iter("ab"), ahead=2))
        ['a', 'b']
    """
    end = object()

    def read(_: None) -> Any:
        return next(items, end)

    with closing(map_ahead(read, repeat(None), ahead=ahead)) as results:
        for item in results:
            if item is end:
                return
            yield item
