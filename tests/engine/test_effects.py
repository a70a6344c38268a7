from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr
from worlds import HARD_CASES, conditional_quantiles, curve, gamma_counts, hard_case, simulate

from outcomekpi.engine import effects
from outcomekpi.engine.curves import tabulate_curves
from outcomekpi.engine.effects import draw_conditionals
from outcomekpi.engine.engine import build_target, sample_quadrature
from outcomekpi.engine.evaluation import anchor_effects
from outcomekpi.engine.mode import find_mode
from outcomekpi.engine.scores import shuffled_midpoints
from outcomekpi.engine.shifts import curve_shifts

DRAWS, SEED = 1000, 7


def scores_of(doctor, n_draws, seed):
    return shuffled_midpoints(n_draws, "doctor", doctor, seed)


def errors_of_draws(model, n_doctors=8, n_checked=30):
    """Draws of the engine less quantiles by brute force at the same scores, in SDs."""
    samples = sample_quadrature(model, draws=DRAWS, seed=SEED)
    beta = np.column_stack((samples.intercept, samples.coefficient))
    counts = np.bincount(model.doctor_code)
    by_size = np.argsort(counts, kind="stable")
    doctors = by_size[np.unique(np.linspace(0, counts.size - 1, n_doctors).astype(int))]
    checked = np.linspace(0, DRAWS - 1, n_checked).astype(int)
    errors = np.empty((doctors.size, n_checked))
    for row, doctor in enumerate(doctors):
        score = scores_of(int(doctor), DRAWS, SEED)
        for column, draw in enumerate(checked):
            exact, sd = conditional_quantiles(
                model, beta[draw], samples.sd_doctor[draw], doctor, ndtr(score[draw])
            )
            errors[row, column] = (samples.doctor_effect[doctor, draw] - exact) / sd
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD_CASES)
def test_draws_equal_the_patient_level_quantiles_in_every_hard_case(name):
    errors = errors_of_draws(hard_case(name))
    # The bars of the study: rms below .03 conditional SD. No doctor shifted by more than .03.
    assert np.sqrt((errors**2).mean()) < 0.03
    assert np.abs(errors.mean(axis=1)).max() < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_draws_equal_the_patient_level_quantiles_in_every_family(family):
    errors = errors_of_draws(simulate(family, counts=gamma_counts(1500, 30), sigma=0.5, seed=4))
    assert np.sqrt((errors**2).mean()) < 0.03


def prepared(model):
    target = build_target(model)
    start = np.concatenate(([-1.5], np.zeros(model.matrix.shape[1]), [np.log(0.3)]))
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    return target, mode, anchor_effects(target, mode)


def curves_of(target, mode, sigmas, shifts):
    return tabulate_curves(
        target.kernel, mode.beta, center=mode.local.center, sigmas=sigmas, shifts=shifts
    )


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_tabulated_curves_are_the_log_likelihoods_of_the_doctors(family):
    model = simulate(family, counts=gamma_counts(900, 20), sigma=0.8, seed=4)
    target, mode, _ = prepared(model)
    reach = np.full(20, 0.3)
    curves = curves_of(target, mode, (0.3, 1.2), (-reach, reach))
    assert curves.lower.shape == (20,)
    upper = curves.lower + curves.step * curves.coefficients.shape[1]
    inside = np.linspace(curves.lower, upper, 97).T
    found = curves.value(inside)
    for doctor in range(20):
        exact = curve(model, mode.beta, doctor, inside[doctor])
        conditional = exact - 0.5 * (inside[doctor] / 1.2) ** 2
        near = conditional > conditional.max() - 12.0
        off = (found[doctor] - exact)[near]
        # A log density that errs by .005 moves a quantile by about .005 SD.
        assert np.ptp(off) < 5e-3


def test_derivatives_of_the_tabulated_curves_are_those_of_the_spline():
    model = simulate(counts=gamma_counts(900, 20), sigma=0.8, seed=4)
    target, mode, _ = prepared(model)
    curves = curves_of(target, mode, (0.3, 1.2), (np.full(20, -0.3), np.full(20, 0.3)))
    t, h = curves.center[:, None], 1e-5
    slope, bend = curves.derivatives(t)
    np.testing.assert_allclose(
        slope, (curves.value(t + h) - curves.value(t - h)) / (2 * h), rtol=1e-6, atol=1e-5
    )
    # Cubic splines know C'' to second order in the step; the proposal needs no more than 5 %.
    np.testing.assert_allclose(-bend[:, 0], curves.curvature, rtol=0.05)


def test_the_curves_cover_what_the_draws_visit():
    model = simulate(counts=gamma_counts(900, 20), sigma=0.8, seed=4)
    samples = sample_quadrature(model, draws=2000, seed=1)
    target, mode, anchor = prepared(model)
    beta = np.column_stack((samples.intercept, samples.coefficient))
    shifts = curve_shifts(target.kernel, anchor, beta)
    shift = shifts.of(slice(None))
    ends = (samples.sd_doctor.min(), samples.sd_doctor.max())
    curves = curves_of(target, mode, ends, shifts.ranges())
    t = samples.doctor_effect + shift
    upper = curves.lower + curves.step * curves.coefficients.shape[1]
    assert (t >= curves.lower[:, None]).all() and (t <= upper[:, None]).all()


def test_the_shift_of_the_intercept_is_its_change():
    model = simulate(counts=gamma_counts(900, 20), sigma=0.8, seed=4)
    target, mode, anchor = prepared(model)
    betas = mode.beta + np.array([[0.3, 0.0, 0.0], [-0.5, 0.0, 0.0]])
    shift = curve_shifts(target.kernel, anchor, betas).of(slice(None))
    np.testing.assert_allclose(shift, np.tile([0.3, -0.5], (20, 1)), atol=1e-12)


def test_the_moved_curve_has_the_right_slope_for_every_doctor():
    model = simulate(counts=gamma_counts(900, 20), slopes=(1.0, -0.8), sigma=0.8, seed=4)
    target, mode, anchor = prepared(model)
    covariance = np.linalg.inv(mode.information)[:-1, :-1]
    rng = np.random.default_rng(1)
    betas = mode.beta + rng.multivariate_normal(np.zeros(3), covariance, 50)
    shift = curve_shifts(target.kernel, anchor, betas).of(slice(None))
    h = 1e-4
    for doctor in range(20):
        u = anchor.center[doctor]
        scale = (anchor.curvature[doctor] + anchor.precision) ** -0.5
        errors = [
            np.diff(
                curve(model, beta, doctor, [u - h, u + h])
                - curve(model, mode.beta, doctor, [u + moved - h, u + moved + h])
            )[0]
            for beta, moved in zip(betas, shift[doctor], strict=True)
        ]
        # A slope error g moves the conditional by g scale², in SDs g scale: the bar of .03 again.
        assert np.std(errors) / (2 * h) * scale < 0.03


def test_draws_do_not_depend_on_how_doctors_are_split_up():
    model = simulate(counts=gamma_counts(3000, 300), sigma=0.5, seed=4)
    target, mode, anchor = prepared(model)
    rng = np.random.default_rng(1)
    betas = mode.beta + 0.05 * rng.normal(size=(400, 3))
    sigma = np.exp(rng.normal(np.log(0.5), 0.1, 400))
    shifts = curve_shifts(target.kernel, anchor, betas)
    curves = curves_of(target, mode, (sigma.min(), sigma.max()), shifts.ranges())
    every = draw_conditionals(curves, shifts, sigma, seed=3, compiled=False)
    some = replace(
        shifts,
        covariate=shifts.covariate[:70],
        table=shifts.table[:70],
    )
    first = draw_conditionals(curves.of(slice(0, 70)), some, sigma, seed=3, compiled=False)
    np.testing.assert_allclose(every[:70], first, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_compiled_draws_have_the_quantiles_of_the_array_draws(monkeypatch):
    model = simulate(counts=gamma_counts(3000, 60), sigma=0.5, seed=4)
    target, mode, anchor = prepared(model)
    rng = np.random.default_rng(1)
    betas = mode.beta + 0.05 * rng.normal(size=(2000, 3))
    sigma = np.exp(rng.normal(np.log(0.5), 0.1, 2000))
    shifts = curve_shifts(target.kernel, anchor, betas)
    curves = curves_of(target, mode, (sigma.min(), sigma.max()), shifts.ranges())
    plain = draw_conditionals(curves, shifts, sigma, seed=3, compiled=False)
    monkeypatch.setattr(effects, "_SINGLE_PRECISION_FROM", 0)
    compiled = draw_conditionals(curves, shifts, sigma, seed=3, compiled=True)
    assert compiled.dtype == np.float32
    scale = plain.std(axis=1, keepdims=True)
    # Other random orders of the same stratified scores: means agree far within 1/sqrt(2000) = .022
    gap = np.abs(compiled.mean(axis=1) - plain.mean(axis=1)) / scale[:, 0]
    assert gap.max() < 0.015
    np.testing.assert_allclose(compiled.std(axis=1) / scale[:, 0], 1, atol=0.03)


def test_different_doctors_have_independent_scores():
    pairs = np.corrcoef([scores_of(doctor, 4000, 1) for doctor in range(40)])
    off_diagonal = pairs[np.triu_indices(40, 1)]
    assert abs(off_diagonal.std() * np.sqrt(4000) - 1) < 0.15  # 780 pairs, 2.5 % standard error


def test_no_doctor_shares_his_scores_with_a_hospital():
    doctors = [scores_of(index, 50, 1) for index in range(30)]
    hospitals = [shuffled_midpoints(50, "hospital", index, 1) for index in range(30)]
    orders = {tuple(scores) for scores in doctors + hospitals}
    assert len(orders) == 60


@pytest.mark.slow
def test_fits_of_few_cases_compile_nothing_however_many_doctors():
    import subprocess
    import sys

    script = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from worlds import simulate
from outcomekpi.engine.engine import sample_quadrature
samples = sample_quadrature(simulate(counts=[2] * 2500), draws=2000, seed=1)
assert samples.doctor_effect.dtype == np.float32
assert "numba" not in sys.modules
"""
    folder = str(Path(__file__).parents[1] / "factories")
    subprocess.run([sys.executable, "-c", script.format(folder=folder)], check=True)
