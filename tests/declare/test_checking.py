"""What annotations declare, one by one, and what a refused field carries."""

import pickle
from copy import copy
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pytest

from outcomekpi.declare.checking import check_arguments, check_fields, declared_check
from outcomekpi.declare.errors import FieldError
from outcomekpi.declare.fields import Count, Limit, Probability, Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    drug: Literal["aspirin", "placebo"]
    share: Probability = 0.5
    days: Count | None = None
    bars: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)


def fault(annotation, value):
    return declared_check(annotation)(value)


def test_a_record_stays_a_plain_frozen_record():
    dose = Dose(drug="aspirin", days=np.int64(3), bars=[("hba1c", 7)])
    assert copy(dose) == dose == pickle.loads(pickle.dumps(dose))
    assert replace(dose, share=0.25).share == 0.25
    with pytest.raises(FrozenInstanceError):
        dose.share = 0.1
    with pytest.raises(FieldError, match=r"Dose.share must lie .*got 25. Did you mean 0.25\?"):
        replace(dose, share=25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"drug": "asprin"},
            "be one of 'aspirin', 'placebo'; got 'asprin'. Did you mean 'aspirin'",
        ),
        ({"drug": "aspirin", "days": 0}, "be a whole number of at least 1, or None; got 0."),
        ({"drug": "aspirin", "bars": (("hba1c",),)}, "be 2 values; got ('hba1c',)."),
        ({"drug": "aspirin", "bars": (("hba1c", "7"),)}, "be a finite number; got '7'."),
        ({"drug": "aspirin", "bars": "hba1c"}, "be several values, such as a tuple; got 'hba1c'."),
    ],
)
def test_one_form_of_message(given, message):
    with pytest.raises(FieldError) as refused:
        Dose(**given)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Range(low=0, high=1), "lie between 0 and 1"),
        (Range(low=0, high=1, inside="both"), "lie strictly between 0 and 1"),
        (Range(low=0, high=1, inside="low"), "be a number above 0 and at most 1"),
        (Range(low=0, high=1, inside="high"), "be a number of at least 0 and below 1"),
        (Range(low=2, unit="months"), "be a number of at least 2 (months)"),
        (Range(high=3), "be a number at most 3"),
        (Range(), "be a finite number"),
    ],
)
def test_a_range_says_itself(limits, words):
    assert fault(Annotated[float, limits], "no number") == (words, "'no number'", "")


def test_what_is_no_record_kind_choice_or_number_declares_nothing():
    assert declared_check(object) is None
    assert declared_check(np.ndarray | float) is None


def test_infinity_must_be_allowed():
    assert fault(Limit, np.inf) is None
    assert fault(float, np.inf) == ("be a finite number", "inf", "")


def test_arguments_are_named_without_the_verb():
    def dose(days: Count, *, label: str = "") -> None:
        check_arguments(dose, locals())

    dose(2)
    with pytest.raises(FieldError, match=r"^label must be text; got 3\.$"):
        dose(2, label=3)


def test_a_refusal_travels_between_processes():
    with pytest.raises(FieldError) as refused:
        Dose(drug="aspirin", share=2)
    back = pickle.loads(pickle.dumps(refused.value))
    assert (back.name, back.wanted, back.found) == (
        "Dose.share", "lie strictly between 0 and 1", "2"
    )  # fmt: skip
    assert str(back) == str(refused.value)
