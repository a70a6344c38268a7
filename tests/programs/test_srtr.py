"""Hazard ratios and flags of transplant programs; the tiers of the two source texts."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from outcomekpi import programs
from outcomekpi.declare.errors import CasesError, SpecError


def test_the_hazard_ratio_is_observed_plus_two_over_expected_plus_two():
    found = programs.srtr_hazard_ratio([0, 3, 10], [0.0, 3.0, 6.0])
    np.testing.assert_allclose(found, [1.0, 1.0, 1.5])


@pytest.mark.parametrize(("observed", "expected"), [(0, 0.4), (5, 3.0), (14, 9.5)])
def test_posterior_probabilities_agree_with_bayes_by_quadrature(observed, expected):
    def density(ratio):
        return stats.gamma.pdf(ratio, 2, scale=0.5) * stats.poisson.pmf(observed, ratio * expected)

    total = integrate.quad(density, 0, 60, epsabs=1e-14, limit=200)[0]
    for beyond in (1.2, 2.5):
        above = integrate.quad(density, beyond, 60, epsabs=1e-14, limit=200)[0]
        found = programs.srtr_probability(observed, expected, beyond=beyond)
        # quadrature to 1e-9 relative
        assert found == pytest.approx(above / total, abs=1e-8)


def test_a_program_is_flagged_where_it_is_probably_worse_or_possibly_much_worse():
    observed = np.arange(60)
    for expected in (0.1, 0.5, 0.65, 1.16, 2.0, 8.0, 20.0):
        posterior = stats.gamma(observed + 2, scale=1 / (expected + 2))
        wanted = (posterior.sf(1.2) > 0.75) | (posterior.sf(2.5) > 0.10)
        np.testing.assert_array_equal(programs.srtr_flag(observed, expected), wanted)
        assert 0 < wanted.sum() < 60


def test_small_programs_are_flagged_by_the_second_arm_and_large_ones_by_the_first():
    observed = np.arange(200)
    for expected, small in ((0.5, True), (60.0, False)):
        arms = (
            programs.srtr_probability(observed, expected, beyond=1.2) > 0.75,
            programs.srtr_probability(observed, expected, beyond=2.5) > 0.10,
        )
        first = [int(np.argmax(arm)) for arm in arms]
        assert (first[1] < first[0]) == small
        flagged = programs.srtr_flag(observed, expected)
        assert int(np.argmax(flagged)) == min(first)


def test_a_hazard_ratio_at_a_cut_has_the_better_tier():
    assert programs.srtr_tiers([4], [4], cuts=(0.5, 1.0))["tier"].tolist() == [2]


def test_tiers_come_with_the_probability_of_every_tier():
    cuts = (0.6, 0.85, 1.15, 1.6)
    observed = pd.Series([1, 8, 30], index=["a", "b", "c"])
    frame = programs.srtr_tiers(observed, [9.0, 8.0, 9.0], cuts=cuts, level=0.9)
    assert list(frame.index) == ["a", "b", "c"]
    assert frame["tier"].tolist() == [5, 3, 1]
    ratio = np.random.default_rng(1).gamma(10, 1 / 10, 400_000)  # posterior of b
    shares = np.histogram(ratio, [0, *cuts, np.inf])[0][::-1] / ratio.size
    # standard error below .0008 with 400,000 draws; four of them
    np.testing.assert_allclose(
        frame.loc["b", "p_1":"p_5"].to_numpy(dtype=float), shares, atol=0.0032
    )
    assert frame.loc["b", "p_wrong"] == pytest.approx(1 - frame.loc["b", "p_3"])
    lower, upper = stats.gamma.ppf([0.05, 0.95], 10, scale=0.1)
    np.testing.assert_allclose(frame.loc["b", ["lower", "upper"]].astype(float), [lower, upper])
    np.testing.assert_allclose(frame.filter(regex=r"p_\d").sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.srtr_hazard_ratio(-1, 2), CasesError, "observed"),
        (lambda: programs.srtr_hazard_ratio(1, np.nan), CasesError, "expected"),
        (lambda: programs.srtr_flag(1, 2, raised=3.0), SpecError, "raised must lie below"),
        (lambda: programs.srtr_flag(1, 2, raised_probability=75), SpecError, "mean 0.75"),
        (lambda: programs.srtr_tiers([1], [2], cuts=(1.2, 0.8)), SpecError, "ascending"),
        (
            lambda: programs.srtr_hazard_ratio(1, 2, prior_rate=0),
            SpecError,
            "prior_rate must be a number above 0",
        ),
        (lambda: programs.SrtrRule(expected_rate=12), SpecError, "expected_rate"),
    ],
)
def test_srtr_refuses_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_first_tier_of_source_a_needs_the_bar_and_the_drop():
    now = [6.9, 6.9, 7.0, 6.4, np.nan]
    before = [7.7, 7.6, 9.0, 7.2, 9.0]  # 7.7 - 6.9 is below .8 in binary
    assert 7.7 - 6.9 < 0.8 or 7.2 - 6.4 < 0.8
    assert programs.source_a_base(now, before).tolist() == [True, False, False, True, False]


def test_the_second_tier_of_source_a_needs_six_months_in_a_row_on_both_pressures():
    fine, low = [130.0] * 12, [80.0] * 12
    gap, late, high = list(fine), [150.0] * 6 + [130.0] * 6, list(low)
    gap[5] = np.nan
    high[6] = 90.0
    systolic = [fine, gap, late, fine, [139.9] * 5 + [140.0] + [139.9] * 5 + [140.0]]
    diastolic = [low, low, low, high, low]
    found = programs.source_a_team(systolic, diastolic)
    assert found.tolist() == [True, True, True, True, False]
    shorter = programs.source_a_team(np.array(systolic)[:, :6], np.array(diastolic)[:, :6])
    assert shorter.tolist() == [True, False, False, True, False]
    with pytest.raises(CasesError, match="found 5"):
        programs.source_a_team([[130.0] * 5], [[80.0] * 5])
    with pytest.raises(SpecError, match="alike"):
        programs.source_a_team([[130.0] * 6], [[80.0] * 7])


def test_the_third_tier_of_source_a_pays_for_no_death():
    days = [np.nan, 365, 366, np.nan]
    followed = [365, 700, 700, 200]
    found = programs.source_a_bonus(days, followed_days=followed)
    assert found.tolist() == [True, False, True, False]


def test_source_b_weighs_sixty_to_forty_and_a_veto_leaves_nothing():
    found = programs.source_b_score([90, 50, 100], [80, 100, 100], vetoed=[False, False, True])
    np.testing.assert_allclose(found, [86, 70, 0])
    with pytest.raises(CasesError, match="from 0 to 100"):
        programs.source_b_score([120], [80])
