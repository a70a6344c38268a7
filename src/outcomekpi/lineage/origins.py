"""Where a result came from: versions, seed, hashes of data and specification, time."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import StorageError
from outcomekpi.tables.cases import Cases

__all__ = [
    "HASH_LENGTH",
    "PACKAGES",
    "Provenance",
    "hash_cases",
    "hash_frame",
    "installed_versions",
    "record_provenance",
]

PACKAGES = (
    "outcomekpi",
    "numpy",
    "scipy",
    "pandas",
    "xarray",
    "formulaic",
    "numba",
    "statsmodels",
    "pymc",
    "nutpie",
    "arviz",
    "rddensity",
    "diff-diff",
    "pyfixest",
)
"""What can change a number; the interpreter is recorded beside them."""


# Fingerprints of tables and cases: 16 digits that change with any cell
HASH_LENGTH = 16
BLOCK = 4096
WEIGHTS_SEED = 20261


def hash_cases(cases: Cases) -> str:
    """Return a fingerprint of the cases: it changes with any cell, row order or role.

    Notes
    -----
    Every value takes part. Numbers are read as 64-bit words w; each block b of 4,096 words
    gives the multilinear sum s_b = Σ_i k_i w_bi mod 2^64 with fixed odd weights k_i, and SHA-256
    runs over column names, lengths and all s_b. An odd weight is invertible mod 2^64, so a change
    of a single cell always changes s_b. The fingerprint tells tables apart at memory speed (about
    10 ms per million rows of ten columns); it is no protection against forgery.
    """
    digest = hashlib.sha256()
    digest.update(repr(sorted(cases.roles.items())).encode())
    digest.update(repr((cases.event, cases.direction)).encode())
    for labels in (cases.doctors, cases.hospitals):
        digest.update(repr(None if labels is None else labels.tolist()).encode())
    for values in (
        cases.outcome,
        cases.trials,
        cases.exposure,
        cases.doctor_code,
        cases.hospital_code,
    ):
        digest.update(b"none" if values is None else _block_sums(values))
    if cases.offset is not None:
        digest.update(repr(cases.offset_scale).encode())
        digest.update(_block_sums(cases.offset))
    in_arrays = {cases.roles.get(role) for role in ("outcome", "doctor", "hospital")}
    for name in cases.frame.columns:
        if name not in in_arrays:
            digest.update(repr(name).encode())
            digest.update(_column_sums(cases.frame[name]))
    return digest.hexdigest()[:HASH_LENGTH]


def hash_frame(frame: pd.DataFrame) -> str:
    """Return a fingerprint of a table: it changes with any cell, row order or column name.

    The index takes no part. Computed as :func:`hash_cases` says.
    """
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(repr(name).encode())
        digest.update(_column_sums(frame[name]))
    return digest.hexdigest()[:HASH_LENGTH]


@cache
def _weights() -> NDArray[np.uint64]:
    rng = np.random.default_rng(WEIGHTS_SEED)
    return rng.integers(0, 2**64 - 1, BLOCK, dtype=np.uint64) | np.uint64(1)


def _column_sums(column: pd.Series) -> bytes:
    """Fingerprint a column of any type; text goes through codes and the texts they stand for."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, labels = column.cat.codes.to_numpy(), column.cat.categories
    elif pd.api.types.is_numeric_dtype(column.dtype) and isinstance(column.dtype, np.dtype):
        return str(column.dtype).encode() + _block_sums(column.to_numpy())
    elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "mM":
        return str(column.dtype).encode() + _block_sums(column.to_numpy().view(np.int64))
    else:
        # reprs, because an object column may hold lists, which have no hash of their own
        plain = column.map(repr) if column.dtype == object else column
        codes, labels = pd.factorize(plain)
    return repr(list(labels)).encode() + _block_sums(codes)


def _block_sums(values: NDArray[np.generic]) -> bytes:
    """Length and multilinear sum of every block of 64-bit words of ``values``."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.itemsize != 8:
        flat = flat.astype(np.float64 if flat.dtype.kind == "f" else np.int64)
    words = flat.view(np.uint64)
    whole = words.size // BLOCK * BLOCK
    sums = np.einsum("ij,j->i", words[:whole].reshape(-1, BLOCK), _weights())
    size = words.size.to_bytes(8, "little")
    return b"".join((size, sums.tobytes(), words[whole:].tobytes()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Versions, seed, hashes and time of one fit.

    Attributes
    ----------
    created : ISO 8601 time, UTC
    versions : package -> version, of what computed the numbers
    seed : the seed that the user gave
    data_hash, spec_hash : first 16 hexadecimal digits of the SHA-256 of the cases (see
        :func:`outcomekpi.lineage.origins.hash_cases`) and of the specification as Python
        prints it
    seconds : wall time of the fit
    model : of a hierarchical model ``engine, family, doctor_effects, levels``, ``sampler`` where
        one ran, and ``offset`` where a published risk entered; empty for other results
    """

    created: str
    versions: dict[str, str]
    seed: int
    data_hash: str
    spec_hash: str
    seconds: float
    model: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return every field as indented JSON, keys in the order of the class."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Rebuild a record from :meth:`to_json`.

        Raises
        ------
        StorageError
            The text is not JSON, or its fields are not those of a provenance record.
        """
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise StorageError(f"A provenance record must be JSON; {error}.") from error
        wanted = {one.name for one in fields(cls)}
        # records of fits that were saved before models were described
        if not isinstance(found, dict) or {"model", *found} != wanted:
            seen = sorted(found) if isinstance(found, dict) else type(found).__name__
            raise StorageError(f"A provenance record must hold {sorted(wanted)}; found {seen}.")
        return cls(**found)

    def __repr__(self) -> str:
        package = self.versions.get("outcomekpi", "unknown")
        return (
            f"Provenance: outcomekpi {package}, seed {self.seed}, data {self.data_hash}, "
            f"spec {self.spec_hash}, {self.created}, {self.seconds:.2f} s"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(number)}</td></tr>"
            for name, number in self.versions.items()
        )
        return f"<p>{escape(repr(self))}</p><table>{rows}</table>"


def record_provenance(
    data: Cases | pd.DataFrame,
    spec: object,
    *,
    seed: int,
    seconds: float,
    model: Mapping[str, str] | None = None,
) -> Provenance:
    """Record what produced a result, so that a reader can tell whether two are comparable.

    Parameters
    ----------
    data : the cases that were fitted, or the table that was read
    spec : the specification; its printed form, which names every choice and prior, is hashed
    seed : the seed that the user gave
    seconds : wall time of the work
    model : how a hierarchical model was fitted, see :class:`Provenance`
    """
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=dict(installed_versions()),
        seed=int(seed),
        data_hash=hash_cases(data) if isinstance(data, Cases) else hash_frame(data),
        spec_hash=hashlib.sha256(repr(spec).encode()).hexdigest()[:HASH_LENGTH],
        seconds=float(seconds),
        model=dict(model or {}),
    )


@cache
def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of every installed package that can change a number."""
    found = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an extra that is not installed computed nothing
            continue
    return found
