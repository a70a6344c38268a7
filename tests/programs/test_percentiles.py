"""MIPS, NCQA and the achievable benchmark: bars that the peers set."""

import numpy as np
import pytest

from outcomekpi import programs
from outcomekpi.declare.errors import CasesError, SpecError

# 1-9 of the example that CMS gave for its deciles: 7, 16, 23, 36, 41, 62, 69, 79, 85 %
CUTS = (0.07, 0.16, 0.23, 0.36, 0.41, 0.62, 0.69, 0.79, 0.85)


@pytest.mark.parametrize(
    ("rate", "points"),
    [(0.0, 1.0), (0.069, 1.9), (0.07, 2.0), (0.159, 2.9), (0.36, 5.0), (0.385, 5.5),
     (0.789, 8.9), (0.79, 9.0), (0.849, 9.9), (0.85, 10.0), (1.0, 10.0)],
)  # fmt: skip
def test_mips_points_are_the_decile_and_tenths_within_it(rate, points):
    assert programs.mips_points(rate, cuts=CUTS) == pytest.approx(points, abs=1e-12)


def test_mips_inverse_measures_mirror_the_others():
    rates = np.linspace(0, 1, 101)
    mirrored = programs.mips_points(1 - rates, cuts=1 - np.array(CUTS), direction="lower")
    np.testing.assert_allclose(mirrored, programs.mips_points(rates, cuts=CUTS))


def test_mips_caps_a_measure_in_its_second_topped_out_year():
    points = programs.mips_points(0.9, cuts=CUTS, topped_out_years=[0, 1, 2, 3])
    assert points.tolist() == [10.0, 10.0, 7.0, 7.0]
    assert programs.mips_points(0.37, cuts=CUTS, topped_out_years=2) == pytest.approx(5.2)


def test_mips_scores_nobody_below_20_cases_and_had_a_floor_of_three_points():
    points = programs.mips_points([0.5, 0.5], cuts=CUTS, cases=[19, 20])
    assert np.isnan(points[0])
    assert points[1] == pytest.approx(6.4)
    assert programs.mips_points(0.01, cuts=CUTS, minimum_points=3.0) == 3.0


def test_mips_skips_deciles_without_width():
    crowded = (0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0, 1.0, 1.0)
    found = programs.mips_points([0.98, 0.995, 1.0], cuts=crowded)
    np.testing.assert_allclose(found, [6.8, 7.5, 10.0])


def test_mips_benchmarks_are_deciles_of_those_who_count(rng):
    rates, cases = rng.uniform(0.2, 1, 500), rng.integers(5, 60, 500)
    rates[:50] = 0.0
    cuts = programs.mips_benchmark(rates, cases=cases)
    kept = rates[(cases >= 20) & (rates > 0)]
    np.testing.assert_allclose(cuts, [np.percentile(kept, 10 * k) for k in range(1, 10)])
    lower = programs.mips_benchmark(rates, cases=cases, direction="lower")
    np.testing.assert_allclose(lower, cuts[::-1])


def test_mips_deciles_hold_a_tenth_of_the_peers_each(rng):
    rates = rng.beta(8, 3, 1000)
    points = programs.mips_points(rates, cuts=programs.mips_benchmark(rates))
    counts = np.bincount(np.floor(points).astype(int), minlength=11)[1:]
    assert counts.tolist() == [100] * 10


def test_process_measures_are_topped_out_from_a_median_of_95_percent():
    for median, verdict in [(0.949, False), (0.95, True), (0.97, True)]:
        rates = np.r_[np.full(20, 0.5), median, np.full(20, 1.0)]
        assert programs.mips_topped_out(rates, kind="process").is_topped_out == verdict
        below = programs.mips_topped_out(1 - rates, kind="process", direction="lower")
        assert below.is_topped_out == verdict
    percent = programs.mips_topped_out(100 * rates, kind="process", scale="percent")
    assert percent.is_topped_out


def test_other_measures_need_a_small_truncated_cv_and_an_upper_quarter_that_is_one():
    rng = np.random.default_rng(3)
    crowd = np.r_[rng.uniform(0.80, 0.86, 40), np.full(60, 0.90)]
    wild = np.r_[np.full(4, 0.01), crowd[4:]]
    found = programs.mips_topped_out(wild, kind="other")
    trimmed = np.sort(wild)[5:-5]
    assert found.truncated_cv == pytest.approx(trimmed.std(ddof=1) / trimmed.mean())
    assert found.standard_error == pytest.approx(wild.std(ddof=1) / 10)
    assert found.upper_gap == 0.0
    assert found.is_topped_out
    assert "not" not in repr(found)
    spread = programs.mips_topped_out(np.linspace(0.7, 0.9, 100), kind="other")
    assert spread.truncated_cv < 0.10
    assert not spread.is_topped_out  # the upper quarter is told apart
    loose = programs.mips_topped_out(np.r_[np.linspace(0.2, 0.9, 70), [0.9] * 30], kind="other")
    assert loose.upper_gap == 0.0
    assert not loose.is_topped_out  # too much variation below


def test_topped_out_verdicts_come_row_by_row(rng):
    rates = rng.beta([[40], [4]], [[1], [4]], (2, 200))
    both = programs.mips_topped_out(rates, kind="process")
    assert both.is_topped_out.tolist() == [True, False]
    assert repr(both) == "ToppedOut: 1 of 2 sets of rates topped out"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.mips_benchmark(np.linspace(0.1, 1, 19)), CasesError, "at least 20 units"),
        (lambda: programs.mips_benchmark([50.0] * 30), CasesError, "percent"),
        (lambda: programs.mips_points(0.5, cuts=CUTS[:8]), SpecError, "nine rates"),
        (lambda: programs.mips_points(0.5, cuts=CUTS[::-1]), SpecError, "worst decile"),
        (lambda: programs.mips_points(50.0, cuts=CUTS), CasesError, "percent"),
        (lambda: programs.mips_topped_out([0.9] * 30, kind="outcome"), SpecError, "kind"),
        (lambda: programs.mips_topped_out([0.9] * 19, kind="other"), CasesError, "found 19"),
        (
            lambda: programs.mips_topped_out([np.nan, *[0.9] * 29], kind="other"),
            CasesError,
            "missing",
        ),
        (
            lambda: programs.mips_topped_out([0.9] * 30, kind="process", scale="free"),
            SpecError,
            "free|scale",
        ),
        (
            lambda: programs.mips_topped_out([0.9] * 30, kind="other", trimmed=0.5),
            SpecError,
            "below 0.5",
        ),
    ],
)
def test_mips_refuses_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_ncqa_truncates_and_does_not_round():
    # the example of NCQA: an inverted rate of .9852261193 is shown as .985
    inverted = programs.ncqa_rating(0.0147738807, cuts=[0.1, 0.3, 0.6, 0.986], direction="lower")
    assert inverted == 4.0
    assert programs.ncqa_rating(0.0147738807, cuts=[0.1, 0.3, 0.6, 0.985], direction="lower") == 5
    assert programs.ncqa_rating([0.8999, 0.9], cuts=[0.1, 0.3, 0.6, 0.9]).tolist() == [4.0, 5.0]


def test_ncqa_keeps_decimals_that_binary_numbers_lose():
    thousandths = np.arange(1001) / 1000
    kept = [programs.ncqa_rating(x, cuts=[x, 1.0, 1.0, 1.0]) for x in thousandths[:-1]]
    assert (np.array(kept) == 2.0).all()
    sums = [0.1 + 0.2, 0.7 + 0.1, 0.29 + 0.006]  # .3, .8, .296: two lie a bit off in binary
    assert programs.ncqa_rating(sums[1], cuts=[0.8, 0.9, 0.95, 1.0]) == 2.0


def test_ncqa_percentiles_put_a_tenth_and_a_third_where_they_belong(rng):
    rates = rng.uniform(0, 1, (2, 9000))
    cuts = programs.ncqa_percentiles(rates)
    ratings = programs.ncqa_rating(rates, cuts=cuts)
    shares = np.stack([(ratings == k).mean(axis=1) for k in range(1, 6)], axis=1)
    # truncation to three decimals moves a uniform share by up to .001
    np.testing.assert_allclose(shares, [[0.1, 0.2333, 0.3334, 0.2333, 0.1]] * 2, atol=0.0021)
    np.testing.assert_array_equal(cuts, np.floor(np.round(cuts * 1000, 9)) / 1000)


def test_ncqa_overall_weighs_outcomes_three_times_and_gives_half_points():
    kinds = ("process", "experience", "outcome")
    # (1 x 5 + 1.5 x 4 + 3 x 2) / 5.5 = 3.09
    assert programs.ncqa_overall([5, 4, 2], kinds=kinds) == 3.0
    # (1 x 4 + 3 x 3) / 4 = 3.25: a half, rounded up
    assert programs.ncqa_overall([4, np.nan, 3], kinds=kinds) == 3.5
    assert np.isnan(programs.ncqa_overall([np.nan] * 3, kinds=kinds))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.ncqa_percentiles([0.5] * 9), CasesError, "at least 10"),
        (lambda: programs.ncqa_percentiles([50.0] * 20), CasesError, "percent"),
        (lambda: programs.ncqa_percentiles([0.5] * 20, levels=(0.9, 0.1)), SpecError, "rise"),
        (lambda: programs.ncqa_rating(0.5, cuts=[0.9, 0.1, 0.1, 0.1]), SpecError, "ascend"),
        (lambda: programs.ncqa_rating(0.5, cuts=[0.1], decimals=9), SpecError, "decimals"),
        (lambda: programs.ncqa_overall([4, 3], kinds=("process",)), SpecError, "each"),
        (lambda: programs.ncqa_overall([4], kinds=("outcomes",)), SpecError, "Did you mean"),
        (lambda: programs.ncqa_overall([6], kinds=("outcome",)), CasesError, "0 to 5"),
    ],
)
def test_ncqa_refuses_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_achievable_benchmark_is_worked_by_hand():
    # adjusted: 10/12 = .833, 3/4 = .75, 61/102 = .598, 41/102; a tenth of 212 is 21.2 patients,
    # 10 + 2 are too few, so that the third is needed: (9 + 2 + 60) / 112
    found = programs.abc_benchmark([2, 9, 60, 40], [2, 10, 100, 100])
    assert found.benchmark == pytest.approx(71 / 112)
    assert found.members.tolist() == [True, True, True, False]
    # where one doctor has a tenth, he alone
    alone = programs.abc_benchmark([9, 40, 30], [10, 50, 40])
    assert alone.benchmark == 0.9
    assert alone.patients == 0.1


def test_small_doctors_with_full_marks_do_not_lead_the_benchmark():
    found = programs.abc_benchmark([1, 95, 50], [1, 100, 100])
    assert found.members.tolist() == [False, True, False]


def test_the_achievable_benchmark_of_rare_harms_mirrors_that_of_successes(rng):
    patients = rng.integers(1, 80, (5, 30))
    events = rng.binomial(patients, 0.7)
    good = programs.abc_benchmark(events, patients)
    bad = programs.abc_benchmark(patients - events, patients, direction="lower")
    np.testing.assert_allclose(bad.benchmark, 1 - good.benchmark)
    np.testing.assert_array_equal(bad.members, good.members)


def test_the_achievable_benchmark_agrees_with_a_loop(rng):
    patients = rng.integers(0, 60, (20, 25))
    events = rng.binomial(patients, rng.uniform(0.2, 0.9, (20, 25)))
    found = programs.abc_benchmark(events, patients)
    for row in range(20):
        ranked = sorted(
            ((x + 1) / (d + 2), x, d)
            for x, d in zip(events[row], patients[row], strict=True)
            if d > 0
        )[::-1]
        taken, needed = [], patients[row].sum() / 10
        for entry in ranked:
            if sum(d for *_, d in taken) >= needed and entry[0] != taken[-1][0]:
                break
            taken.append(entry)
        pooled = sum(x for _, x, _ in taken) / sum(d for *_, d in taken)
        assert found.benchmark[row] == pytest.approx(pooled)


@pytest.mark.parametrize(
    ("events", "patients", "words"),
    [([5], [4], "must not exceed"), ([0, 0], [0, 0], "patients"), ([-1], [4], "not negative")],
)
def test_the_achievable_benchmark_refuses_what_cannot_be(events, patients, words):
    with pytest.raises(CasesError, match=words):
        programs.abc_benchmark(events, patients)
