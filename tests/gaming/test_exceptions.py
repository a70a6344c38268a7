import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta, binom

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.gaming.exceptions import exception_jump


def world(rng, n=4000, *, jump=0.0, step=None):
    """Pressures, and exceptions whose rate is smooth but for a jump at 140 mmHg."""
    reading = rng.normal(138, 17, n)
    if step is not None:
        reading = np.round(reading / step) * step
    rate = expit(-3 + 0.03 * (reading - 140) + 0.0006 * (reading - 140) ** 2)
    return reading, rng.random(n) < rate + jump * (reading >= 140)


def test_a_smooth_exception_rate_has_no_jump():
    rng = np.random.default_rng(1)
    p = np.array([exception_jump(*world(rng), bar=140).p_value for _ in range(200)])
    # between the .1 % quantiles of Bin(200, .05)
    assert binom.ppf(0.001, 200, 0.05) <= (p < 0.05).sum() <= binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize("step", [None, 1.0])
def test_the_jump_is_estimated_with_an_error_that_covers_it(step):
    rng = np.random.default_rng(2)
    rounding = {"rounding": step} if step else {}
    found = [
        exception_jump(*world(rng, jump=0.08, step=step), bar=140, **rounding).to_frame()
        for _ in range(200)
    ]
    jumps = np.array([frame.loc["jump"].to_numpy() for frame in found])
    spread = jumps[:, 0].std() / np.sqrt(200)
    assert abs(jumps[:, 0].mean() - 0.08) < 4 * spread
    covered = ((jumps[:, 1] < 0.08) & (jumps[:, 2] > 0.08)).sum()
    assert covered >= binom.ppf(0.001, 200, 0.95)


@pytest.mark.parametrize("clustered", [False, True])
def test_estimates_and_errors_agree_with_statsmodels(clustered):
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    reading, excepted = world(rng, jump=0.1)
    doctor = rng.integers(0, 30, reading.size) if clustered else None
    found = exception_jump(reading, excepted, bar=140, doctor=doctor, bandwidth=15)
    d = (reading - 140) / 15
    use = np.abs(d) < 1
    side = (reading >= 140).astype(float)
    design = np.column_stack([np.ones(d.size), side, d, d**2, side * d, side * d**2])[use]
    model = sm.WLS(excepted[use].astype(float), design, weights=1 - np.abs(d[use]))
    if clustered:
        wanted = model.fit(cov_type="cluster", cov_kwds={"groups": doctor[use]})
    else:
        wanted = model.fit(cov_type="HC1")
    assert found.jump == pytest.approx(wanted.params[1], rel=1e-9)
    assert found.passing == pytest.approx(wanted.params[0], rel=1e-9)
    assert found.jump_se == pytest.approx(wanted.bse[1], rel=1e-9)
    at_bar = np.array([1.0, 1, 0, 0, 0, 0])
    assert found.failing_se == pytest.approx(np.sqrt(at_bar @ wanted.cov_params() @ at_bar))


def test_exceptions_of_a_few_doctors_widen_the_error():
    rng = np.random.default_rng(4)
    reading = rng.normal(138, 17, 30_000)
    doctor = rng.integers(0, 20, reading.size)
    excepting = (doctor < 4) & (reading >= 140)
    excepted = rng.random(reading.size) < np.where(excepting, 0.5, 0.03)
    alone = exception_jump(reading, excepted, bar=140)
    by_doctor = exception_jump(reading, excepted, bar=140, doctor=doctor)
    assert by_doctor.jump == pytest.approx(alone.jump)
    # jumps differ between the 20 doctors with an SD of .47 * .4 = .19: .042 more than sampling
    assert by_doctor.jump_se == pytest.approx(np.hypot(alone.jump_se, 0.042), rel=0.35)
    assert by_doctor.jump_se > 1.5 * alone.jump_se
    assert by_doctor.df == 19


def test_practices_may_come_as_counts():
    rng = np.random.default_rng(5)
    reading, excepted = world(rng, n=1500, jump=0.1, step=1.0)
    values, place = np.unique(reading, return_inverse=True)
    counts = np.bincount(place, weights=excepted)
    trials = np.bincount(place)
    single = exception_jump(reading, excepted, bar=140, bandwidth=15)
    together = exception_jump(values, counts, bar=140, eligible=trials, bandwidth=15)
    assert together.jump == pytest.approx(single.jump, abs=1e-9)
    assert together.n == single.n
    np.testing.assert_allclose(
        together.distance_frame()["eligible"], single.distance_frame()["eligible"]
    )


def test_the_bar_of_reported_values_lies_half_a_step_away():
    rng = np.random.default_rng(6)
    reading, excepted = world(rng, step=1.0)
    below = exception_jump(reading, excepted, bar=140, rounding=1)
    assert below.bar == 139.5
    loose = exception_jump(reading, excepted, bar=140, rounding=1, strict=False)
    assert loose.bar == 140.5
    exact = exception_jump(reading, excepted, bar=140, strict=False)
    assert exact.counts.loc["pass", "eligible"] == (reading <= 140).sum()


def test_a_mirrored_bar_gives_the_same_jump():
    rng = np.random.default_rng(7)
    reading, excepted = world(rng, jump=0.1)
    one = exception_jump(reading, excepted, bar=140)
    other = exception_jump(-reading, excepted, bar=-140, passes="above")
    assert other.jump == pytest.approx(one.jump)
    assert other.p_value == pytest.approx(one.p_value)


def test_completion_is_told_with_and_without_the_exceptions():
    reading = np.r_[np.linspace(120, 139, 60), np.linspace(140.5, 160, 40)]
    excepted = np.r_[np.arange(60) % 12 == 0, np.arange(40) % 2 == 0]  # 5 and 20
    frame = exception_jump(reading, excepted, bar=140, bandwidth=15).to_frame(level=0.9)
    assert frame.loc["completion", "mean"] == pytest.approx(55 / 75)
    assert frame.loc["completion_all", "mean"] == pytest.approx(60 / 100)
    np.testing.assert_allclose(
        frame.loc["completion_all", ["lower", "upper"]].to_numpy(float),
        beta(60.5, 40.5).ppf([0.05, 0.95]),
    )


def test_shares_are_listed_by_distance_to_the_bar():
    rng = np.random.default_rng(8)
    reading, excepted = world(rng, n=2000)
    frame = exception_jump(reading, excepted, bar=140, bandwidth=20).distance_frame()
    assert len(frame) == 20
    row = frame[np.isclose(frame["distance"], 1.0)].iloc[0]
    there = (reading >= 140) & (reading < 142)
    assert row["eligible"] == there.sum()
    assert row["excepted"] == excepted[there].sum()
    assert (frame["lower"] <= frame["mean"]).all()


def test_results_describe_themselves_and_widen_with_the_level():
    found = exception_jump(*world(np.random.default_rng(9)), bar=140)
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    narrow, wide = (found.to_frame(level=level) for level in (0.5, 0.99))
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"excepted": np.full(300, 2)}, CasesError, "from 0 to 1; 300 of 300"),
        ({"excepted": np.zeros(300)}, SpecError, "does not vary"),
        ({"excepted": np.zeros(200)}, CasesError, "one entry per row"),
        ({"values": np.r_[np.arange(299.0), np.nan]}, CasesError, "the first at position 299"),
        ({"eligible": np.full(300, -1)}, CasesError, "0 to the eligible"),
        ({"bandwidth": 2.0}, CasesError, "Widen bandwidth= beyond 4"),
        ({"bandwidth": -1}, SpecError, "bandwidth must be"),
        ({"bar": 500}, CasesError, "Only 0 distinct values .* No bandwidth has them"),
        ({"values": np.repeat("high", 300)}, CasesError, "must hold numbers"),
        ({"doctor": np.full(10, 1)}, CasesError, "one doctor for each"),
        ({"doctor": np.full(300, 1)}, CasesError, "found one"),
        ({"passes": "over"}, SpecError, "passes must be"),
    ],
)
def test_what_cannot_be_is_refused(change, error, says):
    given = {"values": np.arange(300.0), "excepted": np.arange(300) % 7 == 0, "bar": 150, **change}
    values, excepted = given.pop("values"), given.pop("excepted")
    with pytest.raises(error, match=says):
        exception_jump(values, excepted, **given)
