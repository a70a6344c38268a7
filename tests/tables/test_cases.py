import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.tables.cases import Cases, keep_cases
from outcomekpi.tables.columns import label_text
from outcomekpi.tables.labels import read_labels


def table(n=12, **changes):
    """A table of patients with every role; ``changes`` replace or add columns."""
    columns = {
        "died": [0, 1, 0, 0] * (n // 4),
        "surgeon": ["007", "12", "A", "B"] * (n // 4),
        "site": ["north", "south", "north", "south"] * (n // 4),
        "month": ["2026-01"] * n,
        "id": [f"p{i}" for i in range(n)],
        "age": np.linspace(40, 80, n),
    }
    return pd.DataFrame({**columns, **changes})


def read(frame=None, *, outcome="died", doctor="surgeon", **roles):
    return Cases.from_frame(table() if frame is None else frame, outcome=outcome, doctor=doctor,
                            **roles)  # fmt: skip


def refused(frame=None, **roles):
    with pytest.raises(CasesError) as caught:
        read(frame, **roles)
    return str(caught.value)


# what is read


def test_doctor_labels_are_sorted_text_and_keep_leading_zeros():
    cases = read()
    assert cases.doctors.tolist() == ["007", "12", "A", "B"]
    assert cases.doctor_code.tolist() == [0, 1, 2, 3] * 3
    assert cases.doctor_code.dtype == np.intp


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([7, 10, 2], ["10", "2", "7"]),
        ([7.0, 10.0, 2.0], ["10", "2", "7"]),
        ([7.5, 10.0, 2.0], ["10", "2", "7.5"]),
        (["07", "7", "7a"], ["07", "7", "7a"]),
        (["王", "李", "张"], ["张", "李", "王"]),
        (pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
         ["2026-01-01", "2026-01-02", "2026-01-03"]),
        (pd.array([7, 10, 2], dtype="Int64"), ["10", "2", "7"]),
        (pd.Categorical(["b", "a", "c"], categories=["c", "b", "a", "unused"]), ["a", "b", "c"]),
        (pd.Categorical([3, 1, 2]), ["1", "2", "3"]),
    ],
)  # fmt: skip
def test_identifiers_of_any_type_become_text(labels, expected):
    frame = pd.DataFrame({"died": [0, 1, 0], "surgeon": labels})
    cases = read(frame)
    assert cases.doctors.tolist() == expected
    assert [cases.doctors[code] for code in cases.doctor_code] == [
        label_text(value) for value in pd.Series(labels).tolist()
    ]


TEXT_TYPES = {
    "str": lambda column: column.astype("str"),
    "object": lambda column: column.astype(object),
    "category": lambda column: column.astype("category"),
    "string": lambda column: column.astype("string"),
    "string[pyarrow]": lambda column: column.astype("string[pyarrow]"),
    "arrow": lambda column: column.astype(pd.ArrowDtype(pa.string())),
    "dictionary": lambda column: column.astype(
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
}


@pytest.mark.parametrize("kind", TEXT_TYPES)
def test_every_kind_of_text_column_gives_the_same_cases(kind):
    frame = table()
    frame["surgeon"] = TEXT_TYPES[kind](frame["surgeon"])
    frame["site"] = TEXT_TYPES[kind](frame["site"])
    cases, plain = read(frame, hospital="site"), read(hospital="site")
    assert cases.doctors.equals(plain.doctors)
    assert np.array_equal(cases.doctor_code, plain.doctor_code)
    assert np.array_equal(cases.hospital_code, plain.hospital_code)


@pytest.mark.parametrize("kind", TEXT_TYPES)
def test_every_kind_of_text_column_shows_its_missing_values(kind):
    frame = table()
    frame["surgeon"] = TEXT_TYPES[kind](frame["surgeon"].where(frame.index != 5))
    assert "1 in 'surgeon' (doctor)" in refused(frame)
    cases = read(frame, missing="drop")
    assert len(cases.frame) == 11


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "int8", "float32", "bool",
                                  "double[pyarrow]", "bool[pyarrow]", "object"])  # fmt: skip
def test_every_kind_of_outcome_column_gives_the_same_events(kind):
    frame = table()
    frame["died"] = frame["died"].astype(kind)
    cases = read(frame)
    assert cases.outcome.dtype == np.float64
    assert cases.outcome.tolist() == [0, 1, 0, 0] * 3


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "double[pyarrow]", "object"])
def test_every_kind_of_outcome_column_shows_its_missing_values(kind):
    frame = table()
    frame["died"] = frame["died"].astype(kind)
    frame.loc[[2, 3], "died"] = None if kind == "object" else pd.NA
    assert "2 in 'died' (outcome); the first at index 2" in refused(frame)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_polars_and_pyarrow_tables_give_the_same_cases(convert):
    cases, plain = read(convert(table()), hospital="site"), read(hospital="site")
    assert cases.doctors.equals(plain.doctors)
    assert np.array_equal(cases.outcome, plain.outcome)
    assert np.array_equal(cases.hospital_code, plain.hospital_code)
    assert "converted to pandas" in cases.log[0]


def test_polars_categories_and_missing_booleans_are_understood():
    frame = pl.DataFrame(
        {
            "died": [True, False, None, False],
            "surgeon": pl.Series(["x", "y", "x", "y"], dtype=pl.Categorical),
        }
    )
    cases = read(frame, missing="drop")
    assert cases.outcome.tolist() == [1, 0, 0]
    assert cases.doctors.tolist() == ["x", "y"]


def test_chinese_names_work():
    frame = pd.DataFrame({"是否达标": ["是", "否", "是"], "医生": ["王", "李", "王"]})
    cases = read(frame, outcome="是否达标", doctor="医生", event="是", direction="higher")
    assert cases.outcome.tolist() == [1, 0, 1]
    assert "'是否达标'" in repr(cases)


def test_the_table_is_shared_but_later_changes_do_not_reach_the_cases():
    frame = table()
    cases = read(frame)
    frame.loc[0, "died"] = 1
    frame["age"] = 0.0
    assert cases.outcome[0] == 0
    assert cases.frame["died"].iloc[0] == 0
    assert cases.frame["age"].iloc[0] == 40


def test_the_input_table_is_not_changed():
    frame = table()
    before = frame.copy()
    read(frame, hospital="site", period="month", patient="id")
    pd.testing.assert_frame_equal(frame, before)


def test_trials_and_events_are_summed_by_doctor():
    frame = pd.DataFrame({"r": [1, 2, 0], "n": [10, 20, 5], "doc": ["a", "b", "a"]})
    cases = read(frame, outcome="r", doctor="doc", trials="n")
    assert cases.n_cases == 35
    assert cases.caseload.to_dict() == {"a": 15, "b": 20}
    assert cases.observed.to_dict() == {"a": 1.0, "b": 2.0}
    assert repr(cases) == "Cases: 35 patients of 2 doctors, 3 events of 'r' (8.6%)"


def test_exposure_is_kept_and_the_rate_is_per_unit():
    frame = pd.DataFrame({"falls": [1, 4], "days": [100.0, 25.5], "doc": ["a", "b"]})
    cases = read(frame, outcome="falls", doctor="doc", exposure="days")
    assert cases.exposure.tolist() == [100.0, 25.5]
    assert cases.trials is None
    said = "Cases: 2 cases of 2 doctors, 5 events of 'falls' (0.0398 per unit of exposure)"
    assert repr(cases).startswith(said)


def test_measurements_with_three_or_more_values_are_accepted():
    frame = table(died=np.linspace(1, 9, 12))
    cases = read(frame)
    assert "mean 5 of 'died'" in repr(cases)


def test_hospitals_belong_to_doctors():
    cases = read(hospital="site")
    assert cases.hospitals.tolist() == ["north", "south"]
    assert cases.hospital_code.tolist() == [0, 1, 0, 1]


def test_no_hospital_leaves_none():
    cases = read()
    assert cases.hospitals is None
    assert cases.hospital_code is None


def test_the_representation_is_one_line_and_says_the_direction():
    cases = read(hospital="site", direction="lower")
    assert repr(cases) == (
        "Cases: 12 patients of 4 doctors in 2 hospitals, 3 events of 'died' (25.0%), "
        "lower is better"
    )


def test_the_html_escapes_names_from_the_data():
    frame = table().rename(columns={"died": "<b>died</b>"})
    html = read(frame, outcome="<b>died</b>", event=1)._repr_html_()
    assert "<b>died</b>" not in html
    assert "&lt;b&gt;died" in html


def test_numbers_turned_into_labels_are_logged():
    cases = read(table(surgeon=[7, 8] * 6))
    assert cases.log == ("The numbers in column 'surgeon' (doctor) are kept as text, such as '7'.",)


@given(order=st.permutations(range(12)))
def test_row_order_does_not_matter(order):
    cases, moved = read(hospital="site"), read(table().iloc[list(order)], hospital="site")
    assert cases.doctors.equals(moved.doctors)
    assert np.array_equal(cases.doctor_code[list(order)], moved.doctor_code)
    assert np.array_equal(cases.hospital_code, moved.hospital_code)
    assert cases.observed.equals(moved.observed)


@pytest.mark.slow
@given(names=st.lists(st.text(min_size=1).filter(str.strip), min_size=4, max_size=4, unique=True))
def test_relabelling_doctors_permutes_them(names):
    try:
        read_labels(pd.Series(names), "doctor")
    except CasesError:  # one name in two spellings, or a name for nobody
        return
    new = dict(zip(["007", "12", "A", "B"], names, strict=True))
    cases = read()
    moved = read(table().assign(surgeon=table()["surgeon"].map(new)))
    assert moved.observed.to_dict() == {
        new[name]: events for name, events in cases.observed.to_dict().items()
    }


# the event


@pytest.mark.parametrize(
    ("values", "event", "expected"),
    [
        (["yes", "no", "yes"], "yes", [1, 0, 1]),
        (["yes", "no", "yes"], "no", [0, 1, 0]),
        ([1, 2, 2], 2, [0, 1, 1]),
        ([1, 2, 2], "2", [0, 1, 1]),
        ([1.0, 2.0, 2.0], "1.0", [1, 0, 0]),
        ([0, 1, 1], True, [0, 1, 1]),
        ([0, 1, 1], "0", [1, 0, 0]),
        ([False, True, True], 1, [0, 1, 1]),
        ([False, True, True], "true", [0, 1, 1]),
        ([False, True, True], False, [1, 0, 0]),
        (["0", "1", "1"], 1, [0, 1, 1]),
        (pd.Categorical(["dead", "alive", "alive"]), "dead", [1, 0, 0]),
    ],
)
def test_the_event_value_is_counted(values, event, expected):
    frame = pd.DataFrame({"out": values, "doc": ["a", "b", "a"]})
    cases = read(frame, outcome="out", doctor="doc", event=event)
    assert cases.outcome.tolist() == expected
    assert isinstance(cases.event, str)


def test_other_values_than_the_event_are_no_event_only_if_they_are_named():
    frame = pd.DataFrame({"out": ["dead", "alive", "moved"], "doc": ["a", "b", "a"]})
    with pytest.raises(CasesError) as refusal:
        read(frame, outcome="out", doctor="doc", event="dead")
    assert "2 values beside the event: 'alive' 1, 'moved' 1 (rows)" in str(refusal.value)
    assert "no_event=['alive', 'moved']" in str(refusal.value)
    with pytest.raises(CasesError, match="1 value that no_event does not name: 'moved'"):
        read(frame, outcome="out", doctor="doc", event="dead", no_event="alive")
    cases = read(frame, outcome="out", doctor="doc", event="dead", no_event=["alive", "moved"])
    assert cases.event == "dead"
    assert cases.log == (
        "The event is 'dead' in column 'out'; 'alive', 'moved' counts as no event.",
    )


def test_an_event_that_does_not_occur_is_refused_with_the_values_seen():
    message = refused(table(died=["dead", "alive"] * 6), event="deda")
    assert "event='deda' is not a value" in message
    assert "'alive', 'dead'" in message
    assert "Did you mean 'dead'?" in message


@pytest.mark.parametrize("values", [["yes", "no"], ["0", "1"], pd.Categorical(["yes", "no"])])
def test_a_text_outcome_needs_the_event(values):
    frame = pd.DataFrame({"died": values, "surgeon": ["a", "b"]})
    message = refused(frame)
    assert "must hold 0 and 1" in message
    assert f"Values seen: {sorted(values)[0]!r}, {sorted(values)[1]!r}" in message
    assert "Pass event=" in message


def test_rates_in_percent_are_sent_to_counts_and_patients():
    message = refused(pd.DataFrame({"died": ["12.5%", "8.1%"], "surgeon": ["a", "b"]}))
    assert "Values seen: '12.5%', '8.1%'" in message
    assert "trials=, the column of patients" in message
    assert "event=" not in message


def test_two_numbers_other_than_0_and_1_need_the_event():
    message = refused(table(died=[1, 2, 2, 1] * 3))
    assert "must hold only 0 and 1. 6 of 12 rows do not, the first at index 1" in message
    assert "values seen: 1, 2" in message
    assert "event=2" in message


def test_an_event_with_trials_is_refused():
    assert "Leave out event or trials" in refused(table(n=12, t=[1] * 12), trials="t", event=1)


# bad tables


def test_a_misspelt_column_is_named_with_the_nearest_one():
    message = refused(doctor="surgon")
    assert "1 column not found in the table: 'surgon' (doctor). Did you mean 'surgeon'?" in message
    assert "The columns are 'died', 'surgeon', 'site'" in message


def test_all_missing_columns_are_named_at_once():
    message = refused(doctor="doc", outcome="dead")
    assert "2 columns not found" in message
    assert "'dead' (outcome)" in message
    assert "'doc' (doctor)" in message


def test_one_column_in_two_roles_is_refused():
    message = refused(hospital="surgeon")
    assert "'surgeon' was named as doctor and hospital" in message


def test_a_column_instead_of_its_name_is_refused():
    assert "doctor must be the name of a column, as text; got Series" in refused(
        doctor=table()["surgeon"]
    )
    assert "outcome must be the name of a column" in refused(outcome=None)


def test_duplicate_column_names_are_refused():
    frame = pd.concat([table(), table()[["age"]]], axis=1)
    assert "1 name found more than once: 'age'" in refused(frame)
    twice = pa.table([pa.array([1]), pa.array([2])], names=["age", "age"])
    assert "1 name found more than once: 'age'" in refused(twice)


def test_levels_of_column_names_are_refused():
    frame = table()
    frame.columns = pd.MultiIndex.from_product([["a"], frame.columns])
    assert "one name per column; it has 2 levels" in refused(frame)


def test_column_names_that_are_numbers_are_refused():
    message = refused(pd.DataFrame([[0, "a"], [1, "b"]]), outcome=0, doctor=1)
    assert "Column names must be text; 2 of 2 are not: 0, 1" in message


@pytest.mark.parametrize("things", [[[1], [2]] * 6, [{}, {}] * 6])
def test_cells_of_lists_are_refused(things):
    assert "'surgeon' (doctor) must hold text or numbers; its cells hold" in refused(
        table(surgeon=things)
    )


def test_an_empty_table_is_refused():
    assert "no columns" in refused(pd.DataFrame())
    assert "has a header ('died', 'surgeon', " in refused(table().iloc[:0])
    assert "but no rows" in refused(pl.from_pandas(table()).head(0))


@pytest.mark.parametrize("thing", [{"died": [1]}, [1, 2], np.zeros((2, 2)), None, "table.csv"])
def test_what_is_no_table_is_refused(thing):
    with pytest.raises(CasesError, match=r"pandas, Polars or PyArrow table; got .*DataFrame first"):
        Cases.from_frame(thing, outcome="died", doctor="surgeon")


def test_a_lazy_table_is_refused_with_the_remedy():
    assert "Call its collect() first" in refused(pl.from_pandas(table()).lazy())


def test_missing_values_are_counted_by_column():
    frame = table()
    frame["died"] = frame["died"].astype(float)
    frame.loc[[3, 4], "died"] = np.nan
    frame.loc[[4, 5], "surgeon"] = None
    frame.loc[6, "site"] = "  "
    message = refused(frame, hospital="site")
    assert "4 of 12 rows have missing or blank values" in message
    assert "2 in 'died' (outcome), 2 in 'surgeon' (doctor), 1 in 'site' (hospital)" in message
    assert "the first at index 3" in message
    assert "missing='drop'" in message


def test_missing_values_are_dropped_and_logged_on_request():
    frame = table()
    frame["died"] = frame["died"].astype(float)
    frame.loc[[2, 6, 10], "died"] = np.nan
    frame.loc[1, "surgeon"] = None
    cases = read(frame, hospital="site", missing="drop")
    assert cases.frame.index.tolist() == [0, 3, 4, 5, 7, 8, 9, 11]
    assert cases.outcome.size == cases.doctor_code.size == 8
    assert cases.doctors.tolist() == ["007", "12", "B"]
    assert cases.hospital_code.tolist() == [0, 1, 1]
    assert cases.log == (
        "Excluded 4 of 12 rows with missing or blank values: 3 in 'died' (outcome), "
        "1 in 'surgeon' (doctor).",
        "1 doctor has no cases left: 'A'.",
    )
    assert "<li>Excluded 4 of 12 rows" in cases._repr_html_()
    assert cases.missing == "drop"


def test_dropping_everything_is_refused():
    frame = table(died=[np.nan] * 12)
    assert "No case is left" in refused(frame, missing="drop")


def test_missing_values_of_columns_without_a_role_do_not_matter():
    assert read(table(age=[np.nan] * 12)).n_cases == 12


@pytest.mark.parametrize("role", ["trials", "exposure"])
def test_missing_trials_and_exposures_are_refused(role):
    frame = table(size=[np.nan] + [5.0] * 11)
    assert f"1 in 'size' ({role})" in refused(frame, **{role: "size"})


def test_infinite_values_are_refused():
    frame = table(died=[0, np.inf, 3, -np.inf] * 3)
    message = refused(frame)
    assert "'died' (outcome) must hold finite numbers. 6 of 12 rows do not" in message
    assert "index 1 (inf)" in message
    frame = table(days=[1.0, np.inf] * 6)
    assert "'days' (exposure) must hold finite numbers" in refused(frame, exposure="days")


def test_text_in_a_column_of_numbers_is_named():
    frame = table(n=12, size=["5", "x", "6"] * 4)
    message = refused(frame, trials="size")
    assert "'size' (trials) must hold numbers. 4 of 12 rows do not, the first at index 1" in message
    assert "which holds 'x'" in message


def test_numbers_written_as_text_are_read():
    cases = read(table(size=["5", "7"] * 6), trials="size")
    assert cases.n_cases == 72


def test_dates_as_outcome_are_refused():
    frame = table(died=pd.date_range("2026-01-01", periods=12))
    assert "its type is datetime64" in refused(frame)


def test_more_events_than_trials_are_refused():
    frame = table(died=[3, 1] * 6, size=[2, 1] * 6)
    message = refused(frame, trials="size")
    assert "at most as many events as there are 'size' (trials). 6 of 12 rows do not" in message
    assert "(3 events, 2 trials)" in message
    assert "swapped" in message


@pytest.mark.parametrize("wrong", [0, -1, 2.5])
def test_trials_must_be_whole_and_positive(wrong):
    frame = table(died=[0] * 12, size=[5.0] * 11 + [wrong])
    message = refused(frame, trials="size")
    assert "'size' (trials) must count the patients of each row: whole numbers, 1 or" in message
    assert f"1 of 12 rows does not, the first at index 11 ({wrong:g})" in message


@pytest.mark.parametrize("wrong", [0.0, -3.0])
def test_exposure_must_be_positive(wrong):
    frame = table(days=[5.0] * 10 + [wrong] * 2)
    message = refused(frame, exposure="days")
    assert "'days' (exposure) must hold time or volume at risk, greater than 0" in message
    assert "2 of 12 rows do not, the first at index 10" in message


@pytest.mark.parametrize("role", ["trials", "exposure"])
@pytest.mark.parametrize("wrong", [-1, 0.5])
def test_counts_must_be_whole(role, wrong):
    frame = table(died=[1, wrong] * 6, size=[5.0] * 12)
    message = refused(frame, **{role: "size"})
    assert "'died' (outcome) must hold whole numbers of events, 0 or more. 6 of 12" in message


def test_trials_and_exposure_exclude_each_other():
    frame = table(a=[1] * 12, b=[1] * 12)
    assert "either out of trials or over an exposure" in refused(frame, trials="a", exposure="b")


def test_one_doctor_only_is_refused():
    message = refused(table(surgeon=["A"] * 12))
    assert "At least two doctors are needed to compare; column 'surgeon' has one, 'A'" in message


def test_no_events_are_refused():
    assert "has no events at all in 12 rows" in refused(table(died=[0] * 12))
    frame = table(died=[0] * 12, size=[5] * 12)
    assert "no events at all" in refused(frame, trials="size")
    assert "no events at all" in refused(frame, exposure="size")


def test_only_events_are_refused():
    assert "has only events in 12 rows" in refused(table(died=[True] * 12))
    assert "only events" in refused(table(died=[5] * 12, size=[5] * 12), trials="size")
    assert "holds one value only, 3" in refused(table(died=[3.0] * 12))


def test_only_counts_of_one_over_an_exposure_are_accepted():
    assert read(table(died=[1] * 12, size=[5, 6] * 6), exposure="size").outcome.sum() == 12


def test_a_doctor_in_two_hospitals_is_refused():
    sites = ["north", "south", "north", "south"] * 2 + ["north", "north", "south", "south"]
    message = refused(table(site=sites), hospital="site")
    assert "Each doctor must belong to one hospital. 2 of 4 doctors have cases" in message
    assert "the first '12' (in 'south' and, at index 9, in 'north')" in message
    assert "table['site'].astype(str) + '/' + table['surgeon'].astype(str)" in message


def test_duplicate_patients_are_refused():
    frame = table(id=["p1"] * 12)
    message = refused(frame, patient="id", hospital="site", period="month")
    assert "may appear once for the same 'surgeon', 'site', 'month'" in message
    assert "8 of 12 rows repeat an earlier one, the first at index 4 (patient 'p1')" in message


def test_a_patient_may_come_back_in_another_period():
    frame = table(id=["p1"] * 12, month=[1] * 4 + [2] * 4 + [3] * 4)
    assert read(frame, patient="id", period="month").n_cases == 12


def test_a_direction_must_be_known():
    with pytest.raises(SpecError, match="direction must be one of 'higher', 'lower'"):
        read(direction="lowest")
    with pytest.raises(SpecError, match="missing must be one of 'error', 'drop'"):
        read(missing="ignore")


def test_labels_that_differ_in_blanks_only_are_refused():
    message = refused(table(surgeon=["A", "A ", "B", "C"] * 3))
    assert "1 label(s) that differ from another one only in blanks" in message
    assert "'A' and 'A '" in message


def test_identifiers_that_lost_digits_are_refused():
    message = refused(table(surgeon=[1.1e17, 2.2e17] * 6))
    assert "have lost their last digits" in message
    assert "12 of 12 rows" in message
    assert "finite identifiers" in refused(table(surgeon=[1.0, np.inf] * 6))


def test_long_whole_identifiers_keep_every_digit():
    cases = read(table(surgeon=[110101199003070011, 110101199003070012] * 6))
    assert cases.doctors.tolist() == ["110101199003070011", "110101199003070012"]


# fewer cases


def test_kept_cases_say_why_and_who_was_lost():
    cases = read(hospital="site")
    keep = (cases.doctor_code != 1) & (cases.doctor_code != 3)
    keep[1] = True
    kept = keep_cases(cases, keep, because="Excluded for a reason.")
    assert kept.doctors.tolist() == ["007", "12", "A"]
    assert kept.hospitals.tolist() == ["north", "south"]
    assert kept.hospital_code.tolist() == [0, 1, 0]
    assert kept.log == ("Excluded for a reason.", "1 doctor has no cases left: 'B'.")
    assert len(kept.frame) == keep.sum() == kept.outcome.size


def test_kept_cases_lose_hospitals_without_doctors():
    frame = table(died=[1, 1, 0, 0] * 3)
    cases = read(frame, hospital="site")
    kept = keep_cases(cases, cases.doctor_code % 2 == 0, because="Why.")
    assert kept.hospitals.tolist() == ["north"]
    assert kept.hospital_code.tolist() == [0, 0]


def test_kept_cases_take_trials_along():
    frame = table(size=[5, 6, 7, 8] * 3)
    cases = read(frame, trials="size")
    kept = keep_cases(cases, cases.frame.index < 6, because="Why.")
    assert kept.trials.tolist() == [5, 6, 7, 8, 5, 6]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda c: c.doctor_code < 0, "No case is left. Why."),
        (lambda c: c.doctor_code == 1, "At least two doctors"),
        (lambda c: c.doctor_code != 1, "no events at all"),
    ],
)
def test_too_few_kept_cases_are_refused(keep, message):
    cases = read()
    with pytest.raises(CasesError, match=message):
        keep_cases(cases, keep(cases), because="Why.")


def test_reading_cases_warns_about_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(pl.from_pandas(table()), hospital="site", period="month", patient="id")


ODD_DOCTORS = {
    "booleans": [True, False, True, False],
    "booleans as objects": pd.Series([True, False, None, True], dtype=object),
    "nullable booleans": pd.array([True, False, True, False], dtype="boolean"),
    "booleans among names": pd.Series(["A", True, "B", "A"], dtype=object),
    "categories of booleans": pd.Categorical([True, False, True, False]),
    "time spans": pd.to_timedelta([1, 2, 1, 2], unit="D"),
    "time spans as objects": pd.Series([pd.Timedelta(1), pd.Timedelta(2)] * 2, dtype=object),
    "bytes": pd.Series([b"A", b"B", b"A", b"B"], dtype=object),
    "arrow booleans": pd.array([True, False, True, False], dtype="bool[pyarrow]"),
    "arrow time spans": pd.Series(pd.to_timedelta([1, 2, 1, 2], unit="D")).astype(
        "duration[ns][pyarrow]"
    ),
    "arrow bytes": pd.Series([b"A", b"B", b"A", b"B"], dtype="binary[pyarrow]"),
}


@pytest.mark.parametrize("kind", ODD_DOCTORS)
@pytest.mark.parametrize("role", ["doctor", "hospital", "patient"])
def test_what_tells_nobody_apart_is_refused_as_an_identifier(kind, role):
    frame = pd.DataFrame({"y": [0, 1, 0, 1], "d": list("abcd"), "odd": ODD_DOCTORS[kind]})
    named = {"doctor": "d", role: "odd"}
    with pytest.raises(CasesError, match=r"'odd' .* must hold names or numbers that tell one"):
        Cases.from_frame(frame, outcome="y", **named)


def test_truth_values_stay_outcomes_and_periods():
    frame = pd.DataFrame({"y": [True, False] * 3, "d": list("aabbcc"), "p": [True, False] * 3})
    assert Cases.from_frame(frame, outcome="y", doctor="d", period="p").outcome.sum() == 3


@pytest.mark.parametrize("role", ["outcome", "trials", "exposure"])
def test_cells_of_lists_among_numbers_are_refused(role):
    cells = pd.Series(["1", np.array([1.0]), "2", "3"] * 3, dtype=object)
    named = {"trials": "n"} if role == "trials" else {"exposure": "n"}
    column = "died" if role == "outcome" else "n"
    frame = table(n=12).assign(n=5).assign(**{column: cells})
    assert "ndarray objects" in refused(frame, **named)
