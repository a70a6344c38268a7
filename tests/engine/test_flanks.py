"""Doctors whose conditional falls like exp(-exp t) on one side: no events, or all of them."""

import numpy as np
import pytest
from reference_sets import make_set
from scipy.special import ndtr
from worlds import make_model, simulate

from outcomekpi.engine.effects import shuffled_midpoints
from outcomekpi.engine.engine import sample_quadrature
from outcomekpi.engine.kernels import PoissonKernel
from outcomekpi.engine.quantiles import find_quantiles, invert_density
from outcomekpi.engine.redraws import _draw_by_patients
from outcomekpi.engine.rows import Rows, cut_blocks
from outcomekpi.model.priors import HalfNormal, Normal, Priors

# Ten doctors, three events of one of them: effects of 1e6 at 4,000 draws and of 1e163 at 20,000.
EXPOSURE = np.array([1.020, 1.791, 0.607, 0.920, 0.361, 1.108, 0.173, 0.921, 0.766, 0.345])
EVENTS = np.array([0.0, 0, 0, 0, 3, 0, 0, 0, 0, 0])


def one_event_in_ten():
    rate = EVENTS.sum() / EXPOSURE.sum()
    priors = Priors(intercept=Normal(float(np.log(rate)), 2.5), sd_doctor=HalfNormal(1.0))
    return make_model(
        "poisson", np.arange(10), np.empty((10, 0)), EVENTS, exposure=EXPOSURE, priors=priors
    )


def brute_quantile(events, log_partition, sigma, probability):
    """Quantile of one effect by a dense trapezoid, from the nearer tail, and its SD."""
    low, high = -40 * sigma - 30, min(40 * sigma + 30, 300.0)
    for _ in range(8):
        u = np.linspace(low, high, 2001)
        height = events * u - log_partition(u) - 0.5 * (u / sigma) ** 2
        near = np.flatnonzero(height > height.max() - 40)
        low, high = u[max(near[0] - 1, 0)], u[min(near[-1] + 1, 2000)]
    density = np.exp(height - height.max())
    area = 0.5 * (density[1:] + density[:-1])
    mean = np.average(u, weights=density)
    sd = np.average((u - mean) ** 2, weights=density) ** 0.5
    if probability < 0.5:
        below = np.concatenate(([0.0], np.cumsum(area))) / area.sum()
        return np.interp(probability, below, u), sd
    above = np.concatenate(([0.0], np.cumsum(area[::-1]))) / area.sum()
    return np.interp(1 - probability, above, u[::-1]), sd


@pytest.mark.slow
@pytest.mark.parametrize(("draws", "seed"), [(4000, 7), (20_000, 20261)])
def test_effects_of_doctors_without_events_are_quantiles_of_their_conditionals(draws, seed):
    samples = sample_quadrature(one_event_in_ten(), draws=draws, seed=seed)
    assert np.abs(samples.doctor_effect / samples.sd_doctor).max() < 7
    for doctor in (0, 1, 4, 6):
        score = shuffled_midpoints(draws, "doctor", doctor, seed)
        extreme = np.argsort(score)[[0, 1, 20, draws // 2, -21, -2, -1]]
        extreme = np.append(extreme, [samples.sd_doctor.argmin(), samples.sd_doctor.argmax()])
        for draw in extreme:
            exact, sd = brute_quantile(
                EVENTS[doctor],
                lambda u, j=doctor, d=draw: EXPOSURE[j] * np.exp(samples.intercept[d] + u),
                samples.sd_doctor[draw],
                ndtr(score[draw]),
            )
            # .15 SD at the very ends of 20,000 draws, where the density is a 1e-4th of its top
            assert abs(samples.doctor_effect[doctor, draw] - exact) < 0.15 * sd


def small_table(seed):
    """Five to forty doctors with few events over four decades of exposures."""
    rng = np.random.default_rng([11, seed])
    n_doctors = int(rng.choice([5, 10, 40]))
    exposure = 10 ** rng.uniform(-2, 2, n_doctors)
    effect = rng.normal(rng.normal(-1, 1.5), rng.uniform(0.3, 3), n_doctors)
    events = rng.poisson(exposure * np.exp(effect)).astype(float)
    events[0] += not events.any()
    rate = events.sum() / exposure.sum()
    priors = Priors(intercept=Normal(float(np.log(rate)), 2.5), sd_doctor=HalfNormal(1.0))
    return make_model(
        "poisson",
        np.arange(n_doctors),
        np.empty((n_doctors, 0)),
        events,
        exposure=exposure,
        priors=priors,
    )


@pytest.mark.slow
@pytest.mark.parametrize("draws", [4000, 20_000])
def test_no_small_table_of_counts_has_a_broken_effect(draws):
    for seed in range(8):
        samples = sample_quadrature(small_table(seed), draws=draws, seed=seed)
        # 8 sets of up to 40 doctors: the largest of 10 million normals is 5.3, and events pull.
        assert np.abs(samples.doctor_effect / samples.sd_doctor).max() < 9, seed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all or nothing, 6 doctors", "all or nothing, 30 doctors"])
def test_doctors_all_of_whose_cases_have_the_event_mirror_those_without(name):
    data = make_set(name)
    priors = Priors(intercept=Normal(*data.intercept), sd_doctor=HalfNormal(data.sd_scale))
    for outcome, sign in ((data.outcome, 1), (data.size - data.outcome, -1)):
        center = sign * data.intercept[0]
        model = make_model(
            "binomial",
            data.code,
            data.matrix * sign,
            outcome,
            trials=data.size,
            priors=Priors(intercept=Normal(center, 2.5), sd_doctor=priors.sd_doctor),
        )
        samples = sample_quadrature(model, draws=4000, seed=3)
        assert np.abs(samples.doctor_effect / samples.sd_doctor).max() < 9
        found = sign * samples.doctor_effect.mean(axis=1)
        if sign == 1:
            first, sd = found, samples.doctor_effect.std(axis=1)
    # Two independent runs of 4,000 stratified draws: four Monte Carlo errors of .022 SD.
    assert np.abs((found - first) / sd).max() < 0.09


def test_compiled_draws_of_doctors_without_events_are_inverted_like_the_others(monkeypatch):
    from outcomekpi.engine import rows

    world = simulate("poisson", counts=[3] * 40, slopes=(0.3,), intercept=-3.5, sigma=1.5, seed=3)
    plain = sample_quadrature(world, draws=4000, seed=1)
    monkeypatch.setattr(rows, "_LARGE", 50)
    compiled = sample_quadrature(world, draws=4000, seed=1)
    sd = plain.doctor_effect.std(axis=1)
    gap = (compiled.doctor_effect.mean(axis=1) - plain.doctor_effect.mean(axis=1)) / sd
    assert np.abs(gap).max() < 0.09
    assert np.abs(compiled.doctor_effect / compiled.sd_doctor).max() < 9


def test_inverting_a_density_that_ends_within_a_step_never_leaves_the_step():
    t = np.linspace(-6.0, 6.0, 33)
    log_density = np.where(t < 1.0, -0.5 * t**2, -460.0)  # 1e-200 beyond the last node below 1
    found = invert_density(t, log_density, np.linspace(-4, 6, 101))
    last = t[t < 1.0][-1]
    assert (np.diff(found) > -1e-9).all()
    assert found.max() <= last + 2 * (t[1] - t[0])


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("events", [0.0, 1.0, 20.0])
def test_quantiles_are_exact_however_steep_the_flank(events, sigma):
    def height(t):
        return events * t - np.exp(t) - 0.5 * (t / sigma) ** 2

    grid = np.linspace(-12 * sigma - 20, 12, 400_001)
    mode = np.array(grid[height(grid).argmax()])
    scale = (np.exp(mode) + sigma**-2) ** -0.5
    scores = np.array([-4.5, -3.0, -1.0, 0.0, 1.0, 3.0, 4.5])
    found = find_quantiles(height, mode, scale, scores)
    for score, quantile in zip(scores, found, strict=True):
        exact, sd = brute_quantile(events, np.exp, sigma, ndtr(score))
        assert abs(quantile - exact) < (0.02 if abs(score) <= 3 else 0.06) * sd


def test_a_doctor_far_from_where_his_table_was_made_is_drawn_where_his_cases_put_him():
    # two rows without events and with opposite covariates: the linear shift of the doctor's curve
    # missed the table it was made for, and effects of 1e1 to inf came out at some draws
    x = np.array([1.417, -1.238])
    exposure, sigma = np.array([0.0034, 0.0015]), 0.6
    rows = Rows(
        x=np.vstack((np.ones(2), x)),
        weight=exposure,
        starts=np.array([0]),
        counts=np.array([2]),
        y_doctor=np.zeros(1),
        xty=np.zeros(2),
        blocks=cut_blocks(np.array([0]), np.array([2])),
    )
    betas = np.column_stack([np.full(5, 2.0), [-8.0, -1.2, 0.0, 3.0, 8.0]])
    scores = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    for score in scores:
        found = _draw_by_patients(
            PoissonKernel(rows),
            np.zeros(5),
            betas,
            np.full(5, sigma),
            np.full(5, score),
            np.array([6.0, -6.0, 0.0, 6.0, -6.0]) * sigma,  # a start as bad as it may be
        )
        for beta, drawn in zip(betas, found, strict=True):
            total = float((exposure * np.exp(beta[0] + beta[1] * x)).sum())
            exact, sd = brute_quantile(
                0.0, lambda t, total=total: total * np.exp(t), sigma, ndtr(score)
            )
            assert abs(drawn - exact) < 0.02 * sd
