"""The registry of methods: source, page and tests of each, and the results that use it."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from outcomekpi.declare.errors import SpecError, did_you_mean

__all__ = ["Method", "Source", "Use", "find_methods", "load_methods", "parts_of", "result_types"]

FILE = "methods.toml"
MISSING = object()
CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "given": lambda value, wish: (value is not None) == wish,
    "contains": lambda value, wish: isinstance(value, str | dict | tuple) and wish in value,
    "none_of": lambda value, wish: value not in wish,
    "longer_than": lambda value, wish: len(value) > wish,
}
DEPTH = 6
"""A result may hold another one (a classification its rates), and that one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a method comes from: a key of references.bib, and the place in it.

    Attributes
    ----------
    key : of references.bib
    place : page, section or equation; empty where the whole is meant
    """

    key: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A type of result that used a method, and under which condition.

    Attributes
    ----------
    result : name of the type
    when : attribute (dotted) -> the value it must have, a list of such values, or a table:
        ``given`` (true: not None), ``contains`` (an item, a key or a part of a text),
        ``none_of`` (a list of values), ``longer_than`` (items)
    """

    result: str
    when: Mapping[str, Any]

    def holds(self, result: object) -> bool:
        """Whether the result fulfils every condition; an attribute it lacks fulfils none."""
        return all(_fulfils(_look_up(result, path), wish) for path, wish in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of the registry.

    Attributes
    ----------
    id : short name, unique
    name : what it is used for, as a phrase
    page : file and section of docs/methods, such as "profiling.md#ranks"
    sources : may be empty where the method was written for this package
    background : sources of a detail, a proof or an example, which need not be cited
    tests : files that check it
    uses : results that used it
    """

    id: str
    name: str
    page: str
    sources: tuple[Source, ...]
    background: tuple[Source, ...]
    tests: tuple[str, ...]
    uses: tuple[Use, ...]


@cache
def load_methods() -> tuple[Method, ...]:
    """Return every method, in the order of the file, which is that of the documentation."""
    text = files("outcomekpi").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(_read(entry) for entry in tomllib.loads(text)["method"])


def result_types() -> frozenset[str]:
    """Names of all types of results that the registry knows."""
    return frozenset(use.result for method in load_methods() for use in method.uses)


def find_methods(*results: object) -> tuple[Method, ...]:
    """Return the methods that results used, each once, in the order of the registry.

    Results that a result holds (its rates, its fit, its design, its rule) count too.

    Raises
    ------
    SpecError
        A result is of a type that the registry does not know.
    """
    known = result_types()
    for position, result in enumerate(results, start=1):
        name = type(result).__name__
        if name not in known:
            raise SpecError(
                f"The registry of methods knows no result of type {name} (result {position} of "
                f"{len(results)}).{did_you_mean(name, known)} Give results of this package, such "
                "as a Fit, StandardizedRates or a PilotEffect, or none for the package itself."
            )
    parts = [part for result in results for part in parts_of(result)]
    by_type: dict[str, list[object]] = {}
    for part in parts:
        by_type.setdefault(type(part).__name__, []).append(part)
    return tuple(
        method
        for method in load_methods()
        if any(use.holds(part) for use in method.uses for part in by_type.get(use.result, ()))
    )


def _read(entry: Mapping[str, Any]) -> Method:
    return Method(
        id=entry["id"],
        name=entry["name"],
        page=entry["page"],
        sources=tuple(_read_source(text) for text in entry.get("sources", ())),
        background=tuple(_read_source(text) for text in entry.get("background", ())),
        tests=tuple(entry["tests"]),
        uses=tuple(
            Use(result=use["result"], when={k: v for k, v in use.items() if k != "result"})
            for use in entry.get("used_in", ())
        ),
    )


def _read_source(text: str) -> Source:
    key, _, place = text.partition(", ")
    return Source(key=key, place=place)


def parts_of(value: object, depth: int = DEPTH) -> Iterator[object]:
    """Yield a result and every record in it; arrays and tables are not looked into.

    Nor are fields that say ``metadata={"cited": False}``.
    """
    if depth == 0:
        return
    if isinstance(value, tuple | list):
        for item in value:
            yield from parts_of(item, depth - 1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from parts_of(item, depth - 1)
    elif is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            if field.metadata.get("cited", True):
                yield from parts_of(getattr(value, field.name), depth - 1)


def _look_up(result: object, path: str) -> object:
    value = result
    for name in path.split("."):
        value = (
            value.get(name, MISSING)
            if isinstance(value, Mapping)
            else getattr(value, name, MISSING)
        )
    return value


def _fulfils(value: object, wish: object) -> bool:
    if value is MISSING:
        return False
    if isinstance(wish, Mapping):
        (test, limit), *_ = wish.items()
        return CONDITIONS[test](value, limit)
    return bool(value in wish if isinstance(wish, list) else value == wish)
