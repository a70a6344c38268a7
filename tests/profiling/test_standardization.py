from dataclasses import replace

import numpy as np
import pytest
from handmade import make_fit
from hypothesis import given
from hypothesis import strategies as st
from made_fits import fit_with_draws
from scipy.optimize import brentq
from scipy.special import expit

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.profiling import case_curves, direct, standardization
from outcomekpi.profiling.case_curves import sum_by_curves
from outcomekpi.profiling.case_sums import sum_exactly
from outcomekpi.profiling.linear_predictor import posterior_of, read_predictor
from outcomekpi.profiling.standardization import standardize

FAMILIES = ("bernoulli", "binomial", "poisson", "gaussian", "negative_binomial")


def brute_force(fit, *, hospital="within", population=False):
    """Expected and predicted events by a plain loop over draws: two (doctor, sample).

    For the population of doctors the shift at which both add up is found by bisection.
    """
    posterior = posterior_of(fit)
    read = {name: flatten_draws(posterior[name]) for name in posterior.data_vars}
    of_doctor = fit.design.doctor_level
    code, model = fit.cases.doctor_code, fit.model
    inverse = {"gaussian": lambda x: x, "bernoulli": expit, "binomial": expit}.get(
        model.family, np.exp
    )
    size = np.ones(code.size)
    if model.trials is not None:
        size = model.trials
    if model.exposure is not None:
        size = model.exposure
    n_samples = read["sd_doctor"].shape[1]
    out = np.zeros((2, model.n_doctors, n_samples))
    nodes, weights = normal_nodes(31)
    for s in range(n_samples):
        slope = read["coefficient_standardized"][:, s]
        eta = model.matrix[:, ~of_doctor] @ slope[~of_doctor] + read["intercept_standardized"][0, s]
        own = read["doctor_effect"][code, s] + model.matrix[:, of_doctor] @ slope[of_doctor]
        if model.hospital_code is not None:
            v = read["hospital_effect"][model.hospital_code[code], s]
            eta, own = (eta + v, own) if hospital == "within" else (eta, own + v)
        predicted = size * inverse(eta + own)
        expected = size * inverse(eta)
        if population:
            weight = mean_information(fit, hospital=hospital)[code]
            center = np.average(own, weights=weight)
            spread = np.sqrt(np.average((own - center) ** 2, weights=weight))

            def mean_of(m, eta=eta, spread=spread):
                each = inverse(eta[:, None] + m + spread * nodes)
                return size * (each @ weights)

            def surplus(m, mean_of=mean_of, predicted=predicted):
                return mean_of(m).sum() - predicted.sum()

            expected = mean_of(brentq(surplus, center - 9, center + 9, xtol=1e-13))
        out[0, :, s] = np.bincount(code, weights=expected, minlength=model.n_doctors)
        out[1, :, s] = np.bincount(code, weights=predicted, minlength=model.n_doctors)
    return out


def mean_information(fit, *, hospital):
    """Share of each doctor's cases in the information, by his cases: (doctor,)."""
    posterior = posterior_of(fit)
    mean = {name: flatten_draws(posterior[name]).mean(axis=1) for name in posterior.data_vars}
    of_case = ~np.asarray(fit.design.doctor_level)
    code, model = fit.cases.doctor_code, fit.model
    eta = model.matrix[:, of_case] @ mean["coefficient_standardized"][of_case]
    eta = eta + mean["intercept_standardized"][0]
    if model.hospital_code is not None and hospital == "within":
        eta = eta + mean["hospital_effect"][model.hospital_code[code]]
    size = np.ones(code.size) if model.trials is None else model.trials
    information = size * expit(eta) * expit(-eta)
    return np.bincount(code, weights=information) / np.bincount(code)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_expected_and_predicted_are_the_sums_over_cases(family, hospital):
    fit = make_fit(family, nested=True)
    rates = standardize(fit, average_doctor="median", hospital=hospital)
    expected, predicted = brute_force(fit, hospital=hospital)
    np.testing.assert_allclose(flatten_draws(rates.expected), expected, rtol=1e-10)
    np.testing.assert_allclose(flatten_draws(rates.predicted), predicted, rtol=1e-6)  # f4 effects


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_the_population_average_adds_up_to_what_is_predicted(family, hospital):
    fit = make_fit(family, nested=True)
    rates = standardize(fit, hospital=hospital)
    assert rates.average_doctor == "population"
    expected, predicted = brute_force(fit, hospital=hospital, population=True)
    # one Newton step here, the root there; exact for the log and the identity link
    tight = family in ("poisson", "negative_binomial", "gaussian")
    np.testing.assert_allclose(
        flatten_draws(rates.expected), expected, rtol=1e-6 if tight else 2e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        flatten_draws(rates.expected).sum(axis=0), predicted.sum(axis=0), rtol=1e-6
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_direct_rates_are_means_over_the_cases_of_everyone(family, hospital):
    fit = make_fit(family, nested=True, n_cases=200)
    rates = flatten_draws(standardize(fit, measure="direct", hospital=hospital).draws)
    model = fit.model
    weight = np.ones(200) if model.trials is None else model.trials
    weight = weight if model.exposure is None else model.exposure
    for j in (0, 5):
        # brute force: give every case this doctor's effect and, between hospitals, his hospital
        effect = posterior_of(fit)["doctor_effect"][:, :, [j] * model.n_doctors]
        tree = fit.draws.copy()
        posterior = posterior_of(fit).assign(
            doctor_effect=effect.assign_coords(doctor=posterior_of(fit)["doctor"])
        )
        if hospital == "population":
            own = int(model.hospital_code[j])
            v = posterior_of(fit)["hospital_effect"][:, :, [own] * model.n_hospitals]
            posterior["hospital_effect"] = v.assign_coords(hospital=posterior["hospital"])
        tree["posterior"] = type(tree)(posterior)
        _, predicted = brute_force(replace(fit, draws=tree))
        np.testing.assert_allclose(rates[j], predicted.sum(axis=0) / weight.sum(), rtol=2e-6)


def test_doctor_level_columns_enter_predicted_and_never_expected(rng):
    code = np.repeat([0, 1, 2], 40)
    matrix = np.column_stack([rng.normal(size=120), np.repeat([-1.0, 0.0, 1.0], 40)])
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.integers(0, 2, 120),
        effect=rng.normal(0, 0.2, (3, 50)),
        intercept=-1.0,
        matrix=matrix,
        slope=rng.normal(0.5, 0.1, (2, 50)),
        doctor_level=[False, True],
    )
    rates = standardize(fit, average_doctor="median")
    expected, predicted = brute_force(fit)
    np.testing.assert_allclose(flatten_draws(rates.expected), expected, rtol=1e-10)
    np.testing.assert_allclose(flatten_draws(rates.predicted), predicted, rtol=1e-10)
    without = replace(fit, design=replace(fit.design, matrix=matrix * [1.0, 0.0]))
    moved = standardize(without, average_doctor="median")
    np.testing.assert_allclose(flatten_draws(moved.expected), expected, rtol=1e-12)
    assert not np.allclose(flatten_draws(moved.predicted), predicted, rtol=1e-3)


@pytest.mark.parametrize("hospitals", [False, True])
@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_curves_agree_with_the_sums_over_every_case(family, hospitals):
    fit = make_fit(family, n_cases=9000, n_doctors=30, nested=hospitals, draws=400)
    # slopes as uncertain as 9,000 cases leave them, not as the hand-made fit has them
    predictor = read_predictor(fit)
    mean = predictor.slope.mean(axis=1, keepdims=True)
    predictor = replace(predictor, slope=mean + (predictor.slope - mean) * 0.5)
    for average in ("median", "population"):
        exact = sum_exactly(predictor, average_doctor=average)
        curves = sum_by_curves(predictor, average_doctor=average)
        assert curves.method.startswith("one curve")
        for name in ("expected", "predicted"):
            truth, ours = getattr(exact, name), getattr(curves, name)
            error = np.sqrt(((ours - truth) ** 2).mean(axis=1)) / truth.std(axis=1)
            assert error.max() < 0.05, name  # posterior SDs; it is refused above 0.1
        np.testing.assert_allclose(curves.information, exact.information, rtol=0.05)


def test_curves_are_refused_where_their_measured_error_is_large(rng):
    code = np.repeat(np.arange(4), 50)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.integers(0, 2, 200),
        effect=np.zeros((4, 300)),
        intercept=-1.0,
        matrix=rng.normal(size=(200, 2)) * 3,
        slope=rng.normal(0.0, 1.5, (2, 300)),
    )
    predictor = read_predictor(fit)
    sums = sum_by_curves(predictor, average_doctor="median")
    assert sums.method.startswith("exact")
    np.testing.assert_allclose(
        sums.expected, sum_exactly(predictor, average_doctor="median").expected
    )


def test_direct_rates_of_large_data_follow_the_series(monkeypatch):
    fit = make_fit("bernoulli", n_cases=9000, n_doctors=30, nested=True, draws=200)
    predictor = read_predictor(fit)
    mean = predictor.slope.mean(axis=1, keepdims=True)
    predictor = replace(predictor, slope=mean + (predictor.slope - mean) * 0.5)
    exact = direct.direct_rates(predictor)
    monkeypatch.setattr(direct, "EXACT_UP_TO", 0)
    series = direct.direct_rates(predictor)
    # second order in slopes of SD .025: the third-order term is about 1e-5
    np.testing.assert_allclose(series, exact, rtol=1e-4)
    assert not np.array_equal(series, exact)


def test_large_data_go_through_the_curves(monkeypatch):
    fit = make_fit("bernoulli")
    monkeypatch.setattr(standardization, "EXACT_UP_TO", 0)
    monkeypatch.setattr(case_curves, "WORST_IN_SD", 10.0)
    rates = standardize(fit)
    assert rates.method.startswith("one curve")
    assert 0 < rates.relative_error < 0.02


def test_pe_is_the_published_cms_ratio_of_means_of_probabilities(rng):
    # Hospital-specific report FY2025, heart failure: effects as published, 25 discharges with
    # made-up linear predictors; and the published P and E give the published ratio.
    hospital_effect, average_effect = -2.45775, -2.422064
    xb = rng.normal(0.7, 0.5, 25)
    fit = fit_with_draws(
        doctor_code=np.zeros(25, dtype=int),
        outcome=rng.integers(0, 2, 25),
        effect=np.full((1, 4), hospital_effect - average_effect),
        intercept=average_effect,
        matrix=xb[:, None],
        slope=np.ones((1, 4)),
    )
    frame = standardize(fit, average_doctor="median").to_frame()
    predicted, expected = expit(hospital_effect + xb).mean(), expit(average_effect + xb).mean()
    assert frame["predicted"].iloc[0] / 25 == pytest.approx(predicted, rel=1e-12)
    assert frame["expected"].iloc[0] / 25 == pytest.approx(expected, rel=1e-12)
    assert frame["ratio"].iloc[0] == pytest.approx(predicted / expected, rel=1e-12)
    ratio = 0.15878146772036 / 0.16354186208436
    assert ratio == pytest.approx(0.97089189089979, rel=1e-12)


@pytest.mark.parametrize("measure", ["P/E", "direct"])
def test_a_doctor_without_an_effect_has_the_overall_rate(measure, rng):
    code = np.repeat(np.arange(5), 30)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.integers(0, 2, 150),
        effect=np.zeros((5, 20)),
        intercept=np.log(0.3 / 0.7),
    )
    rates = standardize(fit, measure=measure)
    level = rates.reference_rate if measure == "P/E" else 0.3
    np.testing.assert_allclose(flatten_draws(rates.draws), level, rtol=1e-7)


def test_oe_is_observed_over_expected():
    fit = make_fit("bernoulli")
    rates = standardize(fit, measure="O/E", average_doctor="median")
    expected, _ = brute_force(fit)
    observed = np.bincount(fit.cases.doctor_code, weights=fit.cases.outcome)
    np.testing.assert_allclose(
        flatten_draws(rates.draws), observed[:, None] / expected * fit.cases.outcome.mean()
    )


def test_splitting_binomial_rows_into_single_cases_changes_nothing():
    grouped = make_fit("binomial", n_cases=80, n_doctors=6, draws=40)
    trials, events = grouped.model.trials.astype(int), grouped.model.outcome.astype(int)
    rows = np.repeat(np.arange(80), trials)
    outcome = np.concatenate([np.arange(m) < y for m, y in zip(trials, events, strict=True)])
    posterior = posterior_of(grouped)
    single = fit_with_draws(
        doctor_code=grouped.cases.doctor_code[rows],
        outcome=outcome,
        effect=flatten_draws(posterior["doctor_effect"]),
        intercept=flatten_draws(posterior["intercept_standardized"])[0],
        matrix=grouped.design.matrix[rows],
        slope=flatten_draws(posterior["coefficient_standardized"]),
    )
    one, two = standardize(grouped).to_frame(), standardize(single).to_frame()
    np.testing.assert_allclose(one.to_numpy(float), two.to_numpy(float), rtol=1e-6)


def test_doubling_exposure_and_events_leaves_the_ratio():
    fit = make_fit("poisson")
    model = fit.model
    doubled = replace(
        fit,
        cases=replace(fit.cases, outcome=2 * fit.cases.outcome, exposure=2 * fit.cases.exposure),
        model=replace(model, outcome=2 * model.outcome, exposure=2 * model.exposure),
    )
    for measure in ("P/E", "O/E", "direct"):
        one, two = standardize(fit, measure=measure), standardize(doubled, measure=measure)
        np.testing.assert_allclose(one.ratio("O/E"), two.ratio("O/E"))
        np.testing.assert_allclose(flatten_draws(one.draws), flatten_draws(two.draws))


def test_duplicated_cases_leave_the_rates():
    fit = make_fit("bernoulli")
    twice = np.tile(np.arange(600), 2)
    posterior = posterior_of(fit)
    doubled = fit_with_draws(
        doctor_code=fit.cases.doctor_code[twice],
        outcome=fit.cases.outcome[twice],
        effect=flatten_draws(posterior["doctor_effect"]),
        intercept=flatten_draws(posterior["intercept_standardized"])[0],
        matrix=fit.design.matrix[twice],
        slope=flatten_draws(posterior["coefficient_standardized"]),
    )
    np.testing.assert_allclose(
        flatten_draws(standardize(doubled).draws), flatten_draws(standardize(fit).draws), rtol=1e-6
    )


@pytest.mark.slow
@given(st.permutations(range(6)))
def test_relabelling_doctors_permutes_the_rates(order):
    fit = make_fit("bernoulli", n_cases=120, n_doctors=6, draws=20)
    order = np.asarray(order)
    posterior = posterior_of(fit)
    moved = fit_with_draws(
        doctor_code=order[fit.cases.doctor_code],
        outcome=fit.cases.outcome,
        effect=flatten_draws(posterior["doctor_effect"])[np.argsort(order)],
        intercept=flatten_draws(posterior["intercept_standardized"])[0],
        matrix=fit.design.matrix,
        slope=flatten_draws(posterior["coefficient_standardized"]),
    )
    np.testing.assert_allclose(
        flatten_draws(standardize(moved).draws)[order],
        flatten_draws(standardize(fit).draws),
        rtol=1e-6,
    )


def test_the_order_of_rows_does_not_matter(rng):
    fit = make_fit("bernoulli")
    shuffled = rng.permutation(600)
    moved = replace(
        fit,
        cases=replace(
            fit.cases,
            outcome=fit.cases.outcome[shuffled],
            doctor_code=fit.cases.doctor_code[shuffled],
        ),
        design=replace(fit.design, matrix=fit.design.matrix[shuffled]),
    )
    np.testing.assert_allclose(
        flatten_draws(standardize(moved).draws), flatten_draws(standardize(fit).draws), rtol=1e-12
    )


def test_a_gaussian_outcome_is_standardized_by_addition():
    fit = make_fit("gaussian")
    effect = flatten_draws(posterior_of(fit)["doctor_effect"])
    rates = standardize(fit, average_doctor="median")
    np.testing.assert_allclose(
        flatten_draws(rates.draws), rates.reference_rate + effect, rtol=1e-5, atol=1e-6
    )
    rates = standardize(fit)
    effect = effect - np.average(effect, weights=rates.cases, axis=0)
    np.testing.assert_allclose(
        flatten_draws(rates.draws), rates.reference_rate + effect, rtol=1e-5, atol=1e-6
    )
    assert rates.to_frame()["ratio"].isna().all()  # expected sums are negative here


def test_extreme_doctors_keep_finite_rates():
    # no events, one case, only events
    code = np.array([0] * 30 + [1] + [2] * 30)
    outcome = np.r_[np.zeros(30), 0.0, np.ones(30)]
    effect = np.array([[-3.0] * 10, [0.0] * 10, [4.0] * 10])
    fit = fit_with_draws(doctor_code=code, outcome=outcome, effect=effect, intercept=0.0)
    for measure in ("P/E", "O/E", "direct"):
        frame = standardize(fit, measure=measure).to_frame()
        assert np.isfinite(frame.to_numpy(float)).all()
        assert (frame["mean"] >= 0).all()
    assert (standardize(fit).to_frame()["mean"] > 0).all()


def test_a_wider_level_gives_wider_intervals():
    rates = standardize(make_fit("bernoulli"))
    narrow, wide = rates.to_frame(level=0.5), rates.to_frame(level=0.95)
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()
    assert (wide["ratio_lower"] < narrow["ratio_lower"]).all()


def test_few_distinct_rows_are_summed_as_groups(rng):
    code = rng.integers(0, 5, 4000)
    code[:5] = np.arange(5)
    matrix = rng.integers(0, 2, (4000, 3)).astype(float)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.integers(0, 2, 4000),
        effect=rng.normal(0, 0.3, (5, 12)),
        intercept=-1.0,
        matrix=matrix,
        slope=rng.normal(0, 0.3, (3, 12)),
    )
    expected, predicted = brute_force(fit)
    rates = standardize(fit, average_doctor="median")
    np.testing.assert_allclose(flatten_draws(rates.expected), expected, rtol=1e-11)
    np.testing.assert_allclose(flatten_draws(rates.predicted), predicted, rtol=1e-11)


def test_unknown_options_are_refused_with_a_hint():
    fit = make_fit("bernoulli", draws=8)
    with pytest.raises(SpecError, match="Did you mean 'direct'"):
        standardize(fit, measure="indirect")
    with pytest.raises(SpecError, match="average_doctor"):
        standardize(fit, average_doctor="mean")
    with pytest.raises(SpecError, match="hospital"):
        standardize(fit, hospital="between")


def test_the_columns_are_the_documented_ones():
    rates = standardize(make_fit("bernoulli"))
    described = type(rates).to_frame.__doc__
    assert all(f"{column}" in described for column in rates.to_frame().columns)
    assert "12 doctors, 600 cases" in repr(rates)
    assert "<table" in rates._repr_html_()
