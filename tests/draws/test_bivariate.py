"""The bivariate normal against a numerical integral, and where it is known in closed form."""

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import multivariate_normal, norm

from outcomekpi.draws.bivariate import normal_quadrant

BARS = [-3.0, -1.5, -1e-9, 0.0, -0.0, 1e-9, 0.3, 2.5]


def integrated(h, k, r):
    """P(X < h, Y < k) by conditioning on X."""
    rest = np.sqrt(1 - r**2)
    ends = (-12.0, h)
    inside = [k / r] if r and -12 < k / r < h else None
    return integrate.quad(
        lambda x: norm.pdf(x) * norm.cdf((k - r * x) / rest), *ends, points=inside, epsabs=1e-13
    )[0]


@pytest.mark.parametrize("r", [-0.99, -0.9, -0.2, 0.0, 0.6, 0.95])
def test_the_bivariate_normal_agrees_with_a_numerical_integral(r):
    h, k = (x.ravel() for x in np.meshgrid(BARS, BARS))
    wanted = [integrated(a, b, r) for a, b in zip(h, k, strict=True)]
    np.testing.assert_allclose(normal_quadrant(h, k, r), wanted, atol=1e-11)


def test_it_agrees_with_the_numerical_one_of_scipy():
    rng = np.random.default_rng(7)
    corners = rng.normal(size=(20, 2))
    for r in (-0.9, -0.2, 0.0, 0.6, 0.95):
        joint = multivariate_normal(cov=[[1, r], [r, 1]])
        found = normal_quadrant(corners[:, 0], corners[:, 1], r)
        np.testing.assert_allclose(found, joint.cdf(corners), atol=1e-10)


def test_perfect_correlations_and_infinite_bars_have_closed_forms():
    h, k = (x.ravel() for x in np.meshgrid(BARS, BARS))
    same = normal_quadrant(h, k, 1.0)
    np.testing.assert_allclose(same, norm.cdf(np.minimum(h, k)), rtol=1e-14)
    opposite = normal_quadrant(h, k, -1.0)
    np.testing.assert_allclose(opposite, np.maximum(norm.cdf(h) - norm.cdf(-k), 0), atol=1e-16)
    for r in (-1.0, -0.4, 0.0, 0.7, 1.0):
        assert normal_quadrant(np.inf, 0.3, r) == pytest.approx(norm.cdf(0.3))
        assert normal_quadrant(0.0, np.inf, r) == 0.5
        assert normal_quadrant(0.0, -np.inf, r) == 0.0
        assert normal_quadrant(np.inf, np.inf, r) == 1.0


def test_correlations_broadcast_with_the_bars():
    r = np.array([-0.5, 0.0, 0.5])
    found = normal_quadrant(np.zeros(3), np.zeros(3), r)
    np.testing.assert_allclose(found, 0.25 + np.arcsin(r) / (2 * np.pi), rtol=1e-14)
    assert normal_quadrant(np.zeros((2, 1)), np.zeros(3), r).shape == (2, 3)
