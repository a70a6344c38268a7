import numpy as np
import pytest
from handmade import make_fit

from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.linear_predictor import posterior_of
from outcomekpi.profiling.variation import describe_variation, median_odds_ratio


def test_the_median_odds_ratio_is_the_median_over_pairs_of_doctors():
    rng = np.random.default_rng(1)
    pairs = rng.normal(0, 0.6, (400_000, 2))
    simulated = np.median(np.exp(np.abs(pairs[:, 0] - pairs[:, 1])))
    # SE of a simulated median of 4e5: about .002
    assert float(median_odds_ratio(np.array(0.6))) == pytest.approx(simulated, abs=0.008)
    assert float(median_odds_ratio(np.array(1.0))) == pytest.approx(2.5957, abs=5e-4)
    assert float(median_odds_ratio(np.array(0.0))) == 1.0


def test_shares_of_variance_come_from_the_draws():
    fit = make_fit("bernoulli", nested=True)
    found = describe_variation(fit).draws
    doctor = flatten_draws(posterior_of(fit)["sd_doctor"])[0] ** 2
    hospital = flatten_draws(posterior_of(fit)["sd_hospital"])[0] ** 2
    total = doctor + hospital + np.pi**2 / 3
    np.testing.assert_allclose(found["icc_doctor"], doctor / total)
    np.testing.assert_allclose(found["icc_hospital"], hospital / total)
    np.testing.assert_allclose(found["hospital_share"], hospital / (hospital + doctor))


def test_a_gaussian_icc_is_the_textbook_one():
    fit = make_fit("gaussian")
    doctor = flatten_draws(posterior_of(fit)["sd_doctor"])[0] ** 2
    residual = flatten_draws(posterior_of(fit)["sd_residual"])[0] ** 2
    found = describe_variation(fit).draws
    np.testing.assert_allclose(found["icc_doctor"], doctor / (doctor + residual))
    assert "median_difference_doctor" in found


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_counts_have_a_median_rate_ratio(family):
    found = describe_variation(make_fit(family)).draws
    assert (found["median_rate_ratio_doctor"] > 1).all()
    assert ((found["icc_doctor"] > 0) & (found["icc_doctor"] < 1)).all()


def test_variation_describes_itself():
    found = describe_variation(make_fit("bernoulli", nested=True))
    frame = found.to_frame(level=0.9)
    assert list(frame.columns) == ["mean", "median", "lower", "upper", "meaning"]
    assert (frame["lower"] <= frame["upper"]).all()
    assert "two random hospitals" in frame.loc["median_odds_ratio_hospital", "meaning"]
    assert "icc_doctor" in repr(found)
    assert "<table" in found._repr_html_()
