"""What comes after the fit knows the published risk: sums, checks, tests, files, refits."""

import numpy as np
import pytest
from offset_worlds import posterior, read, world
from scipy.special import expit

import outcomekpi as ok
from outcomekpi.calibration.predictions import own_probabilities
from outcomekpi.posterior.storage import load_fit, save_fit
from outcomekpi.profiling.case_curves import sum_by_curves
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.case_sums import sum_exactly
from outcomekpi.profiling.direct import direct_rates
from outcomekpi.profiling.linear_predictor import read_predictor

INVERSE = {"gaussian": lambda eta: eta, "bernoulli": expit, "binomial": expit}
FAMILIES = ("bernoulli", "binomial", "poisson", "gaussian")


def fitted(family="bernoulli", *, nested=False, case_mix="x", draws=200, **sizes):
    frame, _, code = world(family, nested=nested, **sizes)
    return ok.fit(read(frame), ok.ModelSpec(family=family, case_mix=case_mix), draws=draws), code


def eta_of(fit, code, *, effect=True, hospital=True):
    """Linear predictor of every case and draw, written down once more: (case, sample)."""
    frame = fit.cases.frame
    eta = posterior(fit, "intercept") + frame["o"].to_numpy()[:, None]
    eta = eta + frame["x"].to_numpy()[:, None] * posterior(fit, "coefficient")
    if effect:
        eta = eta + posterior(fit, "doctor_effect")[code]
    if hospital and fit.cases.hospitals is not None:
        eta = eta + posterior(fit, "hospital_effect")[fit.cases.hospital_code[code]]
    return eta


def size_of(fit):
    cases = fit.cases
    size = cases.trials if cases.trials is not None else cases.exposure
    return np.ones((cases.outcome.size, 1)) if size is None else size[:, None]


def by_doctor(fit, code, values):
    return np.array([values[code == j].sum(axis=0) for j in range(len(fit.cases.doctors))])


def flat(array):
    return array.transpose("doctor", "chain", "draw").to_numpy().reshape(array.sizes["doctor"], -1)


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_expected_and_predicted_events_are_sums_with_the_published_risk(family, nested):
    fit, code = fitted(family, nested=nested)
    inverse = INVERSE.get(family, np.exp)
    rates = ok.standardize(fit, average_doctor="median")
    size = size_of(fit)
    wanted = by_doctor(fit, code, size * inverse(eta_of(fit, code, effect=False)))
    np.testing.assert_allclose(flat(rates.expected), wanted, rtol=1e-6)
    wanted = by_doctor(fit, code, size * inverse(eta_of(fit, code)))
    np.testing.assert_allclose(flat(rates.predicted), wanted, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_direct_rates_average_over_everybodys_published_risk(family):
    fit, code = fitted(family)
    inverse, size = INVERSE.get(family, np.exp), size_of(fit)
    base = eta_of(fit, code, effect=False)
    for doctor in (0, 7):
        moved = inverse(base + posterior(fit, "doctor_effect")[doctor])
        wanted = (size * moved).sum(axis=0) / size.sum()
        found = flat(ok.standardize(fit, measure="direct").draws)[doctor]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_the_curves_of_large_data_hold_the_published_risk(family):
    fit, _ = fitted(family, n=12_000, draws=100)  # the curves are of second order in the slopes
    predictor = read_predictor(fit)
    for average in ("median", "population"):
        exact = sum_exactly(predictor, average_doctor=average)
        curves = sum_by_curves(predictor, average_doctor=average)
        assert curves.method.startswith("one curve")
        np.testing.assert_allclose(curves.expected, exact.expected, rtol=2e-3)
        np.testing.assert_allclose(curves.predicted, exact.predicted, rtol=2e-3)


def test_direct_rates_by_series_hold_the_published_risk(monkeypatch):
    from outcomekpi.profiling import direct

    fit, _ = fitted(nested=True)
    exact = direct_rates(read_predictor(fit))
    monkeypatch.setattr(direct, "EXACT_UP_TO", 0)
    np.testing.assert_allclose(direct_rates(read_predictor(fit)), exact, rtol=2e-3)


def test_doctors_with_sicker_patients_are_not_worse_than_their_published_risk():
    frame, _, _ = world(n=20_000, sd=0.0, seed=3)
    fit = ok.fit(read(frame), ok.ModelSpec(), draws=1000)
    table = ok.standardize(fit).to_frame()
    assert np.corrcoef(table["expected"] / table["cases"], table["raw_rate"])[0, 1] > 0.95
    assert table["ratio"].between(0.9, 1.1).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_of_a_case_holds_its_published_risk(family):
    fit, code = fitted(family)
    eta = eta_of(fit, code, effect=False)
    wanted = INVERSE.get(family, np.exp)(eta).mean(axis=1)
    if family == "poisson":
        wanted = wanted * fit.cases.exposure
    np.testing.assert_allclose(case_means(read_predictor(fit)), wanted, rtol=1e-9)


@pytest.mark.parametrize("by", ["case", "doctor"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_pointwise_likelihood_is_that_of_a_model_with_one_more_column(family, by):
    """The same draws, once with the offset and once as a column whose slope is 1."""
    from dataclasses import replace

    from outcomekpi.posterior import likelihood
    from outcomekpi.posterior.predictor import read_draws

    fit, _ = fitted(family)
    model, draws = fit.model, read_draws(fit.draws)
    column = replace(model, offset=None, matrix=np.column_stack([model.matrix, model.offset]))
    known = np.ones((1, draws.n_samples))
    more = replace(draws, coefficient=np.concatenate([draws.coefficient, known]))
    function = {"case": likelihood._by_case, "doctor": likelihood._by_doctor}[by]
    np.testing.assert_allclose(function(model, draws), function(column, more), rtol=1e-9)


def test_calibration_sees_the_published_risk():
    fit, code = fitted(n=4000)
    own = own_probabilities(fit)
    assert np.corrcoef(own.mean(axis=0), expit(eta_of(fit, code)).mean(axis=1))[0, 1] > 0.999
    check = ok.check_calibration(fit)
    assert check.passed
    overall = check.table.iloc[0]
    assert overall["slope"] == pytest.approx(1.0, abs=0.12)  # an SE of .05 at 800 events
    assert overall["concordance"] > 0.7  # without the offset it would be near .5


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "poisson", "gaussian"])
def test_both_ways_of_leaving_a_doctor_out_agree(family):
    fit, _ = fitted(family, n=300, n_doctors=8, draws=2000, case_mix=None)
    importance = ok.divergence_test(fit).upper_cross
    refit = ok.divergence_test(fit, method="refit").upper_cross
    np.testing.assert_allclose(importance, refit, atol=0.03)


def test_checks_and_judgments_run_and_pass_where_the_model_is_right():
    fit, _ = fitted(n=2000, draws=1000)
    for check in (ok.check_sampling, ok.check_predictive, ok.check_prior_sensitivity):
        assert check(fit).passed, check.__name__
    rates = ok.standardize(fit)
    assert len(ok.rank(rates).to_frame()) == 25
    assert ok.reliability(fit).to_frame()["mean"].between(0, 1).all()
    assert ok.exact_test(fit).to_frame()["p_value"].between(0, 1).all()


def test_an_exact_test_counts_from_the_published_risk():
    """A doctor with high-risk patients only, whose events are what was published."""
    rng = np.random.default_rng(2)
    frame, _, code = world(n=5000, sd=0.0)
    frame.loc[code == 0, "o"] += 2.5
    frame["y"] = (rng.random(len(frame)) < expit(frame["o"])).astype(int)
    found = ok.exact_test(ok.fit(read(frame), ok.ModelSpec(), draws=400)).to_frame()
    assert found.loc["D000", "p_value"] > 0.01
    plain = ok.fit(read(frame, offset=None, offset_scale=None), ok.ModelSpec(), draws=400)
    assert ok.exact_test(plain).to_frame().loc["D000", "p_value"] < 1e-6


def test_cases_that_go_take_their_published_risk_with_them():
    fit, _ = fitted(n=1500, draws=400, case_mix=None)
    found = ok.deselect(fit, drop=(2,), everyone="refit", draws=400)
    assert np.isfinite(found.summary().to_numpy(dtype=float)).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "scale"),
    [
        ("bernoulli", "probability"),
        ("poisson", "expected_count"),
        ("gaussian", "expected_value"),
        ("binomial", "linear_predictor"),
    ],
)
def test_a_saved_fit_comes_back_with_its_offset(tmp_path, family, scale):
    frame, _, _ = world(family)
    risk = INVERSE.get(family, np.exp)(frame["o"])
    if family == "poisson":
        risk = risk * frame["exposure"]
    frame["risk"] = frame["o"] if scale == "linear_predictor" else risk
    cases = read(frame, offset="risk", offset_scale=scale)
    fit = ok.fit(cases, ok.ModelSpec(family=family), draws=100)
    back = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    np.testing.assert_array_equal(back.model.offset, fit.model.offset)
    assert back.cases.offset_scale == scale
    np.testing.assert_allclose(back.cases.frame["risk"], frame["risk"], rtol=1e-12)
    np.testing.assert_array_equal(ok.standardize(back).draws, ok.standardize(fit).draws)
    again = ok.fit(back.cases, back.spec, draws=100)
    np.testing.assert_allclose(posterior(again, "doctor_effect"), posterior(fit, "doctor_effect"))
    assert fit.provenance.model["offset"] == f"risk ({scale}), slope 1"


def test_the_variance_of_counts_is_taken_at_the_published_counts():
    frame, _, _ = world("poisson")
    frame = frame.drop(columns="exposure").assign(c=np.exp(frame["o"]))
    count = ok.fit(
        read(frame, offset="c", offset_scale="expected_count"), ok.ModelSpec(), draws=400
    )
    exposure = ok.fit(
        read(frame, offset=None, offset_scale=None, exposure="c"), ok.ModelSpec(), draws=400
    )
    one, other = (ok.describe_variation(fit).to_frame() for fit in (count, exposure))
    numbers = one.select_dtypes("number").columns
    np.testing.assert_allclose(one[numbers], other[numbers], rtol=1e-6)
