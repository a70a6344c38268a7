"""A few threads for work that releases the interpreter lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

__all__ = ["THREADS", "in_threads"]

THREADS = min(cpu_count() or 1, 4)


def in_threads[T, R](work: Callable[[T], R], items: list[T]) -> list[R]:
    """Apply ``work`` to every item, in a few threads; results in the order of the items."""
    if len(items) < 2 or THREADS == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))
