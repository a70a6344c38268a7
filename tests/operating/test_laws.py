from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_rules import BestShare, EachAboveBar, NinetySixty
from numpy.testing import assert_allclose

from outcomekpi.awards.rules import CycleResults
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.review.rule import ReviewRule

LEVELS = (0.3, 0.62, 0.8, 0.97)
PERSISTENCES = st.sampled_from([0.0, 0.5, 1.0])
METHODS = ("exact", "simulated")
# sums counts, so that no order of units rounds its rates differently
RAW_RATE = ReviewRule(reading="raw_rate")

bars = st.tuples(st.floats(0.05, 0.5), st.floats(0.55, 0.99))
iccs = st.sampled_from([0.0, 0.05, 0.4])
few = settings(max_examples=10, deadline=None)


def fires(rule, setting, method="auto"):
    return operating_characteristics(rule, setting, method=method).to_frame()


def setting_of(icc=0.0, persistence=1.0, **changes):
    wanted = {"levels": LEVELS, "caseloads": (7, 20), "replicates": 100}
    return Setting(**wanted | {"icc": icc, "persistence": persistence} | changes)


@few
@given(bars, st.floats(0, 0.4), iccs, PERSISTENCES)
def test_raising_the_upper_bar_never_raises_the_firing_probability(bars, rise, icc, persistence):
    lower, upper = bars
    setting = setting_of(icc, persistence)
    for method in ("auto", "simulated"):
        low = fires(NinetySixty(upper=upper, lower=lower), setting, method)
        high = fires(NinetySixty(upper=upper + rise, lower=lower), setting, method)
        # exact sums of the same terms may differ in the last digit
        assert (high["fires"] <= low["fires"] + 1e-14).all()
        assert (high["fires_up"] <= low["fires_up"] + 1e-14).all()
        assert_allclose(high["fires_down"], low["fires_down"], atol=1e-14)


@few
@given(bars, st.integers(1, 3), iccs)
def test_one_more_cycle_never_raises_the_firing_probability(bars, cycles, icc):
    lower, upper = bars
    setting = setting_of(icc, 0.5, n_cycles=4)
    short, long = (NinetySixty(upper=upper, lower=lower, cycles=k) for k in (cycles, cycles + 1))
    assert (fires(long, setting)["fires"] <= fires(short, setting)["fires"]).all()


@few
@given(bars, st.floats(0.01, 0.99))
def test_with_ever_more_cases_the_rule_becomes_the_truth(bars, level):
    lower, upper = bars
    rule = NinetySixty(upper=upper, lower=lower)
    setting = Setting(levels=(level,), caseloads=(50, 400))
    found = fires(rule, setting)
    truth = int(level > upper) - int(level < lower)
    assert (found["deserved"] == truth).all()
    # Hoeffding: a mean of n cases is further off than d with probability 2 exp(-2 n d^2) at most
    distance = min(abs(level - upper), abs(level - lower))
    bound = np.minimum(1, 2 * 2 * np.exp(-2 * found["caseload"] * distance**2))
    wrong = found["missed"] if truth else found["false_fires"]
    assert (wrong <= bound + 1e-12).all()


def test_simulated_rules_become_the_truth_too():
    setting = setting_of(0.2, 0.5, caseloads=(10**8,), n_units=6, levels=(0.5, 0.7))
    # SD of a rate .00005, against .2 between doctors: one in some thousand is at the bar
    found = fires(EachAboveBar(bar=0.6, cycles=2), setting)
    assert (found["misclassified"] < 0.002).all()
    assert (found["misallocated"] < 0.02).all()


@dataclass(frozen=True)
class Relabelled:
    """A rule that is shown the units in another order and answers in the old one."""

    rule: object
    order: tuple

    @property
    def cycles(self):
        return self.rule.cycles

    def decide(self, results):
        order = list(self.order)
        shuffled = CycleResults(events=results.events[:, order], trials=results.trials[:, order])
        decided = self.rule.decide(shuffled)
        return decided if decided.ndim == 1 else decided[:, np.argsort(order)]


@few
@given(st.permutations(range(5)), st.sampled_from([RAW_RATE, EachAboveBar(cycles=2)]))
def test_relabelling_the_units_changes_nothing(order, rule):
    setting = setting_of(0.2, 0.5, n_units=5, horizon=4, upper=0.9, lower=0.6)
    as_is, shuffled = fires(rule, setting), fires(Relabelled(rule, tuple(order)), setting)
    # means over units are summed in another order
    assert_allclose(as_is.to_numpy(), shuffled.to_numpy(), rtol=1e-12)


@few
@given(st.permutations(LEVELS), st.permutations((7, 20)))
def test_the_order_of_levels_and_caseloads_changes_only_the_order_of_rows(levels, caseloads):
    for method in METHODS:
        setting = setting_of(replicates=20)
        turned = replace(setting, levels=tuple(levels), caseloads=tuple(caseloads))
        frames = [
            fires(NinetySixty(), s, method).set_index(["level", "caseload"]).sort_index()
            for s in (setting, turned)
        ]
        assert frames[0].equals(frames[1])


@few
@given(bars, iccs, st.sampled_from([0.0, 1.0]))
def test_counting_failures_instead_of_successes_swaps_the_sides(bars, icc, persistence):
    lower, upper = bars
    rates = np.concatenate([np.arange(n + 1) / n for n in (7, 20)])
    assume(np.abs(rates[:, None] - [lower, upper]).min() > 1e-9)  # 1 - rate is rounded
    levels = (0.25, 0.5, 0.875)
    mirrored = tuple(1 - level for level in levels)

    @dataclass(frozen=True)
    class Mirrored:
        cycles: int = 2

        def decide(self, results):
            rates = 1 - results.rates[:, 0, -2:]
            return (rates < lower).all(axis=1).astype(int) - (rates > upper).all(axis=1)

    found = fires(
        NinetySixty(upper=upper, lower=lower), setting_of(icc, persistence, levels=levels)
    )
    other = fires(Mirrored(), setting_of(icc, persistence, levels=mirrored))
    assert_allclose(found["fires_up"], other["fires_down"], atol=1e-12)
    assert_allclose(found["fires_down"], other["fires_up"], atol=1e-12)


@few
@given(st.floats(0, 1e6), st.integers(2, 6))
def test_money_scales_with_the_amount_and_probabilities_do_not(amount, units):
    setting = setting_of(0.1, 1.0, n_units=units, n_cycles=1, levels=(0.7,))
    one, many = (fires(BestShare(), replace(setting, amount=a)) for a in (1.0, amount))
    for name in ("overpaid", "withheld", "misallocated"):
        assert_allclose(many[name], amount * one[name])
    assert one["ppv"].equals(many["ppv"])


@few
@given(st.integers(1, 50), iccs)
def test_more_indicators_never_make_a_quieter_family(m, icc):
    setting = setting_of(icc, n_indicators=m)
    one, more = (fires(NinetySixty(), s) for s in (setting, replace(setting, n_indicators=m + 1)))
    assert (more["family_wise"] >= one["family_wise"] - 1e-15).all()
    assert (more["family_wise"] <= 1 + 1e-15).all()


@few
@given(iccs, PERSISTENCES, st.sampled_from(METHODS))
def test_probabilities_are_probabilities_and_consistent(icc, persistence, method):
    if method == "exact" and icc > 0 and persistence == 0.5:
        method = "simulated"
    setting = setting_of(icc, persistence, horizon=6)
    found = fires(RAW_RATE, setting, method)
    for name in (
        "fires",
        "fires_up",
        "fires_down",
        "family_wise",
        "fires_within",
        "lower",
        "upper",
    ):
        assert found[name].between(0, 1).all()
    assert_allclose(found["fires"], found["fires_up"] + found["fires_down"], atol=1e-12)
    assert (found["fires_within"] >= found["fires"] - 1e-12).all()
    assert found["time_to_fire"].dropna().between(2, 6).all()
    assert found[["false_fires", "missed"]].notna().sum(axis=1).eq(1).all()


@pytest.mark.parametrize("method", METHODS)
def test_differences_between_units_make_false_triggers_more_frequent(method):
    """The note: doctors are not independent coin flips."""
    alike, unlike = (
        fires(NinetySixty(), setting_of(icc, levels=(0.8,), caseloads=(50,)), method)
        for icc in (0.0, 0.05)
    )
    assert unlike["false_fires"].item() > alike["false_fires"].item()


def test_persistence_makes_two_cycles_in_a_row_more_frequent():
    found = [
        fires(NinetySixty(), setting_of(0.05, rho, levels=(0.8,), caseloads=(50,)), "exact")
        for rho in (0.0, 1.0)
    ]
    assert found[1]["false_fires"].item() > 3 * found[0]["false_fires"].item()
