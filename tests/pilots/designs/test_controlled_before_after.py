"""Two groups of patients before and after: by hand, references, repeated readings, refusals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, FormulaError, SpecError


def four_cells(cells):
    """Events and patients of (ward, year) -> rows."""
    parts = [
        pd.DataFrame({"y": np.r_[np.ones(k), np.zeros(n - k)], "ward": ward, "year": year})
        for (ward, year), (k, n) in cells.items()
    ]
    return pd.concat(parts, ignore_index=True).astype({"y": int})


CELLS = {("A", 1): (43, 100), ("A", 2): (68, 100), ("B", 1): (50, 120), ("B", 2): (54, 110)}
FRAME = four_cells(CELLS)
LARGE = four_cells({cell: (4 * k, 4 * n) for cell, (k, n) in CELLS.items()})


def design(**options):
    shared = {"outcome": "y", "period": "year", "after": 2, "group": "ward", "treated": "A"}
    return ok.ControlledBeforeAfter(**(shared | options))


def compare(frame, *, program=None, **options):
    return ok.compare_pilot(frame, design(**options), program=program)


def patients(n=300, *, effect=0.0, seed=1, shock=0.0):
    """Measurements of different patients of two wards, with an age that matters and drifts."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"ward": rng.choice(["A", "B"], n), "year": rng.choice([1, 2], n)})
    here = (frame["ward"] == "A").to_numpy(), (frame["year"] == 2).to_numpy()
    frame["age"] = rng.normal(60, 10, n) + 4 * here[1] * here[0]
    level = 5 + here[0] + 0.5 * here[1] + 0.05 * (frame["age"] - 60)
    scatter = 1 + here[0]
    frame["value"] = level + (effect + shock) * here[0] * here[1] + scatter * rng.normal(size=n)
    frame["event"] = (rng.random(n) < 1 / (1 + np.exp(5.5 - level))).astype(int)
    return frame


def test_two_wards_by_hand():
    found = compare(FRAME, direction="higher").to_frame()
    p = {cell: k / n for cell, (k, n) in CELLS.items()}
    expected = p["A", 1] + p["B", 2] - p["B", 1]
    effect = 100 * (p["A", 2] - expected)
    assert effect == pytest.approx(25 - 100 * (54 / 110 - 50 / 120))
    assert found["mean"].iloc[0] == pytest.approx(effect)
    ratio = found.loc["risk ratio to the risk without the program", "mean"]
    assert ratio == pytest.approx(p["A", 2] / expected)
    odds = (68 * 57) / (32 * 43) / ((54 * 70) / (56 * 50))
    assert found.loc["odds ratio, if log odds were parallel", "mean"] == pytest.approx(odds)
    assert found.loc["change of A, with the program", "mean"] == pytest.approx(25)
    assert found["mean"].iloc[-1] == pytest.approx(25)  # the plain change, without the controls


def test_shares_have_newcombes_limits():
    # Wilson limits from scipy, put together by hand as in Newcombe 2001, section 3
    limits = {
        cell: stats.binomtest(k, n).proportion_ci(method="wilson") for cell, (k, n) in CELLS.items()
    }
    share = {cell: k / n for cell, (k, n) in CELLS.items()}
    sign = {("A", 1): -1, ("A", 2): 1, ("B", 1): 1, ("B", 2): -1}
    down = [share[c] - limits[c].low if sign[c] > 0 else limits[c].high - share[c] for c in CELLS]
    value = sum(sign[c] * share[c] for c in CELLS)
    lower, _ = compare(FRAME).main.interval(level=0.95)
    assert lower == pytest.approx(100 * (value - np.sqrt(np.square(down).sum())))
    nobody = four_cells(CELLS | {("B", 1): (0, 120)})
    lower, upper = compare(nobody).main.interval(level=0.95)
    assert lower > -50
    assert upper - compare(nobody).main.value > 100 * 1.5 / 120  # a share of 0 is not known exactly


def test_measurements_have_the_errors_of_a_robust_regression():
    frame = patients()
    found = compare(frame, outcome="value", family="gaussian")
    fit = smf.ols("value ~ C(ward, Treatment('B')) * C(year)", frame).fit(cov_type="HC2")
    assert found.main.value == pytest.approx(fit.params.iloc[3])
    assert found.main.se == pytest.approx(fit.bse.iloc[3], rel=1e-9)
    adjusted = compare(frame, outcome="value", family="gaussian", case_mix="age")
    fit = smf.ols("value ~ C(ward, Treatment('B')) * C(year) + age", frame)
    for kind, tolerance in (("HC2", 1e-9), ("HC3", 0.02)):  # HC3 is HC2 and 1 / 300 more, about
        one = fit.fit(cov_type=kind)
        assert adjusted.main.value == pytest.approx(one.params.iloc[3])
        assert adjusted.main.se == pytest.approx(one.bse.iloc[3], rel=tolerance)


def test_events_with_a_case_mix_are_a_logistic_regression_put_to_the_treated():
    frame = patients(600)
    found = compare(frame, outcome="event", case_mix="age")
    formula = "event ~ C(ward, Treatment('B')) * C(year) + age"
    fit = smf.glm(formula, frame, family=sm.families.Binomial()).fit(cov_type="HC3")
    odds = found.to_frame().loc["odds ratio, if log odds were parallel"]
    assert np.log(odds["mean"]) == pytest.approx(fit.params.iloc[3], abs=1e-6)
    reach = np.log(odds["upper"] / odds["mean"]) / stats.t.ppf(0.975, 199)
    # the jackknife of 200 groups beside HC3, both estimates of one standard error
    assert reach == pytest.approx(fit.bse.iloc[3], rel=0.2)
    own = frame[(frame["ward"] == "A") & (frame["year"] == 2)]
    cells = [fit.predict(own.assign(ward=w, year=t)).mean() for w in "BA" for t in (1, 2)]
    effect = 100 * (cells[3] - cells[2] - cells[1] + cells[0])
    assert found.main.value == pytest.approx(effect, abs=1e-5)


def test_two_readings_of_the_same_patients_are_a_comparison_of_their_changes():
    rng = np.random.default_rng(3)
    level = rng.normal(8, 1.5, 90)
    ward = np.repeat(["A", "B"], [40, 50])
    change = np.where(ward == "A", -0.6, -0.1) + rng.normal(0, 0.4, 90) * (1 + (ward == "A"))
    frame = pd.DataFrame(
        {
            "y": np.r_[level, level + change],
            "year": np.repeat([1, 2], 90),
            "ward": np.tile(ward, 2),
            "id": np.tile(np.arange(90), 2),
        }
    )
    found = compare(frame, family="gaussian", patient="id")
    welch = stats.ttest_ind(change[ward == "A"], change[ward == "B"], equal_var=False)
    assert found.main.value / found.main.se == pytest.approx(welch.statistic, rel=1e-9)
    assert found.main.name.endswith("in the same patients")
    alone = compare(frame, family="gaussian")
    assert alone.main.value == pytest.approx(found.main.value)
    assert alone.main.se > 2 * found.main.se  # the same rows, taken for different patients


def test_doctors_of_a_ward_widen_the_interval():
    rng = np.random.default_rng(5)
    n = 400
    frame = pd.DataFrame({"ward": np.repeat(["A", "B"], n // 2), "year": np.tile([1, 2], n // 2)})
    frame["doctor"] = [f"{w}{d}" for w, d in zip(frame["ward"], np.arange(n) // 2 % 6, strict=True)]
    moved = {key: rng.normal(0, 1) for key in frame.groupby(["doctor", "year"]).groups}
    frame["y"] = rng.normal(size=n) + [moved[k] for k in zip(frame["doctor"], frame["year"])]  # noqa: B905
    narrow = compare(frame, family="gaussian").main
    wide = compare(frame, family="gaussian", doctor="doctor").main
    assert wide.value == pytest.approx(narrow.value)
    assert wide.se > 2 * narrow.se
    assert "12 doctors" in wide.origin
    assert compare(frame, family="gaussian", doctor="doctor", cluster="patient").main.se == (
        pytest.approx(narrow.se)
    )


def test_the_verdict_says_that_two_groups_speak_of_their_patients_alone():
    effect = compare(LARGE, direction="higher")
    words = effect.verdict()
    assert words.startswith("These data show an effect if trends would have been parallel, for the")
    assert "what moved one group by itself is not in the interval" in words
    failed = [one.name for one in effect.findings.checks if one.passed is False]
    assert failed == ["groups behind the interval"]
    single = compare(LARGE, direction="higher", assigned="patients")
    assert "one group" not in single.verdict()
    assert all(one.passed is not False for one in single.findings.checks)
    small = compare(FRAME)
    assert small.verdict().startswith("These data do not show an effect")
    assert "two groups cannot show it" in small.verdict()


def test_the_shock_that_undoes_the_effect_makes_the_interval_touch_none():
    from outcomekpi.pilots.designs.group_estimates import add_shocks, shock_at_nil

    main = compare(LARGE).main
    sd = shock_at_nil(main, level=0.95)
    lower, _ = add_shocks(main, sd=sd, level=0.95)
    assert lower == pytest.approx(0, abs=1e-9)
    assert f"{sd:.3g} percentage points" in compare(LARGE).verdict()
    # four shocks: the noise of a difference in differences has four times their variance
    rng = np.random.default_rng(1)
    made = rng.normal(0, sd, (100_000, 4)) @ [1, -1, -1, 1]
    assert made.std() == pytest.approx(2 * sd, rel=0.01)
    table = compare(LARGE).findings.tables["group_shocks"]
    assert (np.diff(table["upper"] - table["lower"]) > 0).all()


def test_missing_outcomes_are_bounded_by_their_worst_cases():
    frame = FRAME.astype({"y": float})
    gone = frame.index[(frame["ward"] == "A") & (frame["year"] == 2)][:10]  # ten events
    frame.loc[gone, "y"] = np.nan
    effect = compare(frame)
    table = effect.findings.tables["missing_bounds"].set_index("assumption")["mean"]
    rest = 100 * (50 / 120 - 54 / 110 - 0.43)
    assert table["lowest effect"] == pytest.approx(58 + rest)
    assert table["highest effect"] == pytest.approx(68 + rest)
    check = next(one for one in effect.findings.checks if one.name == "missing outcomes")
    assert check.passed is False


def test_a_group_chosen_for_its_bad_baseline_is_refused():
    with pytest.raises(SpecError, match="group that was not chosen so does not show"):
        compare(FRAME, program=ok.Program(selected_on_baseline=True))
    compare(FRAME, program=ok.Program(selected_on_baseline=False))


def test_pure_noise_with_a_selected_ward_is_noticed_where_nobody_said_so():
    # true levels N(140, 15), readings with SD 10, treated = first reading at least 160
    rng = np.random.default_rng(4)
    level = rng.normal(140, 15, 400)
    first, second = level + rng.normal(0, 10, (2, 400))
    frame = pd.DataFrame(
        {
            "y": np.r_[first, second],
            "year": np.repeat([1, 2], 400),
            "ward": np.tile(np.where(first >= 160, "A", "B"), 2),
            "id": np.tile(np.arange(400), 2),
        }
    )
    effect = compare(frame, family="gaussian", patient="id", direction="lower")
    check = next(one for one in effect.findings.checks if one.name == "a baseline that is cut off")
    assert check.passed is False
    assert check.table.loc["edge", "value"] == pytest.approx(first[first >= 160].min())


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        (FRAME, {"group": "wrd"}, CasesError, "Did you mean 'ward'"),
        (FRAME, {"treated": "C"}, CasesError, "not a value of the group column"),
        (FRAME[FRAME["ward"] == "A"], {}, CasesError, "no group without.*BeforeAfter"),
        (
            FRAME.assign(ward=np.where(FRAME.index % 3, FRAME["ward"], "C")),
            {}, CasesError, "holds 3.*DifferenceInDifferences",
        ),
        (
            FRAME[~((FRAME["ward"] == "B") & (FRAME["year"] == 1))],
            {}, CasesError, "controls before",
        ),
        (FRAME.assign(id=FRAME.index // 2), {"patient": "id"}, CasesError, "may come once"),
        (FRAME.assign(here=1.0 * (FRAME["ward"] == "A")), {"case_mix": "here"}, FormulaError,
         "cannot be told from group and period"),
        (FRAME, {"case_mix": "ward"}, FormulaError, "must not adjust"),
        (FRAME.assign(who=FRAME["ward"]), {"doctor": "who"}, CasesError, "one doctor, 'B'"),
        (FRAME, {"assigned": "wards"}, SpecError, "assigned"),
        (FRAME, {"cluster": "hospital"}, SpecError, "cluster"),
        (FRAME, {"cluster": "doctor"}, SpecError, "needs that column"),
    ],
)  # fmt: skip
def test_what_is_no_two_groups_is_refused(frame, options, error, message):
    with pytest.raises(error, match=message):
        compare(frame, **options)


def test_a_patient_of_both_groups_is_refused():
    frame = FRAME.assign(id=np.arange(len(FRAME)))
    frame.loc[frame.index[-1], "id"] = 7  # seen in ward A before, in ward B after
    with pytest.raises(CasesError, match=r"1 of 429 have rows in both, the first '7'"):
        compare(frame, patient="id")


def test_sensitivity_and_report_know_two_groups(tmp_path):
    effect = compare(LARGE, direction="higher")
    found = ok.sensitivity(effect, LARGE)
    tipping = found.tipping()["tipping"]
    assert tipping["trend"] == pytest.approx(effect.main.value)
    assert found.explained.base == pytest.approx(0.43 + 54 / 110 - 50 / 120)
    ok.report_pilot(effect, found, path=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "One group with the program and one without" in text
    assert "If groups move by themselves" in text
    legend = ok.plot_before_after(effect).get_legend()
    labels = [one.get_text() for one in legend.get_texts()]
    assert "had it changed as the other group" in labels


def test_times_before_the_start_are_tried_as_placebo_starts():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"ward": rng.choice(["A", "B"], 900), "year": rng.integers(1, 7, 900)})
    frame["y"] = rng.normal(size=900) + 0.6 * ((frame["ward"] == "A") & (frame["year"] >= 5))
    made = design(after=None, start=5, family="gaussian")
    effect = ok.compare_pilot(frame, made)
    assert "placebo starts" in effect.findings.facts["pre_trend"]
    kinds = [one.kind for one in ok.sensitivity(effect, frame).reestimates]
    assert kinds.count("placebo start") == 3


@pytest.mark.parametrize("inference", ["cluster", "wild_bootstrap", "randomization"])
def test_two_units_of_a_panel_are_sent_to_the_patients(inference):
    frame = FRAME.assign(start=np.where(FRAME["ward"] == "A", 2, 0))
    panel = ok.DifferenceInDifferences(
        outcome="y", unit="ward", time="year", start="start", rows="patients", estimator="2x2",
        inference=inference,
    )  # fmt: skip
    with pytest.raises(CasesError, match="ControlledBeforeAfter"):
        ok.compare_pilot(frame, panel)
    alone = ok.BeforeAfter(outcome="y", period="year", after=2, doctor="ward")
    with pytest.raises(CasesError, match="ControlledBeforeAfter"):
        ok.compare_pilot(FRAME[FRAME["ward"] == "A"], alone)


def test_the_command_line_compares_two_wards(tmp_path):
    from outcomekpi.cli import main

    LARGE.to_csv(tmp_path / "patients.csv", index=False)
    words = (
        f"pilot {tmp_path}/patients.csv --design controlled-before-after --outcome y --time year "
        f"--after 2 --group ward --treated A --direction higher --out {tmp_path}/page"
    )
    assert main(words.split()) in (0, None)
    effect = pd.read_csv(tmp_path / "page" / "effect.csv")
    assert effect["mean"].iloc[0] == pytest.approx(compare(LARGE).main.value)
    everything = pd.read_csv(tmp_path / "page" / "sensitivity.csv")
    assert (everything["kind"] == "group_shocks").sum() == 5
    checklist = pd.read_csv(tmp_path / "page" / "checklist.csv").set_index("item")["answer"]
    assert "one group on each side" in checklist["few_clusters"]
