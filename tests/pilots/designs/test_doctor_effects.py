"""A change of each doctor's own: recovered, shrunk, divided, the same by both engines."""

import numpy as np
import pytest
from scipy.special import expit

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.data.patient_rows import read_patients
from outcomekpi.pilots.designs.doctor_changes import divide_variance, standardize_changes
from outcomekpi.pilots.estimators.doctor_change_draws import (
    ChangeData,
    ChangeDraws,
    collect_change_data,
    sample_by_quadrature,
)
from outcomekpi.pilots.estimators.doctor_change_nuts import build_change_model, sample_by_nuts


def design(**options):
    shared = {"outcome": "controlled", "period": "period", "after": "after", "doctor": "doctor"}
    return ok.DoctorEffects(**(shared | options))


def compare(frame, *, program=None, draws=400, **options):
    return ok.compare_pilot(frame, design(**options), program=program, draws=draws, seed=1)


def change_data(frame, **options):
    columns = ok.DoctorEffects(
        outcome="controlled", period="period", after="after", doctor="doctor", **options
    )
    return collect_change_data(read_patients(frame, columns)[1], binary=True)


PILOT, TRUTH = ok.datasets.simulate_pilot(
    n_doctors=30, n_patients=100, sd_effect=0.8, mix_shift=0.3, seed=5
)


@pytest.fixture(scope="module")
def effect():
    return compare(
        PILOT, hospital="hospital", case_mix="age + severity", direction="higher", draws=800
    )


@pytest.mark.slow
def test_the_average_change_and_its_spread_are_recovered(effect):
    # 3,000 patients a period: the posterior SD of the average is about 1.3 points
    assert effect.main.value == pytest.approx(100 * TRUTH.risk_difference, abs=4)
    spread = next(one for one in effect.findings.estimates if one.name.endswith("log odds"))
    lower, upper = spread.interval(level=0.99)
    assert lower < TRUTH.doctor_effect.std() < upper


def test_doctors_whose_patients_changed_more_are_told_from_the_others(effect):
    table = effect.findings.tables["doctor_effects"].set_index("doctor")
    truth = 100 * TRUTH.by_doctor[table.index]
    assert np.corrcoef(table["mean"], truth)[0, 1] > 0.8
    held = ((table["lower"] <= truth) & (truth <= table["upper"])).mean()
    # 30 intervals of 95 %: fewer than 24 has a probability below .001
    assert held >= 0.8


def test_doctors_are_shrunk_towards_each_other(effect):
    table = effect.findings.tables["doctor_effects"]
    plain = table["after"] - table["before"]
    assert table["mean"].std() < plain.std()


def test_the_variance_is_divided_completely(effect):
    table = effect.findings.tables["variance"].set_index("source")["mean"]
    assert table.sum() == pytest.approx(100)
    assert table["patient"] > 50
    said = effect.checklist.set_index("item").loc["heterogeneity", "answer"]
    assert "lie between hospitals" in said
    assert "doctor, his change" in said


def test_parts_of_the_plain_difference_add_up(effect):
    parts = effect.findings.tables["kitagawa"].set_index("part")["mean"]
    assert parts["within"] + parts["mix"] == pytest.approx(parts["total"])
    assert parts["total"] == pytest.approx(effect.findings.naive.value)


def test_the_effects_of_one_draw_are_those_worked_by_hand():
    data = ChangeData(
        outcome=np.array([0.0, 1, 1]),
        after=np.array([False, True, True]),
        matrix=np.array([[1.0], [0.0], [-1.0]]),
        doctor=np.array([0, 0, 1]),
        doctors=("a", "b"),
        hospital=None,
        hospitals=(),
        binary=True,
    )
    one = np.array([1.0])
    draws = ChangeDraws(
        intercept=np.array([-0.5]),
        program=np.array([0.8]),
        coefficient=np.array([[0.3]]),
        level=np.array([[[0.2], [-0.1]], [[0.4], [0.1]]]),
        shared=0.0 * one,
        moved=0.0 * one,
        hospital=None,
        correlation=0.0 * one,
        residual=one,
        engine="by hand",
        diagnostics={},
    )
    changes = standardize_changes(data, draws)
    first = np.mean(
        [expit(-0.5 + 0.8 + 0.3 * x + 0.4) - expit(-0.5 + 0.3 * x + 0.2) for x in (1, 0)]
    )
    second = expit(-0.5 + 0.8 - 0.3 + 0.1) - expit(-0.5 - 0.3 - 0.1)
    assert changes.by_doctor[:, 0] == pytest.approx([first, second])
    assert changes.average(changes.by_doctor)[0] == pytest.approx((2 * first + second) / 3)
    # doctors who do not differ: a new one has everybody's case mix and no effect of his own
    new = np.mean([expit(0.3 + 0.3 * x) - expit(-0.5 + 0.3 * x) for x in (1, 0, -1)])
    assert (changes.new_after - changes.new_before)[0] == pytest.approx(new)
    shares = divide_variance(data, draws, level=0.95).set_index("source")["mean"]
    program, mix = 0.8**2 * 2 / 9, 0.3**2 * 2 / 3
    assert shares["program"] == pytest.approx(100 * program / (program + mix + 1))


def test_a_measurement_is_changed_by_the_coefficient_and_the_doctors_departures():
    frame, _ = ok.datasets.simulate_pilot(n_doctors=12, n_patients=60, effect=1.0, seed=2)
    effect = compare(
        frame, outcome="hba1c", family="gaussian", unit="points of HbA1c", direction="lower"
    )
    plain = frame.groupby("period")["hba1c"].mean()
    # equal numbers of patients and no case mix: the average is all but the plain difference
    assert effect.main.value == pytest.approx(plain["after"] - plain["before"], abs=0.05)
    assert "for the better" in effect.verdict()


@pytest.mark.slow
def test_a_doctor_without_patients_after_has_the_change_of_the_others_and_more_doubt():
    frame = PILOT[~((PILOT["doctor"] == "D01") & (PILOT["period"] == "after"))]
    table = compare(frame).findings.tables["doctor_effects"].set_index("doctor")
    assert np.isnan(table.loc["D01", "after"])
    assert table.loc["D01", "cases_after"] == 0
    width = table["upper"] - table["lower"]
    assert width["D01"] > 1.3 * width.drop("D01").mean()


@pytest.mark.slow
def test_the_level_of_a_doctor_and_his_change_go_as_the_restriction_says():
    draws = sample_by_quadrature(change_data(PILOT), draws=400, rng=np.random.default_rng(1))
    change = draws.level[1] - draws.level[0]
    # spread of the doctors' changes is what the variance says, up to 30 doctors' chance
    assert change.std(axis=0, ddof=1).mean() == pytest.approx(draws.sd_change.mean(), rel=0.15)
    assert (draws.correlation < 0).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws():
    frame, _ = ok.datasets.simulate_pilot(n_doctors=6, n_patients=30)
    one, other = compare(frame).main, compare(frame).main
    assert np.array_equal(one.draws, other.draws)


def test_every_item_of_the_checklist_that_data_can_answer_is_answered(effect):
    status = effect.checklist.set_index("item")["status"]
    for item in ("units", "clustering", "case_mix", "heterogeneity", "main_effect",
                 "naive_effect", "sensitivity", "power", "entries_exits", "missing_outcomes",
                 "standard_error", "few_clusters", "points", "program_dates"):  # fmt: skip
        assert status[item] == "answered", item
    assert status["seasonality"] == "not applicable"


@pytest.mark.slow
def test_the_worst_doctors_are_corrected_for_having_been_picked():
    frame, _ = ok.datasets.simulate_pilot(
        n_doctors=60, n_patients=25, effect=0.0, sd_effect=0.0, seed=7
    )
    before = frame[frame["period"] == "before"].groupby("doctor")["controlled"].mean()
    frame["picked"] = frame["doctor"].isin(before.nsmallest(15).index).astype(int)
    selected = ok.Program(selected_on_baseline=True)
    with pytest.raises(SpecError, match="UnitSelection"):
        compare(frame, program=selected)
    effect = compare(frame, program=selected, selection=ok.UnitSelection(chosen="picked"))
    assert effect.main.name == "change beyond regression to the mean"
    assert not effect.main.excludes_null(level=0.95)
    assert effect.findings.estimates[1].excludes_null(level=0.95)
    assert len(effect.findings.tables["doctor_effects"]) == 15


def test_two_doctors_cannot_show_how_doctors_differ():
    frame = PILOT[PILOT["doctor"].isin(["D01", "D02"])]
    with pytest.raises(CasesError, match="there are 2 of 2, and 3 are needed"):
        compare(frame)


def test_a_doctor_in_two_hospitals_is_refused():
    frame = PILOT.assign(hospital=np.where(PILOT["period"] == "after", "H9", PILOT["hospital"]))
    with pytest.raises(CasesError, match="belong to one hospital"):
        compare(frame, hospital="hospital")


def test_the_model_of_nuts_has_the_terms_that_were_asked_for():
    data = change_data(PILOT, hospital="hospital", case_mix="age")
    model = build_change_model(data)
    names = {one.name for one in model.free_RVs}
    assert names == {
        "intercept", "program", "sd_level", "sd_change", "likeness", "first", "second",
        "sd_hospital", "hospital_raw", "coefficient",
    }  # fmt: skip


@pytest.mark.validate
def test_both_engines_give_the_same_average_and_the_same_doctors():
    data = change_data(PILOT, case_mix="age + severity")
    fast = sample_by_quadrature(data, draws=4000, rng=np.random.default_rng(1))
    slow = sample_by_nuts(data, draws=4000, rng=np.random.default_rng(1))
    changes = [standardize_changes(data, one) for one in (fast, slow)]
    average = [one.average(one.by_doctor) for one in changes]
    # the fast engine holds one parameter less; a fifth of a posterior SD is more than chance and
    # less than anybody would notice
    spread = average[1].std()
    assert average[0].mean() == pytest.approx(average[1].mean(), abs=0.2 * spread)
    assert average[0].std() == pytest.approx(spread, rel=0.1)
    assert fast.sd_change.mean() == pytest.approx(slow.sd_change.mean(), rel=0.1)
    doctors = [one.by_doctor.mean(axis=1) for one in changes]
    typical = changes[1].by_doctor.std(axis=1).mean()
    assert np.abs(doctors[0] - doctors[1]).max() < 0.6 * typical


@pytest.mark.slow
def test_doctors_changes_are_said_to_be_adjusted_only_where_they_were():
    frame, _ = ok.datasets.simulate_pilot(n_doctors=8)
    shared = {"outcome": "controlled", "period": "period", "after": "after", "doctor": "doctor"}
    plain = ok.compare_pilot(frame, ok.DoctorEffects(**shared), draws=400)
    assert "a change not adjusted for case mix that is shared by the doctors" in plain.verdict()
    adjusted = ok.compare_pilot(frame, ok.DoctorEffects(**shared, case_mix="age"), draws=400)
    assert "a change after adjustment that is shared by the doctors" in adjusted.verdict()
