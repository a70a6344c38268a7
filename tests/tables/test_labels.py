"""One label in one spelling; labels that name nobody; numbers that text has spoilt."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.tables.labels import fold_label, is_no_label, is_total, read_labels

DOCTORS = [f"D{i}" for i in range(8)]


def table(n=160, **columns):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "died": rng.binomial(1, 0.3, n),
            "doctor": np.tile(DOCTORS, n // 8),
            "age": rng.integers(40, 90, n),
        }
    )
    return frame.assign(**columns)


def read(frame, **roles):
    return ok.Cases.from_frame(frame, **{"outcome": "died", "doctor": "doctor", **roles})


def refused(frame, **roles):
    with pytest.raises(CasesError) as refusal:
        read(frame, **roles)
    return str(refusal.value)


def replaced(values, old, new, count=1):
    """Values with the first ``count`` of ``old`` written in another way."""
    places = [place for place, value in enumerate(values) if value == old][:count]
    return [new if place in places else value for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Li", "LI"),
        ("Li", "Ｌｉ"),
        ("Li", "Li\u00a0"),
        ("Li", "\ufeffLi"),
        ("Li Wei", "Li  Wei"),
        ("7", "7.0"),
        ("王", "王\u200b"),
    ],
)
def test_one_doctor_in_two_spellings_is_refused(one, two):
    doctors = replaced(table()["doctor"].replace("D0", one).tolist(), one, two, 5)
    message = refused(table(doctor=doctors))
    assert "'doctor' (doctor) has 1 label(s) that differ" in message
    assert repr(one) in message and repr(two) in message


def test_identifiers_that_are_different_stay_different():
    names = ["007", "7", "70", "7.1", "Li", "Lin", "D-1", "D1"]
    assert read_labels(pd.Series(names, name="doctor"), "doctor").names == sorted(names)


def test_patients_may_have_identifiers_that_differ_in_case():
    ids = [f"{'aA'[i % 2]}{i // 2}" for i in range(160)]
    assert read(table(patient=ids), patient="patient").n_cases == 160


def test_sex_in_three_spellings_is_refused_where_it_is_adjusted_for():
    sex = np.resize(["F", "M"], 160).astype(object)
    sex[:8], sex[8:16] = "f", "Ｆ"
    cases = read(table(sex=sex))
    with pytest.raises(FormulaError, match=r"2 label.s. that differ from another one only in case"):
        ok.fit(cases, ok.ModelSpec(case_mix="sex"), draws=200)


def test_an_event_is_found_in_any_case_and_two_spellings_of_it_are_refused():
    died = np.where(table()["died"] == 1, "Yes", "No").astype(object)
    cases = read(table(died=died), event="yes")
    assert cases.outcome.sum() == (died == "Yes").sum()
    died[np.flatnonzero(died == "Yes")[:3]] = "yes"
    assert "'Yes' and 'yes'" in refused(table(died=died), event="yes")


@pytest.mark.parametrize(
    "word", ["Not Available", "缺失", "Unknown", "n/a", "-", ".", "?", "*", "未知", "ＮＡ"]
)
def test_a_word_for_nobody_is_no_doctor(word):
    assert is_no_label(word)
    message = refused(table(doctor=replaced(table()["doctor"].tolist(), "D3", word, 5)))
    assert "must name somebody in every row. 5 of 160 rows do not, the first at index 3" in message
    assert repr(word) in message


@pytest.mark.parametrize("word", ["Total", "合计", "GRAND TOTAL", "总计：", "Sub-total"])
def test_a_row_named_total_is_no_doctor(word):
    assert is_total(word)
    message = refused(table(doctor=[*table()["doctor"][:-1], word]))
    assert "the first at index 159" in message and "sums of other rows" in message


def test_identifiers_that_a_spreadsheet_rounded_are_refused():
    message = refused(table(doctor=replaced(table()["doctor"].tolist(), "D1", "4.40301E+12", 20)))
    assert "must hold whole identifiers. 20 of 160 rows do not" in message
    assert "as text" in message


def aggregated(total_first=False, exposure=False):
    rng = np.random.default_rng(5)
    trials = rng.integers(20, 60, 8)
    frame = pd.DataFrame({"doctor": DOCTORS, "died": rng.binomial(trials, 0.3), "n": trials})
    if exposure:
        frame["n"] = frame["n"] * 10.7
    total = pd.DataFrame({"doctor": ["A9"], "died": [frame["died"].sum()], "n": [frame["n"].sum()]})
    parts = [total, frame] if total_first else [frame, total]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("role", ["trials", "exposure"])
def test_a_row_of_sums_is_refused_whatever_its_name(first, role):
    frame = aggregated(first, role == "exposure")
    message = refused(frame, **{role: "n"})
    assert f"The {'first' if first else 'last'} row" in message
    assert f"sums of 8 other rows: {frame['died'].max():,} of 'died'" in message


def test_a_row_that_is_the_sum_in_one_column_only_is_a_doctor():
    frame = aggregated()
    frame.loc[8, "n"] += 1
    assert len(read(frame, trials="n").doctors) == 9


def test_histories_refuse_rows_of_sums_too():
    history = ok.datasets.simulate_history()
    cycle = history[history["indicator"] == history["indicator"].iloc[0]]
    cycle = cycle[cycle["year"] == cycle["year"].max()]
    total = cycle.iloc[-1].copy()
    total["department"] = "Sum of all of them"
    total[["reached", "patients"]] = cycle[["reached", "patients"]].sum()
    with pytest.raises(CasesError, match=r"The last row .* holds the sums of 8 other rows"):
        ok.CycleHistory.from_frame(
            pd.concat([history, total.to_frame().T], ignore_index=True).infer_objects(),
            indicator="indicator",
            unit="department",
            cycle="year",
            numerator="reached",
            denominator="patients",
            counts="events",
        )


@pytest.mark.parametrize(
    ("mark", "count"),
    [
        ("Not Available", 12),
        ("缺失", 12),
        (".", 9),
        ("-", 1),
        ("*", 30),
        ("?", 2),
        ("90+", 20),
        ("65岁", 3),
        ("67 years", 4),
        ("65,5", 4),
    ],
)
def test_a_placeholder_among_numbers_becomes_no_category(mark, count):
    age = table()["age"].astype(object)
    age[:count] = mark
    frame = table(age=age.astype(str))
    for missing in ("error", "drop"):
        with pytest.raises(FormulaError) as refusal:
            ok.fit(read(frame, missing=missing), ok.ModelSpec(case_mix="age"), draws=200)
        message = str(refusal.value)
        assert "'age' holds text, but most of its values are numbers" in message
        assert f"{count:,} of 160 rows are not, the first at index 0: {mark!r}" in message


def test_ages_with_their_unit_are_no_categories():
    frame = table(age=[f"{age}岁" for age in table()["age"]])
    with pytest.raises(FormulaError, match="holds numbers with text around them"):
        ok.fit(read(frame), ok.ModelSpec(case_mix="age"), draws=200)


@pytest.mark.parametrize(
    "values",
    [
        ["0", "1", "2", "3+"],
        ["18-44", "45-64", "65-79", "80+"],
        ["I", "II", "III", "IV"],
        ["I21.0", "I21.1", "I21.4", "I22.0"],
        ["low", "high", "Unknown"],
    ],
)
def test_classes_stay_categories(values):
    frame = table(stage=np.resize(values, 160))
    design = ok.fit(read(frame), ok.ModelSpec(case_mix="stage"), draws=200).design
    assert len(design.terms) == len(values) - 1


def test_numbers_that_are_said_to_be_classes_are_classes():
    stage = np.resize(["1", "2", "3", "4", "5", "6", "7", "X"], 160)
    with pytest.raises(FormulaError, match=r"write C\(stage\) in the formula"):
        ok.fit(read(table(stage=stage)), ok.ModelSpec(case_mix="stage"), draws=200)
    said = ok.fit(read(table(stage=stage)), ok.ModelSpec(case_mix="C(stage)"), draws=200)
    typed = table(stage=pd.Categorical(stage))
    assert len(said.design.terms) == 7
    assert len(ok.fit(read(typed), ok.ModelSpec(case_mix="stage"), draws=200).design.terms) == 7


def test_all_faults_of_a_table_are_told_at_once():
    frame = table()
    frame["doctor"] = replaced(frame["doctor"].tolist(), "D0", "d0", 2)
    frame["died"] = frame["died"].astype(float)
    frame.loc[[4, 9], "died"] = np.nan
    frame["hospital"] = ["Unknown", *["H1"] * 159]
    frame["patient"] = [f"P{max(i, 1)}" for i in range(160)]
    message = refused(frame, hospital="hospital", patient="patient")
    assert message.startswith("The table has 3 faults.\n1. ")
    assert "'D0' and 'd0'" in message
    assert "'Unknown' would be judged as one hospital" in message
    assert "2 of 160 rows have missing or blank values: 2 in 'died' (outcome)" in message


def test_what_readers_see_as_one_folds_to_one():
    assert fold_label(" Ｄ１ ") == fold_label("d1")
    assert fold_label("7.00") == "7" and fold_label("7.5") == "7.5"


def test_identifiers_that_were_read_as_rounded_decimals_are_refused():
    rounded = pd.DataFrame({"doctor": [4.40301e12, 4.40302e12, 4.40303e12] * 4, "died": [0, 1] * 6})
    with pytest.raises(CasesError, match=r"12 of 12 rows do not.*'4\.40301E\+12'"):
        ok.Cases.from_frame(rounded, outcome="died", doctor="doctor")
    exact = rounded.assign(doctor=[440301198001.0, 440302198002.0, 440303198003.0] * 4)
    assert len(ok.Cases.from_frame(exact, outcome="died", doctor="doctor").doctors) == 3


@pytest.mark.parametrize("name", ["3E12", "1E1", "2e5"])
def test_names_of_wards_are_no_rounded_numbers(name):
    frame = pd.DataFrame({"doctor": [name, "B"] * 4, "died": [0, 1, 1, 0] * 2})
    assert name in ok.Cases.from_frame(frame, outcome="died", doctor="doctor").doctors


def test_an_indicator_may_be_an_overall_one():
    frame = pd.DataFrame({"indicator": ["Overall"] * 2, "year": [2023, 2024], "n": 50, "hits": 40})
    history = ok.CycleHistory.from_frame(
        frame, indicator="indicator", cycle="year", denominator="n", numerator="hits",
        counts="events",
    )  # fmt: skip
    assert history.indicators == ("Overall",)


def test_a_label_that_no_screen_shows_names_nobody():
    frame = pd.DataFrame({"doctor": ["\u200b", "B"] * 4, "died": [0, 1, 1, 0] * 2})
    with pytest.raises(CasesError, match="must name somebody"):
        ok.Cases.from_frame(frame, outcome="died", doctor="doctor")
