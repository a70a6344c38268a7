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

import pandas as pd

from outcomekpi.declare.errors import StorageError
from outcomekpi.lineage.fingerprints import HASH_LENGTH, hash_cases, hash_frame
from outcomekpi.tables.cases import Cases

__all__ = ["PACKAGES", "Provenance", "installed_versions", "record_provenance"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Versions, seed, hashes and time of one fit.

    Attributes
    ----------
    created : ISO 8601 time, UTC
    versions : package -> version, of what computed the numbers
    seed : the seed that the user gave
    data_hash, spec_hash : first 16 hexadecimal digits of the SHA-256 of the cases (see
        :func:`outcomekpi.lineage.fingerprints.hash_cases`) and of the specification as Python
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
