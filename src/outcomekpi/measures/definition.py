"""Indicators in TOML: read with every fault at once, and written."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, cast

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, StorageError, did_you_mean
from outcomekpi.measures.indicator import Attribution, Coverage, Find, Index, Indicator, Value
from outcomekpi.measures.statement import write_statement

__all__ = ["read_indicator", "shipped_indicators", "write_indicator"]

CATALOG = Path(__file__).parent / "catalog"


def read_indicator(path: str | os.PathLike[str]) -> Indicator:
    """Read the definition of an indicator.

    Parameters
    ----------
    path : TOML file, or the name of an indicator that the package ships

    Returns
    -------
    The indicator

    Raises
    ------
    StorageError
        There is no such file, or it is no TOML.
    SpecError
        Keys that are unknown, values that are wrong: all of them, each with its place.

    Examples
    --------
    >>> from outcomekpi import read_indicator
    >>> read_indicator("hba1c_on_target").success
    'hba1c < 7'
    """
    place = Path(path)
    if not place.suffix and f"{place}" in shipped_indicators():
        place = CATALOG / f"{place}.toml"
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        hint = did_you_mean(str(path), shipped_indicators())
        raise StorageError(f"{str(path)!r} cannot be read: {error.strerror}.{hint}") from error
    try:
        return from_mapping(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise StorageError(f"{str(path)!r} is no TOML file: {error}.") from error


def shipped_indicators() -> tuple[str, ...]:
    """Return the names of the indicators that the package ships.

    Examples
    --------
    >>> from outcomekpi import shipped_indicators
    >>> "days_covered" in shipped_indicators()
    True
    """
    return tuple(sorted(file.stem for file in CATALOG.glob("*.toml")))


def from_mapping(data: Mapping[str, Any]) -> Indicator:
    """Build an indicator from the tables of its file.

    Raises
    ------
    SpecError
        Every key that is unknown and every value that is wrong.
    """
    faults: list[str] = []
    given = dict(data)
    for name, kind in (("find", Find), ("value", Value)):
        tables = given.get(name, {})
        if not isinstance(tables, Mapping):
            raise SpecError(f"{name} must be tables such as [{name}.visit]; got {tables!r}.")
        given[name] = {one: _build(kind, t, f"{name}.{one}", faults) for one, t in tables.items()}
    for name, record in (
        ("index", Index),
        ("coverage", Coverage),
        ("attribution", Attribution),
    ):
        if name in given:
            given[name] = _build(record, given[name], name, faults)
    if faults:
        # the records that could be built are not put together: half a definition has no meaning
        _refuse_keys(Indicator, given, "indicator", faults)
        raise SpecError(_say(faults))
    indicator = _build(Indicator, given, "indicator", faults)
    if faults:
        raise SpecError(_say(faults))
    # conditions that name what is not defined show when the statement is written
    write_statement(indicator)
    return cast(Indicator, indicator)


def _say(faults: list[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    listed = [f"{number}. {text}" for number, text in enumerate(faults, start=1)]
    return "\n".join([f"The indicator has {len(faults)} faults.", *listed])


def _build(kind: Any, table: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(table, Mapping):
        faults.append(f"{where} must be a table; got {table!r}.")
        return None
    if _refuse_keys(kind, table, where, faults):
        return None
    try:
        return kind(**{name: _frozen(value) for name, value in table.items()})
    except SpecError as error:
        faults.append(f"{where}: {error}")
        return None


def _refuse_keys(kind: Any, table: Mapping[str, Any], where: str, faults: list[str]) -> bool:
    known = [one.name for one in fields(kind)]
    unknown = [name for name in table if name not in known]
    faults += [
        f"{where} has no key {name!r}.{did_you_mean(name, known)} Known are {', '.join(known)}."
        for name in unknown
    ]
    needed = [o.name for o in fields(kind) if o.default is MISSING and o.default_factory is MISSING]
    absent = [name for name in needed if name not in table]
    faults += [f"{where} needs the key {name!r}." for name in absent]
    return bool(unknown or absent)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, Mapping):
        return {name: _frozen(one) for name, one in value.items()}
    return value


def write_indicator(indicator: Indicator) -> str:
    """Write an indicator as TOML; what is left at its default is not written.

    Parameters
    ----------
    indicator : the definition

    Returns
    -------
    Text of the file; reading it gives the same indicator

    Examples
    --------
    >>> from outcomekpi import read_indicator, write_indicator
    >>> print(write_indicator(read_indicator("hba1c_on_target")).splitlines()[0])
    name = "hba1c_on_target"
    """
    check_arguments(write_indicator, locals())
    lines: list[str] = []
    tables: list[str] = []
    for name, value in _changed(indicator).items():
        if name in ("find", "value"):
            for one, record in value.items():
                tables += ["", f"[{name}.{_key(one)}]", *_assignments(_changed(record))]
        elif name in ("index", "coverage", "attribution"):
            tables += ["", f"[{name}]", *_assignments(_changed(value))]
        elif isinstance(value, Mapping):
            tables += ["", f"[{name}]", *_assignments(value)]
        else:
            lines += _assignments({name: value})
    return "\n".join([*lines, *tables, ""])


def _changed(record: Any) -> dict[str, Any]:
    changed = {}
    for one in fields(record):
        value = getattr(record, one.name)
        default = one.default_factory() if callable(one.default_factory) else one.default
        if value != default:
            changed[one.name] = value
    return changed


def _assignments(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_written(value)}" for name, value in table.items()]


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else json.dumps(name, ensure_ascii=False)


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_assignments(value)) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)
