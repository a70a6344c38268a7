"""The fast engine for Gaussian outcomes, against dense normal densities and brute-force grids."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_worlds import (
    FLAT,
    PRIORS,
    brute_moments,
    columns,
    dense_log_likelihood,
    dense_posterior,
    simulate,
)
from scipy.stats import multivariate_normal

import outcomekpi as ok
from outcomekpi.declare.errors import EngineError
from outcomekpi.engine import gaussian
from outcomekpi.engine.gaussian import (
    GivenDraws,
    draw_doctors,
    draw_hospitals,
    sample_gaussian,
)
from outcomekpi.engine.gaussian_scale import Conjugate, gaussian_target
from outcomekpi.engine.gaussian_sums import sum_cases
from outcomekpi.model.priors import (
    Exponential,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    Priors,
    Uniform,
)

GAMMA = replace(
    PRIORS,
    sd_doctor=GammaPrecision(0.001, 0.001),
    sd_hospital=GammaPrecision(0.001, 0.001),
    sd_residual=GammaPrecision(0.001, 0.001),
)
SIX_IN_TWO = np.array([0, 1, 0, 1, 1, 0])

MODELS = {
    "doctors": simulate([5, 1, 3, 3, 8, 2]),
    "nested": simulate([5, 1, 3, 3, 8, 2], hospital=SIX_IN_TWO),
    "flat priors": simulate([5, 1, 3, 3, 8, 2], priors=FLAT),
    "more columns than cases": simulate([2, 1, 2, 1, 1, 1], slopes=(0.3,) * 10),
    "nested, no covariates": simulate([4, 1, 2, 2, 5, 2], hospital=SIX_IN_TWO, slopes=()),
}
SDS = np.array([[0.7, 0.4, 1.1], [1e-4, 1e-3, 0.6], [3.0, 2.0, 0.2], [0.3, 5.0, 2.0]])


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


def conjugate_at(model, sds):
    """The engine's view of SDs (point, 3) in the order doctor, hospital, residual."""
    sums = sum_cases(model)
    target = gaussian_target(model, sums)
    ratio, hospital = sds[:, 0] / sds[:, 2], (sds[:, 1] / sds[:, 2])[:, None]
    return sums, Conjugate.of(target, sums.form(ratio, hospital), ratio, hospital)


def test_the_marginal_likelihood_is_that_of_the_dense_normal_density(model):
    _, conjugate = conjugate_at(model, SDS)
    found = conjugate.log_likelihood(np.log(SDS[:, 2:]))[:, 0]
    wanted = [dense_log_likelihood(model, *sds) for sds in SDS]
    # rounding of the dense inverse at the worst condition number here (about 1e4)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-7)


def test_the_likelihood_of_a_tiny_residual_sd_keeps_its_digits():
    model = simulate([5, 3, 4], residual=1e-5)
    sds = np.array([[0.6, 0.0, 1e-5], [0.6, 0.0, 1.3e-5]])
    _, conjugate = conjugate_at(model, sds)
    found = np.diff(conjugate.log_likelihood(np.log(sds[:, 2:]))[:, 0])[0]
    # longer doubles than the dense inverse can offer: within-doctor residuals, exactly
    x = columns(model)
    centered = np.column_stack((x[:, 1:], model.outcome))
    for doctor in range(3):
        rows = model.doctor_code == doctor
        centered[rows] -= centered[rows].mean(axis=0)
    rss = np.linalg.lstsq(centered[:, :-1], centered[:, -1])[1][0]
    freedom = 12 - 3 - 2
    wanted = -freedom * np.log(1.3) - 0.5 * rss * (1.3**-2 - 1) / 1e-10
    # what the doctors' means say differs by the square of the ratio 1e-5 / .6
    assert found == pytest.approx(wanted, abs=1e-4)


def test_fixed_effects_given_the_sds_have_the_moments_of_generalized_least_squares(model):
    sums, conjugate = conjugate_at(model, SDS)
    n = sums.n_columns
    log_sd = np.log(SDS[:, 2])
    center = conjugate.fixed_effects(log_sd, np.zeros((4, n))) + sums.offset
    moved = [
        conjugate.fixed_effects(log_sd, np.tile(direction, (4, 1))) + sums.offset - center
        for direction in np.eye(n)
    ]
    for point, sds in enumerate(SDS):
        mean, spread = dense_posterior(model, *sds)
        root = np.array([step[point] for step in moved])
        np.testing.assert_allclose(center[point], mean, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(root.T @ root, spread, rtol=1e-6, atol=1e-10)


def test_the_reported_log_density_of_the_fixed_effects_is_the_normal_one(model):
    sums, conjugate = conjugate_at(model, SDS)
    scores = np.random.default_rng(3).normal(size=(4, sums.n_columns))
    log_sd = np.log(SDS[:, 2])
    drawn = conjugate.fixed_effects(log_sd, scores) + sums.offset
    found = conjugate.log_fixed_density(log_sd, scores)
    for point, sds in enumerate(SDS):
        mean, spread = dense_posterior(model, *sds)
        wanted = multivariate_normal(mean, spread).logpdf(drawn[point])
        assert found[point] == pytest.approx(wanted, abs=1e-5)


def test_hospital_and_doctor_effects_have_their_dense_conditional_moments():
    model = MODELS["nested"]
    sums = sum_cases(model)
    beta, (sigma, omega, residual) = np.array([1.7, 0.3, -0.2]), SDS[0]
    n = 20_000
    given = GivenDraws(
        beta=np.tile(beta - sums.offset, (n, 1)),
        ratio=np.full(n, sigma / residual),
        hospital_ratio=np.full(n, omega / residual),
        sd=np.full(n, residual),
    )
    code = model.hospital_code
    hospital = draw_hospitals(sums, given, code, 2, seed=5)
    doctor = draw_doctors(sums, given, (hospital, code), seed=5, dtype=np.float64)
    is_doctor = np.equal.outer(model.doctor_code, np.arange(6)).astype(float)
    is_hospital = np.equal.outer(code[model.doctor_code], np.arange(2)).astype(float)
    design = np.hstack((is_hospital, is_doctor))
    precision = design.T @ design / residual**2 + np.diag([omega**-2] * 2 + [sigma**-2] * 6)
    spread = np.linalg.inv(precision)
    mean = spread @ design.T @ (model.outcome - columns(model) @ beta) / residual**2
    drawn = np.vstack((hospital, doctor))
    # stratified scores leave no Monte Carlo error in the mean
    np.testing.assert_allclose(drawn.mean(axis=1), mean, atol=1e-9)
    # product moments of independent permutations: standard error 1 / sqrt(20,000) = .7 %
    np.testing.assert_allclose(np.cov(drawn), spread, atol=4 * np.diag(spread).max() / np.sqrt(n))


@pytest.mark.parametrize("name", ["doctors", "nested", "flat priors"])
def test_posterior_moments_agree_with_a_dense_grid(name):
    model = MODELS[name]
    wide = np.linspace(np.log(1e-3), np.log(8.0), 22)
    narrow = np.linspace(np.log(0.4), np.log(3.0), 15)
    nodes = (wide, narrow) if model.hospital_code is None else (wide, wide, narrow)
    mean, sd = brute_moments(model, nodes)
    samples = sample_gaussian(model, draws=8000, seed=3)
    parts = [samples.sd_doctor, samples.sd_hospital, samples.sd_residual, samples.intercept]
    drawn = np.vstack([p for p in parts if p is not None] + [samples.coefficient.T])
    # .03 sd: 2.7 standard errors of 8,000 independent draws; the draws are stratified besides
    np.testing.assert_allclose((drawn.mean(axis=1) - mean) / sd, 0.0, atol=0.03)
    # standard error of a sample SD is about 1 % for 8,000 draws of a moderately skewed quantity
    np.testing.assert_allclose(drawn.std(axis=1) / sd, 1.0, atol=0.04)


def balanced(n_doctors=5, n_each=4, *, priors, seed=2):
    return simulate([n_each] * n_doctors, slopes=(), priors=priors, seed=seed)


def sums_of_squares(model, n_doctors, n_each):
    groups = model.outcome[np.argsort(model.doctor_code, kind="stable")].reshape(n_doctors, n_each)
    means = groups.mean(axis=1)
    between = n_each * ((means - means.mean()) ** 2).sum()
    return between, ((groups - means[:, None]) ** 2).sum()


def test_a_balanced_one_way_layout_has_the_likelihood_of_its_two_sums_of_squares():
    model = balanced(priors=FLAT)
    between, within = sums_of_squares(model, 5, 4)
    _, conjugate = conjugate_at(model, SDS)
    found = conjugate.log_likelihood(np.log(SDS[:, 2:]))[:, 0]
    total = SDS[:, 2] ** 2 + 4 * SDS[:, 0] ** 2
    wanted = (
        -0.5 * 19 * np.log(2 * np.pi)
        - 0.5 * np.log(20)
        - 0.5 * (15 * np.log(SDS[:, 2] ** 2) + within / SDS[:, 2] ** 2)
        - 0.5 * (4 * np.log(total) + between / total)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    "prior",
    [
        HalfNormal(0.5),
        HalfStudentT(3.0, 0.8),
        Exponential(2.0),
        Uniform(0.7),
        Uniform(30.0),
        GammaPrecision(0.01, 0.01),
        GammaPrecision(2.0, 0.3),
    ],
    ids=str,
)
def test_every_prior_of_the_doctor_sd_gives_the_moments_of_a_grid(prior):
    priors = replace(FLAT, sd_doctor=prior, sd_residual=Exponential(1.0))
    model = balanced(priors=priors)
    between, within = sums_of_squares(model, 5, 4)
    cut = np.log(getattr(prior, "upper", 200.0))
    log_sigma, log_sd = np.meshgrid(
        np.linspace(-12.0, cut, 4001), np.linspace(-1.6, 2.0, 601), indexing="ij"
    )
    sigma, sd = np.exp(log_sigma), np.exp(log_sd)
    total = sd**2 + 4 * sigma**2
    height = -15 * log_sd - 0.5 * within / sd**2 - 2 * np.log(total) - 0.5 * between / total
    height += prior.log_density(sigma * (1 - 1e-12)) + log_sigma - sd + log_sd
    weight = np.exp(height - height.max())
    weight[[0, -1]] *= 0.5
    samples = sample_gaussian(model, draws=8000, seed=4)
    for grid, drawn in ((sigma, samples.sd_doctor), (sd, samples.sd_residual)):
        below = np.array(
            [(weight * (grid <= q)).sum() for q in np.quantile(drawn, (0.1, 0.5, 0.9))]
        )
        # .012: 2.2 to 3.6 standard errors of a share from 8,000 independent draws
        np.testing.assert_allclose(below / weight.sum(), (0.1, 0.5, 0.9), atol=0.012)


def test_a_hospital_level_column_keeps_its_information_at_any_ratio():
    model = MODELS["nested"]
    level = np.array([0.7, -1.2])[SIX_IN_TWO[model.doctor_code]]
    matrix = np.asfortranarray(np.column_stack((model.matrix[:, 0], level)))
    model = replace(model, matrix=matrix, priors=FLAT)
    _, conjugate = conjugate_at(model, np.array([[0.5, 1e7, 1.0], [0.5, 2e7, 1.0]]))
    change = np.diff(conjugate.log_likelihood(np.zeros((2, 1)))[:, 0])
    # two hospitals, two free coefficients at their level: their SD cannot matter
    assert change[0] == pytest.approx(0.0, abs=1e-6)


HARD = {
    "3 doctors": lambda: simulate([30, 10, 200]),
    "5 doctors, nested": lambda: simulate([30, 10, 200, 2, 9], hospital=np.array([0, 1, 0, 1, 2])),
    "doctor sd 0": lambda: simulate([40] * 30, sigma=0.0),
    "both sds 0": lambda: simulate(
        [40] * 12, sigma=0.0, omega=0.0, hospital=np.repeat(np.arange(4), 3)
    ),
    "residual sd 1e-6": lambda: simulate([6] * 5, residual=1e-6),
    "one case each": lambda: simulate([1] * 40),
    "hospital sd 20": lambda: simulate(
        [5] * 12, omega=20.0, hospital=np.repeat(np.arange(4), 3), priors=FLAT
    ),
    "one hospital": lambda: simulate([5] * 6, hospital=np.zeros(6, dtype=np.intp)),
    "one case each, nested": lambda: simulate([1] * 12, hospital=np.repeat(np.arange(4), 3)),
    "more columns than cases": lambda: MODELS["more columns than cases"],
    "gamma priors": lambda: simulate([1] * 30, priors=GAMMA),
    "gamma priors, nested, sds 0": lambda: simulate(
        [5] * 12, sigma=0.0, omega=0.0, hospital=np.repeat(np.arange(4), 3), priors=GAMMA
    ),
    "tight uniform": lambda: simulate(
        [300] * 20, priors=replace(PRIORS, sd_doctor=Uniform(0.05)), sigma=1.0
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_cases_keep_their_weights(name):
    model = HARD[name]()
    samples = sample_gaussian(model, draws=1000, seed=1)
    assert samples.diagnostics["efficiency"] > 0.95
    assert samples.diagnostics["quadrature_error"] < 1e-3
    for values in (samples.sd_doctor, samples.sd_residual):
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert np.isfinite(samples.doctor_effect).all()
    assert samples.doctor_effect.shape == (model.n_doctors, 1000)


def test_a_tiny_residual_sd_is_found():
    samples = sample_gaussian(HARD["residual sd 1e-6"](), draws=1000, seed=1)
    # 23 degrees of freedom: the residual SD is known to 15 %
    assert 0.5e-6 < np.median(samples.sd_residual) < 2e-6
    np.testing.assert_allclose(samples.coefficient.mean(axis=0), [0.4, -0.3], atol=1e-6)


def test_a_doctor_without_cases_has_the_population_as_his_posterior():
    model = replace(simulate([20] * 8), n_doctors=9)
    samples = sample_gaussian(model, draws=4000, seed=1)
    standardized = samples.doctor_effect[8] / samples.sd_doctor
    np.testing.assert_allclose(np.sort(standardized)[[400, 3600]], [-1.28, 1.28], atol=0.01)


def test_the_order_of_the_rows_does_not_matter():
    model = MODELS["nested"]
    order = np.random.default_rng(9).permutation(model.outcome.size)
    shuffled = replace(
        model,
        outcome=model.outcome[order],
        matrix=np.asfortranarray(model.matrix[order]),
        doctor_code=model.doctor_code[order],
    )
    one, other = (sample_gaussian(m, draws=400, seed=7) for m in (model, shuffled))
    # sums in another order; the grid's cells are cut by numbers that differ in the last digits
    np.testing.assert_allclose(one.doctor_effect, other.doctor_effect, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.sd_hospital, other.sd_hospital, rtol=1e-5)


def test_relabeling_the_doctors_permutes_their_posteriors():
    model = MODELS["nested"]
    label = np.array([3, 5, 0, 1, 4, 2])  # new number of each doctor
    hospital = np.empty_like(SIX_IN_TWO)
    hospital[label] = SIX_IN_TWO
    relabeled = replace(model, doctor_code=label[model.doctor_code], hospital_code=hospital)
    one, other = (sample_gaussian(m, draws=4000, seed=7) for m in (model, relabeled))
    np.testing.assert_allclose(one.intercept, other.intercept, rtol=1e-5)
    difference = other.doctor_effect[label].mean(axis=1) - one.doctor_effect.mean(axis=1)
    # another stream for each doctor: 4 standard errors of a difference of 4,000 draws each
    assert np.abs(difference / one.doctor_effect.std(axis=1)).max() < 4 * np.sqrt(2 / 4000)


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_another_unit_of_the_outcome_rescales_the_posterior(unit):
    model = MODELS["nested"]
    priors = Priors(
        intercept=Normal(1.0 * unit + 50 * unit, 2.5 * unit),
        coefficient=Normal(0.2 * unit, 0.8 * unit),
        sd_doctor=HalfNormal(unit),
        sd_hospital=HalfNormal(0.7 * unit),
        sd_residual=HalfNormal(1.5 * unit),
    )
    scaled = replace(model, outcome=unit * (model.outcome + 50), priors=priors)
    one, other = (sample_gaussian(m, draws=400, seed=7) for m in (model, scaled))
    np.testing.assert_allclose(other.intercept / unit - 50, one.intercept, atol=1e-5)
    np.testing.assert_allclose(other.doctor_effect / unit, one.doctor_effect, atol=1e-5)
    np.testing.assert_allclose(other.sd_hospital / unit, one.sd_hospital, rtol=1e-5)


def test_draws_do_not_depend_on_how_doctors_are_split_up(monkeypatch):
    model = MODELS["nested"]
    whole = sample_gaussian(model, draws=400, seed=7)
    monkeypatch.setattr(gaussian, "_CHUNK", 400)
    split = sample_gaussian(model, draws=400, seed=7)
    np.testing.assert_allclose(split.doctor_effect, whole.doctor_effect, rtol=1e-12)
    np.testing.assert_allclose(split.hospital_effect, whole.hospital_effect, rtol=1e-12)


def test_no_doctor_shares_his_scores_with_a_parameter_or_another_doctor():
    model = simulate([3] * 40)
    samples, sums = sample_gaussian(model, draws=1000, seed=0), sum_cases(model)
    beta = np.column_stack((samples.intercept, samples.coefficient)) - sums.offset
    residual = sums.means[:, -1:] - sums.means[:, :-1] @ beta.T
    growth = 3.0 * (samples.sd_doctor / samples.sd_residual) ** 2
    scores = samples.doctor_effect - growth / (1 + growth) * residual
    scores *= np.sqrt(1 + growth) / samples.sd_doctor
    correlation = np.corrcoef(np.vstack((scores, samples.sd_doctor, samples.sd_residual, beta.T)))
    correlation = np.abs(np.triu(correlation, 1)[:40])
    # the largest of 980 correlations of 1,000 draws: 4.9 standard errors
    assert correlation.max() < 4.9 / np.sqrt(1000)


def test_many_draws_are_stored_in_single_precision():
    model = simulate([1] * 4000, slopes=())
    assert sample_gaussian(model, draws=1000, seed=1).doctor_effect.dtype == np.float32


def test_an_outcome_that_is_an_exact_function_of_the_covariates_is_refused():
    model = simulate([5] * 6)
    exact = replace(model, outcome=3.0 + model.matrix @ np.array([2.0, -1.0]))
    with pytest.raises(EngineError, match="does not vary within doctors"):
        sample_gaussian(exact, draws=400, seed=1)


def test_collinear_covariates_with_a_flat_prior_are_refused():
    model = simulate([5] * 6, priors=FLAT)
    twice = replace(model, matrix=np.asfortranarray(model.matrix[:, [0, 0]]))
    with pytest.raises(EngineError, match="collinear"):
        sample_gaussian(twice, draws=400, seed=1)


def test_weights_that_miss_the_tolerance_are_refused(monkeypatch):
    monkeypatch.setattr(gaussian, "_TOLERANCE", 0.0)
    with pytest.raises(EngineError, match="grid of 65 over the doctor SD"):
        sample_gaussian(MODELS["doctors"], draws=400, seed=1)


def test_fit_runs_gaussian_cases_in_the_fast_engine():
    frame, truth = ok.datasets.simulate_cases(
        n_cases=3000, n_doctors=30, family="gaussian", n_hospitals=5, seed=4
    )
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor", hospital="hospital")
    spec = ok.ModelSpec(case_mix="x1 + x2", family="gaussian")
    fit = ok.fit(cases, spec, draws=400, seed=1)
    assert fit.engine == "quadrature"
    effect = fit.draws["posterior"]["doctor_effect"].mean(("chain", "draw")).to_series()
    assert effect.corr(truth.doctor_effect.reindex(effect.index)) > 0.8
