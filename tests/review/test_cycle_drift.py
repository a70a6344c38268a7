import numpy as np
import pytest
from made_histories import made_history
from scipy.special import logit
from scipy.stats import halfnorm, norm

from outcomekpi.review.indicator_review import draw_drift_sd, next_counts, next_shift
from outcomekpi.review.review import review_thresholds
from outcomekpi.review.rule import ReviewJudgment, ReviewRule

RATE = ReviewRule(reading="raw_rate")


def levels(rng, means, sd, samples=4000):
    return np.asarray(means)[:, None] + sd * rng.standard_normal((len(means), samples))


def test_without_differences_the_drift_is_drawn_from_its_prior(rng):
    found = draw_drift_sd(levels(rng, [1.0], 0.1), np.array([], dtype=int), scale=0.3, rng=rng)
    # 4,000 draws of a half-normal: standard error .003 of the mean
    assert found.mean() == pytest.approx(halfnorm(scale=0.3).mean(), abs=0.012)


def test_the_drift_follows_from_the_differences_and_their_error(rng):
    level = levels(rng, [1.0, 1.8, 0.9], 0.2)
    found = draw_drift_sd(level, np.array([1, 2]), scale=0.5, rng=rng)
    difference = np.diff(level, axis=0)
    mean, spread = difference.mean(axis=1), np.cov(difference)
    tau = np.linspace(1e-3, 4, 4000)
    weight = halfnorm(scale=0.5).pdf(tau)
    for i, t in enumerate(tau):
        total = spread + t**2 * np.diag([1, 2])
        density = np.exp(-0.5 * mean @ np.linalg.inv(total) @ mean) / np.linalg.det(total) ** 0.5
        weight[i] *= density
    wanted = (tau * weight).sum() / weight.sum()
    # SD of the posterior is about .25: Monte Carlo error of 4,000 draws .004, and the grid
    assert found.mean() == pytest.approx(wanted, abs=0.016)


def test_a_steady_indicator_drifts_less_than_a_restless_one(rng):
    steady, restless = (
        draw_drift_sd(levels(rng, means, 0.05), np.ones(4, dtype=int), scale=0.3, rng=rng).mean()
        for means in ([1, 1, 1, 1, 1], [1, 1.6, 0.8, 1.7, 0.9])
    )
    assert steady < 0.1 < 0.4 < restless


def test_the_next_counts_hold_drift_own_movement_and_chance(rng):
    n = 40_000
    shift = next_shift(np.full(n, 0.3), rng)
    counts = next_counts(np.full((1, n), logit(0.8)), shift, np.full(n, 0.4), np.array([50]), rng)
    rate = norm.ppf((np.arange(4000) + 0.5) / 4000) * 0.5 + logit(0.8)  # SD .3 and .4 together
    rate = 1 / (1 + np.exp(-rate))
    variance = rate.var() + (rate * (1 - rate)).mean() / 50
    assert (counts / 50).mean() == pytest.approx(rate.mean(), abs=0.003)
    assert (counts / 50).var() == pytest.approx(variance, rel=0.03)


def test_a_prediction_is_wider_than_what_is_known_and_than_chance_alone():
    history = made_history([[160, 165, 150], [150, 170, 155], [140, 150, 165]], 200)
    row = review_thresholds(history, RATE).to_frame().iloc[0]
    width = row["next_upper"] - row["next_lower"]
    assert width > row["upper"] - row["lower"]
    assert width > 2 * 1.96 * np.sqrt(0.8 * 0.2 / 600)


def test_the_prior_of_the_drift_is_an_argument():
    history = made_history([[85, 86]], 100)
    widths = []
    for scale in (0.05, 1.0):
        judgment = ReviewJudgment(model="conjugate", drift_scale=scale)
        row = review_thresholds(history, RATE, judgment=judgment).to_frame().iloc[0]
        widths.append(row["next_upper"] - row["next_lower"])
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.validate
def test_predictions_cover_the_next_cycle():
    """200 worlds of 8 units in 4 cycles; level moves by N(0, .2²), as the prior expects."""
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        level = 1.6 + np.cumsum(rng.normal(0, 0.2, 4))
        effect = rng.normal(0, 0.4, (8, 1)) + rng.normal(0, 0.2, (8, 4))
        rate = 1 / (1 + np.exp(-(level + effect)))
        events = rng.binomial(60, rate)
        history = made_history(events[:, :3], 60)
        row = review_thresholds(history, RATE, draws=1000).to_frame(level=0.9).iloc[0]
        covered.append(row["next_lower"] <= events[:, 3].sum() / 480 <= row["next_upper"])
    # standard error .021; 3 of them
    assert np.mean(covered) == pytest.approx(0.9, abs=0.064)
