"""Programs as rules, tried in settings; and laws that hold for any numbers."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from outcomekpi import programs
from outcomekpi.awards.rules import CycleResults, apply_rule
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting

LEVELS = (0.30, 0.45, 0.60, 0.70, 0.90)
DECILES = (0.07, 0.16, 0.23, 0.36, 0.41, 0.62, 0.69, 0.79, 0.85)


def results(events, trials):
    return CycleResults(events=np.asarray(events), trials=np.asarray(trials))


def test_the_exact_mean_award_of_qof_is_its_sum_over_the_binomial():
    rule = programs.QofRule()
    setting = Setting(levels=LEVELS, caseloads=(20, 50), n_cycles=1, amount=17 * 225.49)
    found = operating_characteristics(rule, setting, method="exact").to_frame()
    for row in found.itertuples():
        counts = np.arange(row.caseload + 1)
        weight = stats.binom.pmf(counts, row.caseload, row.level)
        award = np.clip((counts / row.caseload - 0.35) / 0.40, 0, 1)
        deserved = np.clip((row.level - 0.35) / 0.40, 0, 1)
        assert row.award == pytest.approx(weight @ award, abs=1e-10)
        assert row.fires == pytest.approx(weight @ (award > 0), abs=1e-10)
        assert row.deserved == pytest.approx(deserved, abs=1e-8)
        over = 17 * 225.49 * (weight @ np.maximum(award - deserved, 0))
        assert row.overpaid == pytest.approx(over, abs=1e-4)


def test_the_exact_mean_points_of_vbp_are_their_sum_over_two_binomials():
    rule = programs.VbpRule(threshold=0.60, benchmark=0.85)
    setting = Setting(levels=(0.50, 0.60, 0.75, 0.90), caseloads=(25, 40), n_cycles=2)
    found = operating_characteristics(rule, setting, method="exact").to_frame()
    for row in found.itertuples():
        counts = np.arange(row.caseload + 1)
        weight = stats.binom.pmf(counts, row.caseload, row.level)
        rate = counts / row.caseload
        points = programs.vbp_points(rate, rate[:, None], threshold=0.60, benchmark=0.85)
        assert row.award == pytest.approx(weight @ points @ weight / 10, abs=1e-10)
        certain = programs.vbp_points(row.level, row.level, threshold=0.60, benchmark=0.85)
        assert row.deserved == pytest.approx(certain / 10)


def test_vbp_pays_for_luck_below_the_threshold_where_nothing_improved():
    setting = Setting(levels=(0.50,), caseloads=(25,), n_cycles=2)
    with_past = operating_characteristics(
        programs.VbpRule(threshold=0.60, benchmark=0.85), setting
    ).to_frame()
    alone = operating_characteristics(
        programs.VbpRule(threshold=0.60, benchmark=0.85, improvement=False), setting
    ).to_frame()
    assert with_past["deserved"].iloc[0] == alone["deserved"].iloc[0] == 0
    assert with_past["award"].iloc[0] > 1.5 * alone["award"].iloc[0] > 0


def test_the_points_that_the_methods_page_says_luck_earns_are_these():
    setting = Setting(levels=(0.55,), caseloads=(25, 200), n_cycles=2)
    awards = [
        operating_characteristics(
            programs.VbpRule(threshold=0.60, benchmark=0.85, improvement=improvement), setting
        ).to_frame()["award"]
        for improvement in (True, False)
    ]
    np.testing.assert_allclose(awards, [[0.149, 0.039], [0.093, 0.010]], atol=5e-4)


def test_every_function_names_and_explains_its_arguments_and_carries_an_example():
    functions = [getattr(programs, name) for name in programs.__all__ if name.islower()]
    assert len(functions) > 25
    for function in functions:
        text = inspect.getdoc(function)
        assert ">>>" in text, function
        for name in inspect.signature(function).parameters:
            assert re.search(rf"^{name} :", text, flags=re.M), (function, name)
        assert {"Parameters", "Returns", "References"} <= set(text.splitlines()) or (
            function is programs.star_cut_spread  # ours, no source to name
        ), function


def test_exact_and_simulated_awards_agree_within_monte_carlo_error():
    setting = Setting(levels=(0.45, 0.70), caseloads=(30,), n_cycles=2, replicates=4_000)
    for rule in (
        programs.QofRule(),
        programs.VbpRule(threshold=0.60, benchmark=0.85),
        programs.MipsRule(cuts=DECILES),
        programs.StarRule(cuts=(0.2, 0.4, 0.6, 0.8)),
        programs.SrtrRule(expected_rate=0.5),
    ):
        exact = operating_characteristics(rule, setting, method="exact").quantities_frame()
        drawn = operating_characteristics(rule, setting, method="simulated").quantities_frame()
        both = exact.merge(drawn, on=["level", "caseload", "quantity"])
        for name in ("award", "fires"):
            pair = both[both["quantity"] == name]
            assert len(pair) == 2
            error = pair["mc_error_y"]
            if name == "fires":  # all 4,000 may fire, and the error seen is then 0
                error = np.sqrt(pair["mean_x"] * (1 - pair["mean_x"]) / setting.replicates)
            # four standard errors, over 20 comparisons
            assert ((pair["mean_x"] - pair["mean_y"]).abs() <= 4 * error + 1e-12).all(), rule


def test_rules_about_doctors_give_every_doctor_what_the_functions_give():
    rng = np.random.default_rng(3)
    trials = rng.integers(10, 80, (1, 40, 2))
    seen = results(rng.binomial(trials, 0.65, (50, 40, 2)), trials)
    rates, cases = seen.rates[..., -1], seen.trials[..., -1]
    pairs = [
        (programs.MipsRule(cuts=DECILES),
         np.nan_to_num(programs.mips_points(rates, cuts=DECILES, cases=cases)) / 10),
        (programs.NcqaRule(rating=5),
         programs.ncqa_rating(rates, cuts=programs.ncqa_percentiles(rates)) >= 5),
        (programs.NcqaRule(rating=4, cuts=(0.2, 0.4, 0.6, 0.8)), np.floor(rates * 1000) >= 600),
        (programs.StarRule(cuts=(0.2, 0.4, 0.6, 0.8)), rates >= 0.6),
        (programs.SrtrRule(expected_rate=0.5),
         programs.srtr_flag(seen.events[..., -1], 0.5 * cases)),
        (programs.SrtrRule(expected_rate=0.5, cycles=2),
         programs.srtr_flag(seen.events.sum(-1), 0.5 * seen.trials.sum(-1))),
    ]  # fmt: skip
    for rule, wanted in pairs:
        found = apply_rule(rule, seen)
        assert found.shape == (50, 40)
        np.testing.assert_array_equal(found, wanted, err_msg=repr(rule))
        assert 0 < (found != 0).mean() < 1


def test_a_relative_rating_awards_a_tenth_whatever_the_level():
    rng = np.random.default_rng(4)
    share = []
    for level in (0.3, 0.8):
        seen = results(rng.binomial(200, level, (300, 50, 1)), 200)
        share.append(programs.NcqaRule(rating=5).decide(seen).mean())
    # ties at the cut are awarded too: never below a tenth, and not by much above
    assert all(0.099 <= found < 0.16 for found in share)


def test_doctors_who_reach_the_achievable_benchmark_are_a_minority_with_cases():
    rng = np.random.default_rng(4)
    seen = results(rng.binomial(60, 0.7, (200, 30, 1)), 60)
    reached = programs.AbcRule().decide(seen)
    bars = programs.abc_benchmark(seen.events[..., -1], seen.trials[..., -1])
    best = np.where(bars.members, seen.rates[..., -1], 0).max(axis=1)
    np.testing.assert_array_equal((seen.rates[..., -1] * reached).max(axis=1), best)
    assert 0.03 < reached.mean() < 0.15
    assert not programs.AbcRule(minimum_cases=61).decide(seen).any()


def test_the_topped_out_rule_asks_for_consecutive_cycles():
    events = np.full((3, 20, 2), 50)
    events[0, :, 1], events[1, :, 0] = 40, 40
    decided = programs.ToppedOutRule().decide(results(events, 50))
    assert decided.tolist() == [False, False, True]
    assert programs.ToppedOutRule(cycles=1).decide(results(events, 50)).tolist() == [
        False, True, True,
    ]  # fmt: skip


def test_units_without_cases_get_no_award_and_break_nothing():
    trials = np.zeros((1, 12, 1))
    trials[0, :11] = 40
    seen = results(np.minimum(np.full((2, 12, 1), 30), trials), trials)
    for rule in (
        programs.QofRule(),
        programs.VbpRule(threshold=0.6, benchmark=0.85, improvement=False),
        programs.MipsRule(cuts=DECILES),
        programs.NcqaRule(rating=2),
        programs.StarRule(cuts=(0.2, 0.4, 0.6, 0.8)),
        programs.AbcRule(),
    ):
        found = apply_rule(rule, seen)
        assert (found[:, 11] == 0).all(), rule
        assert (found[:, :11] > 0).all(), rule
    assert not programs.SrtrRule(expected_rate=0.9).decide(seen)[:, 11].any()


def test_a_rule_that_needs_two_cycles_says_so():
    one = results(np.full((1, 1, 1), 30), 40)
    with pytest.raises(SpecError, match="looks at 2 cycles and the results hold 1"):
        programs.VbpRule(threshold=0.6, benchmark=0.85).decide(one)
    with pytest.raises(SpecError, match="looks at 2 cycles and the results hold 1"):
        programs.SrtrRule(expected_rate=0.1, cycles=2).decide(one)
    with pytest.raises(CasesError, match="at least 20 units"):
        programs.ToppedOutRule(cycles=1).decide(one)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: programs.VbpRule(threshold=0.85, benchmark=0.6), "exchanged"),
        (lambda: programs.VbpRule(threshold=0.6, benchmark=0.85, minimum_cases=-1), "at least 0"),
        (lambda: programs.MipsRule(cuts=(0.1, 0.2)), "nine rates"),
        (lambda: programs.NcqaRule(rating=6), "from 2 to 5"),
        (lambda: programs.NcqaRule(rating=2, cuts=(0.5, 0.1)), "ascend"),
        (lambda: programs.AbcRule(share=10), "mean 0.1"),
        (lambda: programs.ToppedOutRule(kind="outcome"), "kind"),
        (lambda: programs.ToppedOutRule(cycles=0), "cycles"),
    ],
)
def test_rules_that_cannot_be_are_refused_when_they_are_made(make, words):
    with pytest.raises(SpecError, match=words):
        make()


rates = st.lists(st.integers(0, 200), min_size=12, max_size=40).map(lambda x: np.array(x) / 200)
bars = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda b: b[0] < b[1])


@given(rates, bars)
def test_points_are_bounded_and_never_fall_with_achievement(achieved, pair):
    low, high = pair[0] / 100, pair[1] / 100
    ordered = np.sort(achieved)
    cuts = np.linspace(low, high, 9)
    for points, most in (
        (programs.qof_points(ordered, lower_threshold=low, upper_threshold=high, points=7), 7),
        (programs.vbp_points(ordered, 0.37, threshold=low, benchmark=high), 10),
        (programs.mips_points(ordered, cuts=cuts), 10),
        (programs.ncqa_rating(ordered, cuts=cuts[::2]), 6),
        (programs.star_ratings(ordered, cuts=cuts[::2]), 6),
    ):
        assert (np.diff(points) >= 0).all()
        assert points.min() >= 0
        assert points.max() <= most


@given(rates, bars, st.randoms(use_true_random=False))
def test_permuting_units_permutes_their_points(achieved, pair, random):
    low, high = pair[0] / 100, pair[1] / 100
    order = list(range(len(achieved)))
    random.shuffle(order)
    past = achieved[::-1]
    slope = {"lower_threshold": low, "upper_threshold": high}
    np.testing.assert_array_equal(
        programs.qof_points(achieved[order], **slope), programs.qof_points(achieved, **slope)[order]
    )
    pair = {"threshold": low, "benchmark": high}
    np.testing.assert_array_equal(
        programs.vbp_points(achieved[order], past[order], **pair),
        programs.vbp_points(achieved, past, **pair)[order],
    )
    own = programs.ncqa_rating(achieved, cuts=programs.ncqa_percentiles(achieved))
    moved = achieved[order]
    np.testing.assert_array_equal(
        programs.ncqa_rating(moved, cuts=programs.ncqa_percentiles(moved)), own[order]
    )
    cases = np.arange(1, len(achieved) + 1) * 200
    found = programs.abc_benchmark(achieved * cases, cases)
    shuffled = programs.abc_benchmark(moved * cases[order], cases[order])
    assert shuffled.benchmark == pytest.approx(float(found.benchmark), rel=1e-12)
    np.testing.assert_array_equal(shuffled.members, found.members[order])
    bars_of = programs.vbp_thresholds(achieved), programs.vbp_thresholds(moved)
    assert bars_of[0].threshold == bars_of[1].threshold
    assert bars_of[0].benchmark == pytest.approx(float(bars_of[1].benchmark), rel=1e-12)


@given(rates, bars, st.integers(1, 1000), st.integers(-500, 500))
def test_vbp_points_do_not_depend_on_unit_or_origin(achieved, pair, factor, shift):
    plain = {"threshold": pair[0] / 100, "benchmark": pair[1] / 100}
    moved = {name: factor * bar + shift for name, bar in plain.items()}
    np.testing.assert_array_equal(
        programs.vbp_points(
            factor * achieved + shift, factor * 0.37 + shift, **moved, scale="free"
        ),
        programs.vbp_points(achieved, 0.37, **plain),
    )


@given(rates, bars)
def test_higher_bars_never_give_more_points(achieved, pair):
    low, high = pair[0] / 100, pair[1] / 100
    for name in ("threshold", "benchmark"):
        bars_now = {"threshold": low, "benchmark": high}
        raised = bars_now | {name: (bars_now[name] + (high if name == "threshold" else 1)) / 2}
        before = programs.vbp_points(achieved, achieved[::-1], **bars_now)
        assert (programs.vbp_points(achieved, achieved[::-1], **raised) <= before).all()


@given(st.integers(0, 80), st.floats(0, 50), st.floats(0.05, 5))
def test_more_events_make_a_flag_likelier_and_more_expected_ones_less(observed, expected, beyond):
    chance = programs.srtr_probability([observed, observed + 1], expected, beyond=beyond)
    assert 0 <= chance[0] <= chance[1] <= 1
    more = programs.srtr_probability(observed, expected + 1, beyond=beyond)
    assert more <= chance[0]
    assert programs.srtr_flag(observed, expected + 1) <= programs.srtr_flag(observed, expected)


@pytest.mark.slow
@given(st.lists(st.floats(0.2, 3), min_size=12, max_size=12), st.floats(0.01, 100))
def test_hrrp_factors_do_not_depend_on_the_currency_or_the_order(ratio, money):
    ratio = np.array(ratio)[:, None]
    asked = {
        "discharges": np.full((12, 1), 30),
        "payments": np.arange(1.0, 13.0)[:, None],
        "total_payments": np.arange(10.0, 130.0, 10.0),
        "dual_share": np.arange(12) / 20,
    }
    one = programs.hrrp_adjustment(ratio, **asked)["factor"].to_numpy()
    euros = asked | {name: money * asked[name] for name in ("payments", "total_payments")}
    np.testing.assert_allclose(programs.hrrp_adjustment(ratio, **euros)["factor"], one)
    back = {name: value[::-1] for name, value in asked.items()}
    np.testing.assert_allclose(programs.hrrp_adjustment(ratio[::-1], **back)["factor"], one[::-1])
    assert ((one >= 0.97) & (one <= 1)).all()


@given(st.lists(st.integers(5_000, 200_000), min_size=2, max_size=30))
def test_larger_organizations_need_smaller_savings(sizes):
    bars_of = programs.minimum_savings_rate(sorted(sizes))
    assert (np.diff(bars_of) <= 0).all()
    assert ((bars_of >= 0.02) & (bars_of <= 0.039)).all()
