"""Numbers of a calibration against other implementations and numbers worked by hand."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit

from outcomekpi.calibration.bins import BINS, Predicted, add_up
from outcomekpi.calibration.curve import (
    choose_knots,
    make_spline,
    regress_batch,
    spline_columns,
)
from outcomekpi.calibration.intervals import cluster_weights
from outcomekpi.calibration.net_benefit import net_benefit
from outcomekpi.calibration.numbers import MEASURES, measure_resamples
from outcomekpi.calibration.statistics import hosmer_lemeshow, spiegelhalter

GRID = np.linspace(-3, 1, 9)


def make_given(*, n=600, n_doctors=12, seed=1, shift=0.3, stretch=0.7, trials=False):
    rng = np.random.default_rng(seed)
    score = rng.normal(-1.0, 1.0, n)
    doctor = np.concatenate([np.arange(n_doctors), rng.integers(0, n_doctors, n - n_doctors)])
    size = rng.integers(1, 6, n).astype(float) if trials else np.ones(n)
    outcome = rng.binomial(size.astype(int), expit(shift + stretch * score)).astype(float)
    return Predicted(
        probability=expit(score)[None, :],
        outcome=outcome,
        size=size,
        doctor=doctor,
        cluster=doctor,
        n_clusters=n_doctors,
    )


def measure(given, weights=None):
    weights = np.ones((1, given.n_clusters)) if weights is None else weights
    return measure_resamples(add_up(given), weights, GRID)


def as_dict(row):
    return dict(zip(MEASURES, row, strict=True))


def by_statsmodels(given, weight):
    """Every measure with statsmodels and loops over the cases, nothing added up."""
    rate, y, w = given.probability[0], given.outcome, weight[given.doctor]
    score = logit(rate)

    def regress(columns, offset=None):
        family = sm.families.Binomial()
        model = sm.GLM(y, columns, family=family, offset=offset, freq_weights=w)
        return model.fit(tol=1e-12)

    one = np.ones((y.size, 1))
    line = regress(np.column_stack([one, score])).params
    knots = choose_knots(score, np.ones_like(score), events=min(y.sum(), (1 - y).sum()))
    columns = spline_columns(score, knots)
    curve = regress(columns).fittedvalues
    away = np.abs(curve - rate)
    events, others = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    pairs = np.outer(w[events], w[others])
    higher = rate[events][:, None] - rate[others][None, :]
    mean = (w * y).sum() / w.sum()
    brier = (w * (y - rate) ** 2).sum() / w.sum()
    return {
        "oe": (w * y).sum() / (w * rate).sum(),
        "in_the_large": regress(one, score).params[0],
        "intercept": line[0],
        "slope": line[1],
        "ici": (w * away).sum() / w.sum(),
        "emax": away.max(),
        "brier": brier,
        "scaled_brier": 1 - brier / (mean * (1 - mean)),
        "c_statistic": (pairs * ((higher > 0) + 0.5 * (higher == 0))).sum() / pairs.sum(),
    }


def test_every_measure_agrees_with_statsmodels_and_brute_force_under_any_weights():
    given = make_given()
    rng = np.random.default_rng(2)
    weights = np.vstack([np.ones(12), rng.standard_exponential((2, 12))])
    found = measure(given, weights).measures
    for row, weight in zip(found, weights, strict=True):
        wanted = by_statsmodels(given, weight)
        # statsmodels stops when the deviance is stable, about 1e-7 in a coefficient
        assert {k: v for k, v in as_dict(row).items() if k in wanted} == pytest.approx(
            wanted, rel=1e-6
        )


def test_median_and_ninetieth_percentile_of_the_distance_are_those_of_the_cases():
    given = make_given(n=501)
    numbers = measure(given)
    found = as_dict(numbers.measures[0])
    spline, score = numbers.spline, logit(given.probability[0])
    away = np.abs(expit(spline.columns(score) @ numbers.coefficient[0]) - expit(score))
    assert found["e50"] == pytest.approx(np.quantile(away, 0.5, method="inverted_cdf"))
    assert found["e90"] == pytest.approx(np.quantile(away, 0.9, method="inverted_cdf"))


def test_whole_weights_are_copies_of_doctors():
    given = make_given()
    twice = np.ones((2, 12))
    twice[1, 3] = 2.0
    more = np.flatnonzero(given.doctor == 3)
    at = np.concatenate([np.arange(600), more])
    copied = Predicted(
        probability=given.probability[:, at],
        outcome=given.outcome[at],
        size=given.size[at],
        doctor=given.doctor[at],
        cluster=given.cluster[at],
        n_clusters=12,
    )
    found, wanted = as_dict(measure(given, twice).measures[1]), as_dict(measure(copied).measures[0])
    for name in ("oe", "in_the_large", "slope", "brier", "scaled_brier", "c_statistic"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-8)


def test_aggregated_rows_are_their_patients():
    rows = make_given(trials=True)
    n = rows.size.astype(int)
    events = np.concatenate(
        [[1.0] * int(y) + [0.0] * int(k - y) for y, k in zip(rows.outcome, n, strict=True)]
    )
    at = np.repeat(np.arange(n.size), n)
    single = Predicted(
        probability=rows.probability[:, at],
        outcome=events,
        size=np.ones(at.size),
        doctor=rows.doctor[at],
        cluster=rows.cluster[at],
        n_clusters=12,
    )
    np.testing.assert_allclose(measure(rows).measures, measure(single).measures, rtol=1e-8)
    for function in (spiegelhalter,):
        found, wanted = (
            function(g.probability[0], g.outcome, g.size, g.cluster) for g in (rows, single)
        )
        assert found.z == pytest.approx(wanted.z)
        assert found.t_clustered == pytest.approx(wanted.t_clustered)


def test_adding_up_neighbors_changes_the_measures_far_less_than_chance():
    given = make_given(n=20_000, n_doctors=100)
    weights = cluster_weights(100, 100, np.random.default_rng(1))
    error = as_dict(measure(given, np.vstack([np.ones(100), weights])).measures[1:].std(axis=0))
    values = {}
    for bins in (BINS, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("outcomekpi.calibration.bins.BINS", bins)
            values[bins] = as_dict(measure(given).measures[0])
    for name, exact in values[10**9].items():
        # in standard errors; quantiles of the distance are known in steps of one bin
        tolerance = (0.1 if name in ("e50", "e90", "emax") else 0.02) * error[name]
        assert values[BINS][name] == pytest.approx(exact, abs=tolerance), name


def test_the_spline_is_straight_beyond_its_knots_and_smooth_within():
    knots = np.array([-2.0, -0.5, 0.3, 1.0, 2.5])
    beyond = spline_columns(np.array([3.0, 4.0, 5.0, -3.0, -4.0, -5.0]), knots)
    for part in (beyond[:3], beyond[3:]):
        np.testing.assert_allclose(part[2] - part[1], part[1] - part[0], atol=1e-9)
    at = 0.3 + np.array([-1e-4, 0.0, 1e-4])
    bend = np.diff(spline_columns(at, knots), n=2, axis=0)
    assert np.abs(bend).max() < 1e-6


def test_separated_outcomes_give_no_coefficients_and_no_crash():
    score = np.linspace(-1, 1, 20)
    events = (score > 0).astype(float)
    basis = np.column_stack([np.ones(20), score])
    rows = np.stack([events, np.ones(20), (np.arange(20) % 2).astype(float)])
    found = regress_batch(basis, rows, np.ones((3, 20)))
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2]).all()


def test_an_orthogonal_basis_has_the_same_curve():
    score = np.random.default_rng(1).normal(size=300)
    knots = choose_knots(score, np.ones(300), events=150)
    assert knots.size == 4
    plain, spline = spline_columns(score, knots), make_spline(score, knots)
    basis = spline.columns(score)
    np.testing.assert_allclose(basis.T @ basis / 300, np.eye(4), atol=1e-9)
    assert np.linalg.matrix_rank(np.column_stack([plain, basis])) == 4


# Tests of calibration

CAFFEINE = np.arange(0, 501, 50)
GRADES = np.array([10, 13, 17, 15, 10, 5, 4, 3, 3, 1, 0], dtype=float)


def fit_caffeine():
    design = sm.add_constant(CAFFEINE.astype(float))
    pairs = np.column_stack([GRADES, 30 - GRADES])
    return sm.GLM(pairs, design, family=sm.families.Binomial()).fit().fittedvalues


def test_hosmer_lemeshow_of_the_caffeine_example_is_the_chi_square_of_its_table():
    """Worked example of the encyclopedia's article on the test: 330 volunteers at 11 doses.

    Grouped by dose, its Pearson chi-square is 17.46 with 9 degrees of freedom, p = .042.
    """
    found = hosmer_lemeshow(fit_caffeine(), GRADES, np.full(11, 30.0), fitted=True, n_groups=11)
    assert found.df == 9
    assert found.chi_square == pytest.approx(17.46, abs=0.005)
    assert found.p_value == pytest.approx(0.042, abs=0.0005)


def test_hosmer_lemeshow_of_two_groups_by_hand():
    """10 cases at .2 with 4 events, 10 at .5 with 4: 4/1.6 + 1/2.5 = 2.9."""
    rate = np.repeat([0.2, 0.5], 10)
    outcome = np.concatenate([np.repeat([1.0, 0.0], [4, 6]), np.repeat([1.0, 0.0], [4, 6])])
    found = hosmer_lemeshow(rate, outcome, np.ones(20), fitted=False)
    assert found.chi_square == pytest.approx(2.9)
    assert found.df == 2
    assert found.p_value == pytest.approx(stats.chi2.sf(2.9, 2))
    assert found.table["events"].tolist() == [4, 4]


def test_spiegelhalter_by_hand():
    """Three cases, p = .1, .4, .8 with y = 0, 1, 1.

    Sum of (y - p)(1 - 2p) = -.08 + .12 - .12 = -.08; variance .64 × .09 + .04 × .24 + .36 × .16 =
    .1248, z = -.2265.
    """
    rate, outcome = np.array([0.1, 0.4, 0.8]), np.array([0.0, 1.0, 1.0])
    found = spiegelhalter(rate, outcome, np.ones(3), np.arange(3))
    assert found.z == pytest.approx(-0.08 / 0.1248**0.5)
    assert found.p_value == pytest.approx(2 * stats.norm.cdf(-0.08 / 0.1248**0.5))
    # between doctors: 3/2 × (.08² + .12² + .12²), 2 degrees of freedom
    t = -0.08 / (1.5 * (0.0064 + 0.0144 + 0.0144)) ** 0.5
    assert found.t_clustered == pytest.approx(t)
    assert found.p_clustered == pytest.approx(2 * stats.t.cdf(t, 2))


def test_the_cases_of_a_single_doctor_have_no_t_between_doctors():
    rate, outcome = np.array([0.2, 0.7, 0.9]), np.array([1.0, 1.0, 0.0])
    found = spiegelhalter(rate, outcome, np.ones(3), np.zeros(3, dtype=np.intp))
    assert np.isfinite(found.z)
    assert np.isnan(found.t_clustered)
    assert np.isnan(found.p_clustered)


def test_spiegelhalter_is_the_standardized_brier_score():
    """The same z from the Brier score, its mean and variance if the predictions are right."""
    given = make_given()
    p, y = given.probability[0], given.outcome
    brier, expected = ((y - p) ** 2).mean(), (p * (1 - p)).mean()
    variance = ((1 - 2 * p) ** 2 * p * (1 - p)).sum() / p.size**2
    found = spiegelhalter(p, y, given.size, given.cluster)
    assert found.z == pytest.approx((brier - expected) / variance**0.5)


@pytest.mark.parametrize("clustered", [False, True])
def test_spiegelhalter_rejects_a_right_model_one_time_in_twenty(clustered):
    """Doctors who differ fool the test of independent cases, and not the clustered one."""
    rng = np.random.default_rng(3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    rejected = 0
    for _ in range(400):
        doctor = np.repeat(np.arange(60), 20)
        score = rng.normal(-1.5, 0.8, doctor.size)
        rate = expit(score[:, None] + 0.6 * nodes) @ (weights / weights.sum())
        y = (rng.random(doctor.size) < expit(score + rng.normal(0, 0.6, 60)[doctor])).astype(float)
        found = spiegelhalter(rate, y, np.ones(doctor.size), doctor)
        rejected += (found.p_clustered if clustered else found.p_value) < 0.05
    # standard error of a share of .05 over 400 worlds: .011
    assert (rejected / 400 < 0.05 + 3 * 0.011) == clustered


# Net benefit


def test_net_benefit_of_ten_patients_by_hand():
    """Threshold .2: 3 of 4 events and 2 of 6 others pass: .3 - .2 × .25 = .25; treat all .25."""
    rate = np.array([0.9, 0.6, 0.2, 0.1, 0.5, 0.3, 0.1, 0.1, 0.05, 0.01])
    outcome = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    given = Predicted(
        probability=rate[None, :],
        outcome=outcome,
        size=np.ones(10),
        doctor=np.arange(10) % 2,
        cluster=np.arange(10) % 2,
        n_clusters=2,
    )
    found = net_benefit(given, np.ones((1, 2)), np.array([0.2, 0.5, 0.95]))
    np.testing.assert_allclose(found.model[0], [0.25, 0.2 - 0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.treat_all[0], [0.4 - 0.6 / 4, 0.4 - 0.6, 0.4 - 0.6 * 19])


def test_net_benefit_agrees_with_a_loop_under_any_weights():
    given = make_given(trials=True)
    rng = np.random.default_rng(4)
    weights, thresholds = rng.standard_exponential((3, 12)), np.array([0.05, 0.2, 0.33, 0.7])
    found = net_benefit(given, weights, thresholds)
    for row, weight in enumerate(weights):
        w = weight[given.doctor]
        n = (w * given.size).sum()
        for k, t in enumerate(thresholds):
            passed = given.probability[0] >= t
            true = (w * given.outcome)[passed].sum()
            false = (w * (given.size - given.outcome))[passed].sum()
            assert found.model[row, k] == pytest.approx(true / n - false / n * t / (1 - t))


def test_acting_on_almost_everybody_is_treating_all():
    given = make_given()
    found = net_benefit(given, np.ones((1, 12)), np.array([given.probability.min()]))
    np.testing.assert_allclose(found.model, found.treat_all)


def test_hosmer_lemeshow_without_degrees_of_freedom_has_no_p_value():
    rate, outcome = np.repeat([0.2, 0.6], 10), np.tile([0.0, 1.0], 10)
    found = hosmer_lemeshow(rate, outcome, np.ones(20), fitted=True, n_groups=2)
    assert found.df == 0
    assert np.isnan(found.p_value)
