import numpy as np
import pytest
from made_histories import made_history, moving_units
from scipy.special import expit, logit
from scipy.stats import beta, binom, halfnorm, norm

from outcomekpi.draws.intervals import interval
from outcomekpi.review import rate_draws
from outcomekpi.review.indicator_table import read_indicator
from outcomekpi.review.nested_binomial import sample_nested_binomial
from outcomekpi.review.rate_draws import beta_draws, hierarchical_rates
from outcomekpi.review.rule import ReviewRule

RATE = ReviewRule(reading="raw_rate")


def table_of(events, trials):
    return read_indicator(made_history(events, trials), "Washing", RATE)


def by_quadrature(events, trials):
    """Posterior mean and SD of the rates of units in one cycle, on a grid of all parameters."""
    prior_mean = logit((events.sum() + 0.5) / (trials.sum() + 1))
    level = prior_mean + np.linspace(-6, 6, 121)
    sd = np.linspace(0.01, 4, 100)
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    rate = expit(level[:, None, None] + sd[:, None] * z)
    prior = norm.pdf(level, prior_mean, np.sqrt(2.5**2 + 1))[:, None] * halfnorm.pdf(sd)
    chance = np.array([binom.pmf(x, n, rate) for x, n in zip(events, trials, strict=True)])
    each = chance @ weight
    joint = prior * each.prod(axis=0)
    moments = [
        (joint * ((chance * rate**k) @ weight) / each).sum(axis=(1, 2)) / joint.sum()
        for k in (1, 2)
    ]
    return moments[0], np.sqrt(moments[1] - moments[0] ** 2)


@pytest.mark.parametrize(
    ("events", "trials"),
    [([18, 25, 9], [20, 40, 10]), ([3, 0, 5, 1], [3, 4, 5, 6]), ([190, 160], [200, 200])],
)
def test_rates_in_one_cycle_agree_with_quadrature_over_all_parameters(rng, events, trials):
    events, trials = np.array(events, dtype=float), np.array(trials, dtype=float)
    found = sample_nested_binomial(events[:, None], trials[:, None], draws=20_000, rng=rng)
    rate = expit(found.eta[:, 0])
    mean, sd = by_quadrature(events, trials)
    # Monte Carlo error of 20,000 draws is .007 SD; resampling triples it at most
    np.testing.assert_allclose(rate.mean(axis=1), mean, atol=0.03 * sd.min())
    np.testing.assert_allclose(rate.std(axis=1), sd, rtol=0.05)
    assert not found.sd_move.any()


@pytest.mark.parametrize(("n_units", "size", "level"), [(8, 60, 1.9), (4, 15, 1.0)])
def test_the_fast_draws_agree_with_the_general_engine(rng, monkeypatch, n_units, size, level):
    events, trials, _ = moving_units(
        rng, n_units=n_units, n_cycles=3, size=size, level=level, sd_unit=0.4, sd_move=0.3
    )
    table = table_of(events, trials)
    fast = hierarchical_rates(table, draws=4000, seed=1, rng=rng)
    monkeypatch.setattr(rate_draws, "FEWEST_EFFECTIVE", np.inf)
    general = hierarchical_rates(table, draws=10_001, seed=1, rng=rng)
    assert general.rates.shape[1] == 10_001
    sd = general.rates.std(axis=1)
    # the two differ by the Monte Carlo error of 4,000 draws (.02 SD each, 12 to 24 of them) and by
    # the prior of the cycles, normal(0, 1) here and per SD of a dummy column there
    assert np.abs(fast.rates.mean(axis=1) - general.rates.mean(axis=1)).max() < 0.12 * sd.max()
    np.testing.assert_allclose(fast.rates.std(axis=1), sd, rtol=0.15)
    assert fast.sd_move.mean() == pytest.approx(general.sd_move.mean(), rel=0.12)
    np.testing.assert_allclose(
        fast.unit_level.mean(axis=1), general.unit_level.mean(axis=1), atol=0.12
    )


def test_units_without_data_in_a_cycle_are_drawn_from_their_other_cycles(rng):
    events = np.array([[45.0, 47], [46, 0], [20, 22], [30, 28]])
    trials = np.array([[50.0, 50], [50, 0], [50, 50], [50, 50]])
    found = sample_nested_binomial(events, trials, draws=2000, rng=rng)
    table = table_of(events, trials)
    rates = hierarchical_rates(table, draws=2000, seed=1, rng=rng).rates
    assert rates.shape[0] == 7
    # the second unit is like the first, not like the third, where it has no cases
    assert expit(found.eta[1, 1]).mean() > 0.75
    assert found.eta[1, 1].std() > found.eta[1, 0].std()


def test_beta_draws_are_an_even_sample(rng):
    draws = beta_draws(95, 100, draws=1000, rng=rng)
    # 1,000 even steps: exact to half a step
    assert (draws > 0.9).mean() == pytest.approx(beta(96, 6).sf(0.9), abs=6e-4)
    assert len(np.unique(draws)) == 1000


def test_units_that_move_have_wider_intervals_than_units_that_stay(rng):
    still = np.tile([[45.0], [42.0], [38.0], [47.0], [33.0]], (1, 3))
    moving = still + np.array([[0, -8, 3], [5, -9, 0], [6, -6, 4], [-7, 2, 3], [9, -5, 2]])
    trials = np.full(still.shape, 50.0)
    sd_move = [
        sample_nested_binomial(events, trials, draws=2000, rng=rng).sd_move.mean()
        for events in (still, moving)
    ]
    assert sd_move[1] > 2 * sd_move[0]


def covered(draws, truth, level):
    lower, upper = interval(draws, level=level)
    return np.mean((lower <= truth) & (truth <= upper))


@pytest.mark.validate
@pytest.mark.parametrize("sd_move", [0.0, 0.3])
def test_intervals_cover_the_truth_whether_or_not_units_move(sd_move):
    """150 worlds of 8 units in 3 cycles, 60 cases each: 90% intervals."""
    rows, pooled, shares = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        events, trials, rate = moving_units(
            rng, n_units=8, n_cycles=3, size=60, level=1.9, sd_unit=0.4, sd_move=sd_move
        )
        found = sample_nested_binomial(events, trials, draws=1000, rng=rng)
        draws, truth = expit(found.eta[:, 1:]).reshape(16, -1), rate[:, 1:].ravel()
        rows.append(covered(draws, truth, 0.9))
        pooled.append(covered(draws.mean(axis=0)[None], truth.mean(), 0.9))
        shares.append(covered((draws > 0.87).mean(axis=0)[None], (truth > 0.87).mean(), 0.9))
    # standard error of a coverage over 150 worlds: .025, less for the 16 rows of each
    assert np.mean(rows) == pytest.approx(0.9, abs=0.04)
    assert np.mean(pooled) > 0.84
    assert np.mean(shares) > 0.84
