"""Half-widths of intervals by Student's t, in standard errors."""

import numpy as np
import pytest
from scipy import integrate, stats

from outcomekpi.draws.intervals import t_reach


@pytest.mark.parametrize(("degrees", "wanted"), [(1, 12.7062047362), (10, 2.2281388520)])
def test_the_reach_is_the_tabulated_quantile(degrees, wanted):
    assert t_reach(degrees, level=0.95) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_as_much_lies_inside_as_was_asked_for(level):
    degrees = np.array([2.5, 7.0, 300.0])
    for df, reach in zip(degrees, t_reach(degrees, level=level), strict=True):
        inside = integrate.quad(lambda x: stats.t.pdf(x, df), -reach, reach)[0]  # noqa: B023
        assert inside == pytest.approx(level, rel=1e-8)


def test_infinitely_many_degrees_are_the_normal_and_none_known_stay_unknown():
    found = t_reach(np.array([np.inf, 1e12, np.nan]), level=0.95)
    # t at n degrees is z (1 + (z² + 1) / 4 n): 1.2e-9 above it at a billion
    np.testing.assert_allclose(found[:2], stats.norm.ppf(0.975), rtol=1.3e-9)
    assert np.isnan(found[2])
