"""Saved fits: one NetCDF file that holds the posterior and what it was computed from."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import xarray as xr

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import StorageError
from outcomekpi.posterior.file_layout import FORMAT, FORMAT_VERSION, fit_to_tree, tree_to_fit
from outcomekpi.posterior.fit import Fit
from outcomekpi.tables.files import replacing

__all__ = ["check_seal", "load_fit", "save_fit", "seal"]

COMPRESSED = ("design", "observed_data", "constant_data")
"""Groups that compress well; the draws are noise and would only take time."""


# The seal of a saved fit: a checksum after its last byte, so that no changed file is read
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


def save_fit(fit: Fit, path: str | Path) -> Path:
    """Keep a posterior, and what it was computed from, in one NetCDF file.

    Parameters
    ----------
    fit : a fit by either engine
    path : file to write, usually ending in ``.nc``; an existing file is replaced in one step,
        so that a run that is killed leaves either the old file or the new one

    Returns
    -------
    Path of the file

    Raises
    ------
    StorageError
        The folder does not exist or cannot be written to.

    Notes
    -----
    The file holds all draws at full precision, the standardized design matrix, outcome, trials,
    exposure, offset, the labels of doctors and hospitals, specification, priors, diagnostics and
    provenance. It does not hold patient identifiers, periods or the columns of the input table.
    It is still data about patients: the standardized covariates of each case are in it.
    ``xarray`` and ArviZ open it without this package. A checksum stands after the last byte of
    the NetCDF file: it finds damage and edits, and is no signature against somebody who makes up
    a file and its checksum.

    Examples
    --------
    >>> import outcomekpi as ok, pathlib, tempfile
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ok.load_fit(ok.save_fit(fit, pathlib.Path(folder) / "surgery.nc")).engine
    'quadrature'
    """
    check_arguments(save_fit, locals())
    target = Path(path)
    if not target.parent.is_dir():
        raise StorageError(
            f"The fit was to be saved in the folder {str(target.parent)!r}, which does not "
            "exist. Create it first."
        )
    tree = fit_to_tree(fit)
    with replacing(target) as partial:
        tree.to_netcdf(partial, engine="h5netcdf", encoding=_encoding(tree))
        seal(partial)
    return target


def load_fit(path: str | Path) -> Fit:
    """Read a fit that :func:`save_fit` wrote; nothing in the file is ever executed.

    Parameters
    ----------
    path : file to read

    Returns
    -------
    Fit that standardizes, ranks and classifies as the saved one did. ``design.recipe`` is None:
    other cases cannot be predicted with it, which :func:`replay_design` says. ``cases.frame``
    holds outcome, doctor, hospital, trials, exposure and offset only

    Raises
    ------
    StorageError
        There is no such file, it is damaged or was changed, it is not a saved fit, it holds what
        no fit can (a negative SD, draws that are no numbers), or another version wrote it.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.load_fit("surgery.nc")
    Traceback (most recent call last):
    outcomekpi.declare.errors.StorageError: There is no file 'surgery.nc' to load a fit from.
    """
    source = Path(path)
    if not source.is_file():
        raise StorageError(f"There is no file {str(source)!r} to load a fit from.")
    try:
        state = check_seal(source)
    except OSError as error:
        raise StorageError(f"{str(source)!r} cannot be opened: {error.strerror}.") from error
    if state == "changed":
        raise StorageError(
            f"{str(source)!r} is damaged or was changed after it was saved: its checksum does not "
            "fit. Load a copy, or fit the model and save it again."
        )
    tree = _read_tree(source)
    _check_format(tree.attrs, source)
    if state == "none":
        raise StorageError(
            f"{str(source)!r} is damaged or was changed after it was saved: it has lost its "
            "checksum. Load a copy, or fit the model and save it again."
        )
    try:
        return tree_to_fit(tree)
    except Exception as error:  # what is no fit can go wrong in any way
        raise StorageError(
            f"{str(source)!r} says that it is a saved fit, but its content is damaged "
            f"({type(error).__name__}: {_in_one_line(error)}). Load a copy, or fit the model and "
            "save it again."
        ) from error


def _read_tree(source: Path) -> xr.DataTree:
    try:
        return xr.load_datatree(source, engine="h5netcdf")
    except Exception as error:  # the libraries below raise whatever they trip over
        raise StorageError(
            f"{str(source)!r} cannot be read as a NetCDF file ({_in_one_line(error)}). It may be "
            "damaged, or something else; save the fit again."
        ) from error


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _check_format(attrs: Mapping[Any, Any], source: Path) -> None:
    mark = attrs.get("format")
    if not isinstance(mark, str) or mark != FORMAT:
        raise StorageError(
            f"{str(source)!r} is not a fit saved by outcomekpi: it lacks the mark {FORMAT!r}."
        )
    found = attrs.get("format_version")
    version = int(found) if isinstance(found, int | np.integer) else None
    if version is not None and version > FORMAT_VERSION:
        raise StorageError(
            f"{str(source)!r} is in format version {version}; this version of outcomekpi reads "
            f"{FORMAT_VERSION}. Update outcomekpi."
        )
    if version != FORMAT_VERSION:
        raise StorageError(
            f"{str(source)!r} is in format version {found!s:.20}, which has no checksum; this "
            f"version of outcomekpi reads {FORMAT_VERSION}. Fit the model and save it again."
        )


def _encoding(tree: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    packed = {"zlib": True, "complevel": 1, "shuffle": True}
    return {
        f"/{name}": {
            str(variable): packed for variable, values in node.data_vars.items() if values.size
        }
        for name, node in tree.children.items()
        if name in COMPRESSED
    }
