"""QOF, hospital VBP, HRRP and shared savings: check values, exact arithmetic, refusals."""

from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest

from outcomekpi import programs
from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.errors import CasesError, SpecError

HOSPITAL = {"threshold": 0.60, "benchmark": 0.85}


@pytest.mark.parametrize(
    ("achievement", "points"), [(0.20, 0), (0.35, 0), (0.55, 5), (0.60, 6.25), (0.75, 10), (1, 10)]
)
def test_qof_points_lie_on_a_slope_between_the_thresholds(achievement, points):
    found = programs.qof_points(achievement, lower_threshold=0.35, upper_threshold=0.75, points=10)
    assert found == pytest.approx(points, abs=1e-12)


def test_qof_exceptions_leave_the_denominator_and_raise_the_points():
    before = programs.qof_achievement(57, 100)
    after = programs.qof_achievement(57, 100, adjusted=[0, 5, 24])
    np.testing.assert_allclose(after, [before, 57 / 95, 57 / 76])
    bp = {"lower_threshold": 0.38, "upper_threshold": 0.78, "points": 1.0}
    np.testing.assert_allclose(programs.qof_points(after, **bp), [0.475, 0.55, 0.925])


def test_a_practice_whose_patients_all_left_the_denominator_has_no_achievement():
    share = programs.qof_achievement([0, 5], [10, 10], adjusted=[10, 0])
    assert np.isnan(share[0])
    assert np.isnan(programs.qof_points(share)[0])
    assert np.isnan(programs.qof_pounds(programs.qof_points(share))[0])


def test_qof_pounds_scale_with_list_size_and_prevalence():
    assert programs.qof_pounds(1) == pytest.approx(225.49)
    pounds = programs.qof_pounds([10, 10], list_size_ratio=[1, 0.5], prevalence_ratio=[1.2, 1])
    np.testing.assert_allclose(pounds, [2705.88, 1127.45])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.qof_points(68), CasesError, "divide by 100 .0.68"),
        (lambda: programs.qof_points(0.5, lower_threshold=0.8), SpecError, "below upper_thresh"),
        (
            lambda: programs.qof_points(0.5, lower_threshold=35, upper_threshold=75),
            CasesError,
            "percent",
        ),
        (lambda: programs.qof_achievement(90, 100, adjusted=20), CasesError, "90 of 80"),
        (lambda: programs.qof_achievement(-1, 100), CasesError, "not negative"),
        (lambda: programs.qof_pounds(-1), CasesError, "not negative"),
        (lambda: programs.QofRule(lower_threshold=0.9), SpecError, "exchanged"),
    ],
)
def test_qof_refuses_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("rate", "achievement", "improvement", "points"),
    [(0.68, 3, 5, 5), (0.60, 1, 4, 4), (0.55, 0, 2, 2), (0.86, 10, 9, 10)],
)
def test_vbp_gives_the_points_of_the_check_values(rate, achievement, improvement, points):
    assert programs.vbp_achievement_points(rate, **HOSPITAL) == achievement
    assert programs.vbp_improvement_points(rate, 0.43, benchmark=0.85) == improvement
    assert programs.vbp_points(rate, 0.43, **HOSPITAL) == points


def half_up(value):
    """Round a fraction to a whole number, halves up, without binary numbers."""
    return (2 * value + 1) // 2


def exact_achievement(x, t, b):
    if x < t:
        return 0
    return 10 if x >= b else min(max(half_up(9 * (x - t) / (b - t) + Fraction(1, 2)), 1), 9)


def exact_improvement(x, base, b):
    if base >= b:
        return 0
    return min(max(half_up(10 * (x - base) / (b - base) - Fraction(1, 2)), 0), 9)


def test_vbp_points_agree_with_exact_fractions_at_every_half():
    hundredths = np.arange(101)
    ties = 0
    for t, b in product(range(5, 60, 7), range(61, 100, 3)):
        found = programs.vbp_achievement_points(
            hundredths / 100, threshold=t / 100, benchmark=b / 100
        )
        wanted = [exact_achievement(*(Fraction(n, 100) for n in (x, t, b))) for x in range(101)]
        np.testing.assert_array_equal(found, wanted)
        ties += sum((9 * (x - t)) % (b - t) == 0 for x in range(t, b))
    assert ties > 200  # the cases that a half decides were met, and often


def test_vbp_improvement_agrees_with_exact_fractions_at_every_half():
    x, base = (grid.ravel() for grid in np.meshgrid(np.arange(101), np.arange(101)))
    for b in (40, 73, 85, 100):
        found = programs.vbp_improvement_points(x / 100, base / 100, benchmark=b / 100)
        wanted = [
            exact_improvement(Fraction(int(i), 100), Fraction(int(j), 100), Fraction(b, 100))
            for i, j in zip(x, base, strict=True)
        ]
        np.testing.assert_array_equal(found, wanted)


def test_plain_binary_arithmetic_would_miss_halves_that_count():
    x, t, b = 0.80, 0.35, 0.80 + 0.05  # nine tenths of the way: 8.1 steps; and a true half below
    assert programs.vbp_achievement_points(x, threshold=t, benchmark=b) == 9
    grid = np.arange(101) / 100
    naive = np.floor(10 * (grid - 0.43) / (0.73 - 0.43) - 0.5 + 0.5).clip(0, 9)
    found = programs.vbp_improvement_points(grid, 0.43, benchmark=0.73)
    assert (naive != found).any()


def test_vbp_lower_is_better_mirrors_higher_is_better():
    rate, base = np.linspace(0, 1, 41), 0.57
    mirrored = programs.vbp_points(
        1 - rate, 1 - base, threshold=0.40, benchmark=0.15, direction="lower"
    )
    np.testing.assert_array_equal(mirrored, programs.vbp_points(rate, base, **HOSPITAL))


def test_vbp_does_not_score_hospitals_below_the_minimum_of_cases():
    points = programs.vbp_points([0.7, 0.7], **HOSPITAL, cases=[24, 25])
    assert np.isnan(points[0])
    assert points[1] == 4
    few = programs.vbp_points(0.7, 0.2, **HOSPITAL, cases=100, baseline_cases=24)
    assert few == 4  # no baseline to improve from: achievement alone
    assert programs.vbp_points(0.7, 0.2, **HOSPITAL, cases=100, baseline_cases=25) == 7


def test_vbp_a_hospital_that_was_at_the_benchmark_has_nothing_to_improve():
    assert programs.vbp_improvement_points(0.95, 0.90, benchmark=0.85) == 0
    assert programs.vbp_improvement_points(0.80, 0.85, benchmark=0.85) == 0


def test_vbp_thresholds_are_the_median_and_the_mean_of_the_top_decile(rng):
    rates = rng.uniform(0.3, 0.95, (4, 57))
    bars = programs.vbp_thresholds(rates)
    for row, threshold, benchmark in zip(rates, bars.threshold, bars.benchmark, strict=True):
        best = sorted(row, reverse=True)[:6]  # 5.7 hospitals, rounded up
        assert threshold == pytest.approx(sorted(row)[28])
        assert benchmark == pytest.approx(sum(best) / 6)
    lower = programs.vbp_thresholds(1 - rates, direction="lower")
    np.testing.assert_allclose(lower.benchmark, 1 - bars.benchmark)


def test_vbp_thresholds_leave_out_hospitals_with_few_cases(rng):
    rates, cases = rng.uniform(0, 1, 30), np.full(30, 40)
    cases[:10] = 24
    bars = programs.vbp_thresholds(rates, cases=cases)
    assert bars.threshold == np.median(rates[10:])
    assert bars.benchmark == pytest.approx(np.sort(rates[10:])[-2:].mean())
    assert bars.hospitals == 20
    assert "20 hospitals" in repr(bars)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.vbp_points(0.7, threshold=0.8, benchmark=0.6), SpecError, "exchanged"),
        (
            lambda: programs.vbp_points(0.7, threshold=0.6, benchmark=0.8, direction="lower"),
            SpecError,
            "benchmark must lie below threshold",
        ),
        (lambda: programs.vbp_points(70, **HOSPITAL), CasesError, "percent"),
        (lambda: programs.vbp_points(0.7, threshold=60, benchmark=85), CasesError, "percent"),
        (lambda: programs.vbp_thresholds([0.5] * 9), CasesError, "at least 10 units"),
        (
            lambda: programs.vbp_thresholds([0.5] * 30, cases=[10] * 30),
            CasesError,
            "found 0",
        ),
        (lambda: programs.vbp_points(0.7, **HOSPITAL, direction="up"), SpecError, "direction"),
        (lambda: programs.vbp_points(np.inf, **HOSPITAL), CasesError, "inf"),
    ],
)
def test_vbp_refuses_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_vbp_rule_may_ask_for_no_cases_but_not_for_fewer():
    cycle = CycleResults(events=np.array([[[2.0]]]), trials=np.array([[[3.0]]]))
    bars = {"threshold": 0.6, "benchmark": 0.7, "improvement": False}
    # 9 x (2/3 - .6) / .1 is 6, and .5 more is rounded up to 7 of 10 points
    assert programs.VbpRule(**bars, minimum_cases=0).decide(cycle) == pytest.approx(0.7)
    assert programs.VbpRule(**bars, minimum_cases=4).decide(cycle) == 0
    with pytest.raises(SpecError, match="at least 0; got -1"):
        programs.VbpRule(**bars, minimum_cases=-1)


def hospitals(rng, n=40, conditions=3):
    ratio = rng.normal(1.0, 0.08, (n, conditions))
    discharges = rng.integers(10, 200, (n, conditions))
    payments = discharges * rng.uniform(5e3, 2e4, (n, conditions))
    total = payments.sum(axis=1) * rng.uniform(2, 6, n)
    return ratio, discharges, payments, total, rng.uniform(0, 0.6, n)


def test_hrrp_factors_agree_with_a_loop_over_hospitals(rng):
    ratio, discharges, payments, total, dual = hospitals(rng)
    frame = programs.hrrp_adjustment(
        pd.DataFrame(ratio, index=[f"h{i}" for i in range(40)]),
        discharges=discharges,
        payments=payments,
        total_payments=total,
        dual_share=dual,
        neutrality_modifier=0.96,
    )
    group = np.array([1 + sum(d > cut for cut in np.quantile(dual, [0.2, 0.4, 0.6, 0.8]))
                      for d in dual])  # fmt: skip
    np.testing.assert_array_equal(frame["peer_group"], group)
    for i in range(40):
        excess = 0.0
        for c in range(3):
            if discharges[i, c] >= 25:
                peers = [
                    ratio[j, c] for j in range(40)
                    if group[j] == group[i] and discharges[j, c] >= 25
                ]  # fmt: skip
                excess += 0.96 * payments[i, c] * max(ratio[i, c] - np.median(peers), 0)
        assert frame["excess_payments"].iloc[i] == pytest.approx(excess)
        assert frame["factor"].iloc[i] == pytest.approx(max(0.97, 1 - excess / total[i]))
    assert frame.index[3] == "h3"
    np.testing.assert_allclose(frame["penalty"], (1 - frame["factor"]) * total)


def test_a_hospital_at_a_cut_belongs_to_the_peers_with_fewer_poor_patients():
    shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]  # the quintiles are .1, .2, .3, .4
    assert programs.hrrp_peer_groups(shares).tolist() == [1, 1, 2, 3, 4, 5]


def test_hrrp_never_pays_more_and_never_takes_more_than_three_percent(rng):
    ratio, discharges, payments, total, dual = hospitals(rng)
    frame = programs.hrrp_adjustment(
        ratio * 1.0 + (np.arange(40) % 2)[:, None],  # half of them far above their peers
        discharges=discharges,
        payments=payments,
        total_payments=total,
        dual_share=dual,
    )
    assert frame["factor"].between(0.97, 1.0).all()
    assert (frame["factor"] == 0.97).any()
    assert (frame["ratio"] < 0.97).any()


def test_hrrp_conditions_with_fewer_than_25_discharges_do_not_count():
    one = {"payments": [[10.0]] * 3, "total_payments": [100.0] * 3, "dual_share": [0.1] * 3}
    found = [
        programs.hrrp_adjustment(
            [[1.2], [1.0], [0.8]], discharges=[[n], [30], [30]], groups=1, **one
        )
        for n in (25, 24)
    ]
    assert found[0]["factor"].iloc[0] == pytest.approx(1 - 10 * 0.2 / 100)
    assert found[1]["factor"].iloc[0] == 1.0
    # and the median of the peers is now that of the other two
    assert found[1]["excess_payments"].iloc[1] == pytest.approx(10 * 0.1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"dual_share": [20.0, 30.0, 40.0]}, CasesError, "percent"),
        ({"total_payments": [5.0, 100.0, 100.0]}, CasesError, "first at position 0"),
        ({"total_payments": [100.0]}, SpecError, "one amount per hospital"),
        ({"payments": [[10.0, 1.0]] * 3}, SpecError, "alike"),
        ({"groups": 5}, CasesError, "at least 5 hospitals"),
        ({"groups": 2}, CasesError, "empty"),
        ({"floor": 97}, SpecError, "Did you mean 0.97"),
    ],
)
def test_hrrp_refuses_what_cannot_be(change, error, words):
    asked = {
        "discharges": [[30]] * 3,
        "payments": [[10.0]] * 3,
        "total_payments": [100.0] * 3,
        "dual_share": [0.1] * 3,
        "groups": 1,
    }
    with pytest.raises(error, match=words):
        programs.hrrp_adjustment([[1.2], [1.0], [0.8]], **(asked | change))


# Three hospitals of the supplemental file that CMS published with the final rule of FY 2027 (CCN
# 010005, 010006 and 010021; AMI, COPD, HF, pneumonia, CABG, THA/TKA): discharges, ratio, median of
# the peers, share of the DRG payments, and the reduction in percent. 0 stands for "." in the file.
PUBLISHED = {
    "discharges": [
        [14, 220, 199, 461, 0, 28],
        [444, 340, 601, 948, 114, 49],
        [1, 32, 27, 92, 0, 0],
    ],
    "excess_ratio": [
        [0.9872, 0.9537, 0.9649, 0.8939, np.nan, 1.0291],
        [0.9993, 1.1965, 1.0899, 1.0362, 1.1884, 0.8781],
        [0.9978, 0.9975, 0.9682, 0.9822, np.nan, np.nan],
    ],
    "peer_medians": [
        [0.9955, 0.9954, 0.9928, 0.9945, 0.9837, 0.9942],
        [0.9955, 0.9954, 0.9928, 0.9945, 0.9837, 0.9942],
        [0.9963, 0.9976, 1.0027, 0.9941, 1.0056, 0.9914],
    ],
    "payments": [
        [0.0038, 0.0283, 0.0328, 0.0817, 0, 0.0037],
        [0.0395, 0.0155, 0.0325, 0.0648, 0.0251, 0.0059],
        [0.0018, 0.0239, 0.0217, 0.1151, 0, 0],
    ],
    "factor": [0.9999, 0.9863, 1.0000],
}


def test_hrrp_gives_the_factors_that_cms_published():
    asked = {name: PUBLISHED[name] for name in ("discharges", "payments", "peer_medians")}
    found = programs.hrrp_adjustment(
        PUBLISHED["excess_ratio"], total_payments=[1.0] * 3, neutrality_modifier=0.9628, **asked
    )
    # to the four decimals that factors and medians are published with
    np.testing.assert_allclose(found["factor"], PUBLISHED["factor"], atol=5e-5)
    assert found["conditions"].tolist() == [1, 5, 0]
    assert found["peer_group"].isna().all()


def test_published_medians_serve_a_single_hospital():
    one = {name: [PUBLISHED[name][1]] for name in ("discharges", "payments")}
    found = programs.hrrp_adjustment(
        [PUBLISHED["excess_ratio"][1]],
        total_payments=[1.0],
        neutrality_modifier=0.9628,
        peer_medians=PUBLISHED["peer_medians"][1],
        **one,
    )
    assert found["factor"].item() == pytest.approx(0.9863, abs=5e-5)


def test_the_medians_of_all_hospitals_are_the_same_published_or_computed(rng):
    ratio, discharges, payments, total, dual = hospitals(rng)
    asked = {"discharges": discharges, "payments": payments, "total_payments": total}
    computed = programs.hrrp_adjustment(ratio, dual_share=dual, **asked)
    medians = programs.hrrp_peer_medians(
        ratio, peer_group=computed["peer_group"], counts=discharges >= 25
    )
    published = programs.hrrp_adjustment(ratio, peer_medians=medians, **asked)
    for name in ("conditions", "excess_payments", "factor"):
        np.testing.assert_allclose(published[name], computed[name])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({}, SpecError, "got neither"),
        ({"dual_share": [0.1] * 3, "peer_medians": [1.0]}, SpecError, "got both"),
        ({"peer_medians": [1.0, 1.0]}, SpecError, r"got shape \(2,\)"),
        ({"peer_medians": [[1.0], [np.nan], [1.0]]}, CasesError, "1 are missing.*hospital 1"),
        ({"peer_medians": [-1.0]}, CasesError, "not negative"),
    ],
)
def test_hrrp_takes_medians_from_one_place(change, error, words):
    asked = {"discharges": [[30]] * 3, "payments": [[10.0]] * 3, "total_payments": [100.0] * 3}
    with pytest.raises(error, match=words):
        programs.hrrp_adjustment([[1.2], [1.0], [0.8]], **(asked | change))


def test_hrrp_refuses_a_ratio_to_nothing():
    with pytest.raises(CasesError, match="expected must be positive"):
        programs.hrrp_excess_ratio([1.0], [0.0])


# both ends of every range in the table of 42 CFR 425.604(b)
TABLE = [
    (5_000, 3.9), (5_999, 3.6), (6_000, 3.6), (6_999, 3.4), (7_500, 3.3), (7_999, 3.2),
    (8_999, 3.1), (9_999, 3.0), (10_000, 3.0), (14_999, 2.7), (19_999, 2.5), (20_000, 2.5),
    (49_999, 2.2), (50_000, 2.2), (59_999, 2.0), (60_000, 2.0), (500_000, 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("size", "percent"), TABLE)
def test_the_minimum_savings_rate_is_that_of_the_regulation(size, percent):
    # the high ends are one beneficiary before the next low end: less than .001 points apart
    assert 100 * programs.minimum_savings_rate(size) == pytest.approx(percent, abs=5e-4)


def test_savings_below_the_minimum_are_luck_and_above_it_shared_from_the_first_dollar():
    paid = programs.mssp_shared_savings(1000.0, [971.0, 970.0, 950.0, 700.0], 10_000)
    assert paid.tolist() == [0.0, 15.0, 25.0, 100.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.minimum_savings_rate([8_000, 4_999]), CasesError, "4,999"),
        (
            lambda: programs.minimum_savings_rate(10, sizes=(1, 2), rates=(0.01, 0.02)),
            SpecError,
            "must not rise",
        ),
        (lambda: programs.mssp_shared_savings(0.0, 1.0, 9_000), CasesError, "positive"),
    ],
)
def test_shared_savings_refuse_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_hospital_with_just_enough_cases_counts_for_the_vbp_thresholds():
    rates = np.linspace(0.1, 1.0, 10)
    all_of_them = programs.vbp_thresholds(rates)
    found = programs.vbp_thresholds(rates, cases=np.full(10, 25))
    assert (found.threshold, found.benchmark) == (all_of_them.threshold, all_of_them.benchmark)
