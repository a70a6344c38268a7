"""What pages state: answers as records, and facts as pairs of words."""

from dataclasses import dataclass

from outcomekpi.lineage.origins import Provenance

__all__ = ["Answer", "Facts", "Named", "Part", "Side", "list_provenance"]

Facts = list[tuple[str, str]]
"""What is stated, and what it is, in words."""


def list_provenance(record: Provenance, *, done: str, data: str, asked: str) -> Facts:
    """List when, from what and with what numbers were computed.

    Parameters
    ----------
    record : of the result
    done : what was done then, such as "Fitted"
    data, asked : what the two fingerprints are of
    """
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    return [
        (done, f"{record.created} in {record.seconds:.2f} s"),
        ("Seed", str(record.seed)),
        (f"Fingerprint of {data}", record.data_hash),
        (f"Fingerprint of {asked}", record.spec_hash),
        ("Versions", versions),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One doctor or indicator that stands out, and the sentence about it."""

    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Those that stand out on one side; ``kind`` is its mark in the page's style."""

    kind: str
    heading: str
    lines: tuple[Named, ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A heading and its paragraphs."""

    heading: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """First sentence, its context, those that stand out, and what to make of it."""

    lead: str
    context: str
    sides: tuple[Side, ...]
    parts: tuple[Part, ...]
