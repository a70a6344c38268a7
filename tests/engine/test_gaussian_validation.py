"""The fast engine for Gaussian outcomes against NUTS, and against the truth."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_worlds import PRIORS, simulate
from scipy.stats import binom, chisquare

from outcomekpi.engine.gaussian import sample_gaussian
from outcomekpi.engine.nuts import sample_nuts
from outcomekpi.model.priors import HalfNormal, Normal

pytestmark = pytest.mark.validate

HOSPITAL = np.repeat(np.arange(4), 3)


def quantities(samples):
    """Everything both engines draw, (quantity, draw)."""
    parts = [samples.intercept[None], samples.coefficient.T, samples.sd_doctor[None]]
    parts += [samples.sd_residual[None], np.asarray(samples.doctor_effect, dtype=float)]
    if samples.sd_hospital is not None:
        parts += [samples.sd_hospital[None], samples.hospital_effect]
    return np.vstack(parts)


@pytest.mark.parametrize("hospital", [None, HOSPITAL], ids=["doctors", "nested"])
@pytest.mark.filterwarnings("default")
def test_means_and_sds_agree_with_nuts(hospital):
    from arviz import ess

    counts = [3, 5, 30, 12, 1, 8, 20, 4, 9, 15, 2, 40]
    model = simulate(counts, hospital=hospital, seed=8)
    fast = quantities(sample_gaussian(model, draws=8000, seed=1))
    slow = quantities(sample_nuts(model, draws=8000, seed=1, target_accept=0.98))
    sd = slow.std(axis=1)
    size = np.array([float(ess(row.reshape(4, -1), method="mean")) for row in slow])
    difference = np.abs(fast.mean(axis=1) - slow.mean(axis=1)) / sd
    # .02 posterior SD, plus 4 standard errors of the NUTS mean and of 8,000 independent draws
    assert (difference < 0.02 + 4 * np.sqrt(1 / size + 1 / 8000)).all()
    # 3 %, plus 4 standard errors of two SDs (kurtosis up to 6)
    spread = np.abs(fast.std(axis=1) / sd - 1)
    assert (spread < 0.03 + 4 * np.sqrt(1.25 * (1 / size + 1 / 8000))).all()


@pytest.mark.parametrize("hospital", [None, HOSPITAL], ids=["doctors", "nested"])
def test_ranks_of_the_truth_are_uniform_over_300_data_sets(hospital):
    """Simulation-based calibration: truth from the prior, data from the truth."""
    n_sets, n_bins = 300, 20
    priors = replace(
        PRIORS,
        intercept=Normal(1.0, 1.0),
        coefficient=Normal(0.0, 1.0),
        sd_hospital=HalfNormal(1.0),
        sd_residual=HalfNormal(1.0),
    )
    shares = []
    for index in range(n_sets):
        rng = np.random.default_rng((20261, index))
        beta = rng.normal([1.0, 0.0, 0.0], 1.0)
        sigma, omega, residual = np.abs(rng.normal(size=3))
        counts = rng.integers(1, 9, 12)
        model = simulate(
            counts, slopes=(0.0, 0.0), hospital=hospital, priors=priors, seed=10_000 + index
        )
        doctor = rng.normal(0.0, sigma, 12)
        truth = [*beta, sigma, residual, *doctor]
        eta = beta[0] + model.matrix @ beta[1:] + doctor[model.doctor_code]
        if hospital is not None:
            effect = rng.normal(0.0, omega, 4)
            truth += [omega, *effect]
            eta += effect[hospital[model.doctor_code]]
        outcome = eta + rng.normal(0.0, residual, eta.size)
        samples = sample_gaussian(replace(model, outcome=outcome), draws=1000, seed=index)
        shares.append((quantities(samples) < np.array(truth)[:, None]).mean(axis=1))
    ranks = np.array(shares)
    p_values = np.array([chisquare(np.histogram(r, n_bins, (0.0, 1.0))[0]).pvalue for r in ranks.T])
    # the smallest of at most 22 p-values: 2 % of correct engines would fail at .001
    assert p_values.min() > 0.001
    covered = ((ranks > 0.05) & (ranks < 0.95)).sum(axis=0)
    lower, upper = binom.ppf([0.0005, 0.9995], n_sets, 0.9)
    assert ((covered >= lower) & (covered <= upper)).all()
