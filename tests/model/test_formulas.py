"""Formulas: the attacks that are refused, and what people write that must work."""

import os
import time

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import FormulaError
from outcomekpi.model.design import build_design, replay_design
from outcomekpi.model.spec import ModelSpec
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import read_patients
from outcomekpi.pilots.designs.before_after import BeforeAfter
from outcomekpi.tables.cases import Cases

N = 240
ROUNDING = 1e-12  # of standardized values of order 1: sums of a few hundred terms, reordered


def table(**changes):
    rng = np.random.default_rng(7)
    columns = {
        "died": rng.integers(0, 2, N),
        "surgeon": [f"d{i % 12:02d}" for i in range(N)],
        "age": rng.normal(65, 10, N),
        "stage": rng.integers(1, 5, N),
        "sex": rng.choice(["F", "M"], N),
        "dx": rng.choice(["hip", "knee", "spine"], N),
        "urgent": rng.random(N) < 0.3,
        "年龄": rng.normal(60, 9, N),
        "入院 类型": rng.choice(["急诊", "平诊"], N),
        "my age": rng.normal(50, 9, N),
        "a.b": rng.normal(50, 9, N),
    }
    return pd.DataFrame({**columns, **changes})


def design(case_mix, frame=None, **spec):
    cases = Cases.from_frame(table() if frame is None else frame, outcome="died", doctor="surgeon")
    return build_design(cases, ModelSpec(case_mix=case_mix, **spec))[0]


def raw(built):
    """Columns before standardization."""
    return built.matrix * built.scale + built.center


def refused(case_mix, frame=None, **spec):
    with pytest.raises(FormulaError) as caught:
        design(case_mix, frame, **spec)
    return str(caught.value)


# attacks: each would have run code, read or written a file, or changed the data

ATTACKS = [
    "np.load('{bait}', allow_pickle=True)",
    "np.save('{bait}', age)",
    "np.savetxt('{bait}', age)",
    "np.fromfile('{bait}')",
    "np.genfromtxt('{bait}')",
    "np.memmap('{bait}')",
    "np.DataSource()",
    "np.lib.npyio.os.system('touch {bait}')",
    "np.f2py.os.system('touch {bait}')",
    "np.ctypeslib.ctypes",
    "np.testing.measure('1')",
    "np.vectorize(age)",
    "np.frompyfunc(abs, 1, 1)(age)",
    "np.fromfunction(np.log, (1,))",
    "np.apply_along_axis(np.log, 0, age)",
    "np.log.__class__(age)",
    "np.log.reduce(age)",
    "np.add.at(age, 0, 1)",
    "np.put(age, 0, 1)",
    "np.copyto(age, 0)",
    "np.log(age, age)",
    "np.log(age, stage)",
    "np.log(age, out=stage)",
    "np.log(age, where=urgent)",
    "np.add(age, stage, age)",
    "np.clip(age, 40, 60, age)",
    "np.round(age, 1, age)",
    "age.to_csv('{bait}')",
    "age.to_pickle('{bait}')",
    "age.to_csv",
    "I(age.to_csv('{bait}'))",
    "age.map(open)",
    "age.apply('eval')",
    "age.pipe(print)",
    "age.values.tofile('{bait}')",
    "I(age.array)",
    "I(age.__class__)",
    "I(age.__class__.__init__.__globals__)",
    "I(np)",
    "I(np.load)",
    "I(contr)",
    "contr.treatment.__init__(1)",
    "C(dx, contr.custom([1]))",
    "C(dx, np.load('{bait}'))",
    "C(dx, open('{bait}'))",
    "C(dx, contr.treatment(base=open('{bait}', 'w')))",
    "C(open('{bait}', 'w'))",
    "open('{bait}', 'w')",
    "I(open('{bait}', 'w'))",
    "exec('1')",
    "eval('1')",
    "compile('1', '', 'eval')",
    "__import__('os')",
    "__import__('os').system('touch {bait}')",
    "getattr(age, 'to_csv')",
    "getattr(np, 'load')('{bait}')",
    "globals()",
    "locals()",
    "vars()",
    "print(age)",
    "input()",
    "breakpoint()",
    "type(age)",
    "(lambda: 1)()",
    "I((lambda: age)())",
    "I((x := age))",
    "I([x for x in age])",
    "I({x for x in age})",
    "I({x: 1 for x in age})",
    "I((x for x in age))",
    "I(*[age])",
    "I(**{})",
    "I(f'{age}')",
    "I(b'x')",
    "I('x')",
    "I(age if urgent else stage)",
    "I(age and stage)",
    "I(not age)",
    "I(age is stage)",
    "I(age in stage)",
    "I(...)",
    "I(1j * age)",
    "I(age @ stage)",
    "I(age << 3)",
    "I(age[0])",
    "age[0]",
    "I(age[::-1])",
    "{age.sample(frac=1)}",
    "{open('{bait}', 'w')}",
    "{__import__('os')}",
    "scale(age, _state={'center': open('{bait}', 'w')})",
    "scale(age, _state={})",
    "scale(age, _context=np)",
    "scale(age, _metadata=1)",
    "scale(age, _spec=age)",
    "scale(age, center=np.load('{bait}'))",
    "bs(age, df=open('{bait}'))",
    "bs(age, knots=np.load('{bait}'))",
    "bs(age, knots=[open('{bait}', 'w')])",
    "bs(age, extrapolation=open)",
    "cr(age, df=4, constraints=np)",
    "poly(age, raw=print(1))",
    "hashed(dx, 3, hash_func=print)",
    "Q(open('{bait}', 'w'))",
    "Q('age', _context=np)",
    "Q(age)",
    "Q()",
    # formulaic writes a call into code of its own, where quotation marks end the text
    'scale(dx == "] + print(1)] #\'")',
    'scale(dx == "\'] + print(1)] #")',
    "scale(dx == '\"] + print(1)] #')",
    "scale(dx == '\\\\\"] + print(1)] #')",
    "bs(age, extrapolation='\"] + print(1)] #')",
    "bs(age, df=3, knots=['\"'])",
    "Q('it\\'s')",
    "C(dx, levels=['\\n'])",
    # names in backticks that become code
    "np.log(`__import__('os')`)",
    "np.log(`lambda`: 1)",
    "np.log(`age) or print(1`)",
    "np.log(``)",
    "I(`)`)",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_formula_runs_code(attack, tmp_path, monkeypatch, capsys):
    bait = tmp_path / "bait"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail(f"ran {command}"))
    monkeypatch.setattr("builtins.breakpoint", lambda: pytest.fail("stopped"))
    given = table()
    message = refused(attack.replace("{bait}", str(bait)), given)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
    assert given.equals(table())
    assert "\n" not in message
    assert "cannot be evaluated" not in message, "it was evaluated"


@pytest.mark.parametrize("attack", ["np.load('x', allow_pickle=True)", "age.to_csv('x')"])
def test_no_formula_of_doctors_or_pilots_runs_code(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused("stage", doctor_level=attack)
    frame = table(period=["before", "after"] * (N // 2))
    columns = PatientColumns(outcome="died", period="period", after="after", case_mix=attack)
    with pytest.raises(FormulaError, match=r"not known|must not reach"):
        read_patients(frame, columns)
    assert list(tmp_path.iterdir()) == []
    assert BeforeAfter  # the design that hands the formula on


ROW_ORDER_OR_CHANCE = [
    ("lag(age)", "order of the rows"),
    ("np.cumsum(age)", "order of the rows"),
    ("np.diff(age)", "order of the rows"),
    ("np.roll(age, 1)", "order of the rows"),
    ("np.sort(age)", "order of the rows"),
    ("np.gradient(age)", "order of the rows"),
    ("np.arange(240)", "order of the rows"),
    ("I(age - np.roll(age, 1))", "order of the rows"),
    ("age.shift(1)", "must not reach for 'shift'"),
    ("age.cumsum()", "must not reach for 'cumsum'"),
    ("age.rank()", "must not reach for 'rank'"),
    ("age.sample(frac=1)", "must not reach for 'sample'"),
    ("I(age.index)", "must not reach for 'index'"),
    ("I(age[3])", "picks rows by 'age[3]'"),
    ("np.random.normal(age)", "depends on chance"),
    ("{np.random.default_rng(1).normal(age)}", "depends on chance"),
    ("I(np.random.default_rng(1))", "depends on chance"),
    ("I(age + np.random.normal(age))", "depends on chance"),
    ("hashed(dx, levels=3)", "Group them"),
    # one number of all rows: another table gives another number
    ("I(age - np.mean(age))", "which other rows"),
    ("I(age / max(age))", "which other rows"),
    ("I(age - len(age))", "which other rows"),
    ("np.median(age)", "which other rows"),
    ("rank(age)", "which other rows"),
]


@pytest.mark.parametrize(("case_mix", "words"), ROW_ORDER_OR_CHANCE)
def test_what_depends_on_other_rows_or_chance_is_refused(case_mix, words):
    assert words in refused(case_mix)


ANOTHER_MEANING = [
    ("age**2", "which in a formula fits age alone", "I(age**2)"),
    ("age^2", "which in a formula fits age alone", "I(age**2)"),
    ("stage + age ** 3", "fits age alone", "I(age**3)"),
    ("(age)**2", "fits age alone", "I(age**2)"),
    ("sex + (age + 1)**2", "fits age alone", "I(age**2)"),
    ("(age*age)**2", "multiplies age by itself", "I(age**2)"),
    ("`my age`**2", "fits", "I(`my age`**2)"),
    ("年龄^2", "fits", "I(年龄**2)"),
    ("np.log(age)**2", "fits np.log(age) alone", "I(np.log(age)**2)"),
    ("age:age", "multiplies age by itself", "I(age**2)"),
    ("age*age", "multiplies age by itself", "I(age**2)"),
    ("age:stage:age", "multiplies age by itself", "I(age**2)"),
    ("I(age^2)", "writes a power as 'age ^ 2'", "'**'"),
    ("{age ^ 2}", "writes a power as 'age ^ 2'", "'**'"),
    ("exp10(stage)", "x ** 10", "I(10.0 ** x)"),
    ("age - stage", "takes away stage, which is not there", "I("),
    ("-age", "takes away age, which is not there", "I("),
    ("age - 5", "takes away 5, which is not there", "I("),
    ("age + sex - sxe", "takes away sxe, which is not there", "I("),
    ("I(40 < age < 60)", "chains comparisons", "&"),
    ("I(5)", "uses no column", "Name one"),
    ("{np.pi}", "uses no column", "Name one"),
    ("%%", "uses no column", "Name one"),
]


@pytest.mark.parametrize(("case_mix", "words", "remedy"), ANOTHER_MEANING)
def test_what_would_fit_something_else_is_refused_with_the_remedy(case_mix, words, remedy):
    message = refused(case_mix)
    assert words in message, message
    assert remedy in message, message


@pytest.mark.parametrize("name", ["age", "`my age`", "年龄", "`a.b`"])
def test_the_remedy_for_a_power_adds_the_quadratic(name):
    built = design(f"{name} + I({name}**2)")
    values = table()[name.strip("`")].to_numpy()
    assert raw(built)[:, 0] == pytest.approx(values, rel=1e-12)
    assert raw(built)[:, 1] == pytest.approx(values**2, rel=1e-12)
    assert replay_design(built, table().head(9)) == pytest.approx(built.matrix[:9], abs=ROUNDING)


COLLISIONS = [
    "scale(`my age`) + my_age",
    "scale(`my age`) + scale(`my-age`)",
    "np.log(`my age`) + bs(my_age, df=4)",
]


@pytest.mark.parametrize("case_mix", COLLISIONS)
def test_names_that_the_formula_library_would_confuse_are_refused(case_mix):
    frame = table(my_age=table()["age"], **{"my-age": table()["age"] * 2 + table()["stage"]})
    assert "differs in blanks or signs only" in refused(case_mix, frame)
    assert design("`my age` + my_age + `my-age`", frame).matrix.shape == (N, 3)


def test_a_column_named_like_a_function_is_explained():
    frame = table(log=table()["age"], np=table()["stage"])
    assert "'log' as a function and as a column" in refused("log + log(age)", frame)
    assert "'np' as a function and as a column" in refused("np + np.log(age)", frame)
    assert design("log + np", frame).terms == ("log", "np")
    assert design("np.log(age)", frame).terms == ("np.log(age)",)


ENDLESS = [
    "I(age + 9**9**9**9)",
    "I(age * 9**999999999)",
    "I(9**round(np.pi * 1e8) + age)",
    "I((-9)**(10**9) * age)",
    "(age + stage + sex + dx)**40",
    "(age + stage)**99999999999999999999",
    "*".join(f"I(age + {i})" for i in range(60)),
    "(age + stage):" * 40 + "dx",
    "bs(age, df=100000000)",
    "poly(age, 100000000)",
    "poly(age, degree=1000)",
    "I(" * 3000 + "age" + ")" * 3000,
    "I(" + "-" * 8000 + "age)",
    "+".join(["np.log(age)"] * 20000),
    "I(age + " + "9" * 6000 + ")",
]


@pytest.mark.parametrize("case_mix", ENDLESS, ids=lambda text: text[:30])
def test_formulas_without_an_end_are_refused_at_once(case_mix):
    start = time.process_time()
    message = refused(case_mix)
    assert time.process_time() - start < 5  # seconds; each would have run for hours, or crashed
    assert len(message) < 1000


# what people write

LEGITIMATE = {
    "age + np.log(age)": ("age", "np.log(age)"),
    "log(age) + exp(stage)": ("log(age)", "exp(stage)"),
    "np.sqrt(age) + np.log1p(stage) + log2(年龄) + np.log10(age)": None,
    "I(age**2) + age": ("I(age ** 2)", "age"),
    "I(age**0.5)": ("I(age ** 0.5)",),
    "I(age**(1/3))": ("I(age ** (1 / 3))",),
    "I(2**stage)": ("I(2 ** stage)",),
    "I(age / 10**3)": None,
    "I((age - 65) / 10)": None,
    "{(age - 60) ** 2}": ("(age - 60) ** 2",),
    "I(age * stage) + I(age // 10) + I(age % 10)": None,
    "I(-age)": ("I(-age)",),
    "I(age > 65)": ("I(age > 65)",),
    "I((age > 50) & (age < 70))": None,
    "np.logical_not(urgent)": None,
    "I(sex == 'F')": ("I(sex == 'F')",),
    "I(`入院 类型` == '急诊')": ("I(`入院 类型` == '急诊')",),
    "I(dx != 'hip')": None,
    "np.isin(dx, ['hip', 'knee'])": ("np.isin(dx, ['hip', 'knee'])",),
    "np.where(sex == 'F', age, 0)": None,
    "np.where(age > 65, age - 65, 0)": None,
    "np.maximum(age, 65) + np.clip(age, 50, 80)": None,
    "np.digitize(age, [50, 60, 70])": None,
    "C(np.digitize(age, [60, 70]))": None,
    "C(np.floor(stage / 2))": None,
    "np.sin(2 * np.pi * stage / 12) + np.cos(2 * np.pi * stage / 12)": None,
    "abs(age) + round(stage / 3, 1)": None,
    "np.logical_or(urgent, age > 70)": None,
    "scale(age) + center(stage)": ("scale(age)", "center(stage)"),
    "standardize(age)": ("standardize(age)",),
    "I(scale(age)**2)": None,
    "scale(np.log(age))": ("scale(np.log(age))",),
    "bs(age, df=5)": None,
    "bs(age, df=4, degree=2, extrapolation='clip')": None,
    "bs(age, knots=[50, 60.5], lower_bound=0, upper_bound=120)": None,
    "bs(年龄, df=4)": None,
    "bs(`my age`, df=4) + bs(`a.b`, 4)": None,
    "cr(age, df=4, constraints='center')": None,
    "cs(age, df=4, constraints='center')": None,
    "cc(age, df=4, constraints='center')": None,
    "poly(age, 2)": None,
    "poly(age, degree=3, raw=True)": None,
    "C(stage)": ("C(stage)[T.2]", "C(stage)[T.3]", "C(stage)[T.4]"),
    "C(dx, contr.treatment(base='knee'))": None,
    "C(dx, contr.treatment('knee'))": None,
    "C(dx, Treatment(reference='spine'))": None,
    "C(dx, Treatment('spine'))": None,
    "C(dx, contr.sum)": None,
    "C(dx, contr.sum())": None,
    "C(dx, Sum)": None,
    "C(dx, contr.helmert(reverse=True))": None,
    "C(stage, contr.poly)": None,
    "C(stage, contr.diff())": None,
    "C(dx, levels=['spine', 'knee', 'hip'])": None,
    "C(dx, {'a': [1, -1, 0], 'b': [0, 1, -1]})": None,
    "age:sex": None,
    "age*sex": ("age", "sex[T.M]", "age:sex[T.M]"),
    "(age + sex)**2": ("age", "sex[T.M]", "age:sex[T.M]"),
    "(age + sex)^2": ("age", "sex[T.M]", "age:sex[T.M]"),
    "(age + sex + dx)**2": None,
    "(age + sex)**3": ("age", "sex[T.M]", "age:sex[T.M]"),
    "age*sex*dx": None,
    "age/sex": None,
    "age + dx:sex": None,
    "age*sex - age": None,
    "(age + sex + stage)**2 - age:stage": None,
    "I(1.0 * stage)": None,
    "Q('my age') + age": None,
    "`my age`:sex + `a.b`": None,
    "a.b + np.log(age)": ("a.b", "np.log(age)"),
    "`入院 类型`*年龄": None,
    "np.log(`my age`) + np.log(年龄)": ("np.log(`my age`)", "np.log(年龄)"),
    "1 + bs(age, df=4):sex": None,
    "2:age": None,
}


@pytest.mark.parametrize("case_mix", LEGITIMATE)
def test_what_people_write_is_what_formulaic_makes_of_it(case_mix):
    from formulaic import model_matrix

    frame = table()
    built = design(case_mix, frame)
    # whole numbers are decimal in a formula, so that powers do not wrap; C() wants them as they are
    given = frame if "C(stage" in case_mix else frame.assign(stage=frame["stage"].astype(float))
    expected = model_matrix(case_mix, given).drop(columns="Intercept")
    assert list(built.terms) == list(expected.columns)
    wanted = expected.to_numpy(dtype=float)
    assert raw(built) == pytest.approx(wanted, rel=1e-9, abs=1e-11 * np.abs(wanted).max())
    if LEGITIMATE[case_mix] is not None:
        assert built.terms == LEGITIMATE[case_mix]
    again = replay_design(built, frame.iloc[::-1])
    assert again == pytest.approx(built.matrix[::-1], abs=100 * ROUNDING)


@pytest.mark.parametrize(
    ("text", "wide", "plain"), [("age ＋ sex", "＋", "+"), ("age＊2", "＊", "*")]
)
def test_full_width_signs_are_named(text, wide, plain):
    import outcomekpi as ok

    cases = ok.datasets.load_synthetic_cases()
    with pytest.raises(FormulaError) as refusal:
        ok.fit(cases, ok.ModelSpec(case_mix=text), draws=200)
    assert f"The sign {wide!r} is full-width; write {plain!r}." in str(refusal.value)
