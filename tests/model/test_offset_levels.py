"""A published risk with slope 1: laws, independent references, and simulated doctors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from offset_worlds import posterior, read, world
from scipy.special import expit, logit

import outcomekpi as ok
from outcomekpi.model.design import build_design
from outcomekpi.model.likelihood_model import build_model
from outcomekpi.model.offset_levels import overall_level
from outcomekpi.model.priors import Flat, HalfNormal, Normal, Priors

FAMILIES = ("bernoulli", "binomial", "poisson", "gaussian")
SCALE = {"bernoulli": "linear_predictor", "binomial": "linear_predictor"}


def spec_of(family, case_mix=None, **priors):
    return ok.ModelSpec(case_mix=case_mix, family=family, priors=Priors(**priors))


def model_of(frame, family, **roles):
    cases = read(frame, **roles)
    spec = ok.ModelSpec(family=family)
    design, cases = build_design(cases, spec)
    return build_model(cases, spec, design)


def same_effects(one, other, *, rtol=1e-6, atol=1e-6):
    for name in ("doctor_effect", "sd_doctor"):
        np.testing.assert_allclose(
            posterior(one, name), posterior(other, name), rtol=rtol, atol=atol
        )


# laws


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_constant_offset_shifts_the_intercept_and_nothing_else(family, nested):
    frame, _, _ = world(family, nested=nested)
    plain = ok.fit(read(frame, offset=None, offset_scale=None), spec_of(family, "x"), draws=400)
    moved = ok.fit(read(frame.assign(o=0.7)), spec_of(family, "x"), draws=400)
    # the Newton steps of both begin elsewhere in the last digit, so that draws agree to rounding
    np.testing.assert_allclose(
        posterior(moved, "intercept") + 0.7, posterior(plain, "intercept"), atol=1e-5
    )
    same_effects(moved, plain, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_offset_is_a_covariate_whose_coefficient_is_known(family):
    frame, _, _ = world(family)
    spread = frame["o"].std()
    if family == "binomial":
        w = frame["trials"]
        mean = np.average(frame["o"], weights=w)
        spread = np.sqrt((w * (frame["o"] - mean) ** 2).sum() / (w.sum() - 1))
    unit = frame["y"].std(ddof=0) if family == "gaussian" else 1.0
    offset = ok.fit(read(frame), spec_of(family, intercept=Flat()), draws=4000)
    known = Normal(spread / unit, 1e-3 * spread / unit)
    covariate = ok.fit(
        read(frame, offset=None, offset_scale=None),
        spec_of(family, "o", intercept=Flat(), coefficient=known, sd_doctor=HalfNormal(1 / unit),
                sd_residual=HalfNormal(1 / unit)),
        draws=4000,
    )  # fmt: skip
    if family == "gaussian":
        unit = float((frame["y"] - frame["o"]).std(ddof=0))
        offset = ok.fit(
            read(frame),
            spec_of(family, intercept=Flat(), sd_doctor=HalfNormal(1 / unit),
                    sd_residual=HalfNormal(1 / unit)),
            draws=4000,
        )  # fmt: skip
    for name in ("intercept", "sd_doctor", "doctor_effect"):
        one, other = posterior(offset, name), posterior(covariate, name)
        sd = other.std(axis=-1)
        # two sets of 4,000 importance draws of one posterior: .05 SD are three Monte Carlo errors
        assert (np.abs(one.mean(axis=-1) - other.mean(axis=-1)) / sd).max() < 0.08, name
        np.testing.assert_allclose(one.std(axis=-1), sd, rtol=0.08)


def test_measurements_less_what_was_expected_are_the_measurements_of_an_offset():
    frame, _, _ = world("gaussian")
    offset = ok.fit(read(frame, offset_scale="expected_value"), spec_of(None, "x"), draws=400)
    less = frame.assign(y=frame["y"] - frame["o"])
    plain = ok.fit(read(less, offset=None, offset_scale=None), spec_of("gaussian", "x"), draws=400)
    assert offset.model.family == "gaussian"
    np.testing.assert_allclose(posterior(offset, "intercept"), posterior(plain, "intercept"))
    same_effects(offset, plain)


def test_an_expected_count_is_an_exposure():
    frame, _, _ = world("poisson")
    frame = frame.drop(columns="exposure").assign(c=np.exp(frame["o"]))
    count = ok.fit(read(frame, offset="c", offset_scale="expected_count"), spec_of(None), draws=400)
    exposure = ok.fit(
        read(frame, offset=None, offset_scale=None, exposure="c"), spec_of(None), draws=400
    )
    assert count.model.family == exposure.model.family == "poisson"
    np.testing.assert_allclose(posterior(count, "intercept"), posterior(exposure, "intercept"))
    same_effects(count, exposure)


def test_beside_an_expected_count_the_exposure_only_sets_the_unit():
    frame, _, _ = world("poisson")
    frame["c"] = frame["exposure"] * np.exp(frame["o"])
    roles = {"offset": "c", "offset_scale": "expected_count"}
    with_days = ok.fit(read(frame, **roles), spec_of(None), draws=400)
    without = ok.fit(read(frame.drop(columns="exposure"), **roles), spec_of(None), draws=400)
    same_effects(with_days, without)
    rates, per_row = ok.standardize(with_days), ok.standardize(without)
    np.testing.assert_allclose(rates.expected, per_row.expected, rtol=1e-6)
    assert rates.unit == "events per unit of exposure"
    ratio = rates.reference_rate / per_row.reference_rate
    np.testing.assert_allclose(rates.draws, per_row.draws * ratio, rtol=1e-6)


def test_grouped_rows_keep_patients_of_different_risk_apart():
    frame, _, _ = world(n=3000)
    frame["o"] = frame["o"].round(0)
    grouped = frame.groupby(["doctor", "o"], as_index=False)["y"].agg(y="sum", trials="size")
    one, other = (ok.fit(read(rows), spec_of(None), draws=4000) for rows in (frame, grouped))
    assert (one.model.family, other.model.family) == ("bernoulli", "binomial")
    difference = posterior(one, "doctor_effect").mean(1) - posterior(other, "doctor_effect").mean(1)
    assert np.abs(difference / posterior(one, "doctor_effect").std(1)).max() < 0.05
    np.testing.assert_allclose(
        ok.standardize(one).to_frame()["expected"],
        ok.standardize(other).to_frame()["expected"],
        rtol=5e-3,
    )


# where the intercept's prior lies


@pytest.mark.parametrize("family", [*FAMILIES, "negative_binomial"])
def test_the_prior_of_the_intercept_lies_where_the_published_risk_adds_up(family):
    model = model_of(world(family, level=0.8, n=4000)[0], family)
    mean, size = model.priors.intercept.mean, model.trials if model.trials is not None else 1.0
    size = model.exposure if model.exposure is not None else size
    eta = mean + model.offset
    rate = {"gaussian": eta, "bernoulli": expit(eta), "binomial": expit(eta)}.get(family)
    expected = size * (np.exp(eta) if rate is None else rate)
    assert expected.sum() == pytest.approx(model.outcome.sum(), rel=1e-9)
    assert mean == pytest.approx(0.8, abs=0.25)  # .4 between 25 doctors: .08, and chance


def test_the_level_of_a_risk_that_is_right_overall_is_0():
    p = np.array([0.1, 0.3, 0.6])
    assert overall_level("bernoulli", p, None, logit(p)) == pytest.approx(0.0, abs=1e-9)
    assert overall_level("binomial", 5 * p, np.full(3, 5.0), logit(p)) == pytest.approx(0, abs=1e-9)
    assert overall_level("poisson", 2 * p, np.full(3, 2.0), np.log(p)) == pytest.approx(0, abs=1e-9)
    assert overall_level("gaussian", p, None, p) == 0.0
    # one constant offset: the level is the link of the rate less that constant
    assert overall_level("bernoulli", np.array([0, 1, 0, 0.0]), None, np.full(4, 0.4)) == (
        pytest.approx(logit(0.25) - 0.4, abs=1e-9)
    )


# independent references


def brute_force(frame, family, *, sd_prior=1.0, prior=(0.0, 2.5)):
    """Moments by a plain grid over (a, log sd) and 61 nodes for each doctor; no shared code."""
    codes, _ = pd.factorize(frame["doctor"], sort=True)
    y, o, n_doctors = frame["y"].to_numpy(float), frame["o"].to_numpy(), codes.max() + 1
    size = frame[{"binomial": "trials", "poisson": "exposure"}.get(family, "one")].to_numpy(float)
    z = np.linspace(-7, 7, 61)
    weight = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    # the curve of every doctor in t = a + u, on a fine grid
    t = np.linspace(-9, 9, 1801)
    curve = np.empty((n_doctors, t.size))
    for j in range(n_doctors):
        rows = codes == j
        eta = o[rows, None] + t
        cumulant = np.exp(eta) if family == "poisson" else np.logaddexp(0, eta)
        curve[j] = (y[rows, None] * eta - size[rows, None] * cumulant).sum(axis=0)
    a_grid, log_sd = np.linspace(-1.5, 1.5, 91), np.linspace(np.log(0.01), np.log(2.5), 91)
    log_post = np.empty((91, 91))
    u_mean, u_square = np.empty((91, 91, n_doctors)), np.empty((91, 91, n_doctors))
    for r, s in enumerate(np.exp(log_sd)):
        for q, a in enumerate(a_grid):
            terms = np.array([np.interp(a + s * z, t, one) for one in curve])
            top = terms.max(axis=1, keepdims=True)
            parts = np.exp(terms - top) * weight
            total = parts.sum(axis=1)
            log_post[r, q] = (np.log(total) + top[:, 0]).sum() + np.log(s)
            log_post[r, q] += -0.5 * (s / sd_prior) ** 2 - 0.5 * ((a - prior[0]) / prior[1]) ** 2
            u_mean[r, q] = (parts @ (s * z)) / total
            u_square[r, q] = (parts @ (s * z) ** 2) / total
    post = np.exp(log_post - log_post.max())
    post /= post.sum()

    def moments(value, square=None):
        mean = np.tensordot(post, value, 2)
        second = np.tensordot(post, value**2 if square is None else square, 2)
        return mean, np.sqrt(second - mean**2)

    ones = np.ones_like(post)
    return {
        "intercept": moments(ones * a_grid),
        "sd_doctor": moments(ones * np.exp(log_sd)[:, None]),
        "doctor_effect": moments(u_mean, u_square),
    }


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_posterior_moments_are_those_of_a_plain_grid(family):
    frame, _, _ = world(family, n=400, n_doctors=12, level=0.3)
    frame["one"] = 1.0
    model = model_of(frame, family)
    fit = ok.fit(read(frame), ok.ModelSpec(family=family), draws=8000)
    wanted = brute_force(frame, family, prior=(model.priors.intercept.mean, 2.5))
    for name, (mean, sd) in wanted.items():
        found = posterior(fit, name)
        # 8,000 draws: a Monte Carlo error of .01 to .015 SD, and as much in the grid's edge
        np.testing.assert_allclose((found.mean(axis=-1) - mean) / sd, 0, atol=0.06, err_msg=name)
        np.testing.assert_allclose(found.std(axis=-1) / sd, 1, atol=0.06, err_msg=name)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_without_doctors_it_is_the_regression_of_statsmodels_with_an_offset(family):
    import statsmodels.api as sm

    frame, _, _ = world(family, n=4000, sd=0.0, level=-0.4)
    exog = sm.add_constant(frame[["x"]])
    kind, offset = sm.families.Binomial(), frame["o"]
    if family == "poisson":
        kind, offset = sm.families.Poisson(), frame["o"] + np.log(frame["exposure"])
    wanted = sm.GLM(frame["y"], exog, family=kind, offset=offset).fit()
    flat = {"intercept": Flat(), "coefficient": Flat(), "sd_doctor": HalfNormal(1e-3)}
    table = ok.fit(read(frame), spec_of(family, "x", **flat), draws=8000).to_frame()
    for term, name in (("Intercept", "const"), ("x", "x")):
        error = wanted.bse[name]
        assert abs(table.loc[term, "mean"] - wanted.params[name]) / error < 0.05  # skewness
        assert table.loc[term, "sd"] == pytest.approx(error, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAMILIES, "negative_binomial"])
def test_pymc_adds_the_offset_to_the_likelihood_of_every_family(family):
    from pymc_points import density_and_effects, make_point, outcome_log_density

    model = model_of(world(family, n=120, n_doctors=9)[0], family)
    model = replace(model, matrix=np.column_stack([np.ones(120) * 0.3, np.linspace(-1, 1, 120)]))
    point = make_point(model)
    logps, (effect,) = density_and_effects(model, point)
    shifted = replace(model, matrix=np.column_stack([model.matrix, model.offset]))
    wanted = outcome_log_density(
        shifted, point | {"coefficient_standardized": np.array([0.5, -0.2, 1.0])}, effect
    )
    assert logps["outcome"] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.slow
def test_both_engines_agree_with_an_offset_and_hospitals():
    from engine_agreement import agreement

    from outcomekpi.engine.engine import sample_quadrature
    from outcomekpi.engine.nuts import sample_nuts

    model = model_of(world(n=1500, n_doctors=20, nested=True, level=0.5)[0], "bernoulli")
    fast = sample_quadrature(model, draws=8000, seed=1)
    slow = sample_nuts(model, draws=6000, seed=1, tune=2000, target_accept=0.99, sampler="pymc")
    table = agreement.compare_samples(fast, slow)
    assert table["agrees"].all(), table[~table["agrees"]].to_string()


# large data: compiled kernels, single precision, the start at a part of the doctors


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_large_data_give_what_a_known_coefficient_gives(family):
    frame, _, _ = world(family, n=60_000, n_doctors=60)
    offset = ok.fit(read(frame), spec_of(family, intercept=Flat()), draws=4000)
    known = Normal(float(frame["o"].std()), 1e-4)
    covariate = ok.fit(
        read(frame, offset=None, offset_scale=None),
        spec_of(family, "o", intercept=Flat(), coefficient=known),
        draws=4000,
    )
    # all effects share the intercept, whose SD moves by 4 % with the seed, without an offset too
    one, other = posterior(offset, "doctor_effect"), posterior(covariate, "doctor_effect")
    assert (np.abs(one.mean(1) - other.mean(1)) / other.std(1)).max() < 0.12
    np.testing.assert_allclose(one.std(1), other.std(1), rtol=0.12)


def test_the_part_that_the_search_begins_with_keeps_its_offset(monkeypatch):
    from outcomekpi.engine import engine as warm_start

    monkeypatch.setattr(warm_start, "_ALL_BELOW", 100)
    monkeypatch.setattr(warm_start, "_ROWS", 300)
    model = model_of(world()[0], "bernoulli")
    part = warm_start.some_doctors(model)
    rows = np.isin(model.offset, part.offset)
    np.testing.assert_array_equal(model.outcome[rows], part.outcome)


# doctors relative to a published risk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "scale"),
    [("bernoulli", "probability"), ("poisson", "expected_count"), ("gaussian", "expected_value")],
)
def test_doctors_are_judged_relative_to_the_published_risk(family, scale):
    frame, effect, _ = world(family, n=20_000, n_doctors=60, level=0.5, seed=5)
    risk = {"bernoulli": expit, "poisson": np.exp, "gaussian": lambda o: o}[family](frame["o"])
    if family == "poisson":
        risk = risk * frame["exposure"]
    cases = read(frame.assign(risk=risk), offset="risk", offset_scale=scale)
    fit = ok.fit(cases, ok.ModelSpec(family=family), draws=2000)
    found = posterior(fit, "doctor_effect")
    # with the intercept, whose error all effects share, so that the doctors are nearly independent
    lower, upper = np.quantile(found + posterior(fit, "intercept"), [0.025, 0.975], axis=1)
    covered = ((lower <= 0.5 + effect) & (0.5 + effect <= upper)).mean()
    assert covered >= 0.88  # 60 doctors at .95: below .88 once in 100 sets
    assert np.corrcoef(found.mean(axis=1), effect)[0, 1] > 0.9
    # the published risk is too low: e^.5 in the odds, found as the intercept
    mean, sd = posterior(fit, "intercept").mean(), posterior(fit, "intercept").std()
    assert abs(mean - 0.5) < 3 * sd
    crude = ok.fit(
        read(frame, offset=None, offset_scale=None), ok.ModelSpec(family=family), draws=400
    )
    assert np.corrcoef(posterior(crude, "doctor_effect").mean(axis=1), effect)[0, 1] < 0.85


def test_families_refuse_what_is_no_offset_of_theirs():
    frame, _, _ = world()
    frame["p"] = expit(frame["o"])
    binomial = world("binomial")[0].assign(p=1.5)
    for rows, scale, family, message in (
        (frame, "expected_count", None, "Name family='poisson' if the outcome is a count"),
        (frame, "expected_value", "bernoulli", "declare offset_scale='probability'"),
        (frame, "probability", "gaussian", "declare offset_scale='expected_value'"),
        (binomial, "expected_count", None, "Divide the column by the trials, and declare"),
    ):
        cases = read(rows, offset="p", offset_scale=scale)
        with pytest.raises(ok.SpecError) as caught:
            ok.fit(cases, ok.ModelSpec(family=family))
        assert message in str(caught.value)


def test_a_percentage_that_was_called_a_linear_predictor_is_refused():
    frame = world()[0]
    frame["percent"] = 100 * expit(frame["o"])
    with pytest.raises(ok.CasesError, match="must give log odds between -30 and 30"):
        ok.fit(read(frame, offset="percent"), ok.ModelSpec())


def test_measurements_that_are_what_was_expected_leave_nothing():
    frame = world("gaussian")[0]
    frame["same"] = frame["y"] - 2.0
    with pytest.raises(ok.CasesError, match="nothing is left to explain"):
        ok.fit(read(frame, offset="same", offset_scale="expected_value"), ok.ModelSpec())


def test_a_count_that_was_expected_chooses_the_poisson_family():
    frame = world("poisson")[0].drop(columns="exposure")
    cases = read(frame.assign(c=np.exp(frame["o"])), offset="c", offset_scale="expected_count")
    assert ok.fit(cases, ok.ModelSpec(), draws=100).model.family == "poisson"
