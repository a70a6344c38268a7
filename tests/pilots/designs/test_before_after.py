"""Patients before and after: by hand, recovered truth, laws, and every kind of bad input."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, FormulaError, SpecError
from outcomekpi.pilots.designs.before_after_facts import intraclass_correlation


def two_rates(before, after, doctors=4):
    """(events, patients) of each period, spread over doctors in turn."""
    outcome = np.concatenate([np.r_[np.ones(k), np.zeros(n - k)] for k, n in (before, after)])
    period = np.repeat(["old", "new"], [before[1], after[1]])
    return pd.DataFrame(
        {"y": outcome, "period": period, "doctor": np.arange(outcome.size) % doctors}
    )


def design(**options):
    shared = {"outcome": "controlled", "period": "period", "after": "after"}
    return ok.BeforeAfter(**(shared | options))


def compare(frame, *, program=None, draws=400, **options):
    return ok.compare_pilot(frame, design(**options), program=program, draws=draws, seed=1)


PILOT, TRUTH = ok.datasets.simulate_pilot(stay=0.5, mix_shift=0.4)


def test_43_and_68_percent_are_25_points_a_ratio_of_1_58_and_odds_of_2_82():
    frame = two_rates((43, 100), (68, 100))
    effect = ok.compare_pilot(
        frame, ok.BeforeAfter(outcome="y", period="period", after="new", cluster="patient")
    )
    found = effect.to_frame()["mean"]
    assert found["risk difference"] == pytest.approx(25)
    assert found["risk ratio"] == pytest.approx(68 / 43)
    assert found["odds ratio"] == pytest.approx(68 * 57 / 43 / 32)


def test_independent_patients_give_welchs_standard_error():
    frame = two_rates((30, 80), (50, 90))
    effect = ok.compare_pilot(frame, ok.BeforeAfter(outcome="y", period="period", after="new"))
    variances = [frame.loc[frame["period"] == p, "y"].var(ddof=1) for p in ("old", "new")]
    assert effect.main.se == pytest.approx(100 * np.sqrt(variances[0] / 80 + variances[1] / 90))
    assert effect.main.se == pytest.approx(effect.findings.naive.se)


def test_patients_twice_give_the_paired_t_test():
    rng = np.random.default_rng(1)
    before = rng.normal(8, 1, 40)
    after = before - 0.5 + rng.normal(0, 0.5, 40)
    frame = pd.DataFrame(
        {
            "hba1c": np.r_[before, after],
            "when": np.repeat([0, 1], 40),
            "id": np.tile(np.arange(40), 2),
        }
    )
    effect = ok.compare_pilot(
        frame,
        ok.BeforeAfter(outcome="hba1c", period="when", after=1, patient="id", family="gaussian"),
    )
    reference = stats.ttest_rel(after, before)
    assert effect.main.value / effect.main.se == pytest.approx(reference.statistic, rel=1e-9)
    interval = reference.confidence_interval(0.95)
    assert effect.main.interval(level=0.95) == pytest.approx(tuple(interval), rel=1e-6)


def test_mcnemars_exact_test_stands_beside_a_paired_difference():
    # 12 from 0 to 1, 3 from 1 to 0, 5 stay at 1, 10 at 0
    before = np.r_[np.zeros(12), np.ones(3), np.ones(5), np.zeros(10)]
    after = np.r_[np.ones(12), np.zeros(3), np.ones(5), np.zeros(10)]
    frame = pd.DataFrame(
        {
            "controlled": np.r_[before, after],
            "period": np.repeat(["before", "after"], 30),
            "id": np.tile(np.arange(30), 2),
        }
    )
    effect = compare(frame, patient="id")
    check = next(one for one in effect.findings.checks if one.name == "patients who changed")
    assert check.table["patients"].tolist() == [12, 3]
    # 2 x P(Bin(15, 1/2) <= 3) = 2 x 576 / 32768
    assert f"p = {2 * 576 / 32768:.2g}" in check.verdict
    assert effect.main.value == pytest.approx(100 * 9 / 30)


def test_the_standardized_difference_of_a_large_pilot_is_its_effect():
    frame, truth = ok.datasets.simulate_pilot(n_doctors=40, n_patients=250, mix_shift=0.5, seed=3)
    effect = compare(frame, doctor="doctor", case_mix="age + severity", standard="after")
    # 10,000 patients a period; the standard error is about 1.2 points
    assert effect.main.value == pytest.approx(100 * truth.risk_difference, abs=2.5)
    assert effect.findings.naive.value < effect.main.value - 4
    mix = effect.findings.tables["kitagawa"].set_index("part").loc["mix"]
    assert mix["upper"] < 0


def test_patients_who_are_known_in_both_periods_are_compared_with_themselves():
    effect = compare(PILOT, doctor="doctor", patient="patient", case_mix="age + severity")
    assert effect.main.name.endswith("in the same patients")
    parts = effect.findings.tables["kitagawa"].set_index("part")["mean"]
    assert parts[["within", "mix", "entry", "exit"]].sum() == pytest.approx(parts["total"])
    assert parts["total"] == pytest.approx(effect.findings.naive.value)
    everybody = compare(PILOT, doctor="doctor", patient="patient", patients="all")
    assert everybody.main.value == pytest.approx(effect.findings.naive.value)


def test_the_main_effect_and_the_within_part_are_one_number_with_one_interval():
    effect = compare(PILOT, doctor="doctor", patient="patient")
    within = effect.findings.tables["kitagawa"].set_index("part").loc["within"]
    assert (within["lower"], within["upper"]) == effect.main.interval(level=0.95)


def test_doctors_who_differ_in_their_change_widen_the_interval():
    frame, _ = ok.datasets.simulate_pilot(n_doctors=12, n_patients=80, sd_effect=1.0, seed=2)
    alone, together = (compare(frame, cluster=c, doctor="doctor") for c in ("patient", "doctor"))
    assert alone.main.value == pytest.approx(together.main.value)
    assert together.main.se > 1.5 * alone.main.se


def test_the_outermost_unit_is_the_cluster_unless_another_is_named():
    effect = compare(PILOT, doctor="doctor", hospital="hospital")
    assert "4 hospitals" in effect.main.origin
    assert (
        "24 doctors"
        in compare(PILOT, doctor="doctor", hospital="hospital", cluster="doctor").main.origin
    )


@pytest.mark.parametrize("inference", ["t", "wild_bootstrap", "cluster_bootstrap"])
def test_every_inference_holds_the_estimate_and_repeats_with_its_seed(inference):
    first, second = (compare(PILOT, doctor="doctor", inference=inference) for _ in range(2))
    lower, upper = first.main.interval(level=0.95)
    assert lower < first.main.value < upper
    assert (lower, upper) == second.main.interval(level=0.95)


def test_the_order_of_rows_and_the_names_of_doctors_change_nothing():
    shuffled = PILOT.sample(frac=1.0, random_state=1)
    shuffled["doctor"] = "x" + shuffled["doctor"]
    options = {"doctor": "doctor", "patient": "patient", "case_mix": "age + severity"}
    one, other = compare(PILOT, **options).main, compare(shuffled, **options).main
    assert one.value == pytest.approx(other.value, abs=1e-8)
    assert one.se == pytest.approx(other.se, abs=1e-8)


def test_swapping_before_and_after_turns_the_sign():
    one = compare(PILOT, doctor="doctor").main
    other = compare(PILOT, doctor="doctor", after="before").main
    assert one.value == pytest.approx(-other.value)
    assert one.se == pytest.approx(other.se)


def test_the_program_date_splits_numbers_and_dates_alike():
    numbers = compare(PILOT, period="quarter", after=None, start=5, doctor="doctor")
    dates = PILOT.assign(day=pd.to_datetime("2024-01-15") + PILOT["quarter"] * pd.Timedelta("90D"))
    dated = compare(dates, period="day", after=None, start="2025-03-01", doctor="doctor")
    words = compare(PILOT, doctor="doctor")
    assert numbers.main.value == dated.main.value == words.main.value
    assert "5 to 8" in numbers.checklist.set_index("item").loc["program_dates", "answer"]


def test_a_binary_outcome_may_be_named_by_its_event():
    frame = PILOT.assign(controlled=np.where(PILOT["controlled"] == 1, "yes", "no"))
    assert compare(frame, event="yes").main.value == compare(PILOT).main.value
    assert compare(frame, event="no").main.value == pytest.approx(-compare(PILOT).main.value)


def test_missing_outcomes_are_bounded_by_their_worst_cases():
    frame = two_rates((40, 100), (60, 100))
    frame.loc[[100, 110, 120, 199], "y"] = np.nan  # three successes and one failure after
    effect = ok.compare_pilot(
        frame, ok.BeforeAfter(outcome="y", period="period", after="new", doctor="doctor")
    )
    table = effect.findings.tables["missing_bounds"].set_index("assumption")["mean"]
    assert table.iloc[0] == pytest.approx(100 * (57 / 96 - 0.4))
    assert table.iloc[1] == pytest.approx(100 * (57 / 100 - 0.4))
    assert table.iloc[2] == pytest.approx(100 * (61 / 100 - 0.4))
    assert (
        "more are missing after than before"
        in (effect.checklist.set_index("item").loc["missing_outcomes", "answer"])
    )
    bounds = effect.findings.estimates[-1]
    main = effect.main.interval(level=0.95)
    assert bounds.interval(level=0.95)[0] < main[0] < main[1] < bounds.interval(level=0.95)[1]
    threat = next(one for one in effect.findings.threats if one.name == "attrition")
    assert "17" in threat.tipping


def test_the_tipping_share_of_missing_outcomes_makes_the_difference_nil():
    # 40 of 100 before; 50 of 80 after with 20 missing: (40 - 50) / 20 < 0, so -10 points cannot be
    frame = two_rates((50, 100), (50, 100))
    frame.loc[frame.index[frame["period"] == "new"][-30:], "y"] = np.nan  # failures vanish
    effect = ok.compare_pilot(frame, ok.BeforeAfter(outcome="y", period="period", after="new"))
    threat = next(one for one in effect.findings.threats if one.name == "attrition")
    assert "the 30 missing after the start had 0 % successes" in threat.tipping


def test_the_icc_of_clusters_is_the_one_of_the_analysis_of_variance():
    # clusters (1, 3) and (5, 7) before, 100 more after: MSB 32, MSW 8/6, n0 4
    outcome = np.array([1.0, 3, 5, 7, 101, 103, 105, 107])
    after, cluster = np.arange(8) >= 4, np.array([0, 0, 1, 1, 0, 0, 1, 1])
    icc = intraclass_correlation(outcome, after, cluster)
    assert icc == pytest.approx((32 - 8 / 6) / (32 + 3 * 8 / 6))


@pytest.fixture
def chosen():
    """HbA1c of patients taken in for a baseline of 8 or more, and no program at all."""
    rng = np.random.default_rng(4)
    both = rng.multivariate_normal([7.5, 7.5], 2.25 * np.array([[1, 0.7], [0.7, 1]]), 3000)
    both = both[both[:, 0] >= 8]
    return pd.DataFrame(
        {
            "id": np.tile(np.arange(len(both)), 2),
            "doctor": np.tile(np.arange(len(both)) % 15, 2),
            "period": np.repeat(["before", "after"], len(both)),
            "hba1c": both.T.ravel(),
            "controlled": (both.T.ravel() < 8).astype(int),
        }
    )


KNOWN = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=0.7)
SELECTED = ok.Program(selected_on_baseline=True)


def test_a_selected_baseline_is_refused_without_a_correction(chosen):
    with pytest.raises(SpecError, match="BaselineSelection"):
        compare(chosen, program=SELECTED, patient="id")
    with pytest.raises(SpecError, match="Correct one of them"):
        compare(
            chosen, patient="id", program=ok.Program(selected_on_baseline=False),
            selection=ok.BaselineSelection(cutoff=8, side="above", population=KNOWN),
        )  # fmt: skip


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_with_no_program_the_corrected_effect_holds_zero_and_the_naive_one_does_not(chosen, family):
    effect = compare(
        chosen, outcome="hba1c" if family == "gaussian" else "controlled", family=family,
        patient="id", doctor="doctor", program=SELECTED, draws=2000,
        selection=ok.BaselineSelection(cutoff=8, side="above", population=KNOWN),
    )  # fmt: skip
    assert effect.findings.estimates[0].name == "change beyond regression to the mean"
    assert not effect.main.excludes_null(level=0.99)
    assert effect.findings.estimates[1].excludes_null(level=0.999)
    slope = effect.findings.tables["slope"].dropna()
    assert slope["unit"].tolist() == ["all chosen patients"]


def test_chosen_patients_of_two_different_groups_cannot_be_corrected(chosen):
    with pytest.raises(CasesError, match="name the patient column"):
        compare(
            chosen, program=SELECTED,
            selection=ok.BaselineSelection(cutoff=8, side="above", population=KNOWN),
        )  # fmt: skip


def test_the_worst_doctors_get_better_with_no_program_and_the_correction_says_so():
    frame, _ = ok.datasets.simulate_pilot(
        n_doctors=60, n_patients=25, effect=0.0, sd_effect=0.0, seed=7
    )
    before = frame[frame["period"] == "before"].groupby("doctor")["controlled"].mean()
    worst = before.nsmallest(15).index
    frame["picked"] = frame["doctor"].isin(worst).astype(int)
    effect = compare(
        frame, doctor="doctor", program=SELECTED, draws=2000,
        selection=ok.UnitSelection(chosen="picked"),
    )  # fmt: skip
    assert effect.findings.estimates[1].excludes_null(level=0.95)
    assert not effect.main.excludes_null(level=0.95)
    assert "15 doctors" in effect.checklist.set_index("item").loc["units", "answer"]


def single(column, value):
    return PILOT.assign(**{column: value})


DEFECTS = {
    "no period before": (single("period", "after"), {}, CasesError, "no row is before"),
    "no period after": (single("period", "before"), {}, CasesError, "no row is after"),
    "three periods": (
        PILOT.assign(period=PILOT["period"].where(PILOT.index % 3 > 0, "during")),
        {}, CasesError, "must hold two values.*InterruptedSeries",
    ),
    "a missing period": (
        PILOT.assign(period=PILOT["period"].where(PILOT.index != 7)), {}, CasesError,
        "1 of 1,440 rows does not",
    ),
    "a start outside the data": (
        PILOT, {"period": "quarter", "after": None, "start": 30}, CasesError,
        "outside the data: column 'quarter' runs from 1 to 8",
    ),
    "percentages outside 0 to 100": (
        PILOT.assign(rate=np.where(PILOT.index == 3, 117.0, 50.0)),
        {"outcome": "rate", "family": "gaussian", "unit": "%"}, CasesError,
        r"percentages from 0 to 100.*\(117\)",
    ),
    "percentages as events": (
        PILOT.assign(controlled=100 * PILOT["controlled"]), {}, CasesError, "family='gaussian'",
    ),
    "a patient twice in a period": (
        pd.concat([PILOT, PILOT.iloc[[5]]]), {"patient": "patient"}, CasesError,
        "may come once before and once after.*P000006",
    ),
    "one doctor": (
        single("doctor", "Li"), {"doctor": "doctor"}, CasesError, "one doctor, 'Li'.*'patient'",
    ),
    "one hospital": (
        single("hospital", "West"), {"doctor": "doctor", "hospital": "hospital"}, CasesError,
        "cluster='doctor', an interval about the 24",
    ),
    "all patients before with one doctor": (
        PILOT.assign(doctor=np.where(PILOT["period"] == "before", "D01", PILOT["doctor"])),
        {"doctor": "doctor"}, CasesError, "before that are compared belong to one doctor",
    ),
    "a covariate that one period lacks": (
        PILOT.assign(new=np.where((PILOT["period"] == "after") & (PILOT.index % 2 > 0), 1, 0)),
        {"case_mix": "new"}, FormulaError, "cannot be brought to one case mix: in before, 'new'",
    ),
    "the period in the case mix": (PILOT, {"case_mix": "period"}, FormulaError, "must not adjust"),
    "a covariate that is missing": (
        PILOT.assign(age=PILOT["age"].where(PILOT.index > 1)), {"case_mix": "age"}, FormulaError,
        "2 of 1,440",
    ),
    "a column that is not there": (PILOT, {"doctor": "docter"}, CasesError, "mean 'doctor'"),
    "outcomes that never vary": (single("controlled", 1), {}, CasesError, "in every row"),
    "no outcome after": (
        PILOT.assign(controlled=PILOT["controlled"].where(PILOT["period"] == "before")), {},
        CasesError, "at least 2 known outcomes; after",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_data_that_are_no_before_and_after_are_refused_in_words(name):
    frame, options, kind, words = DEFECTS[name]
    with pytest.raises(kind, match=words):
        compare(frame, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"after": None}, "got neither"),
        ({"start": 5}, "got both"),
        ({"standard": "befor"}, "Did you mean 'before'"),
        ({"cluster": "docter"}, "Did you mean 'doctor'"),
        ({"outcome_range": (5, 1)}, r"\(low, high\)"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, words):
    with pytest.raises(SpecError, match=words):
        design(**options)


def test_a_wild_bootstrap_with_a_case_mix_is_refused():
    with pytest.raises(SpecError, match="without a case mix"):
        compare(PILOT, doctor="doctor", case_mix="age", inference="wild_bootstrap")


def test_published_figures_are_sent_to_their_own_design():
    with pytest.raises(CasesError, match="PublishedAggregates"):
        ok.compare_pilot([43, 68], design())


def test_every_item_of_the_checklist_that_data_can_answer_is_answered():
    effect = compare(PILOT, doctor="doctor", patient="patient", case_mix="age + severity")
    status = effect.checklist.set_index("item")["status"]
    from_user = {"ramp_up", "co_interventions", "assignment", "numerator", "denominator",
                 "attribution", "other_outcomes", "harms", "measurement"}  # fmt: skip
    assert set(status.index[status == "missing"]) == from_user


def test_a_change_without_any_scatter_has_no_interval():
    frame = two_rates((0, 20), (20, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        effect = ok.compare_pilot(
            frame, ok.BeforeAfter(outcome="y", period="period", after="new", doctor="doctor")
        )
    assert np.isnan(effect.main.interval(level=0.95)).all()
    assert "no interval can be given" in effect.verdict()


def test_names_of_doctors_are_escaped_and_chinese_columns_read():
    frame = PILOT.rename(columns={"controlled": "达标", "doctor": "医生", "age": "年龄"})
    frame["医生"] = frame["医生"].replace("D01", "<script>")
    effect = ok.compare_pilot(
        frame,
        ok.BeforeAfter(
            outcome="达标", period="period", after="after", doctor="医生", case_mix="年龄"
        ),
    )
    assert "<script>" in effect.findings.tables["leave_one_out"]["cluster"].tolist()
    assert "<script>" not in effect._repr_html_()


@pytest.mark.validate
@pytest.mark.parametrize("case_mix", [None, "severity"])
def test_with_ten_doctors_and_no_program_one_interval_in_twenty_leaves_out_zero(case_mix):
    wrong = 0
    for seed in range(400):
        frame, _ = ok.datasets.simulate_pilot(
            n_doctors=10, n_hospitals=1, effect=0.0, sd_effect=0.4, seed=seed
        )
        effect = ok.compare_pilot(frame, design(doctor="doctor", case_mix=case_mix))
        wrong += bool(effect.main.excludes_null(level=0.95))
    # 400 trials at .05: between 8 and 32 but for a chance of 1 in 1,000
    assert 8 <= wrong <= 32


def test_a_change_is_said_to_be_adjusted_only_where_it_was():
    frame = PILOT
    plain = compare(frame, doctor="doctor", direction="higher")
    assert plain.verdict().startswith("These data show a change not adjusted for case mix, for the")
    verdict = plain.checklist.set_index("item").loc["verdict", "answer"]
    assert "a change not adjusted for case mix" in verdict
    assert "after adjustment" not in verdict
    adjusted = compare(frame, doctor="doctor", direction="higher", case_mix="age + severity")
    assert adjusted.verdict().startswith(
        "These data show a change after adjustment, for the better"
    )
    paired = compare(frame, doctor="doctor", direction="higher", patient="patient")
    assert paired.verdict().startswith("These data show a change in the same patients, for the")


def test_without_a_case_mix_no_picture_or_word_of_the_page_speaks_of_one(tmp_path):
    paired = compare(PILOT, doctor="doctor", direction="higher", patient="patient")
    ax = ok.plot_kitagawa(paired)
    assert ax.get_xticklabels()[0].get_text() == "patients in\nboth periods"
    ok.report_pilot(paired, path=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "after adjustment" not in text
    assert "Same case mix, other case mix" not in text
    assert "the change at one case mix" not in text
