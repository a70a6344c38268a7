from dataclasses import replace

import numpy as np
import pytest
from handmade import make_fit

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.classification import FlagRule, classify
from outcomekpi.profiling.doctor_table import DOCTOR_COLUMNS, doctor_table
from outcomekpi.profiling.linear_predictor import doctor_effects
from outcomekpi.profiling.ranking import rank
from outcomekpi.profiling.reliability import reliability
from outcomekpi.profiling.standardization import standardize

CONTRACT = (
    "cases, observed, expected, predicted, oe, oe_lower, oe_upper, pe, pe_lower, pe_upper, rate, "
    "rate_lower, rate_upper, effect, effect_sd, expected_rank, rank_lower, rank_upper, p_worse, "
    "p_better, flag, reliability"
)


def judged(family="bernoulli", **world):
    fit = make_fit(family, **world)
    rates = standardize(fit)
    return fit, rates, rank(rates), classify(rates)


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_table_has_the_columns_of_the_contract(family, nested):
    table = doctor_table(*judged(family, nested=nested))
    assert ", ".join(table.columns) == CONTRACT == ", ".join(DOCTOR_COLUMNS)
    assert table.index.name == "doctor"
    assert table.index.is_monotonic_increasing
    assert np.isfinite(table["rate"]).all()


def test_every_column_comes_from_the_same_draws():
    fit, rates, ranks, flags = judged("binomial")
    table = doctor_table(fit, rates, ranks, flags, level=0.9)
    expected, predicted = flatten_draws(rates.expected), flatten_draws(rates.predicted)
    pe = predicted / expected
    np.testing.assert_allclose(table["pe"], pe.mean(axis=1))
    np.testing.assert_allclose(table["pe_lower"], np.quantile(pe, 0.05, axis=1))
    oe = table["observed"].to_numpy()[:, None] / expected
    np.testing.assert_allclose(table["oe"], oe.mean(axis=1))
    np.testing.assert_allclose(table["rate"], pe.mean(axis=1) * rates.reference_rate)
    np.testing.assert_allclose(table["cases"], np.bincount(fit.cases.doctor_code, fit.cases.trials))
    np.testing.assert_allclose(table["effect"], doctor_effects(fit).mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(table["expected_rank"], ranks.to_frame()["mean"])
    np.testing.assert_allclose(table["reliability"], reliability(fit).estimate)
    assert list(table["flag"]) == list(flags.flag)


def test_probabilities_are_relative_to_the_threshold_of_the_flags():
    fit, rates, ranks, _ = judged()
    strict = classify(rates, FlagRule(threshold=0.3))
    table = doctor_table(fit, rates, ranks, strict)
    np.testing.assert_allclose(table["p_worse"], (flatten_draws(rates.draws) > 0.3).mean(axis=1))
    assert table.attrs["threshold"] == 0.3


def test_ratios_of_a_gaussian_outcome_are_missing_where_nothing_is_expected():
    table = doctor_table(*judged("gaussian"))
    assert table[["oe", "pe", "pe_upper"]].isna().all().all()  # expected sums are negative
    positive = doctor_table(*judged("gaussian", intercept=20.0))
    assert positive[["oe", "pe", "pe_upper"]].notna().all().all()


def test_results_about_other_doctors_are_refused():
    fit, rates, ranks, flags = judged()
    other = judged(n_doctors=11)[2]
    with pytest.raises(SpecError, match=r"ranks and rates are about different doctors \(11 and 12"):
        doctor_table(fit, rates, other, flags)
    relabelled = replace(flags, flag=flags.flag.rename(lambda label: label + "x"))
    with pytest.raises(SpecError, match="flags and rates"):
        doctor_table(fit, rates, ranks, relabelled)


def test_reliabilities_that_are_at_hand_are_used():
    fit, rates, ranks, flags = judged()
    given = replace(reliability(fit), estimate=reliability(fit).estimate * 0.5)
    table = doctor_table(fit, rates, ranks, flags, reliabilities=given)
    np.testing.assert_allclose(table["reliability"], given.estimate)
