"""The seal of a saved fit: a checksum after its last byte, so that no changed file is read."""

import os
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal

__all__ = ["check_seal", "seal"]

MARK = b"\noutcomekpi blake2b "
LENGTH = len(MARK) + 64 + 1  # a digest of 64 digits and a line end
BLOCK = 2**20


def seal(path: Path) -> None:
    """Append the checksum of a file to it; readers of NetCDF stop before it."""
    with path.open("r+b") as file:
        digest = _digest(file, path.stat().st_size)
        file.seek(0, os.SEEK_END)
        file.write(MARK + digest + b"\n")


def check_seal(path: Path) -> Literal["whole", "changed", "none"]:
    """Say whether a file is as it was when it was sealed, or has no seal at all."""
    size = path.stat().st_size - LENGTH
    if size < 0:
        return "none"
    with path.open("rb") as file:
        file.seek(size)
        found = file.read(LENGTH)
        if not found.startswith(MARK):
            return "none"
        file.seek(0)
        return "whole" if found == MARK + _digest(file, size) + b"\n" else "changed"


def _digest(file: BinaryIO, size: int) -> bytes:
    """Checksum of the first bytes; it finds damage and edits, and is no signature."""
    state = blake2b(digest_size=32)
    while size > 0:
        block = file.read(min(BLOCK, size))
        if not block:
            break
        state.update(block)
        size -= len(block)
    return state.hexdigest().encode()
