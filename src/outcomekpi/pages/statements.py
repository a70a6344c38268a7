"""The answer of a page as records: a lead, named lines on each side, and paragraphs."""

from dataclasses import dataclass

__all__ = ["Answer", "Named", "Part", "Side"]


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
