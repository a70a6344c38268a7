"""Wrong values for every declared field and argument, generated from the declarations."""

import dataclasses
import inspect
import math
import re
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin
from unittest.mock import MagicMock

import pytest

import outcomekpi as ok
from outcomekpi import datasets, programs
from outcomekpi.declare.checking import declared_check
from outcomekpi.declare.fields import Range
from outcomekpi.public_names import HOME

NUMBERS = (int, float)
VARIABLE = inspect.Parameter.VAR_POSITIONAL
# fields and arguments that are checked by hand, with the reason; the list may only shrink
UNDECLARED = {
    "assess_calibration.bands": "names of columns and how they are cut, in one mapping",
    "assess_predictions.bands": "names of columns and how they are cut, in one mapping",
    "cut_misclassification.reliability": "an array or a number",
    "median_cut_misclassification.reliability": "an array or a number",
}
PUBLIC = {name: getattr(ok, name) for name in HOME} | {
    name: getattr(room, name) for room in (programs, datasets) for name in room.__all__
}
# records that verbs give, though they hold no table
GOT = {"Provenance"}


def alternatives(annotation, limits=None):
    """Yield (kind, limits, choices) of every alternative that an annotation declares."""
    origin = get_origin(annotation)
    if isinstance(annotation, str):
        for one in annotation.split(" | "):
            yield NoneType if one == "None" else one, Range(), ()
    elif origin is Annotated:
        inner, *marks = get_args(annotation)
        yield from alternatives(inner, next((m for m in marks if isinstance(m, Range)), limits))
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from alternatives(one, limits)
    elif origin is Literal:
        yield "choice", limits or Range(), get_args(annotation)
    elif origin in (tuple, list, Sequence):
        yield "several", limits or Range(), get_args(annotation)
    else:
        yield annotation, limits or Range(), ()


def wrong_values(annotation):
    """Values that no alternative of the annotation takes."""
    found = list(alternatives(annotation))
    kinds = [kind for kind, _, _ in found]
    values = [object()]
    values += [] if NoneType in kinds else [None]
    values += [] if bool in kinds else [True]
    values += [] if str in kinds else ["no such thing"]
    for kind, limits, members in found:
        if kind == "choice":
            values += [f"{one}x" for one in members[:1]]
        if kind == "several" and str not in kinds:
            inner = Union[tuple(one for one in members if one is not Ellipsis)]  # noqa: UP007
            values += [[one] for one in wrong_values(inner)]
        if kind is int and float not in kinds:
            values.append(1.5)
        if kind in NUMBERS:
            values.append(math.nan)
            values += [] if limits.infinite else [math.inf, -math.inf]
            values += [limits.low - 1] if math.isfinite(limits.low) else []
            values += [limits.high + 1] if math.isfinite(limits.high) else []
            values += [limits.low] if limits.inside in ("low", "both") else []
            values += [limits.high] if limits.inside in ("high", "both") else []
    return values


def right_value(annotation):
    """Return a value that the annotation takes."""
    kind, limits, members = next(iter(alternatives(annotation)))
    if kind == "choice":
        return members[0]
    if kind == "several":
        return tuple(right_value(one) for one in members if one is not Ellipsis)
    if kind in NUMBERS:
        low = limits.low if math.isfinite(limits.low) else min(0.0, limits.high)
        if kind is int:
            return int(low)
        return (low + limits.high) / 2 if math.isfinite(limits.high) else low + 0.5
    if kind in (str, bool):
        return kind()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return object.__new__(kind)
    return MagicMock()


def declared_type(one):
    """Annotation of a field, with the range of a knob."""
    facts = one.metadata
    if "low" not in facts:
        return one.type
    kind = int if isinstance(one.default, int) else float
    return Annotated[kind, Range(low=facts["low"], high=facts["high"])]


def is_asked(value):
    """Whether a record is asked (compared by its values), not got."""
    return inspect.isclass(value) and dataclasses.is_dataclass(value) and "__hash__" in vars(value)


def fields_and_arguments():
    for name, value in sorted(PUBLIC.items()):
        if is_asked(value) and name not in GOT:
            for one in dataclasses.fields(value):
                yield name, one.name, declared_type(one)
        elif inspect.isfunction(value):
            for argument, annotation in value.__annotations__.items():
                if argument != "return":
                    yield name, argument, annotation


DECLARED = [
    (name, one, annotation)
    for name, one, annotation in fields_and_arguments()
    if declared_check(annotation) is not None
]


def call(name, one, value):
    """Make the record, or call the verb, with one wrong value and right ones elsewhere."""
    made = PUBLIC[name]
    if inspect.isclass(made):
        record = object.__new__(made)
        for other in dataclasses.fields(made):
            if other.default is not dataclasses.MISSING:
                object.__setattr__(record, other.name, other.default)
            elif other.default_factory is not dataclasses.MISSING:
                object.__setattr__(record, other.name, other.default_factory())
            else:
                object.__setattr__(record, other.name, right_value(other.type))
        object.__setattr__(record, one, value)
        return record.__post_init__()
    given = {
        other: right_value(made.__annotations__[other])
        for other, parameter in inspect.signature(made).parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind is not VARIABLE
    }
    return made(**{**given, one: value})


@pytest.mark.parametrize(
    ("name", "one", "annotation"), DECLARED, ids=[f"{a}.{b}" for a, b, _ in DECLARED]
)
def test_every_wrong_value_is_refused_by_name_with_what_was_wanted_and_found(name, one, annotation):
    for value in wrong_values(annotation):
        with pytest.raises(ok.OutcomeKPIError) as refused:
            call(name, one, value)
        said = str(refused.value)
        assert isinstance(refused.value, ok.SpecError), said
        assert said.startswith((f"{one} must ", f"{name}.{one} must ")), said
        assert "; got " in said, said


def test_no_number_or_choice_of_a_public_verb_or_record_is_without_a_declaration():
    names = {f"{name}.{one}" for name, one, _ in DECLARED}
    loose = [
        f"{name}.{one}"
        for name, one, annotation in fields_and_arguments()
        if f"{name}.{one}" not in names
        and any(kind in (*NUMBERS, bool, "choice") for kind, _, _ in alternatives(annotation))
    ]
    assert set(loose) <= set(UNDECLARED), sorted(set(loose) - set(UNDECLARED))
    assert set(UNDECLARED) <= set(loose), "the list only shrinks"


@pytest.mark.parametrize("name", sorted({name for name, _, _ in DECLARED}))
def test_every_field_and_argument_is_explained_in_the_docstring(name):
    said = inspect.getdoc(PUBLIC[name])
    explained = set(re.findall(r"\w+", said))
    asked = {one for other, one, _ in DECLARED if other == name}
    metadata = getattr(PUBLIC[name], "__dataclass_fields__", {})
    asked -= {one for one, field in metadata.items() if "meaning" in field.metadata}
    assert asked <= explained, asked - explained
