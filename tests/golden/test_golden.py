"""Every public verb on fixed inputs gives the numbers that it gave (see ``write.py``)."""

import pandas as pd
import pytest
from golden_names import WITHOUT_NUMBERS, computing_names, named_in
from golden_rooms import ROOMS, SLOW
from golden_values import EXPECTED, differences, flatten, read_room, values_of

import outcomekpi as ok

CALLS = [
    pytest.param(room, call, marks=[pytest.mark.slow] if call in SLOW else [], id=f"{room}-{call}")
    for room, calls in ROOMS.items()
    for call in calls
]


@pytest.mark.parametrize(("room", "call"), CALLS)
def test_the_numbers_are_those_of_before(room, call):
    expected = read_room(room)[call]
    assert expected, "a call without numbers guards nothing"
    moved = differences(values_of(ROOMS[room][call]), expected, call=call)
    assert not moved, "\n".join([*moved, "If this is meant: python tests/golden/write.py"])


def test_every_name_that_computes_has_a_value_or_a_reason():
    called = named_in(call for calls in ROOMS.values() for call in calls)
    without = set(computing_names()) - called
    assert without == set(WITHOUT_NUMBERS)


def test_written_values_belong_to_a_call():
    assert {path.stem for path in EXPECTED.glob("*.json")} == set(ROOMS)
    for room, calls in ROOMS.items():
        assert list(read_room(room)) == list(calls), room


@pytest.mark.parametrize(("factor", "is_seen"), [(1 + 1e-6, True), (1 + 1e-12, False)])
def test_a_number_that_moves_is_seen_and_the_last_digit_is_not(factor, is_seen):
    expected = read_room("programs")["hrrp_excess_ratio"]
    found = flatten(ok.programs.hrrp_excess_ratio([22.0, 18.0], [20.0, 21.0]) * factor)
    assert bool(differences(found, expected)) == is_seen


def test_words_may_change_and_codes_may_not():
    table = pd.DataFrame({"flag": ["worse", ""], "why": ["too few cases", "of no concern"]})
    was = flatten(table)
    assert not differences(flatten(table.assign(why="other words")), was)
    assert differences(flatten(table.assign(flag=["better", ""])), was)
    assert differences(flatten(table.iloc[::-1]), was), "rows in another order"
