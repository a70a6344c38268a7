"""Doctors or hospitals picked because they were worst: expected change, shrinkage, replay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.estimators.unit_prediction import (
    predict_unit_means,
    predict_unit_rates,
    read_units,
)


def counts(n=60, *, cases=50, spread=0.06, change=0.0, worst=15, seed=1):
    """Events and trials of units in two periods; the worst of the first lose ``change``."""
    rng = np.random.default_rng(seed)
    v = 0.24 / spread**2 - 1
    p = rng.beta(0.6 * v, 0.4 * v, n)
    before = rng.binomial(cases, p)
    chosen = np.zeros(n, dtype=bool)
    chosen[np.argsort(before, kind="stable")[:worst]] = True
    after = rng.binomial(cases, p + change * chosen)
    return before, after, chosen, np.full(n, cases)


def correct_counts(before, after, chosen, trials, **more):
    return ok.correct_unit_selection(
        before, after, chosen=chosen, before_trials=trials, after_trials=trials,
        rng=np.random.default_rng(2), **more,
    )  # fmt: skip


# expected values of normal order statistics (Harter 1961): the largest of 2, of 5, of 10
@pytest.mark.parametrize(("n", "largest"), [(2, 0.56419), (5, 1.16296), (10, 1.53875)])
def test_the_worst_of_n_come_back_by_the_mean_of_the_extreme(n, largest):
    found = ok.expect_worst_units(n, 1, sd=1, reliability=0, side="below")
    assert found == pytest.approx(largest, abs=5e-6)  # five printed decimals
    assert ok.expect_worst_units(n, 1, sd=2, reliability=0.75, side="above") == pytest.approx(
        -0.5 * largest, abs=5e-6
    )


def test_the_worst_share_of_many_units_is_the_selection_differential():
    quarter = np.exp(-0.5 * ndtri(0.25) ** 2) / np.sqrt(2 * np.pi) / 0.25
    found = ok.expect_worst_units(8000, 2000, sd=1, reliability=0.4)
    assert found == pytest.approx(0.6 * quarter, rel=1e-3)  # a finite n takes off about 1 / n


def test_the_worst_units_agree_with_a_simulation():
    rng = np.random.default_rng(4)
    truth = rng.normal(0, np.sqrt(0.6), (20_000, 12))
    first, second = (truth + rng.normal(0, np.sqrt(0.4), truth.shape) for _ in range(2))
    worst = np.argsort(first, axis=1)[:, :3]
    gained = np.take_along_axis(second - first, worst, axis=1).mean()
    expected = ok.expect_worst_units(12, 3, sd=1, reliability=0.6)
    assert expected == pytest.approx(gained, abs=0.015)  # 4 standard errors


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(1, 59), st.floats(0, 1), st.sampled_from(["above", "below"]))
def test_all_units_or_perfect_results_leave_nothing_to_come_back(n, k, reliability, side):
    k = min(k, n)
    found = ok.expect_worst_units(n, k, sd=3, reliability=reliability, side=side)
    assert found >= -1e-9 if side == "below" else found <= 1e-9
    assert ok.expect_worst_units(n, n, sd=3, reliability=reliability, side=side) == 0
    assert ok.expect_worst_units(n, k, sd=3, reliability=1, side=side) == 0
    assert abs(found) <= abs(ok.expect_worst_units(n, 1, sd=3, reliability=reliability)) + 1e-9


@pytest.mark.parametrize(
    ("more", "message"),
    [({"n_chosen": 11}, "n_chosen"), ({"reliability": 2}, "reliability"), ({"sd": -1}, "sd"),
     ({"side": "left"}, "side")],
)  # fmt: skip
def test_impossible_worst_units_are_refused(more, message):
    setting = {"n_units": 10, "n_chosen": 2, "sd": 1.0, "reliability": 0.5} | more
    with pytest.raises(SpecError, match=message):
        ok.expect_worst_units(setting.pop("n_units"), setting.pop("n_chosen"), **setting)


@pytest.mark.slow
def test_worst_rates_that_come_back_by_themselves_are_no_effect():
    found = correct_counts(*counts(200, worst=50))
    lower, upper = found.effect.interval(level=0.95)
    naive_lower, _ = found.naive.interval(level=0.95)
    assert naive_lower > 0  # a plain comparison sees an effect
    assert lower < 0 < upper
    assert found.expected > 3
    assert found.unit == "percentage points"
    assert found.checks[0].passed


def test_a_program_that_works_on_the_worst_units_is_found():
    before, after, chosen, trials = counts(cases=200, change=0.10, worst=20)
    found = correct_counts(before, after, chosen, trials)
    lower, upper = found.effect.interval(level=0.999)
    assert 0 < lower < 10 < upper
    means = ok.correct_unit_selection(
        before / 2, after / 2, chosen=chosen,
        before_se=np.sqrt(0.24 * 200) / 2 * np.ones(60),
        after_se=np.sqrt(0.24 * 200) / 2 * np.ones(60),
        rng=np.random.default_rng(3),
    )  # fmt: skip
    # the same numbers as means out of 100, the normal model: the two agree within half a point
    assert means.effect.value == pytest.approx(found.effect.value, abs=0.5)
    assert means.expected == pytest.approx(found.expected, abs=0.5)


@pytest.mark.slow
def test_units_that_were_not_chosen_show_a_trend():
    before, after, chosen, trials = counts(n=200, cases=200)
    trend = correct_counts(before, np.minimum(after + 12, 200), chosen, trials)
    assert trend.checks[0].passed is False
    assert "moved all units" in trend.checks[0].verdict
    unseen = np.where(chosen, after, np.nan)
    sizes = np.where(chosen, trials, np.nan)
    blind = ok.correct_unit_selection(
        before, unseen, chosen=chosen, before_trials=trials, after_trials=sizes,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    assert blind.checks == ()


def test_shrunken_rates_agree_with_a_dense_grid():
    from scipy.special import betaln

    before, after, chosen, trials = counts(n=12, cases=30, worst=3)
    units = read_units(
        before, after, chosen=chosen, before_trials=trials, after_trials=trials,
        before_se=None, after_se=None,
    )  # fmt: skip
    _, truth = predict_unit_rates(units, draws=40_000, rng=np.random.default_rng(5))
    m, spread = np.meshgrid(np.linspace(0.3, 0.9, 301), np.linspace(0.001, 0.999, 400))
    v = 1 / spread**2 - 1
    log = sum(betaln(m * v + x, (1 - m) * v + 30 - x) - betaln(m * v, (1 - m) * v) for x in before)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    wanted = [float((weight * (m * v + x) / (v + 30)).sum()) for x in before]
    # 40,000 draws of SD .07: standard error .0004
    np.testing.assert_allclose(truth.mean(axis=0), wanted, atol=0.002)


def test_shrunken_means_agree_with_a_dense_grid():
    rng = np.random.default_rng(6)
    error = rng.uniform(0.5, 1.5, 10)
    y = rng.normal(10, 1, 10) + error * rng.normal(size=10)
    chosen = np.arange(10) < 3
    units = read_units(
        y, y, chosen=chosen, before_trials=None, after_trials=None, before_se=error, after_se=error
    )
    _, truth = predict_unit_means(units, draws=40_000, rng=np.random.default_rng(5))
    m, w = np.meshgrid(np.linspace(4, 16, 601), (np.arange(800) + 0.5) * 0.0125)
    variance = w[..., None] ** 2 + error**2
    log = -0.5 * (np.log(variance) + (y - m[..., None]) ** 2 / variance).sum(axis=-1)
    # the grid of the engine ends at three times the SD of the results plus their median error
    log[w > 3 * (y.std(ddof=1) + np.median(error))] = -np.inf
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    share = w[..., None] ** 2 / variance
    wanted = (weight[..., None] * (m[..., None] + share * (y - m[..., None]))).sum(axis=(0, 1))
    np.testing.assert_allclose(truth.mean(axis=0), wanted, atol=0.02)


def made_results(seed):
    """True results N(50, 4), chance with SD 4, a trend and a winter of 3 in the follow-up."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 4, (400, 1))
    return truth + rng.normal(0, 4, (400, 5)) + np.array([0, 0.5, 1.0, 1.5, 5.0]), rng


@pytest.mark.slow
def test_the_same_pick_in_earlier_windows_tells_what_would_have_happened():
    found = []
    for seed in range(30):
        results, rng = made_results(seed)
        found.append(
            ok.replay_selection(results[:, :4], results[:, 4], n_chosen=100, draws=50, rng=rng)
        )
    expected = ok.expect_worst_units(400, 100, sd=np.sqrt(32), reliability=0.5) + 3.5
    # one has a standard error of .5, thirty of .09
    assert np.mean([one.expected for one in found]) == pytest.approx(expected, abs=0.36)
    results, rng = made_results(7)
    one = ok.replay_selection(results[:, :4], results[:, 4], n_chosen=100, rng=rng)
    lower, upper = one.effect.interval(level=0.99)
    assert lower < 0 < upper
    picked = np.zeros(400, dtype=bool)
    picked[np.argsort(results[:, 3], kind="stable")[:100]] = True
    worked = ok.replay_selection(results[:, :4], results[:, 4] + 3 * picked, n_chosen=100, rng=rng)
    lower, upper = worked.effect.interval(level=0.95)
    assert lower > 1
    assert worked.effect.value == pytest.approx(one.effect.value + 3, abs=0.1)
    assert worked.method == "the same pick in 3 earlier windows, less what moved the others"
    highest = ok.replay_selection(
        -results[:, :4], -results[:, 4], n_chosen=100, side="above", rng=rng
    )
    assert highest.expected == pytest.approx(-one.expected)
    alone = ok.replay_selection(
        results[:, :4], np.where(picked, results[:, 4], np.nan), n_chosen=100, rng=rng
    )
    assert alone.method == "the same pick in 3 earlier windows"
    assert alone.effect.value == pytest.approx(one.effect.value + 3.0, abs=1.2)  # the winter


def seasonal(seed, *, n=60, cases=200, shift=0.3, move=0.0):
    """Rates of about 10 % in four windows, the second and fourth of them winters; no program."""
    rng = np.random.default_rng(seed)
    own = -2.2 + 0.35 * rng.standard_normal(n)
    odds = own + shift * np.array([[0.0], [1], [0], [1]]) + move * rng.standard_normal((4, n))
    events = rng.binomial(cases, 1 / (1 + np.exp(-odds)))
    chosen = np.zeros(n, dtype=bool)
    chosen[np.argsort(events[2], kind="stable")[:15]] = True
    return events, chosen, np.full(n, cases)


def leaves_out_nil(found):
    lower, upper = found.effect.interval(level=0.95)
    return not lower <= 0 <= upper


@pytest.mark.slow
def test_a_winter_that_all_units_share_is_no_effect():
    mistakes = {"shrinkage": 0, "replay": 0, "shrinkage, alone": 0, "replay, alone": 0}
    seen = 0
    for seed in range(24):
        events, chosen, trials = seasonal(seed)
        for name, after in (("", events[3]), (", alone", np.where(chosen, events[3], np.nan))):
            found = correct_counts(events[2], after, chosen, trials, draws=400)
            mistakes[f"shrinkage{name}"] += leaves_out_nil(found)
            seen += any(check.passed is False for check in found.checks)
            replayed = ok.replay_selection(
                events[:3].T / 200, after / 200, n_chosen=15, alike="odds", draws=300,
                rng=np.random.default_rng(seed),
            )  # fmt: skip
            mistakes[f"replay{name}"] += leaves_out_nil(replayed)
    # 24 at 5 %: 5 or more with a chance of 1 in 150
    assert max(mistakes["shrinkage"], mistakes["replay"]) <= 4
    assert min(mistakes["shrinkage, alone"], mistakes["replay, alone"]) >= 10
    assert seen >= 22


def test_what_moves_all_results_alike_leaves_the_effect_as_it_is():
    rng = np.random.default_rng(6)
    error = rng.uniform(0.5, 1.5, 20)
    before = rng.normal(10, 1, 20) + error * rng.normal(size=20)
    after = rng.normal(10, 1, 20)
    chosen = before < np.sort(before)[5]
    one, moved = (
        ok.correct_unit_selection(
            before, after + winter, chosen=chosen, before_se=error, after_se=error,
            rng=np.random.default_rng(1),
        )
        for winter in (0.0, 7.5)
    )  # fmt: skip
    np.testing.assert_allclose(moved.corrected, one.corrected, atol=1e-9)
    assert moved.expected == pytest.approx(one.expected + 7.5)
    assert moved.checks[0].passed is False
    windows = rng.normal(10, 1, (30, 3))
    still, shaken = (
        ok.replay_selection(
            windows, windows[:, 2] + winter, n_chosen=8, rng=np.random.default_rng(1)
        )
        for winter in (0.0, 7.5)
    )
    np.testing.assert_allclose(shaken.corrected, still.corrected, atol=1e-9)


def test_a_replay_moves_the_chosen_on_the_scale_that_is_named():
    from outcomekpi.pilots.estimators.earlier_windows import _move

    half, tenth, fifth = np.array([0.5]), np.array([0.1]), np.array([0.2])
    assert _move(half, tenth, fifth, "difference") == pytest.approx(0.6)
    assert _move(half, tenth, fifth, "ratio") == pytest.approx(1.0)
    # odds 1 x (1/4) / (1/9) = 9/4, a rate of 9/13
    assert _move(half, tenth, fifth, "odds") == pytest.approx(9 / 13)


def test_rates_are_moved_on_the_scale_of_their_odds():
    from outcomekpi.pilots.estimators.unit_shift import _move_rates

    truth = np.array([[0.1, 0.2, 0.5], [0.2, 0.3, 0.9]])
    seen = np.array([True, True, False])
    moved = _move_rates(truth, seen, np.array([0.25, 0.25]))
    odds = np.log(moved / (1 - moved)) - np.log(truth / (1 - truth))
    np.testing.assert_allclose(odds - odds[:, :1], 0, atol=1e-9)
    np.testing.assert_allclose(moved[:, seen].mean(axis=1), 0.25, atol=1e-9)


def test_units_that_move_by_themselves_widen_the_interval_and_are_noticed():
    quiet, loud = (
        correct_counts(events[2], events[3], chosen, trials)
        for events, chosen, trials in (seasonal(3, move=move) for move in (0.0, 0.6))
    )
    names = [check.name for check in loud.checks]
    assert names[1:] == [
        "Units that move by themselves",
        "Units that come back as chance lets them",
    ]
    assert (quiet.checks[1].passed, loud.checks[1].passed) == (True, False)
    assert loud.corrected.std() > 1.3 * quiet.corrected.std()


@pytest.mark.slow
def test_units_that_come_back_further_than_chance_are_sent_to_the_replay():
    rng = np.random.default_rng(2)
    truth = rng.beta(24, 36, 300)
    later = 0.4 + 0.4 * (truth - 0.4) + 0.6 * (rng.beta(24, 36, 300) - 0.4)  # half of it goes
    before, after = rng.binomial(400, truth), rng.binomial(400, later)
    chosen = before <= np.sort(before)[40]
    found = correct_counts(before, after, chosen, np.full(300, 400))
    check = found.checks[2]
    assert check.passed is False
    assert check.table.loc["slope", "value"] == pytest.approx(0.4, abs=0.15)
    assert "replay_selection" in check.verdict


BEFORE, AFTER, CHOSEN, TRIALS = counts(12, worst=3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"before_trials": None}, SpecError, "how much of a result is chance"),
        ({"before_se": TRIALS, "after_se": TRIALS}, SpecError, "Give before_trials"),
        ({"chosen": CHOSEN.astype(int)}, CasesError, "True or False"),
        ({"chosen": np.ones(12, dtype=bool)}, CasesError, "12 of 12 units are chosen"),
        ({"chosen": CHOSEN[:3]}, CasesError, "must be \\(unit,\\)"),
        ({"before": np.where(CHOSEN, np.nan, BEFORE)}, CasesError, "before is missing for 3"),
        ({"before": BEFORE + 100}, CasesError, "between 0 and trials"),
        ({"after_trials": 0 * TRIALS}, CasesError, "between 0 and trials"),
    ],
)
def test_units_that_do_not_fit_are_refused(change, error, message):
    setting = {
        "before": BEFORE, "after": AFTER, "chosen": CHOSEN, "before_trials": TRIALS,
        "after_trials": TRIALS,
    } | change  # fmt: skip
    with pytest.raises(error, match=message):
        ok.correct_unit_selection(
            setting.pop("before"), setting.pop("after"), rng=np.random.default_rng(1), **setting
        )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"windows": np.ones((9, 1))}, CasesError, "at least two windows"),
        ({"windows": np.full((9, 2), np.nan)}, CasesError, "18 are"),
        ({"windows": np.ones((3, 2)), "after": np.ones(3)}, CasesError, "at least 4 units"),
        ({"after": np.ones(8)}, CasesError, "after must have 9"),
        ({"after": np.full(9, np.nan)}, CasesError, "missing for 2"),
        ({"n_chosen": 9}, SpecError, "n_chosen must lie"),
        ({"side": "low"}, SpecError, "side"),
        ({"alike": "logit"}, SpecError, "alike"),
        ({"alike": "odds"}, SpecError, "run from 0 to 17"),
        ({"alike": "ratio", "after": -np.ones(9)}, SpecError, "smallest is -1"),
    ],
)
def test_windows_that_do_not_fit_are_refused(change, error, message):
    setting = {"windows": np.arange(18.0).reshape(9, 2), "after": np.ones(9), "n_chosen": 2}
    setting |= change
    with pytest.raises(error, match=message):
        ok.replay_selection(
            setting.pop("windows"), setting.pop("after"), rng=np.random.default_rng(1), **setting
        )
