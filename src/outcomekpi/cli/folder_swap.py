"""A new folder in the place of an old one, in one step where the system can."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from outcomekpi.declare.errors import StorageError

__all__ = [
    "PROVENANCE",
    "carry_over",
    "list_files",
    "note_files",
    "noted_files",
    "replace_folder",
    "settle",
]

PROVENANCE = "provenance.json"
"""File of every run that also lists what the run wrote."""
EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
HERE = -100  # AT_FDCWD: paths are given in full
CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def list_files(folder: Path) -> list[str]:
    """Return the files below a folder, relative to it and sorted; links count as files."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def note_files(folder: Path) -> None:
    """Write into the provenance of a run which files it wrote, so that the next can tell them."""
    record = folder / PROVENANCE
    if record.is_file():
        document = json.loads(record.read_text(encoding="utf-8"))
        document["files"] = list_files(folder)
        record.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def noted_files(folder: Path) -> set[str]:
    """Files that an earlier run wrote into a folder, as it noted."""
    try:
        document: Any = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return {str(name) for name in document["files"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()  # a folder of somebody else, or of a first draft of the package


def carry_over(old: Path, new: Path) -> list[str]:
    """Bring files that no run wrote from an old folder into a new one; both have them then.

    Returns
    -------
    The files, relative to both folders

    Raises
    ------
    StorageError
        A file stands where the new results need a folder, or the other way round.
    """
    foreign = sorted(set(list_files(old)) - noted_files(old) - set(list_files(new)))
    for name in foreign:
        target = new / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise FileExistsError
        except (FileExistsError, NotADirectoryError) as error:
            raise StorageError(
                f"{str(old / name)!r} stands where results are to be written. Move it, or choose "
                "another folder with --out."
            ) from error
        _link_or_copy(old / name, target)
    shutil.copymode(old, new)
    return foreign


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def replace_folder(new: Path, old: Path, aside: Path) -> Path:
    """Put ``new`` in the place of ``old``, and return where the old one is now.

    Where the system can exchange two names (Linux, macOS) there is no moment in which ``old`` is
    not whole. Elsewhere it is renamed to ``aside`` first: for an instant there is no folder, and
    who is killed in it leaves the old one aside, where the next run finds it.
    """
    exchange = _find_exchange()
    if exchange is not None and exchange(os.fsencode(new), os.fsencode(old)):
        return new
    try:
        old.rename(aside)
        new.rename(old)
    except BaseException:  # Ctrl-C too
        if aside.exists() and not old.exists():
            aside.rename(old)
        raise
    return aside


def settle(old: Path, new: Path, foreign: list[str]) -> None:
    """Bring over what somebody changed in the old folder meanwhile, and remove the folder."""
    for name in foreign:
        with suppress(OSError):
            was, now = (old / name).lstat(), (new / name).lstat()
            if (was.st_mtime_ns, was.st_size) != (now.st_mtime_ns, now.st_size):
                os.replace(old / name, new / name)
    shutil.rmtree(old, ignore_errors=True)


def _find_exchange() -> Callable[[bytes, bytes], bool] | None:
    """Return what exchanges two names in one step, or None where the system has nothing."""
    import ctypes

    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    name = "renameat2" if sys.platform == "linux" else "renamex_np"
    call = getattr(library, name, None)
    if call is None:
        return None

    def exchange(one: bytes, other: bytes) -> bool:
        given = (HERE, one, HERE, other) if sys.platform == "linux" else (one, other)
        if call(*given, ctypes.c_uint(EXCHANGE)) == 0:
            return True
        number = ctypes.get_errno()
        if number in CANNOT:
            return False
        raise OSError(number, os.strerror(number))

    return exchange
