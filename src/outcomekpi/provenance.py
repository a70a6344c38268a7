"""Where a number came from: versions, seed, hashes of data and specification."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Versions, seed, hashes and time of one fit.

    Attributes
    ----------
    created : ISO 8601 time, UTC
    versions : package -> version, of what computed the numbers
    seed : the seed that the user gave
    data_hash, spec_hash : SHA-256 prefixes of the cases and of the specification
    seconds : wall time of the fit
    """

    created: str
    versions: dict[str, str]
    seed: int
    data_hash: str
    spec_hash: str
    seconds: float
