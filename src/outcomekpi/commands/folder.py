"""A folder of results that is either there as a whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from outcomekpi.errors import StorageError

__all__ = ["check_folder", "write_folder"]


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be written, before any work is done for it.

    Raises
    ------
    StorageError
        The folder is a file, or neither it nor the nearest existing folder above it is writable.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"The output {str(folder)!r} must be a folder; it is a file.")
    parent = _nearest_existing(folder)
    if not parent.is_dir():
        raise StorageError(
            f"The output folder {str(folder)!r} cannot be made: {str(parent)!r} is a file."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StorageError(
            f"The output folder {str(folder)!r} cannot be written: no permission in "
            f"{str(parent)!r}. Choose another one with --out."
        )


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; move its content there when the block succeeds.

    A new folder appears in one step. In an existing one each file is replaced in one step, and
    files that this run did not write stay. Whatever goes wrong in the block, nothing is left.
    """
    check_folder(folder)
    missing = [path for path in folder.absolute().parents if not path.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    except OSError as error:
        raise StorageError(
            f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
        ) from error
    try:
        yield staging
        _publish(staging, folder)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"The results could not be written to {str(folder)!r}: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders that were made on the way, lowest first, where nothing came into them."""
    for folder in folders:
        if any(folder.iterdir()):
            return
        folder.rmdir()


def _publish(staging: Path, folder: Path) -> None:
    staging.chmod(0o777 & ~_umask())
    if not folder.exists():
        staging.rename(folder)
        return
    for source in sorted(staging.rglob("*")):
        target = folder / source.relative_to(staging)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(source, target)


def _nearest_existing(folder: Path) -> Path:
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
