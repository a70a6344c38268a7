import re
from dataclasses import replace

import numpy as np
import pytest
from made_rules import BestShare, EachAboveBar, NinetySixty, PaidInProportion
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import betaincc, betaln

from outcomekpi.declare.errors import SpecError
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.operating.simulated_operation import draw_true_rates
from outcomekpi.review.rule import ReviewRule

LEVELS = (0.55, 0.6, 0.65, 0.75, 0.85, 0.88, 0.9, 0.92, 0.95)
CASELOADS = (10, 20, 50, 100)
# a standardized difference beyond this happens once in 15,000: the seeds are fixed
FOUR = 4.0


def standardized_differences(rule, setting, quantities):
    """(Simulated - exact) / Monte Carlo error, where at least 30 replicates are on each side."""
    exact, drawn = (
        operating_characteristics(rule, setting, method=method)
        .quantities_frame()
        .set_index(["level", "caseload", "quantity"])
        for method in ("exact", "simulated")
    )
    exact, drawn = exact.loc[:, :, quantities], drawn.loc[:, :, quantities]
    rare = np.minimum(exact["mean"], 1 - exact["mean"]) * setting.replicates < 30
    z = (drawn["mean"] - exact["mean"]) / drawn["mc_error"]
    return z[~rare & exact["mean"].notna()].to_numpy()


def assert_standard_normal(z):
    """Sum of squares and largest value as those of independent standard normals (p > .001)."""
    low, high = stats.chi2.ppf([0.0005, 0.9995], z.size)
    assert low < (z**2).sum() < high
    assert np.abs(z).max() < stats.norm.isf(0.0005 / z.size)
    assert stats.kstest(z, "norm").pvalue > 0.001


@pytest.mark.parametrize(
    ("icc", "persistence"), [(0.0, 1.0), (0.02, 1.0), (0.02, 0.0), (0.2, 1.0), (0.2, 0.0)]
)
def test_exact_and_simulated_firing_agree_within_monte_carlo_error(icc, persistence):
    setting = Setting(levels=LEVELS, caseloads=CASELOADS, icc=icc, persistence=persistence)
    z = standardized_differences(NinetySixty(), setting, ["fires"])
    assert z.size >= 25
    assert_standard_normal(z)


@pytest.mark.parametrize("quantity", ["sensitivity", "ppv", "npv", "specificity", "misallocated"])
def test_exact_and_simulated_judgments_of_doctors_agree_within_monte_carlo_error(quantity):
    setting = Setting(levels=LEVELS, caseloads=CASELOADS, icc=0.1, n_cycles=2)
    z = standardized_differences(EachAboveBar(bar=0.72, cycles=2), setting, [quantity])
    assert z.size >= 25
    assert_standard_normal(z)


@pytest.mark.slow
@pytest.mark.parametrize(("icc", "persistence"), [(0.0, 1.0), (0.1, 1.0), (0.1, 0.0)])
def test_exact_and_simulated_times_to_fire_agree_within_monte_carlo_error(icc, persistence):
    setting = Setting(
        levels=LEVELS, caseloads=(20, 50), icc=icc, persistence=persistence, horizon=8
    )
    z = standardized_differences(NinetySixty(), setting, ["fires_within"])
    assert_standard_normal(z)
    exact, drawn = (
        operating_characteristics(NinetySixty(), setting, method=method)
        for method in ("exact", "simulated")
    )
    p = exact.first_fires.to_numpy()
    often = p * setting.replicates > 30
    error = np.sqrt(p * (1 - p) / setting.replicates)
    z = ((drawn.first_fires.to_numpy() - p) / np.where(often, error, 1))[often]
    # the cycles of one row are a little dependent: only the largest is judged
    assert np.abs(z).max() < stats.norm.isf(0.0005 / z.size)


def chance_to_fire_twice(setting, level, caseload, bar):
    """P(both of two cycles above a bar) when rates drift, summed over the latent count s.

    Given s of m, the counts of the two cycles are independent: x1, s and x2, s are each
    beta-binomial pairs from one rate.
    """
    a, b = setting.beta_shapes(level)
    exact = setting.persistence * (a + b) / (1 - setting.persistence)
    low = int(np.floor(exact))
    of = lambda m: m / (m + a + b)  # noqa: E731
    share = (setting.persistence - of(low)) / (of(low + 1) - of(low))
    x = np.arange(caseload + 1)[:, None]
    total = 0.0
    for m, weight in ((low, 1 - share), (low + 1, share)):
        s = np.arange(m + 1)
        prior = stats.betabinom.pmf(s, m, a, b)
        ways = -betaln(x + 1, caseload - x + 1) - np.log(caseload + 1)
        after = betaln(a + s + x, b + m - s + caseload - x) - betaln(a + s, b + m - s)
        above = np.exp(ways + after)[(x[:, 0] / caseload) > bar].sum(axis=0)
        total += weight * (prior * above**2).sum()
    return total


@pytest.mark.parametrize("icc", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("persistence", [0.15, 0.5, 0.9])
def test_rates_that_drift_fire_as_often_as_the_sum_over_latent_counts_says(icc, persistence):
    setting = Setting(
        levels=(0.85, 0.9, 0.95), caseloads=(20, 50), icc=icc, persistence=persistence
    )
    found = operating_characteristics(NinetySixty(), setting).to_frame()
    assert set(found["level"]) == set(setting.levels)
    for row in found.itertuples():
        expected = chance_to_fire_twice(setting, row.level, row.caseload, 0.9)
        assert abs(row.fires_up - expected) < FOUR * np.sqrt(expected * (1 - expected) / 10_000)


@pytest.mark.parametrize("icc", [0.02, 0.6, 1 - 1e-9])
@pytest.mark.parametrize("persistence", [0.0, 0.3, 0.75, 1.0])
def test_true_rates_keep_their_distribution_and_correlate_as_asked(icc, persistence):
    setting = Setting(
        levels=(0.7,), caseloads=(9,), icc=icc, persistence=persistence, n_units=20, n_cycles=3
    )
    rng = np.random.default_rng(3)
    rates = draw_true_rates(rng, setting, 0.7, 5_000, 3)
    rates = np.broadcast_to(rates, (5_000, 20, 3)).reshape(-1, 3)
    a, b = setting.beta_shapes(0.7)
    for cycle in range(3 if icc < 0.9 else 0):  # beyond, all rates round to 0 or 1
        assert stats.kstest(rates[:, cycle], stats.beta(a, b).cdf).pvalue > 0.001
    centered = (rates - 0.7) / np.sqrt(icc * 0.7 * 0.3)
    for lag in (1, 2):
        products = centered[:, lag] * centered[:, 0]
        error = products.std() / np.sqrt(products.size)
        assert abs(products.mean() - persistence**lag) < FOUR * error


@pytest.mark.slow
def test_errors_are_those_between_replicates_where_units_share_a_bar():
    """Decisions about 20 units that compete are not 20 independent ones."""
    setting = Setting(
        levels=(0.7,), caseloads=(30,), n_units=20, n_cycles=1, icc=0.05, replicates=60
    )
    runs = [
        operating_characteristics(BestShare(share=0.3), replace(setting, seed=seed))
        .quantities_frame()
        .set_index("quantity")[["mean", "mc_error"]]
        for seed in range(150)
    ]
    for name in ("ppv", "sensitivity", "misclassified", "misallocated", "npv"):
        means = np.array([run.loc[name, "mean"] for run in runs])
        claimed = np.sqrt(np.mean([run.loc[name, "mc_error"] ** 2 for run in runs]))
        # variance of 150 runs: chi-square limits at p = .001 two-sided
        low, high = np.sqrt(stats.chi2.ppf([0.0005, 0.9995], 149) / 149)
        assert low < means.std(ddof=1) / claimed < high, name
    # exactly six of twenty are chosen in every replicate
    fires = [run.loc["fires", "mc_error"] for run in runs]
    assert_allclose(fires, 0, atol=1e-12)


def test_an_interval_does_not_vanish_where_nothing_fired():
    setting = Setting(levels=(0.75,), caseloads=(500,), replicates=400)
    row = operating_characteristics(NinetySixty(), setting, method="simulated").to_frame().iloc[0]
    z = stats.norm.ppf(0.975)
    assert (row["fires"], row["mc_error"], row["lower"]) == (0, 0, 0)
    assert row["upper"] == pytest.approx(z**2 / (400 + z**2))


def test_wilson_intervals_of_the_table_are_those_of_a_proportion():
    from statsmodels.stats.proportion import proportion_confint

    setting = Setting(levels=(0.9,), caseloads=(50,), replicates=3000)
    found = operating_characteristics(NinetySixty(), setting, method="simulated")
    row = found.to_frame(level=0.9).iloc[0]
    fired = round(row["fires"] * 3000)
    low, high = proportion_confint(fired, 3000, alpha=0.1, method="wilson")
    # the standard error divides by n - 1
    assert_allclose([row["lower"], row["upper"]], [low, high], rtol=1e-3)


def test_wider_levels_give_wider_intervals():
    setting = Setting(levels=LEVELS, caseloads=(20,), replicates=500, n_units=3, icc=0.1)
    found = operating_characteristics(EachAboveBar(), replace(setting, n_cycles=1))
    narrow, wide = (found.quantities_frame(level=level) for level in (0.5, 0.99))
    known = narrow["mean"].notna()
    assert (wide["lower"] <= narrow["lower"])[known].all()
    assert (wide["upper"] >= narrow["upper"])[known].all()
    assert ((narrow["lower"] <= narrow["mean"] + 1e-12) & known == known).all()


def test_a_cell_does_not_depend_on_what_else_is_in_the_setting():
    many = Setting(levels=LEVELS, caseloads=CASELOADS, icc=0.1, persistence=0.5, replicates=300)
    turned = replace(many, levels=LEVELS[::-1], caseloads=CASELOADS[::-1])
    few = replace(many, levels=(0.9,), caseloads=(50,))
    frames = [
        operating_characteristics(NinetySixty(), s).to_frame().set_index(["level", "caseload"])
        for s in (many, turned, few)
    ]
    assert frames[0].sort_index().equals(frames[1].sort_index())
    assert frames[0].loc[[(0.9, 50)]].equals(frames[2])


def test_the_seed_decides_and_nothing_else():
    setting = Setting(levels=(0.9,), caseloads=(50,), icc=0.1, persistence=0.5, replicates=300)
    frames = [
        operating_characteristics(NinetySixty(), replace(setting, seed=seed)).to_frame()
        for seed in (1, 1, 2)
    ]
    assert frames[0].equals(frames[1])
    assert frames[0].loc[0, "fires"] != frames[2].loc[0, "fires"]


def test_replicates_are_drawn_in_blocks_and_none_is_lost(monkeypatch):
    setting = Setting(levels=(0.9,), caseloads=(50,), n_units=3, icc=0.1, replicates=1000)
    monkeypatch.setattr("outcomekpi.operating.simulated_operation.BLOCK", 1700)
    found = operating_characteristics(ReviewRule(reading="raw_rate"), setting)
    assert found.moments.xs("fires", level="quantity")["base"].tolist() == [1000]


def test_a_rule_without_cycles_sees_the_history_grow():
    seen = []

    class Watches:
        def decide(self, results):
            seen.append(results.events.shape[2])
            return np.zeros(results.events.shape[0])

    setting = Setting(levels=(0.9,), caseloads=(5,), n_cycles=3, horizon=6, replicates=10)
    operating_characteristics(Watches(), setting, method="simulated")
    # the first call tries the rule, the last says what is deserved
    assert [n for n in seen if n > 3] == [4, 5, 6]


def test_what_doctors_deserve_is_their_mean_rate_in_the_cycles_looked_at():
    setting = Setting(
        levels=(0.7,), caseloads=(100_000,), n_units=5, n_cycles=3, icc=0.2, persistence=0.3,
        replicates=400,
    )  # fmt: skip
    found = operating_characteristics(EachAboveBar(bar=0.7, cycles=2), setting).to_frame().iloc[0]
    # 200,000 cases leave hardly anybody on the wrong side: SD .001, against .13 between units
    assert found["misclassified"] < 0.01
    stale = operating_characteristics(EachAboveBar(bar=0.7, cycles=1), setting).to_frame().iloc[0]
    assert stale["misclassified"] < 0.01


def test_graded_pay_of_many_doctors_adds_up():
    setting = Setting(
        levels=(0.7,), caseloads=(40,), n_units=10, n_cycles=1, icc=0.05, amount=100, replicates=500
    )
    row = operating_characteristics(PaidInProportion(), setting).to_frame().iloc[0]
    paid, due = 100 * 10 * row["award"], 100 * 10 * row["deserved"]
    assert row["overpaid"] - row["withheld"] == pytest.approx(paid - due)
    assert row["misallocated"] == pytest.approx(row["overpaid"] + row["withheld"])


def test_a_share_of_doctors_is_right_where_that_share_of_true_rates_reaches_the_target():
    rule = ReviewRule(reading="share_of_doctors", target=0.7)
    levels = (0.71, 0.75, 0.85, 0.9)
    setting = Setting(levels=levels, caseloads=(50,), n_units=20, icc=0.05, replicates=50)
    found = operating_characteristics(rule, setting).to_frame()
    reached = [betaincc(*setting.beta_shapes(level), 0.7) for level in levels]
    assert found["deserved"].tolist() == [
        int(share > rule.upper) - int(share < rule.lower) for share in reached
    ]
    assert set(found["deserved"]) == {-1, 0, 1}


def test_a_level_at_the_bar_deserves_nothing_whatever_the_rounding_of_means():
    setting = Setting(levels=(0.6, 0.9), caseloads=(50,), n_units=7, icc=0.05, replicates=50)
    found = operating_characteristics(NinetySixty(), setting).to_frame()
    assert found["deserved"].tolist() == [0, 0]


def test_a_rule_that_knows_its_units_by_number_needs_bars_in_the_setting():
    class Weighted:
        weights = np.array([0.5, 0.3, 0.2])

        def decide(self, results):
            return (results.rates[..., -1] * self.weights).sum(axis=1) > 0.7

    setting = Setting(levels=(0.6, 0.8), caseloads=(9,), n_units=3, icc=0.1, replicates=50)
    with pytest.raises(SpecError, match=r"shown 1000 units .* Setting\(upper=..., lower=...\)"):
        operating_characteristics(Weighted(), setting)
    found = operating_characteristics(Weighted(), replace(setting, upper=0.7)).to_frame()
    assert found["deserved"].tolist() == [0, 1]


def test_the_time_table_needs_a_horizon():
    found = operating_characteristics(NinetySixty(), Setting(levels=(0.9,), caseloads=(20,)))
    assert found.to_frame()["time_to_fire"].isna().all()
    with pytest.raises(SpecError, match="horizon"):
        found.time_frame()


def test_a_caseload_pools_all_levels_with_the_same_weight():
    setting = Setting(levels=LEVELS, caseloads=CASELOADS)
    found = operating_characteristics(NinetySixty(), setting)
    frame, pooled = found.to_frame(), found.caseload_frame()
    assert list(pooled.index) == list(CASELOADS)
    by_caseload = frame.groupby("caseload")[["false_fires", "missed", "fires"]].mean()
    for name in by_caseload:
        assert_allclose(pooled[name], by_caseload[name])
    # fewer of both with more cases: .9 and .6 are bars, where it is the other way round
    assert pooled["missed"].is_monotonic_decreasing


def test_errors_of_a_caseload_are_honest_too():
    setting = Setting(
        levels=(0.6, 0.75), caseloads=(30,), n_units=5, n_cycles=1, icc=0.1, replicates=80
    )
    runs = [
        operating_characteristics(EachAboveBar(), replace(setting, seed=seed)).caseload_frame()
        for seed in range(80)
    ]
    low, high = np.sqrt(stats.chi2.ppf([0.0005, 0.9995], 79) / 79)
    for name in ("false_fires", "ppv", "missed"):
        means = np.array([run[name].iloc[0] for run in runs])
        claimed = np.sqrt(np.mean([run[f"{name}_mc_error"].iloc[0] ** 2 for run in runs]))
        assert low < means.std(ddof=1) / claimed < high, name


def test_results_describe_themselves():
    setting = Setting(levels=(0.85, 0.95), caseloads=(20, 100), replicates=200)
    for method in ("exact", "simulated"):
        found = operating_characteristics(NinetySixty(), setting, method=method)
        assert "\n" not in repr(found)
        assert len(repr(found)) < 300
        assert "NinetySixty" in repr(found)
        assert "<table" in found._repr_html_()
    assert "200 replicates" in repr(found)


@pytest.mark.parametrize("rule", [NinetySixty(), EachAboveBar()], ids=repr)
def test_the_columns_of_the_tables_are_the_ones_that_their_docstrings_name(rule):
    setting = Setting(levels=(0.85, 0.95), caseloads=(20,), horizon=3)
    found = operating_characteristics(rule, setting)
    for method in ("to_frame", "quantities_frame", "caseload_frame", "time_frame"):
        named = re.findall(r"``([^`]+)``", getattr(type(found), method).__doc__)
        documented = {name.strip() for names in named for name in names.split(",")}
        ends = tuple(name for name in documented if name.startswith("_"))
        for column in getattr(found, method)().columns:
            stem = column.removesuffix(next((e for e in ends if column.endswith(e)), ""))
            assert stem in documented, (method, column)


def test_a_wrong_method_is_named():
    setting = Setting(levels=(0.9,), caseloads=(20,))
    with pytest.raises(SpecError, match="Did you mean 'simulated'"):
        operating_characteristics(NinetySixty(), setting, method="simulate")
    with pytest.raises(SpecError, match="setting must be Setting"):
        operating_characteristics(NinetySixty(), {"levels": (0.9,)})
