import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.model.collinearity import find_collinear, gram
from outcomekpi.model.design import Design, build_design, moments, replay_design
from outcomekpi.model.spec import ModelSpec
from outcomekpi.tables.cases import Cases

N = 240
ROUNDING = 1e-12  # of standardized values of order 1: sums of a few hundred terms, reordered


def table(n=N, **changes):
    rng = np.random.default_rng(7)
    columns = {
        "died": rng.integers(0, 2, n),
        "surgeon": [f"d{i % 12:02d}" for i in range(n)],
        "age": rng.normal(65, 10, n),
        "stage": rng.integers(1, 5, n),
        "sex": rng.choice(["F", "M"], n),
        "dx": rng.choice(["hip", "knee", "spine"], n),
        "urgent": rng.random(n) < 0.3,
        "volume": [float(i % 12 // 3) for i in range(n)],
        "school": [["east", "west"][i % 12 % 2] for i in range(n)],
    }
    return pd.DataFrame({**columns, **changes})


def read(frame=None, **roles):
    frame = table() if frame is None else frame
    return Cases.from_frame(frame, outcome="died", doctor="surgeon", **roles)


def design(case_mix=None, frame=None, *, roles=None, **spec):
    return build_design(read(frame, **(roles or {})), ModelSpec(case_mix=case_mix, **spec))[0]


def refused(case_mix=None, frame=None, **options):
    with pytest.raises(FormulaError) as caught:
        design(case_mix, frame, **options)
    return str(caught.value)


def raw(built):
    """Columns before standardization."""
    return built.matrix * built.scale + built.center


# what is built


def test_columns_are_centered_and_scaled():
    built = design("age + stage + urgent")
    frame = table()
    assert built.terms == ("age", "stage", "urgent")
    assert built.center == pytest.approx([frame[t].mean() for t in built.terms], rel=1e-14)
    assert built.scale == pytest.approx([frame[t].std() for t in built.terms], rel=1e-14)
    assert np.abs(built.matrix.mean(axis=0)).max() < ROUNDING
    assert built.matrix.std(axis=0, ddof=1) == pytest.approx(1.0, rel=ROUNDING)
    assert built.matrix.flags.f_contiguous
    assert built.matrix.dtype == np.float64
    assert not built.doctor_level.any()


@pytest.mark.parametrize("case_mix", [None, "", "  ", "1"])
def test_nothing_to_adjust_for_gives_no_columns(case_mix):
    built = design(case_mix)
    assert built.matrix.shape == (N, 0)
    assert built.terms == ()
    assert replay_design(built, table().head(3)).shape == (3, 0)


@pytest.mark.parametrize(
    "case_mix",
    [
        "age",
        "age + sex",
        "sex + age + dx + stage + urgent",
        "1 + age + dx",
        "age + age + sex",
        "stage+sex",
    ],
)
def test_a_plain_sum_is_what_formulaic_makes_of_it(case_mix):
    from formulaic import model_matrix

    expected = model_matrix(case_mix, table()).drop(columns="Intercept")
    built = design(case_mix)
    assert list(built.terms) == list(expected.columns)
    assert raw(built) == pytest.approx(expected.to_numpy(dtype=float), abs=1e-11)


@pytest.mark.parametrize(
    "case_mix",
    [
        "age + np.log(age)",
        "age:sex",
        "age * dx",
        "bs(age, df=5) + sex",
        "cr(age, df=4, constraints='center')",
        "poly(age, 2)",
        "C(stage) + sex",
        "C(dx, contr.treatment(base='knee'))",
        "I(age ** 2) + {age ** 3}",
        "(age + stage) ** 2",
        "urgent:age + sex",
    ],
)
def test_a_formula_is_what_formulaic_makes_of_it(case_mix):
    from formulaic import model_matrix

    expected = model_matrix(case_mix, table()).drop(columns="Intercept")
    built = design(case_mix)
    assert list(built.terms) == list(expected.columns)
    tolerance = 1e-13 * expected.abs().to_numpy(dtype=float).max()
    assert raw(built) == pytest.approx(expected.to_numpy(dtype=float), abs=100 * tolerance)


@pytest.mark.parametrize(
    "convert",
    [
        lambda column: column.astype("str"),
        lambda column: column.astype(object),
        lambda column: column.astype("category"),
        lambda column: column.astype("string"),
        lambda column: column.astype("string[pyarrow]"),
        lambda column: column.astype(pd.ArrowDtype(pa.string())),
        lambda column: column.astype(pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
    ],
)
@pytest.mark.parametrize("case_mix", ["sex + dx", "sex * dx"])
def test_every_kind_of_text_column_gives_the_same_terms(convert, case_mix):
    frame = table()
    expected = design(case_mix)
    frame["sex"], frame["dx"] = convert(frame["sex"]), convert(frame["dx"])
    built = design(case_mix, frame)
    assert built.terms == expected.terms
    assert np.array_equal(built.matrix, expected.matrix)


@pytest.mark.parametrize("kind", ["Int64", "Float64", "float32", "int8", "double[pyarrow]",
                                  "object"])  # fmt: skip
@pytest.mark.parametrize("case_mix", ["stage", "stage + I(stage ** 2)"])
def test_every_kind_of_number_column_gives_the_same_terms(kind, case_mix):
    built = design(case_mix, table(stage=table()["stage"].astype(kind)))
    assert built.terms == design(case_mix).terms
    # float32 squares lose digits, all others are exact
    assert built.matrix == pytest.approx(design(case_mix).matrix, abs=1e-6)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_polars_and_pyarrow_tables_give_the_same_design(convert):
    built = design("age + dx + urgent", convert(table()))
    assert np.array_equal(built.matrix, design("age + dx + urgent").matrix)


def test_the_first_category_of_a_category_column_is_the_reference():
    frame = table()
    frame["dx"] = pd.Categorical(frame["dx"], categories=["spine", "unused", "hip", "knee"])
    for case_mix in ("dx", "dx + dx:age"):
        assert design(case_mix, frame).terms[:2] == ("dx[T.hip]", "dx[T.knee]")


@pytest.mark.parametrize("name", ["my col", "年 龄", 'it\'s "q"', "a+b", "x-y", "年龄", "a.b"])
def test_any_column_name_can_be_used(name):
    frame = table().rename(columns={"age": name})
    for case_mix in (f"`{name}` + sex", f"`{name}` + sex + np.log(`{name}`)"):
        built = design(case_mix, frame)
        assert built.terms[0] == name
        assert built.center[0] == pytest.approx(frame[name].mean(), rel=1e-14)
        assert replay_design(built, frame) == pytest.approx(built.matrix, abs=ROUNDING)


def test_chinese_names_need_no_backticks():
    frame = table().rename(columns={"age": "年龄", "sex": "性别"})
    frame["性别"] = frame["性别"].map({"F": "女", "M": "男"})
    assert design("年龄 + 性别", frame).terms == ("年龄", "性别[T.男]")
    assert design("年龄 * 性别", frame).terms == ("年龄", "性别[T.男]", "年龄:性别[T.男]")


def test_a_plain_sum_does_not_import_the_formula_library():
    code = (
        "import sys, pandas as pd\n"
        "from outcomekpi.tables.cases import Cases\n"
        "from outcomekpi.model.design import build_design\n"
        "from outcomekpi.model.spec import ModelSpec\n"
        "t = pd.DataFrame({'y': [0, 1, 0, 1], 'd': list('aabb'), 'x': [1., 2., 4., 3.]})\n"
        "c = Cases.from_frame(t, outcome='y', doctor='d')\n"
        "build_design(c, ModelSpec(case_mix='x'))\n"
        "assert 'formulaic' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_representation_is_one_line():
    assert repr(design("age + sex")) == "Design: 240 cases x 2 terms (age, sex[T.M])"
    assert repr(design()) == "Design: 240 cases x 0 terms"


# laws


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize(
    "spec",
    [
        {"case_mix": "age + sex"},
        {"case_mix": "bs(age, df=4) * sex"},
        {"case_mix": "age + sex", "mundlak": True},
        {"case_mix": "age", "doctor_level": "volume + cases"},
    ],
)
def test_row_order_does_not_matter(spec, seed):
    frame = table().iloc[5:]  # so that caseloads differ
    order = np.random.default_rng(seed).permutation(len(frame))
    built, moved = design(**spec, frame=frame), design(**spec, frame=frame.iloc[order])
    assert moved.terms == built.terms
    assert moved.matrix == pytest.approx(built.matrix[order], abs=1e-10)


def aggregated():
    """Rows of several patients each, and the same patients one by one."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "surgeon": [f"d{i % 8}" for i in range(80)],
            "age": rng.integers(40, 90, 80).astype(float),
            "sex": rng.choice(["F", "M"], 80),
            "school": [["east", "west"][i % 8 % 2] for i in range(80)],
            "size": rng.integers(1, 9, 80),
        }
    )
    rows["died"] = rng.integers(0, rows["size"] + 1)
    single = rows.loc[rows.index.repeat(rows["size"])]
    position = single.groupby(level=0).cumcount()
    return rows, single.assign(died=(position < single["died"]).astype(int))


@pytest.mark.parametrize(
    "spec",
    [
        {"case_mix": "age + sex"},
        {"case_mix": "age * sex + I(age ** 2)"},
        {"case_mix": "bs(age, df=4) + sex"},
        {"case_mix": "poly(age, 2)"},
        {"case_mix": "scale(age) + C(sex)"},
        {"case_mix": "age + sex", "mundlak": True},
        {"case_mix": "age", "doctor_level": "school + np.log(cases)"},
        {"case_mix": "bs(age, df=4)", "mundlak": True, "doctor_level": "school"},
    ],
)
def test_splitting_rows_of_several_patients_changes_nothing(spec):
    rows, single = aggregated()
    spec = ModelSpec(**spec)
    together, _ = build_design(read(rows, trials="size"), spec)
    apart, _ = build_design(read(single), spec)
    assert together.terms == apart.terms
    assert together.center == pytest.approx(apart.center, rel=1e-12, abs=1e-12)
    assert together.scale == pytest.approx(apart.scale, rel=1e-12)
    expanded = np.repeat(together.matrix, rows["size"], axis=0)
    assert expanded == pytest.approx(apart.matrix, abs=1e-9)


def test_a_change_of_units_changes_center_and_scale_only():
    built, moved = design("age"), design("age", table(age=table()["age"] * 12 + 5))
    assert moved.matrix == pytest.approx(built.matrix, abs=ROUNDING * 100)
    assert moved.center == pytest.approx(built.center * 12 + 5)
    assert moved.scale == pytest.approx(built.scale * 12)


# missing values


def test_missing_covariates_are_counted_by_column():
    frame = table()
    frame.loc[[3, 4], "age"] = np.nan
    frame.loc[[4, 9], "sex"] = None
    frame.loc[5, "dx"] = np.nan  # not in the formula
    message = refused("age + sex", frame)
    assert "3 of 240 rows have missing or blank ones: 2 in 'age', 2 in 'sex'" in message
    assert "the first at index 3" in message
    assert "missing='drop'" in message


@pytest.mark.parametrize("case_mix", ["age + sex", "bs(age, df=4) * sex"])
def test_missing_covariates_are_dropped_and_logged_on_request(case_mix):
    frame = table()
    frame.loc[frame["surgeon"] == "d03", "age"] = np.nan
    frame.loc[0, "sex"] = ""
    given_cases = read(frame, missing="drop")
    built, cases = build_design(given_cases, ModelSpec(case_mix=case_mix))
    assert len(cases.frame) == built.matrix.shape[0] == N - 21
    assert "d03" not in cases.doctors
    assert cases.log == (
        "Excluded 21 of 240 rows with missing or blank covariates: 20 in 'age', 1 in 'sex'.",
        "1 doctor has no cases left: 'd03'.",
    )
    assert len(given_cases.frame) == N
    complete = frame.drop(index=cases.frame.index.symmetric_difference(frame.index))
    assert np.array_equal(built.matrix, design(case_mix, complete).matrix)


def test_missing_doctor_level_columns_are_dropped_too():
    frame = table()
    frame.loc[frame["surgeon"] == "d03", "volume"] = np.nan
    _, cases = build_design(read(frame, missing="drop"), ModelSpec(doctor_level="volume"))
    assert len(cases.doctors) == 11
    assert "'d03'" in cases.log[-1]


def test_complete_cases_are_returned_as_they_are():
    cases = read(missing="drop")
    _, same = build_design(cases, ModelSpec(case_mix="age"))
    assert same is cases


def test_dropping_every_case_is_refused():
    cases = read(table(age=[np.nan] * N), missing="drop")
    with pytest.raises(CasesError, match="No case is left"):
        build_design(cases, ModelSpec(case_mix="age"))


def test_a_column_of_nothing_is_missing_not_text():
    assert "240 in 'age'" in refused("age", table(age=[None] * N))


# formulas that are refused


@pytest.mark.parametrize(
    ("case_mix", "words"),
    [
        ("died ~ age", ["right-hand side", "case_mix='age'"]),
        ("~ age", ["right-hand side", "case_mix='age'"]),
        ("age + (1 | surgeon)", ["without '|'", "random effects"]),
        ("0 + age", ["removes the intercept", "Leave out '0'"]),
        ("age - 1", ["removes the intercept"]),
        ("age +", ["cannot be read as a formula", "misplaced", "'age + sex"]),
        ("bs(age", ["cannot be read as a formula", "Expected: )"]),
        ("age + 5", ["cannot be read as a formula"]),
        ("`age", ["cannot be read as a formula"]),
        (".", ["cannot be read as a formula"]),
        ("np.log(age", ["cannot be read"]),
        ("I(age **)", ["cannot be read"]),
        ("aeg + sex", ["'aeg', which is not in the table. Did you mean 'age'?", "The columns are"]),
        ("`my age`", ["'my age', which is not in the table"]),
        ("np.log(aeg)", ["'aeg', which is not in the table. Did you mean 'age'?"]),
        ("age:sx", ["'sx', which is not in the table. Did you mean 'sex'?"]),
        ("I([x for x in age])", ["holds '[x for x in age]', which is not evaluated"]),
        ("sclae(age)", ["the function 'sclae', which is not known. Did you mean 'scale'?"]),
        ("lag(age)", ["depends on the order of the rows"]),
        ("np.lgo(age)", ["the function 'np.lgo', which is not known. Did you mean 'np.log'?"]),
        ("poly(age, 'two')", ["must give degree as a number; got 'two'"]),
        ("np.log(sex)", ["cannot be evaluated"]),
        ("open('x')", ["the function 'open', which is not known"]),
        ("I(age.__class__)", ["must not reach for '__class__'"]),
    ],
)
def test_formulas_that_cannot_be_used_are_refused(case_mix, words):
    message = refused(case_mix)
    assert all(word in message for word in words), message
    assert "\x1b" not in message
    assert "\n" not in message


def test_a_name_with_a_blank_is_explained():
    message = refused("my col + age", table().rename(columns={"stage": "my col"}))
    assert "Write `my col` in backticks" in message


@pytest.mark.parametrize(
    ("case_mix", "roles", "words"),
    [
        ("age + died", {}, ["must not adjust for 'died', the outcome column"]),
        ("surgeon", {}, ["must not adjust for 'surgeon', the doctor column", "an effect in"]),
        ("C(surgeon) + age", {}, ["the doctor column"]),
        ("np.log(died + 1)", {}, ["the outcome column"]),
        ("school", {"hospital": "school"}, ["the hospital column"]),
        ("id", {"patient": "id"}, ["the patient column"]),
        ("stage", {"trials": "stage"}, ["the trials column"]),
    ],
)
def test_columns_with_a_part_in_the_model_are_refused(case_mix, roles, words):
    frame = table(id=[f"p{i}" for i in range(N)])
    message = refused(case_mix, frame, roles=roles)
    assert all(word in message for word in words)
    if case_mix in frame.columns:
        assert "doctor_level must not" in refused(None, frame, roles=roles, doctor_level=case_mix)


# covariates that are refused


@pytest.mark.parametrize("case_mix", ["age + x", "age * x"])
@pytest.mark.parametrize("value", [3.1, 0, True, "same"])
def test_a_constant_covariate_is_refused(case_mix, value):
    message = refused(case_mix, table(x=[value] * N))
    assert "'x' is constant" in message


def test_a_constant_term_is_refused():
    assert "'np.sign(age)' is constant: it is 1 in all 240 rows" in refused("np.sign(age)")
    assert "'C(x)' is constant" in refused("age + C(x)", table(x=[1] * N))


@pytest.mark.parametrize(
    ("case_mix", "column", "others"),
    [
        ("age + months", "months", ["'age'"]),
        ("age + stage + both", "both", ["'age', 'stage'"]),
        ("sex + male", "male", ["'sex[T.M]'"]),
        ("age + stage + sex + months", "months", ["'age' in all"]),
        ("age + I(age + 1)", "I(age + 1)", ["'age'"]),
    ],
)
def test_perfectly_collinear_covariates_are_named(case_mix, column, others):
    frame = table()
    frame = frame.assign(
        months=frame["age"] * 12,
        both=3 * frame["age"] - frame["stage"] + 7,
        male=(frame["sex"] == "M").astype(int),
    )
    message = refused(case_mix, frame)
    assert f"{column!r} is a weighted sum of" in message
    assert all(other in message for other in others)
    assert "Leave one of them out" in message


def test_a_natural_spline_without_constraint_is_explained():
    assert "Write cr(..., constraints='center')" in refused("cr(age, df=4)")


def test_nearly_collinear_covariates_are_accepted():
    noise = np.random.default_rng(1).normal(size=N)
    frame = table(x=table()["age"] + 1e-3 * noise)
    assert design("age + x", frame).terms == ("age", "x")
    powers = design("age + I(age**2) + I(age**3)")
    assert len(powers.terms) == 3


def test_more_terms_than_rows_are_refused():
    frame = table(n=4, surgeon=list("aabb"), died=[0, 1, 0, 1])
    frame = frame.assign(x=[1.0, 5.0, 2.0, 2.0], z=[3.0, 1.0, 4.0, 1.0])
    assert "is a weighted sum of" in refused("age + x + z + volume", frame)


def test_a_text_of_its_own_in_every_row_is_refused():
    message = refused("age + id", table(id=[f"p{i}" for i in range(N)]))
    assert "'id' has 240 different texts in 240 rows" in message
    assert "Is it an identifier?" in message


@pytest.mark.parametrize("case_mix", ["age + id", "age + id + np.log(age)"])
def test_a_whole_number_of_its_own_in_every_row_is_refused(case_mix):
    frame = table(id=np.random.default_rng(0).permutation(N) + 10_000)
    message = refused(case_mix, frame)
    assert "'id' holds a different whole number in each of 240 rows" in message
    assert "I(1.0 * id)" in message
    assert "I(1.0 * id)" in design("age + I(1.0 * id)", frame).terms
    assert design("id", frame.astype({"id": float})).terms == ("id",)


def test_whole_numbers_that_repeat_late_are_no_identifier():
    n = 3000
    frame = table(n=n, cost=[*range(n - 1), 0])
    assert design("cost", frame).terms == ("cost",)


@pytest.mark.parametrize("case_mix", ["dx", "dx * age", "C(dx)"])
def test_a_category_with_one_case_is_named(case_mix):
    frame = table()
    frame.loc[17, "dx"] = "elbow"
    message = refused(case_mix, frame)
    assert "1 of 4 categories with one case only: 'elbow'" in message
    assert "merge" in message


def test_a_numeric_category_with_one_case_is_named():
    frame = table()
    frame.loc[17, "stage"] = 9
    assert "'C(stage)' has 1 of 5 categories with one case only: '9'" in refused("C(stage)", frame)
    assert "one case only: '9'" in refused("C(`my stage`, contr.sum)",
                                           frame.rename(columns={"stage": "my stage"}))  # fmt: skip
    assert design("stage", frame).terms == ("stage",)


@pytest.mark.parametrize("n_numbers", [N, 30])
def test_numbers_made_text_by_one_cell_are_explained(n_numbers):
    ages = [str(i % n_numbers) for i in range(N)]
    ages[77] = "unknown"
    message = refused("age", table(age=ages))
    assert "'age' holds text, but most of its values are numbers" in message
    assert f"1 of {N} rows are not, the first at index 77: 'unknown'" in message


def test_one_row_of_several_patients_is_enough_for_a_category():
    rows, _ = aggregated()
    rows.loc[0, ["sex", "size", "died"]] = ["X", 5, 1]
    assert "sex[T.X]" in design("sex", rows, roles={"trials": "size"}).terms
    rows.loc[0, "size"] = 1
    assert "one case only: 'X'" in refused("sex", rows, roles={"trials": "size"})


@pytest.mark.parametrize("case_mix", ["age + stage", "age * stage"])
def test_infinite_covariates_are_refused(case_mix):
    frame = table()
    frame.loc[[7, 11], "age"] = np.inf
    message = refused(case_mix, frame)
    assert "'age' must hold finite numbers. 2 of 240 rows do not, the first at index 7" in message


def test_terms_that_become_infinite_or_undefined_are_refused():
    frame = table()
    frame.loc[5, "age"] = 0.0
    message = refused("np.log(age)", frame)
    assert "'np.log(age)' must be a finite number for every case. 1 of 240 rows does not" in message
    assert "the first at index 5" in message
    frame.loc[5, "age"] = -1.0
    assert "'np.log(age)' must be a finite number" in refused("np.log(age)", frame)


def test_dates_are_refused():
    message = refused("admitted", table(admitted=pd.date_range("2026-01-01", periods=N)))
    assert "'admitted' must hold numbers or categories; its type is datetime64" in message


def test_categories_that_differ_in_blanks_are_refused():
    frame = table()
    frame.loc[[1, 2], "dx"] = "hip "
    assert "only in blanks around them, the first 'hip' and 'hip '" in refused("dx", frame)


def test_far_too_many_categories_are_refused(monkeypatch):
    monkeypatch.setattr("outcomekpi.model.design.LARGEST_MATRIX", 240 * 8 * 3)
    message = refused("age + sex + dx")
    assert "makes 4 terms of 240 rows" in message
    assert "'dx' alone has 3 categories: group them" in message


# columns of the doctor


def test_mundlak_adds_the_doctor_means():
    built = design("age + sex", mundlak=True)
    frame = table()
    assert built.terms == ("age", "sex[T.M]", "mean(age)", "mean(sex[T.M])")
    assert built.doctor_level.tolist() == [False, False, True, True]
    means = frame.groupby("surgeon")["age"].transform("mean")
    share = (frame["sex"] == "M").groupby(frame["surgeon"]).transform("mean")
    assert raw(built)[:, 2] == pytest.approx(means, rel=1e-12)
    assert raw(built)[:, 3] == pytest.approx(share, abs=1e-12)
    assert np.abs(built.matrix.mean(axis=0)).max() < ROUNDING


def test_mundlak_means_weigh_patients():
    rows, single = aggregated()
    built = design("age", rows, roles={"trials": "size"}, mundlak=True)
    means = single.groupby("surgeon")["age"].mean()
    assert raw(built)[:, 1] == pytest.approx(means[rows["surgeon"]], rel=1e-12)


def test_mundlak_needs_case_mix_that_varies_within_doctors():
    assert "case_mix names none" in refused(mundlak=True)
    message = refused("age + volume", mundlak=True)
    assert "'volume' is the same for all cases of each doctor" in message
    assert "doctor_level" in message
    frame = table(x=np.tile(np.repeat([0.0, 1.0], 12), 10))
    assert "that of 'x' is the same for every doctor" in refused("x", frame, mundlak=True)


def test_too_many_doctor_means_are_explained():
    frame = table(surgeon=[["a", "b", "c"][i % 3] for i in range(N)])
    message = refused("age + stage + sex", frame, mundlak=True)
    assert "'mean(sex[T.M])' is a weighted sum of" in message
    assert "too few doctors" in message


def test_doctor_level_columns_follow_the_doctor():
    frame = table().iloc[5:]
    built = design("age", frame, doctor_level="volume + school + np.log(cases)")
    assert built.terms == ("age", "volume", "school[T.west]", "np.log(cases)")
    assert built.doctor_level.tolist() == [False, True, True, True]
    caseload = frame.groupby("surgeon")["age"].transform("size")
    assert raw(built)[:, 1] == pytest.approx(frame["volume"], abs=ROUNDING)
    assert raw(built)[:, 3] == pytest.approx(np.log(caseload), rel=1e-12)


def test_doctor_level_alone_is_enough():
    built = design(None, table().iloc[5:], doctor_level="cases")
    assert built.terms == ("cases",)
    assert built.doctor_level.tolist() == [True]


def test_a_column_that_varies_within_a_doctor_is_refused():
    message = refused(doctor_level="volume + age")
    assert "'age' varies within 12 of 12 doctors, the first 'd00' (at index 12)" in message
    assert "Put it in case_mix" in message
    assert "'sex' varies within" in refused(doctor_level="sex")


def test_a_column_named_cases_is_ambiguous():
    frame = table(cases=table()["volume"])
    assert "Rename that column" in refused(None, frame, doctor_level="cases")
    assert design(None, frame, doctor_level="volume").terms == ("volume",)


def test_trials_named_cases_are_the_caseload():
    rows, _ = aggregated()
    rows = rows.rename(columns={"size": "cases"})
    built = design(None, rows, roles={"trials": "cases"}, doctor_level="cases")
    caseload = rows.groupby("surgeon")["cases"].transform("sum")
    assert raw(built)[:, 0] == pytest.approx(caseload, rel=1e-12)


def test_a_category_of_one_doctor_is_named():
    frame = table()
    frame["school"] = frame["school"].where(frame["surgeon"] != "d04", "north")
    message = refused(doctor_level="school", frame=frame)
    assert "1 of 3 categories with one doctor only: 'north'" in message


def test_a_column_in_both_formulas_is_refused():
    assert "'volume' came twice" in refused("age + volume", doctor_level="volume")


def test_equal_caseloads_are_a_constant_covariate():
    assert "'cases' is constant: it is 20 in all" in refused(doctor_level="cases")


# replay


@pytest.mark.parametrize(
    "case_mix",
    ["age + sex + dx + urgent", "bs(age, df=5) * sex", "poly(age, 2) + C(dx) + scale(stage)"],
)
def test_replay_rebuilds_the_matrix(case_mix):
    built = design(case_mix)
    assert replay_design(built, table()) == pytest.approx(built.matrix, abs=ROUNDING)
    some = table().iloc[[4, 200, 31]]
    assert replay_design(built, some) == pytest.approx(built.matrix[[4, 200, 31]], abs=1e-9)
    assert replay_design(built, pl.from_pandas(some)) == pytest.approx(
        built.matrix[[4, 200, 31]], abs=1e-9
    )


def test_replay_knows_the_categories_from_one_case():
    built = design("sex + dx")
    one = table().iloc[[0]]
    assert replay_design(built, one) == pytest.approx(built.matrix[[0]], abs=ROUNDING)
    as_category = one.astype({"sex": "category", "dx": "category"})
    assert replay_design(built, as_category) == pytest.approx(built.matrix[[0]], abs=ROUNDING)


def test_replay_matches_numbers_to_numeric_categories():
    frame = table(stage=table()["stage"].astype("category"))
    built = design("stage", frame)
    assert built.terms == ("stage[T.2]", "stage[T.3]", "stage[T.4]")
    assert replay_design(built, table()) == pytest.approx(built.matrix, abs=ROUNDING)


def test_replay_leaves_doctor_columns_at_their_mean():
    built = design("age", mundlak=True, doctor_level="volume")
    again = replay_design(built, table())
    assert again[:, 0] == pytest.approx(built.matrix[:, 0], abs=ROUNDING)
    assert not again[:, 1:].any()


@pytest.mark.parametrize("case_mix", ["dx + age", "dx * age"])
def test_unseen_categories_are_named_at_replay(case_mix):
    new = table().head(5)
    new.loc[2, "dx"] = "elbow"
    with pytest.raises(FormulaError, match=r"'dx' has 1 category\(ies\).*'elbow'.*'hip', 'knee'"):
        replay_design(design(case_mix), new)


def test_unseen_numeric_categories_are_named_at_replay():
    with pytest.raises(FormulaError, match="were not there when the model was fitted: 9"):
        replay_design(design("C(stage)"), table(stage=[9] * N))


def test_values_outside_a_spline_are_explained_at_replay():
    new = table()
    new.loc[0, "age"] = 500
    with pytest.raises(FormulaError, match=r"outside the range .* extrapolation='clip'"):
        replay_design(design("bs(age, df=4)"), new)
    clipped = design("bs(age, df=4, extrapolation='clip')")
    assert np.isfinite(replay_design(clipped, new)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="age").assign(aeg=1), r"'age' is not in the table. Did you mean"),
        (lambda t: t.assign(age=np.nan), "'age' must have a value for every case. 240 of 240"),
        (lambda t: t.assign(sex=None), "'sex' must have a value for every case"),
        (lambda t: t.assign(age="old"), "'age' held numbers when the model was fitted"),
        (lambda t: t.assign(age=np.inf), "'age' must hold finite numbers"),
        (lambda t: t.assign(age=-1.0), r"'np.log\(age\)' must be a finite number"),
    ],
)
def test_unusable_covariates_are_refused_at_replay(change, words):
    with pytest.raises(FormulaError, match=words):
        replay_design(design("age + sex + np.log(age)"), change(table()))


def test_a_design_from_a_file_cannot_be_replayed():
    built = design("age")
    loaded = Design(
        matrix=built.matrix, terms=built.terms, center=built.center, scale=built.scale,
        doctor_level=built.doctor_level, recipe=None,
    )  # fmt: skip
    with pytest.raises(FormulaError, match="Fit the model again"):
        replay_design(loaded, table())


# collinearity


def test_the_gram_matrix_weighs_rows():
    rng = np.random.default_rng(0)
    matrix, weights = rng.normal(size=(50, 3)), rng.integers(1, 5, 50).astype(float)
    expanded = np.repeat(matrix, weights.astype(int), axis=0)
    assert gram(matrix, weights) == pytest.approx(gram(expanded, None), abs=1e-13)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), dependent=st.booleans(), log_size=st.integers(-3, 3))
def test_collinear_columns_are_found_exactly_when_they_are(seed, dependent, log_size):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(60, 5))
    if dependent:
        matrix[:, 3] = 10.0**log_size * (matrix[:, 0] - 2 * matrix[:, 2])
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0, ddof=1)
    found = find_collinear(np.asfortranarray(matrix), None)
    assert found == ((3, [0, 2]) if dependent else None)


# arithmetic


@pytest.mark.parametrize("kind", ["uint8", "int8", "int64", "float32"])
def test_whole_numbers_do_not_wrap_around_in_formulas(kind):
    stage = pd.Series(np.arange(N) % 5 * 25).astype(kind)
    built = design("I(stage ** 9) + I(stage - 50)", table(stage=stage))
    exact = stage.to_numpy(dtype=np.float64)
    assert raw(built)[:, 0] == pytest.approx(exact**9, rel=1e-12, abs=1e-12 * 100.0**9)
    assert raw(built)[:, 1] == pytest.approx(exact - 50, abs=1e-12)


def test_means_and_sds_are_exact_for_large_offsets_and_sorted_columns():
    x = np.sort(np.random.default_rng(2).normal(size=50_000)) + 1e9
    mean, sd = moments(x, None)
    assert mean == pytest.approx(x.mean(), rel=1e-15)
    # 1e9 + noise keeps about 7 digits of the noise
    assert sd == pytest.approx((x - 1e9).std(ddof=1), rel=1e-7)
    weights = np.random.default_rng(2).integers(1, 4, 50_000).astype(float)
    expanded = np.repeat(x, weights.astype(int))
    assert moments(x, weights)[1] == pytest.approx((expanded - 1e9).std(ddof=1), rel=1e-7)


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_beyond_arithmetic_are_refused(size):
    message = refused("age", table(age=table()["age"] * size))
    assert "'age' runs from" in message
    assert "Use another unit" in message


def test_a_column_named_intercept_is_refused():
    message = refused("Intercept + age", table(Intercept=table()["age"]))
    assert "Rename the column" in message


def test_a_column_named_like_a_function_can_be_used():
    frame = table().rename(columns={"age": "C", "stage": "np"})
    assert design("C + np + C:np", frame).terms == ("C", "np", "C:np")
