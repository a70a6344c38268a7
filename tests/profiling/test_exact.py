from fractions import Fraction
from math import comb, exp, factorial, log

import numpy as np
import pytest
from handmade import make_fit
from hypothesis import given
from hypothesis import strategies as st
from made_fits import fit_with_draws
from scipy.special import expit
from scipy.stats import norm

from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling import count_tails
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.count_tails import (
    normal_tails,
    poisson_binomial_tails,
    poisson_tails,
)
from outcomekpi.profiling.exact import exact_test
from outcomekpi.profiling.linear_predictor import read_predictor
from outcomekpi.profiling.standardization import standardize


def log_fraction(value):
    """Natural logarithm of a Fraction of any size."""
    shift = value.denominator.bit_length() - value.numerator.bit_length()
    scaled = value * Fraction(2) ** shift
    return log(float(scaled)) - shift * log(2)


def rational_mid_tails(chances):
    """Exact mid-p tails (lower, upper) for every count, in rational arithmetic."""
    law = [Fraction(1)]
    for p in chances:
        p = Fraction(p)
        law = [
            (law[k] * (1 - p) if k < len(law) else 0) + (law[k - 1] * p if k else 0)
            for k in range(len(law) + 1)
        ]
    below, tails = Fraction(0), []
    for mass in law:
        tails.append((below + mass / 2, 1 - below - mass / 2))
        below += mass
    return tails


@pytest.mark.parametrize("spread", [(0.01, 0.05), (0.1, 0.6), (0.001, 0.999)])
def test_poisson_binomial_tails_equal_rational_arithmetic(spread):
    chances = np.random.default_rng(1).uniform(*spread, 60)
    truth = rational_mid_tails(chances)
    for y, (lower, upper) in enumerate(truth):
        found = poisson_binomial_tails(float(y), chances, np.ones(60))
        # relative accuracy of both tails, down to probabilities of 1e-100 and less
        assert found.lower == pytest.approx(log_fraction(lower), abs=1e-10)
        assert found.upper == pytest.approx(log_fraction(upper), abs=1e-10)
    assert min(log_fraction(u) for _, u in truth) < -80 * (spread[1] < 0.1)


def test_tails_keep_their_digits_far_below_double_precision():
    n, p = 2000, Fraction(1, 10)
    # P(X >= y) - P(X = y)/2 for a binomial, exactly; y = 900 has a probability of about 1e-300
    for y in (250, 400, 900):
        mass = [Fraction(comb(n, k)) * p**k * (1 - p) ** (n - k) for k in range(y, n + 1)]
        truth = log_fraction(sum(mass) - mass[0] / 2)
        found = poisson_binomial_tails(float(y), np.array([0.1]), np.array([float(n)]))
        assert found.upper == pytest.approx(truth, rel=1e-11)
    assert truth < -690


def test_trials_count_as_repeated_rows():
    chances, trials = np.array([0.1, 0.3, 0.7]), np.array([5.0, 9.0, 2.0])
    one = poisson_binomial_tails(4.0, chances, trials)
    two = poisson_binomial_tails(4.0, np.repeat(chances, trials.astype(int)), np.ones(16))
    assert one.upper == pytest.approx(two.upper, abs=1e-12)


@given(st.integers(1, 40), st.floats(0.02, 0.98), st.data())
def test_lower_and_upper_mid_tails_add_up_to_one(n, p, data):
    y = data.draw(st.integers(0, n))
    found = poisson_binomial_tails(float(y), np.full(n, p), np.ones(n))
    assert exp(found.lower) + exp(found.upper) == pytest.approx(1, abs=1e-12)
    mirrored = poisson_binomial_tails(float(n - y), np.full(n, 1 - p), np.ones(n))
    assert mirrored.lower == pytest.approx(found.upper, rel=1e-9, abs=1e-10)


def test_very_many_rows_are_pooled_without_harm(monkeypatch):
    rng = np.random.default_rng(2)
    chances = expit(rng.normal(-2, 1, 6000))
    whole = poisson_binomial_tails(1300.0, chances, np.ones(6000))
    monkeypatch.setattr(count_tails, "MANY_ROWS", 4000)
    pooled = poisson_binomial_tails(1300.0, chances, np.ones(6000))
    # .5 % of a p-value of 1e-39; fewer rows than this are never pooled
    assert pooled.upper == pytest.approx(whole.upper, abs=5e-3)
    assert whole.upper < -20


@pytest.mark.parametrize(("y", "mean"), [(0, 3), (3, 3), (20, 3), (300, 3), (2, 700), (1500, 300)])
def test_poisson_tails_equal_rational_sums(y, mean):
    # P(Y = k) e^mean = mean^k / k!, summed as fractions; e^mean is exact to double precision in log
    def mass(k):
        return Fraction(mean) ** k / factorial(k)

    if y > mean:
        terms = sum(mass(k) for k in range(y + 1, y + 400)) + mass(y) / 2
    else:
        terms = sum((mass(k) for k in range(y)), Fraction(0)) + mass(y) / 2
    truth = log_fraction(terms) - mean
    found = poisson_tails(float(y), float(mean))
    ours = found.upper if y > mean else found.lower
    assert ours == pytest.approx(truth, rel=1e-11, abs=1e-11)


def test_normal_tails_reach_far():
    found = normal_tails(40.0)
    assert found.upper == pytest.approx(-804.6084, abs=1e-3)  # log of 1 - Phi(40)
    assert found.side == "high"


def test_probabilities_are_posterior_means_case_by_case():
    fit = make_fit("bernoulli")
    predictor = read_predictor(fit)
    eta = predictor.matrix @ predictor.slope + predictor.intercept
    np.testing.assert_allclose(case_means(predictor), expit(eta).mean(axis=1), rtol=1e-12)
    test = exact_test(fit, average_doctor="median").to_frame()
    rows = fit.cases.doctor_code == 3
    lower, upper = rational_mid_tails(expit(eta).mean(axis=1)[rows])[
        int(fit.cases.outcome[rows].sum())
    ]
    assert test["p_value"].iloc[3] == pytest.approx(2 * float(min(lower, upper)), rel=1e-9)
    assert test["expected"].sum() == pytest.approx(expit(eta).mean(axis=1).sum())


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_the_expected_events_are_those_of_the_table(family, hospital):
    fit = make_fit(family, nested=True)
    for average in ("population", "median"):
        test = exact_test(fit, average_doctor=average, hospital=hospital).to_frame()
        rates = standardize(fit, average_doctor=average, hospital=hospital).to_frame()
        # the level is matched in each draw there, in the posterior mean here
        np.testing.assert_allclose(test["expected"], rates["expected"], rtol=2e-3, atol=1e-5)
    with pytest.raises(SpecError, match="average_doctor"):
        exact_test(fit, average_doctor="mean")


@pytest.mark.parametrize("average", ["median", "population"])
@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_for_large_data_the_means_are_taken_to_second_order(monkeypatch, family, average):
    from outcomekpi.profiling import case_means as module

    predictor = read_predictor(make_fit(family, draws=400, nested=True))
    full = case_means(predictor, average_doctor=average)
    monkeypatch.setattr(module, "AFFORDABLE", 1.0)
    quick = case_means(predictor, average_doctor=average)
    code = predictor.doctor_code
    eta = predictor.matrix @ predictor.slope + predictor.brought_by_cases(code)
    sd = (eta + predictor.brought_by_doctor(code)).std(axis=1).max()
    # left out are the fourth moment, 3 sd**4, and the third, of 400 draws: 2 SE of skewness
    fourth, third = 3 * sd**4 / 24, 2 * np.sqrt(6 / 400) * sd**3 / 6
    size = full.max() if family == "poisson" else 0.125  # largest third or fourth derivative
    np.testing.assert_allclose(quick, full, rtol=0, atol=size * (fourth + third))
    assert not np.array_equal(quick, full)


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
def test_p_values_are_uniform_when_every_doctor_is_average(family):
    rng = np.random.default_rng(3)
    code = np.repeat(np.arange(400), 30)
    size = rng.integers(1, 6, code.size) if family == "binomial" else None
    exposure = rng.gamma(4, 0.5, code.size) if family == "poisson" else None
    outcome = {
        "bernoulli": lambda: rng.random(code.size) < 0.2,
        "binomial": lambda: rng.binomial(size, 0.2),
        "poisson": lambda: rng.poisson(0.2 * exposure),
        "gaussian": lambda: rng.normal(7, 2, code.size),
    }[family]()
    intercept = {"poisson": np.log(0.2), "gaussian": 7.0}.get(family, np.log(0.25))
    fit = fit_with_draws(
        family=family,
        doctor_code=code,
        outcome=outcome,
        trials=size,
        exposure=exposure,
        effect=np.zeros((400, 4)),
        intercept=intercept,
        sd_residual=2.0 if family == "gaussian" else None,
    )
    frame = exact_test(fit).to_frame()
    # mid-p of 400 doctors: mean 1/2 with SE .0144, z with SD near 1
    assert frame["p_value"].mean() == pytest.approx(0.5, abs=0.06)
    assert frame["z"].std() == pytest.approx(1.0, abs=0.15)
    assert (frame["z"] > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_the_side_and_z_follow_the_observed_events():
    frame = exact_test(make_fit("bernoulli")).to_frame()
    high = frame["observed"] > frame["expected"] + 0.5
    assert (frame.loc[high, "side"] == "high").all()
    assert (frame.loc[high, "z"] > 0).all()
    np.testing.assert_allclose(frame["log10_p"], np.log10(frame["p_value"]), rtol=1e-9)


def test_measurements_are_compared_with_their_mean():
    # doctor 0: 4 patients, 31 observed, 28 expected, SD 2 x sqrt(4): z = .75; doctor 1: -.75
    fit = fit_with_draws(
        family="gaussian",
        doctor_code=np.repeat([0, 1], 4),
        outcome=np.r_[7.0, 8.0, 9.0, 7.0, 6.0, 6.0, 7.0, 6.0],
        effect=np.zeros((2, 4)),
        intercept=7.0,
        sd_residual=2.0,
    )
    frame = exact_test(fit).to_frame()
    np.testing.assert_allclose(frame["z"], [0.75, -0.75], atol=1e-12)
    np.testing.assert_allclose(frame["p_value"], 2 * norm.sf(0.75), rtol=1e-12)
    assert frame["side"].tolist() == ["high", "low"]


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
def test_z_is_the_normal_deviate_of_the_p_value(family):
    frame = exact_test(make_fit(family)).to_frame()
    sign = np.where(frame["side"] == "high", 1, -1)
    np.testing.assert_allclose(frame["z"], sign * norm.isf(frame["p_value"] / 2), atol=1e-9)


def test_each_family_names_its_law():
    laws = {family: exact_test(make_fit(family)).law for family in ("poisson", "gaussian")}
    assert laws == {"poisson": "Poisson", "gaussian": "normal"}
    assert exact_test(make_fit("binomial")).law == "Poisson-binomial"


def test_extreme_doctors_have_finite_tests():
    code = np.array([0] * 3000 + [1] + [2] * 3000)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=np.r_[np.zeros(3000), 1.0, np.ones(3000)],
        effect=np.zeros((3, 4)),
        intercept=0.0,
    )
    frame = exact_test(fit).to_frame()
    assert np.isfinite(frame.drop(columns="side").to_numpy(float)).all()
    assert frame["log10_p"].iloc[0] == pytest.approx(3000 * np.log10(0.5), rel=1e-9)


def test_negative_binomial_counts_are_refused():
    with pytest.raises(SpecError, match="negative binomial"):
        exact_test(make_fit("negative_binomial"))


def test_the_test_describes_itself():
    found = exact_test(make_fit("bernoulli"))
    assert "expected by chance" in repr(found)
    assert "<table" in found._repr_html_()
    assert all(column in type(found).to_frame.__doc__ for column in found.to_frame().columns)


def test_nothing_is_left_beside_certainty():
    assert count_tails._complement(0.0) == -np.inf  # and no warning of a logarithm of 0
    assert count_tails._complement(-1e-20) == pytest.approx(np.log(1e-20), rel=1e-12)


def test_pooled_rows_keep_their_trials():
    rng = np.random.default_rng(4)
    chance, trials = rng.uniform(0.1, 0.3, 30_000), rng.integers(1, 9, 30_000).astype(float)
    pooled, together = count_tails._pool(chance, trials)
    assert pooled.size == count_tails.MANY_ROWS // 4
    assert together.sum() == trials.sum()
    assert pooled @ together == pytest.approx(chance @ trials, rel=1e-12)


def test_many_doctors_side_by_side_have_the_tails_of_each_alone():
    """Two algorithms that share no step: multiplied out, and a tilted Fourier transform."""
    from outcomekpi.profiling.count_tails import many_poisson_binomial_tails

    rng = np.random.default_rng(11)
    size = np.r_[1, 2, 5, rng.integers(3, 120, 40), 350, 260]
    code = rng.permutation(np.repeat(np.arange(size.size), size))
    chance = rng.beta(2, 6, code.size)
    observed = np.array([rng.integers(0, n + 1) for n in size], dtype=float)  # far tails too
    found = many_poisson_binomial_tails(observed, chance, code)
    for doctor, tail in enumerate(found):
        own = chance[code == doctor]
        alone = poisson_binomial_tails(observed[doctor], own, np.ones(own.size))
        assert tail.two_sided == pytest.approx(alone.two_sided, rel=1e-9, abs=1e-9)
        assert tail.side == alone.side
