"""Power of every rung: published values, laws, and a simulation beside each formula."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import nctdtr

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.estimators.wedge_model import infer_terms, nested_exchangeable
from outcomekpi.pilots.estimators.wedge_terms import build_terms
from outcomekpi.pilots.ladder.verdicts import RUNGS
from outcomekpi.pilots.robustness.power import pilot_power
from outcomekpi.pilots.robustness.power_clusters import DifferencePlan, WedgePlan
from outcomekpi.pilots.robustness.power_formula import Precision, power_of
from outcomekpi.pilots.robustness.power_patients import BeforeAfterPlan, DoctorPlan
from outcomekpi.pilots.robustness.power_series import SeriesPlan

PLANS = {
    "proportions": (BeforeAfterPlan(patients=469, base=0.2), -6.8),
    "proportions, doctors": (
        BeforeAfterPlan(patients=600, base=0.43, icc=0.05, patients_per_doctor=20),
        10.0,
    ),
    "proportions, paired": (BeforeAfterPlan(patients=200, base=0.4, pairing=0.5), 8.0),
    "means": (BeforeAfterPlan(patients=200, sd=10.0), 2.5),
    "means, paired": (BeforeAfterPlan(patients=150, sd=10.0, pairing=0.6), 2.0),
    "means, lasting doctors": (
        BeforeAfterPlan(
            patients=300, sd=10.0, pairing=0.5, icc=0.05, patients_per_doctor=20, lasting=0.8
        ),
        2.0,
    ),
    "doctors who differ": (DoctorPlan(doctors=20, patients=50, base=0.5, heterogeneity=5.0), 7.0),
    "difference": (
        DifferencePlan(
            treated=10, controls=10, before=4, after=4, patients=50, base=0.4, icc=0.05, cac=0.8
        ),
        8.0,
    ),
    "difference, decaying": (
        DifferencePlan(
            treated=5,
            controls=15,
            before=2,
            after=3,
            patients=30,
            sd=1.0,
            icc=0.1,
            cac=0.7,
            memory="decaying",
        ),
        0.4,
    ),
    "level": (SeriesPlan(before=24, after=24, sd=5.0, rho=0.4, estimand="level"), 11.0),
    "slope": (SeriesPlan(before=24, after=24, sd=5.0, rho=0.2, estimand="slope"), 0.8),
    "wedge": (WedgePlan(clusters=2, waves=4, patients=20, sd=1.0, icc=0.05, cac=0.8), 0.35),
}


# --- values worked out elsewhere -----------------------------------------------------------------


def test_a_fall_of_a_third_from_a_fifth_needs_229_patients_to_exclude_0_and_469_for_power():
    found = pilot_power(BeforeAfterPlan(patients=300, base=0.2), effect=-6.8)
    assert found.size_to_exclude_nil() == 229
    assert found.size_needed() == 469


def test_from_43_to_68_percent_29_patients_exclude_0():
    found = pilot_power(BeforeAfterPlan(patients=100, base=0.43), effect=25)
    assert found.size_to_exclude_nil() == 29


def made_wedge(clusters=6, waves=4):
    first = np.repeat(np.arange(1, waves + 1), clusters)
    return np.maximum(np.arange(waves + 1)[None, :] - first[:, None] + 1, 0)


def hussey_hughes_variance(program, *, mean_variance, cluster_variance):
    """Variance of the effect in a stepped wedge with equal cells, in closed form.

    Parameters
    ----------
    program : (cluster, time), whether the cell has the program
    mean_variance : of the mean of a cell around its cluster: sigma^2 / n, plus that of the cell
    cluster_variance : tau^2

    Notes
    -----
    I s (s + T t) / ((I U - W) s + (U^2 + I T U - T W - I V) t), with s and t the two variances, I
    clusters, T periods, U cells with the program, W the sum over periods of their squared number,
    V the sum over clusters.

    References
    ----------
    Hussey & Hughes (2007), Contemporary Clinical Trials 28, doi:10.1016/j.cct.2006.05.007.
    """
    clusters, times = program.shape
    cells = float(program.sum())
    by_time = float((program.sum(axis=0) ** 2).sum())
    by_cluster = float((program.sum(axis=1) ** 2).sum())
    below = (clusters * cells - by_time) * mean_variance
    below += cluster_variance * (
        cells**2 + clusters * times * cells - times * by_time - clusters * by_cluster
    )
    above = clusters * mean_variance * (mean_variance + times * cluster_variance)
    return float(above / below)


def test_the_closed_form_of_hussey_and_hughes_is_generalized_least_squares():
    exposure = made_wedge()
    size = np.full(exposure.shape, 30.0)
    terms = build_terms(exposure, size > 0, "constant")
    for components in ([0.3, 0.0, 2.0], [0.01, 0.2, 1.0], [0.0, 0.0, 1.0]):
        cluster, cell, patient = components
        variance = nested_exchangeable(size, has_within=True)
        fit = infer_terms(np.array(components), size, variance, terms.values)
        closed = hussey_hughes_variance(
            exposure > 0, mean_variance=cell + patient / 30, cluster_variance=cluster
        )
        assert terms.average @ fit.plain_covariance @ terms.average == pytest.approx(closed)


def test_the_example_of_swcrtdesign_comes_out():
    """swPwr(swDsn(c(6,6,6,6)), distn="binomial", n=120, mu0=.05, mu1=.035, tau=.01): 0.7861896."""
    middle = (0.05 + 0.035) / 2
    variance = hussey_hughes_variance(
        made_wedge() > 0, mean_variance=middle * (1 - middle) / 120, cluster_variance=0.01**2
    )
    error = float(np.sqrt(variance))
    found = power_of(0.015, Precision(se=error, se_null=error), level=0.95)
    assert found == pytest.approx(0.7861896, abs=5e-8)
    # the same as a plan, whose ICC has the patients' variance at the middle of both
    share = 0.01**2 / (0.01**2 + middle * (1 - middle))
    plan = WedgePlan(
        clusters=6,
        waves=4,
        patients=120,
        base=0.05,
        icc=share,
        effect_model="constant",
        quantiles="normal",
    )
    # the plan's ICC divides p(1 - p), which is smaller by the share of the clusters
    assert pilot_power(plan, effect=-1.5).power() == pytest.approx(0.7861896, abs=2e-3)


@pytest.mark.parametrize(("shift", "degrees"), [(0.5, 3.0), (2.0, 7.5), (4.0, 30.0)])
def test_power_of_a_t_test_is_the_noncentral_t(shift, degrees):
    from scipy.special import stdtrit

    reach = stdtrit(degrees, 0.975)
    expected = nctdtr(degrees, shift, -reach) + 1 - nctdtr(degrees, shift, reach)
    found = power_of(shift, Precision(se=1.0, se_null=1.0, degrees_of_freedom=degrees), level=0.95)
    # 200 nodes: the quantile function bends sharply only at its far ends
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_level_change_without_autocorrelation_has_the_variance_of_least_squares():
    plan = SeriesPlan(before=24, after=24, sd=2.0, rho=0.0, estimand="level")
    since = np.arange(48) - 24.0
    began = (since >= 0) * 1.0
    terms = np.column_stack([np.ones(48), since, began, began * since])
    expected = 2.0 * np.sqrt(np.linalg.inv(terms.T @ terms)[2, 2])
    assert plan.precision(0.0).se == pytest.approx(expected, rel=0.03)


def test_a_control_that_shares_the_noise_takes_it_away():
    plan = SeriesPlan(before=24, after=24, sd=5.0, rho=0.4)
    alone = pilot_power(plan).detectable()
    apart = pilot_power(replace(plan, control_sd=5.0)).detectable()
    alike = pilot_power(replace(plan, control_sd=5.0, control_correlation=0.9)).detectable()
    assert apart == pytest.approx(alone * np.sqrt(2), rel=1e-6)
    assert alike == pytest.approx(alone * np.sqrt(0.2), rel=1e-6)


def test_a_difference_of_differences_has_the_variance_of_its_matrices():
    plan = PLANS["difference, decaying"][0]
    memory = 0.7 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    cells = 0.1 * memory + 0.9 / 30 * np.eye(5)
    weights = np.array([-1 / 2, -1 / 2, 1 / 3, 1 / 3, 1 / 3])
    expected = (weights @ cells @ weights) * (1 / 5 + 1 / 15)
    assert plan.precision(0.4).se ** 2 == pytest.approx(expected)


# --- a simulation beside each formula ------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_the_formula_agrees_with_simulated_pilots(name):
    plan, effect = PLANS[name]
    slow = isinstance(plan, SeriesPlan | WedgePlan)
    count = 200 if slow else 4000
    found = pilot_power(plan, effect=effect, simulations=count)
    share, lower, upper = found.simulated()
    assert lower <= share <= upper
    # four Monte Carlo standard errors, and a point for what a formula leaves out
    margin = 4 * np.sqrt(share * (1 - share) / count) + 0.01
    assert found.power() == pytest.approx(share, abs=margin)


@pytest.mark.validate
@pytest.mark.parametrize("name", PLANS)
def test_the_formula_agrees_closely_with_many_simulated_pilots(name):
    plan, effect = PLANS[name]
    count = 4000 if isinstance(plan, SeriesPlan | WedgePlan) else 40000
    share = pilot_power(plan, effect=effect, simulations=count).simulated()[0]
    margin = 4 * np.sqrt(share * (1 - share) / count) + 0.01
    assert pilot_power(plan, effect=effect).power() == pytest.approx(share, abs=margin)


def test_every_rung_has_a_plan():
    covered = {rung for plan, _ in PLANS.values() for rung in plan.rungs}
    assert covered == set(RUNGS)


# --- laws ----------------------------------------------------------------------------------------

FAST = settings(max_examples=60, deadline=None)


@FAST
@given(
    st.sampled_from(["proportions", "means, paired", "doctors who differ", "difference", "wedge"]),
    st.integers(2, 12),
    st.integers(1, 20),
    st.floats(0.3, 20.0),
)
def test_a_larger_pilot_never_has_less_power(name, size, more, effect):
    plan = PLANS[name][0]
    small, large = (
        power_of(effect, plan.resize(n).precision(effect), level=0.95) for n in (size, size + more)
    )
    assert large >= small - 1e-9


@FAST
@given(
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.5),
    st.integers(2, 50),
    st.floats(0.05, 0.95),
)
def test_more_alike_patients_never_raise_the_power_with_other_doctors(low, more, per, base):
    plan = BeforeAfterPlan(patients=400, base=base, icc=low, patients_per_doctor=per)
    effect = 0.5 * plan.limits[1]
    # from no clusters to few, the test itself changes; that is a loss as well
    before, after = (
        power_of(effect, replace(plan, icc=icc).precision(effect), level=0.95)
        for icc in (low, low + more)
    )
    assert after <= before + 1e-9


@FAST
@given(
    st.floats(0.0, 2.0),
    st.floats(0.0, 2.0),
    st.floats(0.0, 2.0),
    st.floats(0.0, 2.0),
    st.integers(1, 4),
)
def test_more_variance_of_clusters_never_sharpens_a_wedge(cluster, more, cell, extra, clusters):
    exposure = made_wedge(clusters=clusters)
    size = np.full(exposure.shape, 10.0)
    terms = build_terms(exposure, size > 0, "constant")
    variance = nested_exchangeable(size, has_within=True)
    small, large = (
        terms.average
        @ infer_terms(np.array(one), size, variance, terms.values).plain_covariance
        @ terms.average
        for one in ([cluster, cell, 1.0], [cluster + more, cell + extra, 1.0])
    )
    assert large >= small - 1e-9


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(set(PLANS) - {"slope", "level"})), st.floats(0.5, 0.95))
def test_the_least_effect_has_just_the_power_that_was_asked(name, target):
    plan = PLANS[name][0]
    found = pilot_power(plan, power=target)
    for fall in (False, True):
        effect = found.detectable(fall=fall)
        if np.isnan(effect):
            continue
        assert (effect < 0) == fall
        assert power_of(effect, plan.precision(effect), level=0.95) == pytest.approx(
            target, abs=1e-6
        )


def test_without_an_effect_the_power_is_the_error_rate():
    for plan, _ in PLANS.values():
        precision = plan.precision(0.0)
        # an estimated autocorrelation leaves the error rate of a series at about 5 %
        margin = 0.01 if isinstance(plan, SeriesPlan) else 1e-4
        assert power_of(0.0, precision, level=0.95) == pytest.approx(0.05, abs=margin)


def test_what_lasts_of_a_cluster_cancels():
    plan = PLANS["difference"][0]
    lasting, fading = (replace(plan, cac=cac).precision(8.0).se for cac in (1.0, 0.5))
    assert lasting < fading
    none = replace(plan, icc=0.0).precision(8.0).se
    assert replace(plan, cac=1.0).precision(8.0).se < none


# --- results and refusals ------------------------------------------------------------------------


def test_the_answers_stand_in_one_table_and_one_line():
    found = pilot_power(PLANS["difference"][0], effect=8.0, simulations=200)
    frame = found.to_frame()
    assert list(frame.columns) == ["unit", "mean", "lower", "upper"]
    assert frame.loc["simulated power", "lower"] < frame.loc["simulated power", "upper"]
    assert frame.loc["size needed", "unit"] == "clusters on each side"
    assert "\n" not in repr(found)
    assert found.power(level=0.8) > found.power(level=0.99)


def test_an_effect_that_no_size_shows_is_said():
    assert (
        pilot_power(BeforeAfterPlan(patients=3, base=0.5), power=0.999)
        .to_frame()["mean"]
        .isna()
        .any()
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BeforeAfterPlan(patients=100), "in one way"),
        (lambda: BeforeAfterPlan(patients=100, base=43), "base must lie strictly between 0 and 1"),
        (lambda: BeforeAfterPlan(patients=100, base=0.4, icc=1.2), "icc must lie between 0 and 1"),
        (lambda: BeforeAfterPlan(patients=10.5, base=0.4), "whole number"),
        (lambda: SeriesPlan(before=3, after=24, sd=1, rho=0), "before must be"),
        (lambda: SeriesPlan(before=9, after=9, sd=1, rho=0, estimand="mean"), "estimand must be"),
        (
            lambda: SeriesPlan(before=9, after=9, sd=1, rho=1),
            "rho must lie strictly between -1 and 1",
        ),
        (
            lambda: SeriesPlan(before=9, after=9, sd=1, rho=0, change="level", estimand="slope"),
            "not in a model",
        ),
        (
            lambda: DifferencePlan(treated=1, controls=9, before=1, after=1, patients=9, sd=1),
            "one cluster on a side",
        ),
        (lambda: WedgePlan(clusters=1, waves=2, patients=9, sd=1), "3 clusters"),
        (lambda: pilot_power("a pilot"), "plan must be"),
        (lambda: pilot_power(PLANS["proportions"][0], effect=90), "impossible here"),
        (lambda: pilot_power(PLANS["proportions"][0], effect=0), "must not be 0"),
        (lambda: pilot_power(PLANS["proportions"][0], simulations=9), "needs an effect"),
        (lambda: pilot_power(PLANS["proportions"][0]).power(), "Name the effect"),
        (lambda: pilot_power(PLANS["proportions"][0], effect=1).simulated(), "Nothing was simul"),
    ],
)
def test_impossible_plans_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_a_cluster_may_stand_for_several_alike_ones():
    few, many = made_wedge(clusters=1), made_wedge(clusters=5)
    found = []
    for exposure, copies in ((few, 5), (many, 1)):
        size = np.full(exposure.shape, 10.0)
        terms = build_terms(exposure, size > 0, "by period")
        variance = nested_exchangeable(size, has_within=True)
        components = np.array([0.1, 0.05, 1.0])
        fit = infer_terms(components, size, variance, terms.values, copies=copies)
        found.append(fit.contrast(terms.average))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
