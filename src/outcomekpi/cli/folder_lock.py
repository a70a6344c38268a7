"""One run at a time in a folder of results: a lock that ends with the process that holds it."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from outcomekpi.declare.errors import StorageError

__all__ = ["locked"]

TRIES = 4
PAUSE = 0.05  # seconds; whoever ends just now needs a moment between unlinking and closing
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path, *, name: str) -> Iterator[bool]:
    """Hold the lock file ``path`` for the length of the block.

    Parameters
    ----------
    path : lock file; it is made, and removed at the end. The file that a killed process leaves
        behind locks nothing
    name : folder that is locked, for messages

    Yields
    ------
    Whether it is locked: some network file systems know no locks, and are used without

    Raises
    ------
    StorageError
        Another process holds the lock, or the file cannot be made.
    """
    descriptor, is_locked = _open_locked(path, name)
    try:
        yield is_locked
    finally:
        if os.name == "posix":
            # before closing: afterwards it could be the lock of the next run
            path.unlink(missing_ok=True)
        os.close(descriptor)
        if os.name != "posix":
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _open_locked(path: Path, name: str) -> tuple[int, bool]:
    for _ in range(TRIES):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"The output folder {name!r} cannot be written: {error.strerror}."
            ) from error
        try:
            _take(descriptor)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return descriptor, False
            holder = _read_holder(descriptor)
            os.close(descriptor)
            time.sleep(PAUSE)
        else:
            if _is_still_there(descriptor, path):
                _write_holder(descriptor)
                return descriptor, True
            os.close(descriptor)
            holder = ""
    raise StorageError(
        f"Another run{holder} is writing to {name!r}. Wait until it ends, or choose another folder "
        "with --out."
    )


def _take(descriptor: int) -> None:
    """Lock without waiting; raises OSError where another process holds the lock."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is the file that was locked, and not one that was made after it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    if os.name == "posix":
        with suppress(OSError):  # on a full disk the lock holds as well
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _read_holder(descriptor: int) -> str:
    if os.name != "posix":
        return ""
    process = os.pread(descriptor, 20, 0).decode(errors="replace")
    return f" (process {process})" if process.isdecimal() else ""
