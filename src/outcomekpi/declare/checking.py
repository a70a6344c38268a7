"""Records and arguments checked by what their annotations declare, with one form of message."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from outcomekpi.declare.errors import FieldError, did_you_mean, percent_hint
from outcomekpi.declare.fields import Range

__all__ = ["Fault", "check_arguments", "check_fields", "declared_check", "declared_checks"]

Fault = tuple[str, str, str]
"""What is wrong with a value: what was wanted, what was found, what may have been meant."""
Check = Callable[[object], Fault | None]

LONGEST_SHOWN = 60
# what makes each kind of result, told to whoever hands over something else
MADE_BY = {
    "Assessment": "assess(records, indicator)",
    "BaselinePopulation": "BaselinePopulation(mean=...)",
    "BaselineSelection": "BaselineSelection(...)",
    "Calibration": "assess_calibration(fit)",
    "Cases": "Cases.from_frame(...)",
    "CheckResult": "check_predictive(fit) or check_calibration(fit)",
    "Classification": "classify(rates)",
    "CycleHistory": "CycleHistory.from_frame(...)",
    "EventStudy": "EventStudy(...)",
    "Fit": "fit(cases, spec)",
    "FlagRule": "FlagRule(probability=...)",
    "FunnelLimits": "funnel_limits(rates)",
    "Indicator": "read_indicator('FILE.toml')",
    "Interruption": "Interruption(start='2020-03')",
    "ModelSpec": "ModelSpec(case_mix=...)",
    "OperatingCharacteristics": "operating_characteristics(rule, setting)",
    "PatientRecords": "PatientRecords(patients=...)",
    "PilotEffect": "compare_pilot(data, design)",
    "PointLedger": "earn_points(records, rules)",
    "Population": "ok.simulate_population(...)",
    "Program": "Program(selected_on_baseline=...)",
    "Ranks": "rank(rates)",
    "RatePayRule": "RatePayRule(by=...)",
    "RatePayout": "pay_rates(rates, rule)",
    "Records": "Records.from_path(...)",
    "Reliability": "reliability(fit)",
    "ReviewJudgment": "ReviewJudgment(...)",
    "ReviewRule": "ReviewRule(reading=...)",
    "Scenario": "ok.tertiary_hospital() or ok.Scenario(...)",
    "Seasonality": "Seasonality(period=12, harmonics=2)",
    "Sensitivity": "sensitivity(effect, data)",
    "Setting": "Setting(levels=..., caseloads=...)",
    "StandardizedRates": "standardize(fit)",
    "ThresholdReview": "review_thresholds(history, rule)",
    "TierAssessment": "assess_tiers(records, rules)",
}


def check_fields(record: Any) -> None:
    """Raise a :class:`FieldError` unless every field is what its annotation declares.

    Parameters
    ----------
    record : instance of a dataclass, checked in its ``__post_init__``

    Raises
    ------
    FieldError
        Names the record and the field, what was wanted and what was found.

    Notes
    -----
    ``Literal`` declares choices, ``bool, int, float, str`` kinds, ``Annotated[float, Range(...)]``
    a range, ``| None`` that nothing may be said, ``tuple[...]`` all this for each member, and a
    record of the package its kind. Other annotations declare nothing. Numbers must be finite.
    """
    kind: Any = type(record)
    for name, check in declared_checks(kind):
        fault = check(getattr(record, name))
        if fault is not None:
            raise FieldError(f"{kind.__name__}.{name}", *fault)


def check_arguments(verb: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Raise a :class:`FieldError` unless every argument is what its annotation declares.

    Parameters
    ----------
    verb : the function
    given : ``locals()`` of its first line

    Raises
    ------
    FieldError
        Names the argument, what was wanted and what was found.
    """
    for name, check in declared_checks(verb):
        fault = check(given[name])
        if fault is not None:
            raise FieldError(name, *fault)


@cache
def declared_checks(declared: Any) -> tuple[tuple[str, Check], ...]:
    """Return the checks of a dataclass's fields or a function's arguments, by name."""
    if isinstance(declared, type):
        found = {one.name: _of_field(one) for one in fields(declared)}
    else:
        found = {
            name: declared_check(annotation)
            for name, annotation in declared.__annotations__.items()
            if name != "return"
        }
    return tuple((name, check) for name, check in found.items() if check is not None)


def _of_field(one: Field[Any]) -> Check | None:
    facts = one.metadata
    if "low" not in facts:
        return declared_check(one.type)
    limits = Range(low=facts["low"], high=facts["high"], unit=facts["unit"])
    if not isinstance(one.default, int):
        return _real(limits)
    # a whole number of a scenario may be written 12.0
    return _number(limits, lambda value: float(value).is_integer(), whole=True)


def declared_check(annotation: Any, limits: Range | None = None) -> Check | None:
    """Check of a value by its annotation; None where the annotation declares nothing.

    Parameters
    ----------
    annotation : of the field, the argument, or a member of a tuple
    limits : range that an ``Annotated`` around it declares
    """
    if isinstance(annotation, str):
        return _named(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        return declared_check(inner, next((m for m in marks if isinstance(m, Range)), limits))
    if origin is Literal:
        return _choice(get_args(annotation))
    if origin in (Union, UnionType):
        return _any_of(get_args(annotation), limits)
    if origin in (tuple, list, Sequence):
        return _members(get_args(annotation), limits)
    return _plain(annotation, limits or Range())


def _plain(kind: Any, limits: Range) -> Check | None:
    if kind is int:
        return _whole(limits)
    if kind is float:
        return _real(limits)
    if kind is bool:
        return _of_kind((bool, np.bool_), "be True or False")
    if kind is str:
        return _of_kind((str,), "be text")
    return _record(kind) if isinstance(kind, type) and is_dataclass(kind) else None


def _number(limits: Range, fits: Callable[[Any], bool], *, whole: bool) -> Check:
    wanted = limits.say(whole=whole)

    def check(value: object) -> Fault | None:
        real = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if isinstance(value, Real) else 0.0
        if real and limits.holds(number) and fits(value):
            return None
        return wanted, show(value), percent_hint(number) if real and limits.high == 1 else ""

    return check


def _real(limits: Range) -> Check:
    return _number(limits, lambda value: True, whole=False)


def _whole(limits: Range) -> Check:
    return _number(limits, lambda value: isinstance(value, Integral), whole=True)


def _choice(options: tuple[Any, ...]) -> Check:
    wanted = f"be one of {', '.join(repr(option) for option in options)}"

    def check(value: object) -> Fault | None:
        if isinstance(value, str | int) and value in options:
            return None
        return wanted, show(value), did_you_mean(str(value), options)

    return check


def _of_kind(kinds: tuple[type, ...], wanted: str) -> Check:
    return lambda value: None if isinstance(value, kinds) else (wanted, show(value), "")


def _record(kind: type) -> Check:
    made = f", as {MADE_BY[kind.__name__]} gives" if kind.__name__ in MADE_BY else ""
    wanted = f"be {kind.__name__}{made}"
    return lambda value: None if isinstance(value, kind) else (wanted, type(value).__name__, "")


def _named(annotation: str) -> Check | None:
    """Check a kind that is named but not imported, such as ``"Classification | None"``."""
    names = annotation.split(" | ")
    kinds = [name for name in names if name != "None"]
    if not set(kinds) <= set(MADE_BY):
        return None
    wanted = "be " + " or ".join(f"{kind}, as {MADE_BY[kind]} gives" for kind in kinds)
    allowed = {*kinds, *(["NoneType"] if "None" in names else [])}

    def check(value: object) -> Fault | None:
        kind = type(value).__name__
        return None if kind in allowed else (wanted, kind, "")

    return check


def _any_of(parts: tuple[Any, ...], limits: Range | None) -> Check | None:
    checks = [declared_check(part, limits) for part in parts if part is not NoneType]
    known = [check for check in checks if check is not None]
    if len(known) < len(checks):
        return None
    optional = NoneType in parts

    def check(value: object) -> Fault | None:
        if optional and value is None:
            return None
        faults = [fault for fault in (check(value) for check in known) if fault is not None]
        if len(faults) < len(known):
            return None
        wanted = " or ".join([faults[0][0], *(one[0].removeprefix("be ") for one in faults[1:])])
        return wanted + (", or None" if optional else ""), *faults[0][1:]

    return check


def _members(parts: tuple[Any, ...], limits: Range | None) -> Check | None:
    each = parts[-1:] != (Ellipsis,) and len(parts) > 1
    checks = [declared_check(part, limits) for part in parts if part is not Ellipsis]
    if None in checks:
        return None
    wanted = f"be {len(parts)} values" if each else "be several values, such as a tuple"

    def check(value: object) -> Fault | None:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
            return wanted, show(value), ""
        if each and len(value) != len(parts):
            return wanted, show(value), ""
        against = checks if each else checks * len(value)
        faults = (check(one) for check, one in zip(against, value, strict=True) if check)
        return next((fault for fault in faults if fault is not None), None)

    return check


def show(value: object) -> str:
    """Return a value as a message shows it, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
