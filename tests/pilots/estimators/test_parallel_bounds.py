"""Bounds under breaks of parallel trends: R's numbers, the linear program, laws, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import truncnorm

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.estimators.event_study import EventStudy
from outcomekpi.pilots.estimators.parallel_bounds import bound_parallel_trends
from outcomekpi.pilots.estimators.relative_magnitudes import (
    build_tests,
    hull_of_accepted,
    truncated_quantile,
)

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "bc_event_study.json"
FIRST = (1.0, 0.0, 0.0, 0.0)


def benzarti_carloni():
    if not REFERENCE.exists():
        pytest.skip("the event study of Benzarti and Carloni is not beside this checkout")
    data = json.loads(REFERENCE.read_text())
    return EventStudy(
        times=np.array([-5, -4, -3, -2, 0, 1, 2, 3]),
        coefficients=np.array(data["betahat"]),
        covariance=np.array(data["sigma"]),
    )


def made_study(n_before=3, n_after=3, seed=3, effect=1.0):
    rng = np.random.default_rng(seed)
    times = np.array([*range(-n_before - 1, -1), *range(n_after)])
    root = rng.normal(size=(times.size, times.size)) / 20 + 0.1 * np.eye(times.size)
    coefficients = rng.normal(0, 0.05, times.size) + effect * (times >= 0)
    return EventStudy(times=times, coefficients=coefficients, covariance=root @ root.T)


def test_trends_taken_as_parallel_give_the_interval_of_r():
    study = benzarti_carloni()
    found = bound_parallel_trends(study, target=FIRST).original(level=0.95)
    assert found == pytest.approx((0.158775, 0.233147), abs=1e-6)


# HonestDiD::createSensitivityResults_relativeMagnitudes(betahat, sigma, 4, 4,
#   Mbarvec = c(.5, 1, 1.5))
@pytest.mark.parametrize(
    ("magnitude", "wanted"),
    [(0.5, (0.118129, 0.271584)), (1.0, (0.067231, 0.318684)), (1.5, (0.013294, 0.369582))],
)
def test_relative_magnitudes_agree_with_r_to_a_step_of_its_grid(magnitude, wanted):
    study = benzarti_carloni()
    sd = float(np.sqrt(study.covariance[4, 4]))
    grid = np.linspace(-20 * sd, 20 * sd, 1000)
    tests = build_tests(
        study.covariance, n_before=4, target=np.array(FIRST), magnitude=magnitude, level=0.95
    )
    found = hull_of_accepted(tests, study.coefficients, grid, refine=False)
    # R draws its first-stage critical value with 1,000 simulations: one step may be lost to it
    step = grid[1] - grid[0]
    assert found == pytest.approx(wanted, abs=1.001 * step)
    assert sum(abs(a - b) < 1e-6 for a, b in zip(found, wanted, strict=True)) >= 1
    refined = bound_parallel_trends(study, target=FIRST).interval(magnitude)
    assert refined == pytest.approx(found, abs=step)


# HonestDiD::createSensitivityResults(betahat, sigma, 4, 4, Mvec = c(0, .01, .02, .03))
@pytest.mark.slow
def test_smoothness_agrees_with_r_to_the_noise_of_its_simulated_quantile():
    table = bound_parallel_trends(
        benzarti_carloni(), method="smoothness", magnitudes=(0, 0.01, 0.02, 0.03), target=FIRST
    ).to_frame()
    # R searches a grid of slopes with simulated quantiles: 1 % of the length, which is .14
    np.testing.assert_allclose(
        table["lower"][1:], [0.131411, 0.154965, 0.177301, 0.189404], atol=0.001
    )
    np.testing.assert_allclose(
        table["upper"][1:], [0.216170, 0.270385, 0.315956, 0.348548], atol=0.001
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_after", [2, 4])
def test_the_vertices_solve_the_linear_program(seed, n_after):
    study = made_study(n_after=n_after, seed=seed)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n_after)
    magnitude, place, sign = 0.8, seed % study.n_before, (-1.0) ** seed
    tests = build_tests(
        study.covariance, n_before=3, target=target, magnitude=magnitude, level=0.95
    )
    test = tests[2 * place + (0 if sign > 0 else 1)]
    for effect in (-1.0, 0.3, 2.0):
        values = test.direction @ study.coefficients + test.slope * effect
        assert values.max() == pytest.approx(
            solve_program(study, target, magnitude, place, sign, effect), abs=1e-8
        )


def solve_program(study, target, magnitude, place, sign, effect):
    """min eta so that some post-period effects with this average violate no moment by more."""
    n_before, n_after = study.n_before, study.n_after
    steps = np.delete(np.diff(np.eye(n_before + n_after + 1), axis=0), n_before, axis=1)
    bound = magnitude * sign * steps[place]
    moments = np.vstack([steps[n_before:] - bound, -steps[n_before:] - bound])
    sd = np.sqrt(np.diag(moments @ study.covariance @ moments.T))
    # moments of coefficients minus effects tau: moments @ beta - moments_after @ tau <= eta sd
    left = np.hstack([-sd[:, None], -moments[:, n_before:]])
    found = linprog(
        c=np.r_[1.0, np.zeros(n_after)],
        A_ub=left,
        b_ub=-moments @ study.coefficients,
        A_eq=np.r_[0.0, target][None, :],
        b_eq=[effect],
        bounds=[(None, None)] * (1 + n_after),
    )
    assert found.status == 0
    return found.fun


def test_the_quantile_of_a_cut_normal_is_right_in_the_middle_and_far_out():
    lower, upper = np.array([-1.0, 0.5, -8.0]), np.array([2.0, 3.0, -6.0])
    found = truncated_quantile(0.955, lower, upper)
    np.testing.assert_allclose(found, truncnorm.ppf(0.955, lower, upper), rtol=1e-8)
    # beyond 6 SD scipy loses digits; the mirrored quantile is the same number
    far = truncated_quantile(0.955, np.array([8.0]), np.array([np.inf]))
    mirrored = truncated_quantile(0.045, np.array([-np.inf]), np.array([-8.0]))
    assert far[0] == pytest.approx(-mirrored[0], rel=1e-9)
    assert truncated_quantile(0.9, np.array([-np.inf]), np.array([np.inf]))[0] == pytest.approx(
        1.2815515655446004
    )


def test_larger_breaks_never_narrow_the_interval():
    table = bound_parallel_trends(made_study(), magnitudes=(0.25, 0.5, 1, 2)).to_frame()
    assert (np.diff(table["lower"][1:]) <= 1e-9).all()
    assert (np.diff(table["upper"][1:]) >= -1e-9).all()


def test_a_higher_level_never_narrows_the_interval():
    bounds = bound_parallel_trends(made_study())
    narrow, wide = bounds.interval(1.0, level=0.8), bounds.interval(1.0, level=0.95)
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]


def test_an_effect_of_the_other_sign_has_the_mirrored_interval():
    study = made_study()
    mirrored = EventStudy(
        times=study.times, coefficients=-study.coefficients, covariance=study.covariance
    )
    lower, upper = bound_parallel_trends(study).interval(1.0)
    # the draws of the first stage are not symmetric: 20,000 of them
    assert bound_parallel_trends(mirrored).interval(1.0) == pytest.approx(
        (-upper, -lower), abs=0.005
    )


def test_the_default_target_is_the_average_after_the_start():
    study = made_study(n_after=4)
    given = bound_parallel_trends(study, target=(0.25,) * 4).interval(1.0)
    assert bound_parallel_trends(study).interval(1.0) == given
    frame = bound_parallel_trends(study).to_frame()
    middle = frame.loc[0, ["lower", "upper"]].astype(float).mean()
    assert middle == pytest.approx(study.coefficients[study.times >= 0].mean())


def test_at_the_breakdown_the_interval_first_includes_no_effect():
    bounds = bound_parallel_trends(made_study())
    breakdown = bounds.breakdown()
    assert 0.1 < breakdown < 60
    lower, upper = bounds.interval(breakdown * 1.01)
    assert lower <= 0 <= upper
    assert bounds.interval(breakdown * 0.98)[0] > 0
    assert f"m = {breakdown:.3g}" in repr(bounds)


def test_an_effect_that_parallel_trends_do_not_show_breaks_at_once():
    assert bound_parallel_trends(made_study(effect=0.0, seed=5)).breakdown() == 0


def test_one_period_after_the_start_is_enough():
    study = made_study(n_after=1)
    lower, upper = bound_parallel_trends(study).interval(0.5)
    assert lower < study.coefficients[-1] < upper


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0, 1], "no period before"),
        ([-3, -2], "no period after"),
        ([-4, -2, 0, 1], "holes"),
    ],
)
def test_event_studies_without_bounds_are_refused(times, reason):
    study = EventStudy(
        times=np.array(times), coefficients=np.zeros(len(times)), covariance=np.eye(len(times))
    )
    with pytest.raises(SpecError, match=reason):
        bound_parallel_trends(study)


def test_a_covariance_from_too_few_clusters_is_refused():
    root = np.random.default_rng(1).normal(size=(4, 2))
    study = EventStudy(
        times=np.array([-3, -2, 0, 1]), coefficients=np.zeros(4), covariance=root @ root.T
    )
    with pytest.raises(SpecError, match="too few clusters"):
        bound_parallel_trends(study)


def test_wrong_settings_are_refused():
    study = made_study()
    with pytest.raises(SpecError, match="Did you mean 'smoothness'"):
        bound_parallel_trends(study, method="smoothnes")
    with pytest.raises(SpecError, match="one weight for each of the 3 times"):
        bound_parallel_trends(study, target=(1.0,))
    with pytest.raises(SpecError, match="numbers from 0"):
        bound_parallel_trends(study, magnitudes=(-1.0,))
    with pytest.raises(SpecError, match="leave out the reference"):
        EventStudy(times=np.array([-1, 0]), coefficients=np.zeros(2), covariance=np.eye(2))


def test_bounds_describe_themselves():
    bounds = bound_parallel_trends(made_study())
    assert list(bounds.to_frame().columns) == ["m", "lower", "upper", "method"]
    assert "<table" in bounds._repr_html_()
    assert "EventStudy: 3 times before and 3 after" in repr(made_study())


@pytest.mark.validate
@pytest.mark.parametrize("magnitude", [0.5, 1.0])
def test_the_interval_covers_an_effect_whose_trend_breaks_as_much_as_allowed(magnitude):
    rng = np.random.default_rng(7)
    study = made_study()
    delta = np.array([0.06, 0.02, 0.05])
    largest = np.abs(np.diff([*delta, 0.0])).max()
    truth = np.concatenate([delta, magnitude * largest * np.arange(1, 4) + 1.0])
    tests = build_tests(
        study.covariance, n_before=3, target=np.full(3, 1 / 3), magnitude=magnitude, level=0.95
    )
    held = []
    for _ in range(2000):
        drawn = rng.multivariate_normal(truth, study.covariance)
        held.append(any(test.accepts(np.array([1.0]), drawn)[0] for test in tests))
    # the interval is conservative by construction; 3 standard errors below 95 %
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 2000)
