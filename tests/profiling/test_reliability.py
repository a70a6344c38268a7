from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import make_fit
from made_fits import fit_with_draws
from scipy.special import expit

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.caseload import plan_caseload
from outcomekpi.profiling.linear_predictor import posterior_of
from outcomekpi.profiling.reliability import reliability
from outcomekpi.profiling.reliability_estimates import (
    _correlation,
    _noise,
    _Residuals,
    _split,
    beta_binomial_signal,
    fit_beta_binomial,
)

SHARED = Path(__file__).parents[3] / "shared"
METHODS = ("latent", "anova", "beta_binomial", "split_sample", "iur")


@pytest.fixture(scope="module")
def colonoscopy():
    path = SHARED / "data" / "colonoscopy_cms_op29.csv"
    if not path.exists():
        pytest.skip("the CMS colonoscopy table is not redistributed")
    return pd.read_csv(path)


def test_beta_binomial_reliability_of_the_cms_colonoscopy_measure(colonoscopy):
    x, n = colonoscopy["x"].to_numpy(float), colonoscopy["n"].to_numpy(float)
    alpha, beta = fit_beta_binomial(x, n)
    # the reference prints 6 decimals
    assert alpha == pytest.approx(4.515938, abs=2e-5)
    assert beta == pytest.approx(0.430071, abs=2e-6)
    assert np.median(n / (n + alpha + beta)) == pytest.approx(0.9381, abs=5e-5)
    assert 0.7 / 0.3 * (alpha + beta) == pytest.approx(11.54, abs=5e-3)


def simulated(*, reliability_at=100, cases=100, n_doctors=400, seed=4, p=0.3):
    """Doctors without case mix whose logit-normal rates have reliability .7 at 100 cases."""
    rng = np.random.default_rng(seed)
    signal = 0.7 / 0.3 / reliability_at / (p * (1 - p))  # variance on the logit scale
    effect = rng.normal(0, np.sqrt(signal), n_doctors)
    n = np.full(n_doctors, cases) if np.isscalar(cases) else rng.choice(cases, n_doctors)
    code = np.repeat(np.arange(n_doctors), n)
    outcome = rng.random(code.size) < expit(np.log(p / (1 - p)) + effect)[code]
    return fit_with_draws(
        doctor_code=code,
        outcome=outcome,
        effect=effect[:, None] + rng.normal(0, 0.1, (n_doctors, 40)),
        intercept=np.log(p / (1 - p)),
        sd_doctor=np.sqrt(signal),
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_reliability_of_a_known_world(method):
    fit = simulated()
    found = reliability(fit, method=method, replicates=60)
    # 400 doctors: the sampling SD of an estimated reliability of .7 is about .02; the probability
    # scale and the logit scale differ by about .01 here
    assert found.estimate.median() == pytest.approx(0.7, abs=0.06)
    frame = found.to_frame(level=0.95)
    assert (frame["lower"] <= frame["mean"] + 1e-9).all()
    assert (frame["upper"] >= frame["mean"] - 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_more_cases_are_more_reliable(method):
    found = reliability(simulated(cases=[20, 50, 200]), method=method, replicates=30)
    means = found.estimate.groupby(found.cases).mean()
    assert means.is_monotonic_increasing
    assert found.estimate.between(0, 1).all()


@pytest.mark.parametrize("method", ["anova", "split_sample", "iur"])
def test_without_doctor_effects_reliability_is_near_zero(method):
    rng = np.random.default_rng(8)
    code = np.repeat(np.arange(300), 40)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.random(code.size) < 0.3,
        effect=np.zeros((300, 10)),
        intercept=np.log(0.3 / 0.7),
    )
    assert reliability(fit, method=method, replicates=20).estimate.median() < 0.15


def test_case_mix_is_no_signal():
    # doctors differ in case mix only: raw outcomes look reliable, residuals do not
    rng = np.random.default_rng(9)
    code = np.repeat(np.arange(200), 60)
    severity = rng.normal(size=200)[code]
    args = {
        "doctor_code": code,
        "outcome": rng.random(code.size) < expit(-1 + severity),
        "effect": np.zeros((200, 10)),
        "intercept": -1.0,
    }
    adjusted = fit_with_draws(**args, matrix=severity[:, None], slope=np.ones((1, 10)))
    for method in ("anova", "split_sample", "iur"):
        assert reliability(adjusted, method=method, replicates=20).estimate.median() < 0.2
        raw = reliability(fit_with_draws(**args), method=method, replicates=20)
        assert raw.estimate.median() > 0.8


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
def test_latent_reliability_is_signal_over_signal_plus_noise_in_each_draw(family):
    fit = make_fit(family)
    posterior = posterior_of(fit)
    draws = {name: flatten_draws(posterior[name]) for name in posterior.data_vars}
    eta = fit.model.matrix @ draws["coefficient_standardized"] + draws["intercept_standardized"]
    if family == "poisson":
        information = fit.model.exposure[:, None] * np.exp(eta)
    elif family == "gaussian":
        information = np.ones_like(eta) / draws["sd_residual"] ** 2
    else:
        information = expit(eta) * expit(-eta)
        if fit.model.trials is not None:
            information = information * fit.model.trials[:, None]
    total = np.stack([information[fit.cases.doctor_code == j].sum(axis=0) for j in range(12)])
    variance = draws["sd_doctor"] ** 2
    np.testing.assert_allclose(
        flatten_draws(reliability(fit).draws), variance / (variance + 1 / total), rtol=1e-9
    )


def test_negative_binomial_noise_lowers_latent_reliability():
    fit = make_fit("negative_binomial")
    poisson = make_fit("poisson")
    assert reliability(fit).estimate.median() < reliability(poisson).estimate.median()


def test_analysis_of_variance_matches_its_textbook_formula():
    fit = make_fit("gaussian", n_cases=300, n_doctors=10)
    from outcomekpi.profiling.case_means import case_means
    from outcomekpi.profiling.linear_predictor import read_predictor

    mean = case_means(read_predictor(fit), average_doctor="population")
    r = fit.model.outcome - mean
    groups = [r[fit.cases.doctor_code == j] for j in range(10)]
    n = np.array([g.size for g in groups])
    mean = r.mean()
    between = sum(g.size * (g.mean() - mean) ** 2 for g in groups) / 9
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (300 - 10)
    tau2 = (between - within) / ((300 - (n**2).sum() / 300) / 9)
    found = reliability(fit, method="anova", replicates=20)
    np.testing.assert_allclose(found.estimate, tau2 / (tau2 + within / n), rtol=1e-9)


@pytest.mark.parametrize(
    ("n", "y"),
    [((50, 100, 200, 150), (10, 45, 50, 60)), ((2,) * 8, (0, 2, 0, 2, 1, 0, 2, 1))],
    ids=["many cases", "two cases each"],
)
def test_inter_unit_reliability_matches_its_textbook_formula(n, y, monkeypatch):
    from outcomekpi.profiling import reliability_estimates
    from outcomekpi.profiling.case_means import case_means
    from outcomekpi.profiling.linear_predictor import read_predictor

    n, y = np.array(n, dtype=float), np.array(y, dtype=float)
    fit = fit_with_draws(
        family="binomial", doctor_code=np.arange(n.size), outcome=y, trials=n,
        effect=np.zeros((n.size, 10)), intercept=-1.0,
    )  # fmt: skip
    p = case_means(read_predictor(fit), average_doctor="population")
    # a ratio O/E of his own rate q, drawn again and again, has the variance n q (1 - q) / (n p)²
    ratio, variance = y / (n * p), n * (y / n) * (1 - y / n) / (n * p) ** 2
    within = ((n - 1) * variance).sum() / (n - 1).sum()
    typical = (n.sum() - (n**2).sum() / n.sum()) / (n.size - 1)
    total = (n * (ratio - (n * ratio).sum() / n.sum()) ** 2).sum() / (typical * (n.size - 1))
    cases = (n - 1).sum() / ((n - 1) / n).sum()
    # each variance from 20,000 resamples: 1 %, the mean of those that are not 0 .6 %; four of these
    monkeypatch.setattr(reliability_estimates, "RESAMPLES", (20_000, 20_000))
    signal = reliability(fit, method="iur", replicates=20).signal_estimate
    assert signal * cases == pytest.approx((total - within) / within, rel=0.025)


def test_aggregated_and_single_rows_have_one_reliability():
    rng = np.random.default_rng(2)
    n, p = 60, expit(rng.normal(-1, 0.6, 150))
    events = rng.binomial(n, p)
    grouped = fit_with_draws(
        family="binomial",
        doctor_code=np.arange(150),
        outcome=events,
        trials=np.full(150, n),
        effect=np.zeros((150, 10)),
        intercept=-1.0,
    )
    single = fit_with_draws(
        doctor_code=np.repeat(np.arange(150), n),
        outcome=np.concatenate([np.arange(n) < y for y in events]),
        effect=np.zeros((150, 10)),
        intercept=-1.0,
    )
    for method, tolerance in (("anova", 1e-9), ("beta_binomial", 1e-9), ("latent", 1e-9)):
        one = reliability(grouped, method=method, replicates=20).estimate
        two = reliability(single, method=method, replicates=20).estimate
        np.testing.assert_allclose(one, two, rtol=tolerance)
    for method in ("split_sample", "iur"):  # random splits and resamples differ
        one = reliability(grouped, method=method, replicates=20).estimate.median()
        two = reliability(single, method=method, replicates=20).estimate.median()
        assert one == pytest.approx(two, abs=0.03)


def test_the_bootstrap_interval_covers_the_sampling_variation():
    estimates = [
        reliability(simulated(n_doctors=60, seed=s), method="anova", replicates=20).signal_estimate
        for s in range(40)
    ]
    frame = reliability(simulated(n_doctors=60), method="anova", replicates=300)
    spread = frame.signal_per_case.std().item()
    assert spread == pytest.approx(np.std(estimates), rel=0.5)  # SD of an SD from 40: 11 %


def test_caseloads_are_those_at_which_the_target_is_reached():
    found = reliability(simulated(), method="beta_binomial", replicates=30)
    plan = plan_caseload(found).to_frame()
    n = plan["cases"].to_numpy()
    signal = found.signal_estimate
    np.testing.assert_allclose(n * signal / (1 + n * signal), [0.7, 0.8, 0.9])
    assert (plan["lower"] < plan["cases"]).all()
    assert (plan["upper"] > plan["cases"]).all()
    assert plan["doctors"].iloc[0] in (0.0, 1.0)  # all doctors have 100 cases


def test_the_planner_gives_the_caseload_of_the_cms_measure(colonoscopy):
    x, n = colonoscopy["x"].to_numpy(float), colonoscopy["n"].to_numpy(float)
    found = beta_binomial_signal(x, n, 20, np.random.default_rng(1))
    assert 0.7 / 0.3 / found.estimate == pytest.approx(11.54, abs=5e-3)


def test_wrong_uses_are_refused():
    with pytest.raises(SpecError, match="for proportions"):
        reliability(make_fit("poisson"), method="beta_binomial")
    with pytest.raises(SpecError, match="Did you mean 'anova'"):
        reliability(make_fit("bernoulli"), method="anovas")
    with pytest.raises(SpecError, match="replicates"):
        reliability(make_fit("bernoulli"), method="anova", replicates=2)
    with pytest.raises(SpecError, match=r"Did you mean 0\.7"):
        plan_caseload(reliability(make_fit("bernoulli")), targets=(70,))
    with pytest.raises(SpecError, match="vary no more than chance"):
        fit_beta_binomial(np.full(50, 30.0), np.full(50, 100.0))


def test_reliability_describes_itself():
    found = reliability(make_fit("bernoulli"))
    assert list(found.to_frame().columns) == ["cases", "mean", "lower", "upper"]
    assert "latent" in repr(found)
    assert "<table" in found._repr_html_()
    plan = plan_caseload(found)
    assert "for 0.7" in repr(plan)
    assert "<table" in plan._repr_html_()


def test_a_doctor_is_split_into_halves_that_differ_by_one_case_at_most(rng):
    # events of 1, 10, 100, ... tell which cases are in the first half: a sum of n powers of ten
    sizes = {4: set(), 5: set()}
    for count, found in sizes.items():
        rows = _Residuals(
            events=10.0 ** np.arange(count),
            trials=np.ones(count),
            mean=np.zeros(count),
            doctor=np.zeros(count, dtype=np.intp),
            n_doctors=1,
            proportions=False,
        )
        for _ in range(60):
            first, second = (half[0] for half in _split(rows, rng, np.array([0])))
            for n in range(1, count):
                if sorted(set(f"{first * n:.0f}")) in (["0", "1"], ["1"]) and np.isclose(
                    first * n + second * (count - n), (10.0**count - 1) / 9
                ):
                    found.add(n)
    assert sizes == {4: {2}, 5: {2, 3}}


def test_two_resamples_are_enough_for_an_unbiased_noise(monkeypatch, rng):
    # 6 events in 20 cases, 14 expected, in 20,000 doctors alike: n q (1 - q) / E²
    rows = _Residuals(
        events=np.full(20_000, 6.0),
        trials=np.full(20_000, 20.0),
        mean=np.full(20_000, 0.7),
        doctor=np.arange(20_000),
        n_doctors=20_000,
        proportions=True,
    )
    monkeypatch.setattr("outcomekpi.profiling.reliability_estimates.RESAMPLES", (2, 2))
    noise = _noise(rows, rows.trials, True, rng)
    # a variance from two draws has a coefficient of variation of sqrt 2: 1 % here, four of those
    assert noise.mean() == pytest.approx(20 * 0.3 * 0.7 / 14**2, rel=0.04)


def test_halves_that_are_all_alike_do_not_correlate():
    a = np.array([0.1, -0.2, 0.4])
    assert _correlation(a, -2 * a) == pytest.approx(-1, rel=1e-12)
    assert _correlation(a, np.zeros(3)) == 0


@pytest.mark.parametrize("trials", [1.0, 4.0])
def test_two_halves_hold_the_residual_of_the_doctor_together(trials, rng):
    mean = np.array([0.1, 0.2, 0.4, 0.5, 0.7, 0.9])
    events = trials * np.array([0.0, 1, 0, 1, 1, 0])
    rows = _Residuals(
        events=events,
        trials=np.full(6, trials),
        mean=mean,
        doctor=np.zeros(6, dtype=np.intp),
        n_doctors=1,
        proportions=True,
    )
    first, second = (half[0] for half in _split(rows, rng, np.array([0])))
    # three cases, or half the trials, each: their means times 3, or 12
    assert 3 * trials * (first + second) == pytest.approx((events - trials * mean).sum(), rel=1e-12)
