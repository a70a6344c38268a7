"""A folder of results that is either there as a whole or not at all."""

import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from outcomekpi.cli.folder_swap import (
    carry_over,
    list_files,
    note_files,
    noted_files,
    replace_folder,
    settle,
)
from outcomekpi.declare.errors import StorageError

__all__ = ["Claim", "check_folder", "claim_folder", "locked", "write_folder"]

LONGEST_NAME = 200
"""Bytes of a folder's name: the names beside it are longer by 20, and systems stop at 255."""


# One run at a time in a folder of results: a lock that ends with the process that holds it
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


@dataclass(slots=True, kw_only=True)
class Claim:
    """A folder that this run alone may write.

    Attributes
    ----------
    folder : the folder, in full
    staged : device and inode of the new folder, once it is about to be put in place
    has_replaced : whether results of an earlier run were there
    """

    folder: Path
    staged: tuple[int, int] | None = None
    has_replaced: bool = False

    @property
    def is_published(self) -> bool:
        """Whether the new folder is in place: asked of the disk, since Ctrl-C comes any time."""
        return self.staged is not None and _identity(self.folder) == self.staged


_CLAIMS: ContextVar[tuple[Claim, ...]] = ContextVar("claims", default=())


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be written, before any work is done for it.

    Raises
    ------
    StorageError
        The folder is a file, has no name of its own or one that is too long, holds the folder in
        which the program runs or files of somebody else, or neither it nor the nearest existing
        folder above it is writable.
    """
    full = _in_full(folder)
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"The output {str(folder)!r} must be a folder; it is a file.")
    parent = _nearest_existing(full)
    if not parent.is_dir():
        raise StorageError(
            f"The output folder {str(folder)!r} cannot be made: {str(parent)!r} is a file."
        )
    for needed in {parent, full.parent if full.parent.exists() else parent}:
        if not os.access(needed, os.W_OK | os.X_OK):
            raise StorageError(
                f"The output folder {str(folder)!r} cannot be written: no permission in "
                f"{str(needed)!r}. Choose another one with --out."
            )
    found = list_files(full) if full.is_dir() else []
    if found and not noted_files(full) & set(found):
        raise StorageError(
            f"The output folder {str(folder)!r} must be new, empty, or hold the results of an "
            f"earlier run; it holds {len(found):,} other file{'' if len(found) == 1 else 's'}, the "
            f"first {found[0]!r}. Choose another one with --out."
        )


def _in_full(folder: Path) -> Path:
    """Return where a folder really is; it is replaced there, whatever leads to it."""
    try:
        folder.exists()
        full, here = folder.resolve(), Path.cwd().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The output folder {str(folder)[:80]!r} cannot be made: {reason}."
        ) from error
    if full == here or full in here.parents:
        raise StorageError(
            "The output must be a folder of its own, which is replaced as a whole; "
            f"{str(folder)!r} holds the current folder. Choose another one with --out."
        )
    if os.path.ismount(full):
        raise StorageError(
            "The output must be a folder of its own, which is replaced as a whole; "
            f"{str(folder)!r} is where a disk is mounted. Name a folder inside it with --out."
        )
    if len(os.fsencode(full.name)) > LONGEST_NAME:
        raise StorageError(
            f"The name of the output folder must have at most {LONGEST_NAME} bytes; "
            f"{full.name[:40]!r}... has {len(os.fsencode(full.name))}. Choose another one with "
            "--out."
        )
    return full


@contextmanager
def claim_folder(folder: Path) -> Iterator[Claim]:
    """Keep other runs out of a folder, and tidy up after one that was killed.

    Raises
    ------
    StorageError
        The folder cannot be written, or another run holds it.
    """
    check_folder(folder)
    full = _in_full(folder)
    for held in _CLAIMS.get():
        if held.folder == full:
            yield held
            return
    missing = [path for path in full.parents if not path.exists()]
    try:
        full.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
        ) from error
    claim = Claim(folder=full)
    token = _CLAIMS.set((*_CLAIMS.get(), claim))
    try:
        with locked(full.with_name(f".{full.name}.lock"), name=str(folder)) as is_alone:
            if is_alone:
                _tidy_up(full)
            yield claim
    finally:
        _CLAIMS.reset(token)
        _remove_empty(missing)


def _tidy_up(folder: Path) -> None:
    """Remove what a killed run left beside a folder, and put back what it had moved aside."""
    left = re.compile(rf"\.{re.escape(folder.name)}\.(partial|aside)-[a-z0-9_]{{8}}")
    try:
        beside = sorted(folder.parent.iterdir())
    except PermissionError:
        return  # who may not look into the folder above cannot tidy there
    for path in beside:
        kind = left.fullmatch(path.name)
        if kind is None:
            continue
        if kind[1] == "aside" and not folder.exists():
            path.rename(folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; it takes the place of that when the block succeeds.

    What an earlier run wrote is gone then; files that no run wrote are in the new folder too.
    Whatever goes wrong in the block, or before the exchange, leaves the old folder as it was.
    """
    with claim_folder(folder) as claim:
        place = claim.folder
        try:
            staging = Path(mkdtemp(prefix=f".{place.name}.partial-", dir=place.parent))
        except OSError as error:
            raise StorageError(
                f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
            ) from error
        try:
            yield staging
            _publish(staging, claim)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(
                f"The results could not be written to {str(folder)!r}: {error.strerror or error}."
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, claim: Claim) -> None:
    note_files(staging)
    staging.chmod(0o777 & ~_umask())
    folder = claim.folder
    if not folder.exists():
        claim.staged = _identity(staging)
        staging.rename(folder)
        return
    claim.has_replaced = bool(noted_files(folder))
    foreign = carry_over(folder, staging)
    claim.staged = _identity(staging)
    aside = folder.with_name(f".{folder.name}.aside-{secrets.token_hex(4)}")
    settle(replace_folder(staging, folder, aside), folder, foreign)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders that were made on the way, lowest first, where nothing came into them."""
    with suppress(OSError):  # not empty, or gone
        for folder in folders:
            folder.rmdir()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _nearest_existing(folder: Path) -> Path:
    path = folder
    while not path.exists():
        path = path.parent
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
