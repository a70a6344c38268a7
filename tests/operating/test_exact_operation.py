from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from made_rules import BestShare, EachAboveBar, NinetySixty, PaidInProportion
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad
from scipy.special import betainc

from outcomekpi.declare.errors import SpecError
from outcomekpi.operating.exact_operation import _beta_nodes, why_not_exact
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.review.rule import PosteriorReviewRule, ReviewRule

# probability that a pair of cycles of n cases triggers the rule "> 90 % or < 60 %"
TABLE = {
    0.85: (0.031, 0.013, 0.003, 0.000),
    0.90: (0.153, 0.186, 0.204, 0.217),
    0.95: (0.541, 0.804, 0.944, 0.995),
    0.65: (0.056, 0.035, 0.016, 0.004),
    0.60: (0.164, 0.193, 0.209, 0.220),
    0.55: (0.343, 0.510, 0.667, 0.832),
}
CASELOADS = (20, 50, 100, 200)


@pytest.mark.parametrize("rule", [NinetySixty(), ReviewRule(reading="raw_rate")], ids=repr)
def test_the_two_cycle_rule_has_the_published_table(rule):
    setting = Setting(levels=tuple(TABLE), caseloads=CASELOADS)
    found = operating_characteristics(rule, setting, method="exact").to_frame()
    table = found.pivot(index="level", columns="caseload", values="fires")
    for level, row in TABLE.items():
        # the table is printed to three decimals
        assert table.loc[level].round(3).tolist() == list(row)


def test_the_bayesian_review_is_better_on_both_counts():
    setting = Setting(levels=(0.90, 0.95), caseloads=(100,))
    found = operating_characteristics(PosteriorReviewRule(probability=0.8), setting).to_frame()
    assert found["fires_up"].round(3).tolist() == [0.143, 0.956]


def test_false_triggers_and_misses_follow_from_the_bars_of_the_rule():
    setting = Setting(levels=(0.85, 0.95, 0.55, 0.90), caseloads=(20,))
    found = operating_characteristics(NinetySixty(), setting).to_frame().set_index("level")
    assert found["deserved"].tolist() == [0, 1, -1, 0]
    assert found.loc[0.85, "false_fires"] == pytest.approx(found.loc[0.85, "fires"], rel=1e-12)
    assert np.isnan(found.loc[0.85, "missed"])
    assert found.loc[0.95, "missed"] == pytest.approx(1 - found.loc[0.95, "fires_up"])
    assert np.isnan(found.loc[0.95, "false_fires"])
    assert found.loc[0.55, "missed"] == pytest.approx(1 - found.loc[0.55, "fires_down"])
    # exactly at a strict bar nothing is deserved
    assert found.loc[0.90, "false_fires"] == pytest.approx(0.153, abs=5e-4)


def brute_force(rule, n, cycles, weight):
    """Sum of the weights of all histories on which a rule about the indicator fires."""
    total = 0.0
    for counts in product(range(n + 1), repeat=cycles):
        rates = np.array(counts) / n
        if (rates[-rule.cycles :] > rule.upper).all() or (rates[-rule.cycles :] < rule.lower).all():
            total += weight(counts)
    return total


@pytest.mark.parametrize("persistence", [0.0, 1.0])
@pytest.mark.parametrize("icc", [0.01, 0.3])
def test_units_that_differ_are_mixed_over_their_rates(icc, persistence):
    n, level, rule = 6, 0.8, NinetySixty(upper=0.8, lower=0.5, cycles=3)
    setting = Setting(levels=(level,), caseloads=(n,), n_cycles=3, icc=icc, persistence=persistence)
    a, b = setting.beta_shapes(level)

    def weight(counts):
        if persistence == 0:
            return np.prod(stats.betabinom.pmf(counts, n, a, b))
        joint = lambda p: np.prod(stats.binom.pmf(counts, n, p)) * stats.beta.pdf(p, a, b)  # noqa: E731
        return quad(joint, 0, 1, epsabs=1e-13, points=[level])[0]

    found = operating_characteristics(rule, setting, method="exact").to_frame()
    # the quadrature of the reference is good to 1e-13 for each of 343 histories
    assert_allclose(found["fires"], brute_force(rule, n, 3, weight), atol=1e-10)


@pytest.mark.parametrize("cycles", [1, 2, 3])
@pytest.mark.parametrize(("icc", "persistence"), [(0.0, 1.0), (0.2, 0.0), (0.2, 1.0)])
def test_the_first_firing_is_found_by_walking_through_all_histories(cycles, icc, persistence):
    n, horizon, level = 3, 5, 0.7
    rule = NinetySixty(upper=0.65, lower=0.3, cycles=cycles)
    setting = Setting(
        levels=(level,),
        caseloads=(n,),
        n_cycles=cycles,
        icc=icc,
        persistence=persistence,
        horizon=horizon,
    )
    expected = np.zeros(horizon)
    for counts in product(range(n + 1), repeat=horizon):
        if icc == 0:
            weight = np.prod(stats.binom.pmf(counts, n, level))
        elif persistence == 0:
            weight = np.prod(stats.betabinom.pmf(counts, n, *setting.beta_shapes(level)))
        else:
            s, m = sum(counts), n * horizon
            ways = np.prod(stats.binom.pmf(counts, n, 0.5)) / stats.binom.pmf(s, m, 0.5)
            weight = ways * stats.betabinom.pmf(s, m, *setting.beta_shapes(level))
        rates = np.array(counts) / n
        for seen in range(cycles, horizon + 1):
            last = rates[seen - cycles : seen]
            if (last > rule.upper).all() or (last < rule.lower).all():
                expected[seen - 1] += weight
                break
    found = operating_characteristics(rule, setting, method="exact")
    assert_allclose(found.first_fires.to_numpy()[0], expected, atol=1e-12)
    frame = found.to_frame().iloc[0]
    assert frame["fires_within"] == pytest.approx(expected.sum())
    mean = (expected * np.arange(1, horizon + 1)).sum() / expected.sum()
    assert frame["time_to_fire"] == pytest.approx(mean)
    assert found.time_frame()["by_then"].iloc[-1] == pytest.approx(expected.sum())


def test_fewer_nodes_than_exactness_needs_lose_nothing():
    """Degree 2,000 would need 1,001 nodes; 243 are used."""
    setting = Setting(levels=(0.7, 0.93), caseloads=(200,), icc=0.05, horizon=10, n_cycles=2)
    found = operating_characteristics(NinetySixty(), setting, method="exact").first_fires
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outcomekpi.operating.exact_operation._n_nodes", lambda degree: 1001)
        full = operating_characteristics(NinetySixty(), setting, method="exact").first_fires
    assert_allclose(found, full, atol=1e-11)


@pytest.mark.parametrize(("a", "b"), [(0.4, 0.6), (8.0, 2.0), (0.3, 5.0), (4e4, 1e4)])
def test_quadrature_nodes_have_the_moments_of_the_beta_distribution(a, b):
    rates, weights = _beta_nodes(a, b, 12)
    for power in range(1, 24):
        moment = np.exp(sum(np.log(a + j) - np.log(a + b + j) for j in range(power)))
        assert weights @ rates**power == pytest.approx(moment, rel=1e-10)


def test_what_a_doctor_deserves_follows_from_his_own_rate():
    """Sensitivity and PPV of a bar, by integrating over true rates."""
    n, bar, setting = 30, 0.7, Setting(levels=(0.65,), caseloads=(30,), n_cycles=1, icc=0.05)
    a, b = setting.beta_shapes(0.65)
    passes = lambda p: stats.binom.sf(np.ceil(bar * n) - 1, n, p) * stats.beta.pdf(p, a, b)  # noqa: E731
    good, bad = (quad(passes, *ends, epsabs=1e-13)[0] for ends in ((bar, 1), (0, bar)))
    due = 1 - betainc(a, b, bar)
    found = operating_characteristics(EachAboveBar(bar=bar), setting, method="exact").to_frame()
    expected = {
        "fires": good + bad,
        "deserving": due,
        "sensitivity": good / due,
        "specificity": 1 - bad / (1 - due),
        "ppv": good / (good + bad),
        "npv": (1 - due - bad) / (1 - good - bad),
        "misclassified": bad + due - good,
        "overpaid": bad,
        "withheld": due - good,
        "misallocated": bad + due - good,
    }
    assert_allclose(found.loc[0, list(expected)].astype(float), list(expected.values()), atol=1e-11)


def test_money_that_rises_with_the_rate_is_paid_against_what_the_true_rate_is_worth():
    """Half of 10,000 is deserved at .70; what is paid is a mean over the counts."""
    setting = Setting(levels=(0.7,), caseloads=(20,), n_cycles=1, amount=10_000)
    found = operating_characteristics(PaidInProportion(), setting).to_frame().iloc[0]
    x = np.arange(21)
    pay = 10_000 * np.clip((x / 20 - 0.5) / 0.4, 0, 1)
    weight = stats.binom.pmf(x, 20, 0.7)
    assert found["deserved"] == pytest.approx(0.5)
    assert found["overpaid"] == pytest.approx(weight @ np.maximum(pay - 5000, 0))
    assert found["withheld"] == pytest.approx(weight @ np.maximum(5000 - pay, 0))
    assert found["award"] * 10_000 == pytest.approx(weight @ pay)


def test_graded_awards_do_not_go_with_bars():
    setting = Setting(levels=(0.7,), caseloads=(20,), n_cycles=1, upper=0.6)
    for method in ("exact", "simulated"):
        with pytest.raises(SpecError, match="not how much of it, but PaidInProportion gave"):
            operating_characteristics(PaidInProportion(), setting, method=method)


def test_bars_of_the_setting_replace_those_of_the_rule():
    setting = Setting(levels=(0.8, 0.65, 0.5), caseloads=(20,), upper=0.75, lower=0.6)
    found = operating_characteristics(NinetySixty(), setting).to_frame()
    assert found["deserved"].tolist() == [1, 0, -1]


def test_a_rule_for_low_rates_is_right_below_the_lower_bar():
    @dataclass(frozen=True)
    class FewReadmissions:
        direction: str = "lower"

        def decide(self, results):
            return results.rates[:, :, -1] < 0.1

    setting = Setting(levels=(0.05, 0.2), caseloads=(20,), n_cycles=1, lower=0.08)
    found = operating_characteristics(FewReadmissions(), setting).to_frame()
    assert found["deserved"].tolist() == [1, 0]


def test_units_that_a_rule_pools_are_one_large_unit():
    @dataclass(frozen=True)
    class PooledNinetySixty:
        cycles: int = 2
        pools_units: bool = True

        def decide(self, results):
            rates = results.events.sum(axis=1) / results.trials.sum(axis=1)
            return (rates > 0.9).all(axis=1).astype(int) - (rates < 0.6).all(axis=1)

    ten = Setting(levels=tuple(TABLE), caseloads=(5, 20), n_units=10)
    one = Setting(levels=tuple(TABLE), caseloads=(50, 200))
    pooled, alone = (operating_characteristics(PooledNinetySixty(), s) for s in (ten, one))
    assert pooled.method == "exact"
    assert_allclose(pooled.to_frame()["fires"], alone.to_frame()["fires"], rtol=1e-12)
    drawn = operating_characteristics(PooledNinetySixty(), ten, method="simulated").to_frame()
    z = (drawn["fires"] - pooled.to_frame()["fires"]) / drawn["mc_error"]
    assert z[pooled.to_frame()["fires"] > 0.005].abs().max() < 4


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        (NinetySixty(), {"n_units": 3}, "3 units are judged together"),
        (NinetySixty(), {"icc": 0.1, "persistence": 0.4}, "persist in part"),
        (NinetySixty(cycles=3), {"n_cycles": 3, "caseloads": (500,)}, "1.3e.08 tables"),
        (NinetySixty(cycles=1), {"n_cycles": 1, "caseloads": (300_000,)}, "200,000 cases in all"),
        (EachAboveBar(), {"icc": 0.1, "persistence": 0}, "change every cycle"),
        (EachAboveBar(), {"n_units": 2}, "each alone is exact with n_units=1"),
        (PaidInProportion(), {"icc": 0.1}, "graded"),
    ],
)
def test_a_setting_that_cannot_be_enumerated_is_simulated_and_says_why(rule, change, reason):
    setting = Setting(**{"levels": (0.7,), "caseloads": (10,), "replicates": 20} | change)
    found = operating_characteristics(rule, setting)
    assert found.method == "simulated"
    assert reason.replace(".08", "+08") in found.reason
    with pytest.raises(SpecError, match=r"no exact answer.*Use method='simulated'"):
        operating_characteristics(rule, setting, method="exact")


def test_rates_that_nobody_differs_from_persist_whatever_the_setting_says():
    setting = Setting(levels=(0.7,), caseloads=(10,), persistence=0.4)
    assert why_not_exact(NinetySixty(), setting, per_unit=False) is None


def test_doctors_deserve_what_everybody_does_at_levels_of_nothing_and_everything():
    setting = Setting(levels=(0.0, 0.6, 1.0), caseloads=(10,), n_cycles=1, icc=0.2)
    found = operating_characteristics(EachAboveBar(), setting, method="exact").to_frame()
    # at .6 the beta distribution has a + b = 4
    share = 1 - betainc(2.4, 1.6, 0.7)
    assert_allclose(found["deserving"], [0, share, 1], atol=1e-12)
    assert_allclose(found.loc[[0, 2], "misclassified"].astype(float), 0, atol=1e-12)
    assert_allclose(found.loc[[0, 2], "fires"], [0, 1], atol=1e-12)


def test_ten_million_tables_and_200_000_cases_are_still_enumerated():
    # 10^7 tables of 0 to 9 events in 7 cycles; 200,000 cases in a single one
    for cycles, most in ((7, 9), (1, 200_000)):
        rule = NinetySixty(cycles=cycles)
        at, over = (
            Setting(levels=(0.7,), caseloads=(cases,), n_cycles=cycles)
            for cases in (most, most + 1)
        )
        assert why_not_exact(rule, at, per_unit=False) is None
        assert "tables of counts" in why_not_exact(rule, over, per_unit=False)


def test_the_time_to_fire_asks_a_rule_how_far_back_it_looks():
    class Forever:
        def decide(self, results):
            return results.rates[:, 0].mean(axis=1) > 0.9

    setting = Setting(levels=(0.7,), caseloads=(10,), horizon=4, replicates=20)
    assert "cycles it looks at" in operating_characteristics(Forever(), setting).reason
    assert operating_characteristics(Forever(), replace(setting, horizon=None)).method == "exact"


def test_a_rule_that_can_never_fire_is_refused():
    setting = Setting(levels=(0.95,), caseloads=(20,), n_cycles=1)
    with pytest.raises(SpecError, match="looks at 2 cycles, but the setting has 1: it can never"):
        operating_characteristics(NinetySixty(), setting)


def test_cycles_before_those_that_the_rule_looks_at_change_nothing():
    short = Setting(levels=(0.85, 0.95), caseloads=(20,), icc=0.1)
    long = replace(short, n_cycles=7)
    frames = [operating_characteristics(NinetySixty(), s).to_frame() for s in (short, long)]
    assert_allclose(frames[0]["fires"], frames[1]["fires"])


def test_a_family_of_indicators_fires_more_often_than_one():
    setting = Setting(levels=(0.9,), caseloads=(100,), n_indicators=12)
    found = operating_characteristics(NinetySixty(), setting).to_frame().iloc[0]
    assert found["family_wise"] == pytest.approx(1 - (1 - found["fires"]) ** 12)


def test_levels_of_nothing_and_everything_need_no_special_care():
    setting = Setting(levels=(0.0, 1.0), caseloads=(20,), icc=0.2, horizon=4)
    found = operating_characteristics(NinetySixty(), setting).to_frame()
    assert found["fires_down"].tolist() == [1, 0]
    assert found["fires_up"].tolist() == [0, 1]
    assert found["time_to_fire"].tolist() == [2, 2]


def test_a_vanishing_icc_leaves_the_binomial():
    setting = Setting(levels=(0.85, 0.95), caseloads=(100,))
    alike, nearly = (
        operating_characteristics(NinetySixty(), replace(setting, icc=icc)).to_frame()["fires"]
        for icc in (0.0, 1e-10)
    )
    # 100 cases at ICC 1e-10 add 1e-8 to the variance; the beta functions cancel to 1e-6
    assert_allclose(nearly, alike, rtol=1e-5)


def test_units_of_all_or_nothing_fire_as_often_as_they_are_all():
    for method in ("exact", "simulated"):
        setting = Setting(levels=(0.7,), caseloads=(50,), icc=0.9999)
        row = operating_characteristics(NinetySixty(), setting, method=method).to_frame().iloc[0]
        # a share p of the units has events only, but for the ICC's distance from 1
        assert row["fires_up"] == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 10_000))
        assert row["fires_down"] == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 10_000))


def test_the_best_half_of_one_unit_is_nobody():
    setting = Setting(levels=(0.5,), caseloads=(9,), n_cycles=1)
    assert operating_characteristics(BestShare(), setting).to_frame()["fires"].tolist() == [0]
