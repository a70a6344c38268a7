"""A few threads for work that releases the interpreter lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

__all__ = ["THREADS", "in_blocks", "in_threads"]

THREADS = min(cpu_count() or 1, 4)


def in_threads[T, R](work: Callable[[T], R], items: list[T]) -> list[R]:
    """Apply ``work`` to every item, in a few threads; results in the order of the items."""
    if len(items) < 2 or THREADS == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def in_blocks[R](work: Callable[[slice], R], n: int, size: int) -> list[R]:
    """Apply ``work`` to blocks of ``size`` of ``n`` rows, the blocks sharing the cores.

    Products of matrices inside a block keep to one core: threads within threads only cost time.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return in_threads(work, [slice(first, first + size) for first in range(0, n, size)])
