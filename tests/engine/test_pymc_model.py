"""The PyMC model has the density that the documentation states."""

import numpy as np
import pytest
from handmade import make_model
from pymc_points import density_and_effects, make_point, outcome_log_density
from scipy import stats

from outcomekpi.engine.pymc_model import choose_start
from outcomekpi.model.priors import (
    Exponential,
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    Priors,
    Uniform,
)
from outcomekpi.model.spec import STUDENT_T_DF

FAMILIES = ["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "nested"), [(family, False) for family in FAMILIES] + [("poisson", True)]
)
def test_the_likelihood_is_that_of_the_family(family, nested):
    model = make_model(family, n_cases=120, n_doctors=9, nested=nested)
    point = make_point(model)
    logps, effects = density_and_effects(model, point)
    total = effects[0] + (effects[1][model.hospital_code] if nested else 0.0)
    # double precision sums of 120 terms in two orders
    assert logps["outcome"] == pytest.approx(outcome_log_density(model, point, total), rel=1e-10)


@pytest.mark.parametrize("doctor_effects", ["normal", "student_t"])
def test_partial_centering_gives_the_doctors_the_stated_distribution(doctor_effects):
    """Density of raw equals density of u times |du/draw| = sd^(1 - c), scale for Student-t."""
    model = make_model(n_cases=200, n_doctors=9, nested=True, doctor_effects=doctor_effects)
    point = make_point(model)
    logps, (effect, _) = density_and_effects(model, point)
    sd = point["sd_doctor"]
    if doctor_effects == "normal":
        scale, wanted = sd, stats.norm.logpdf(effect, 0, sd)
    else:
        scale = sd * np.sqrt((STUDENT_T_DF - 2) / STUDENT_T_DF)
        wanted = stats.t.logpdf(effect, STUDENT_T_DF, 0, scale)
    jacobian = (1 - choose_start(model).doctor_centering) * np.log(scale)
    assert logps["doctor_raw"] == pytest.approx((wanted + jacobian).sum(), rel=1e-10)


def test_student_t_effects_have_the_stated_standard_deviation():
    """The scale is chosen so that sd_doctor is the SD: Var = scale² df / (df - 2)."""
    scale = np.sqrt((STUDENT_T_DF - 2) / STUDENT_T_DF)
    assert stats.t.std(STUDENT_T_DF, scale=scale) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    "prior",
    [HalfNormal(0.8), HalfStudentT(3, 0.5), Exponential(2.0), Uniform(4.0), GammaPrecision(2, 1)],
)
def test_priors_of_the_sd_are_those_of_the_fast_engine(prior):
    model = make_model(n_cases=60, n_doctors=5, priors=Priors(sd_doctor=prior))
    point, sd = make_point(model), 0.7
    name, jacobian = "sd_doctor", 0.0
    if isinstance(prior, GammaPrecision):
        name, jacobian = "precision_of_sd_doctor", np.log(2 * sd**-3)
        del point["sd_doctor"]
        point[name] = sd**-2
    logps, _ = density_and_effects(model, point)
    wanted = float(prior.log_density(np.array(sd)))
    # PyMC keeps constants such as log 2 in single precision
    assert logps[name] + jacobian == pytest.approx(wanted, abs=1e-8)


def test_flat_priors_add_nothing():
    model = make_model(n_cases=60, n_doctors=5, priors=Priors(intercept=Flat(), coefficient=Flat()))
    logps, _ = density_and_effects(model, make_point(model))
    assert logps["intercept_standardized"] == 0.0
    assert logps["coefficient_standardized"] == 0.0


def test_normal_priors_are_on_the_standardized_scale():
    priors = Priors(intercept=Normal(-2.0, 0.5), coefficient=Normal(0.1, 0.3))
    model = make_model(n_cases=60, n_doctors=5, priors=priors)
    point = make_point(model)
    logps, _ = density_and_effects(model, point)
    assert logps["intercept_standardized"] == pytest.approx(stats.norm.logpdf(-1.1, -2.0, 0.5))
    slopes = stats.norm.logpdf(point["coefficient_standardized"], 0.1, 0.3).sum()
    assert logps["coefficient_standardized"] == pytest.approx(slopes)


def test_a_column_that_is_constant_within_doctors_changes_no_density():
    """Such columns enter the doctor's mean instead of each case: the likelihood stays."""
    from dataclasses import replace

    model = make_model(n_cases=120, n_doctors=9)
    by_doctor = np.random.default_rng(5).normal(size=9)[model.doctor_code]
    matrix = np.asfortranarray(np.column_stack([model.matrix[:, 0], by_doctor]))
    model = replace(model, matrix=matrix)
    point = make_point(model)
    logps, (effect,) = density_and_effects(model, point)
    assert logps["outcome"] == pytest.approx(outcome_log_density(model, point, effect), rel=1e-10)


def test_large_doctors_are_centered_and_small_ones_are_not():
    few = choose_start(make_model(n_cases=40, n_doctors=12, sd_doctor=0.5, seed=3))
    many = choose_start(make_model(n_cases=20_000, n_doctors=12, sd_doctor=0.5, seed=3))
    assert few.doctor_centering.max() < 0.9
    assert many.doctor_centering.min() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_the_starting_point_is_near_the_truth(family):
    start = choose_start(make_model(family, n_cases=20_000, n_doctors=60, sd_doctor=0.5, seed=2))
    # rough moments that ignore case mix: the right order of magnitude is all that is needed
    assert start.sd_doctor == pytest.approx(0.5, rel=0.5)
    assert start.intercept == pytest.approx(-1.2, abs=0.5)
