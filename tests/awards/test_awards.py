"""The rules that award doctors: by hand, against closed forms, and their laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from outcomekpi.awards.awards import (
    AbsoluteRule,
    PercentileRule,
    PosteriorRule,
    ProportionalRule,
    RelativeRule,
)
from outcomekpi.awards.beta_posteriors import (
    certain_beyond,
    empirical_bayes,
    known_prior,
    probability_among_best,
    probability_beyond,
)
from outcomekpi.awards.kernels import best_places, enough_cases
from outcomekpi.awards.rules import CycleResults, Rule
from outcomekpi.declare.errors import SpecError

RULES = [
    AbsoluteRule(bar=0.6, direction="higher"),
    AbsoluteRule(bar=0.6, direction="lower", strict=True),
    RelativeRule(factor=1.1, direction="higher"),
    RelativeRule(difference=0.05, direction="lower", center="doctors"),
    PercentileRule(share=0.3, direction="higher"),
    PercentileRule(share=0.3, direction="lower", ties="withhold"),
    PosteriorRule(bar=0.6, probability=0.7, direction="higher"),
    PosteriorRule(bar=0.6, probability=0.7, direction="lower", prior=(0.6, 0.1)),
    ProportionalRule(share=0.3, direction="higher"),
    ProportionalRule(share=0.3, direction="lower", prior=(0.6, 0.1)),
]


def seen(events, trials=100):
    """One cycle of one or several replicates."""
    events = np.atleast_2d(events)
    trials = np.broadcast_to(trials, events.shape)
    return CycleResults(events=events[..., None], trials=trials[..., None])


def worlds(n_replicates=40, n_doctors=25, n=60, mean=0.6, sd=0.1, seed=2):
    rng = np.random.default_rng(seed)
    a, b = known_prior(mean, sd)
    truth = rng.beta(a, b, (n_replicates, n_doctors))
    return truth, rng.binomial(n, truth)


tables = st.integers(5, 12).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 30), min_size=size, max_size=size),
        st.permutations(range(size)),
    )
)


@pytest.mark.parametrize(
    ("rule", "awarded"),
    [
        (AbsoluteRule(bar=0.6, direction="higher"), [1, 1, 0, 0, 0]),
        (AbsoluteRule(bar=0.6, direction="higher", strict=True), [1, 0, 0, 0, 0]),
        (AbsoluteRule(bar=0.5, direction="lower"), [0, 0, 1, 1, 1]),
        (RelativeRule(factor=1.2, direction="higher"), [1, 1, 0, 0, 0]),  # mean .48, bar .576
        (RelativeRule(factor=0.9, direction="lower"), [0, 0, 0, 1, 1]),
        (RelativeRule(difference=0.13, direction="higher"), [1, 0, 0, 0, 0]),
        (PercentileRule(share=0.4, direction="higher"), [1, 1, 0, 0, 0]),
        (PercentileRule(share=0.2, direction="lower"), [0, 0, 0, 1, 1]),
        (PercentileRule(share=0.2, direction="lower", ties="withhold"), [0, 0, 0, 0, 0]),
        (PercentileRule(share=0.4, direction="lower", ties="withhold"), [0, 0, 0, 1, 1]),
    ],
)
def test_each_rule_awards_whom_it_should_in_a_table_of_five(rule, awarded):
    assert rule.decide(seen([70, 60, 50, 30, 30])).tolist() == [[bool(x) for x in awarded]]


def test_the_mean_of_a_relative_rule_weighs_cases_or_doctors():
    results = seen(np.array([[90, 7, 4]]), np.array([[100, 10, 10]]))
    by_cases = RelativeRule(difference=0.0, direction="lower")  # mean .842
    by_doctors = replace(by_cases, center="doctors")  # mean .667
    assert by_cases.decide(results).tolist() == [[False, True, True]]
    assert by_doctors.decide(results).tolist() == [[False, False, True]]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_where_all_doctors_are_alike_nobody_is_better_than_the_mean(direction):
    rule = RelativeRule(factor=1.0, direction=direction)
    assert not rule.decide(seen(np.full((1, 7), 21), 33)).any()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_doctor_with_too_few_cases_or_none_gets_nothing(rule):
    events = np.array([[0, 9, 5, 60, 50, 70, 80, 20]])
    trials = np.array([[0, 9, 9, 100, 100, 100, 100, 100]])
    decided = replace(rule, minimum_cases=20).decide(seen(events, trials))
    assert not decided[0, :3].any()
    assert decided[0, 3:].any()
    if not isinstance(rule, PosteriorRule | ProportionalRule):
        without = replace(rule, minimum_cases=20).decide(seen(events[:, 3:], trials[:, 3:]))
        np.testing.assert_array_equal(decided[:, 3:], without)


def test_the_latest_cycles_are_pooled():
    events = np.array([[[0, 70, 40], [0, 40, 60]]])
    results = CycleResults(events=events, trials=np.array([100, 100, 50]))
    rule = AbsoluteRule(bar=0.7, direction="higher")
    assert rule.decide(results).tolist() == [[True, True]]
    assert replace(rule, cycles=2).decide(results).tolist() == [[True, False]]
    with pytest.raises(SpecError, match="pools the latest 4 cycles; the results have 3"):
        replace(rule, cycles=4).decide(results)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_replicates_are_decided_each_on_its_own(rule):
    assert isinstance(rule, Rule)
    _, events = worlds()
    together = rule.decide(seen(events, 60))
    alone = np.concatenate([rule.decide(seen(row, 60)) for row in events])
    # the quantile search of the graded rule stops at 1e-9
    np.testing.assert_allclose(together, alone, atol=1e-7)


@pytest.mark.parametrize("rule", RULES, ids=str)
@settings(max_examples=25)
@given(table=tables)
def test_relabelling_the_doctors_permutes_the_awards(rule, table):
    events, order = np.array(table[0]), np.array(table[1])
    decided = rule.decide(seen(events, 30))[0]
    np.testing.assert_allclose(rule.decide(seen(events[order], 30))[0], decided[order], atol=1e-9)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if not isinstance(rule, RelativeRule)], ids=str
)
@settings(max_examples=25)
@given(table=tables)
def test_counting_failures_instead_of_successes_changes_nothing(rule, table):
    events = np.array(table[0])
    mirrored = {"direction": "lower" if rule.direction == "higher" else "higher"}
    if hasattr(rule, "bar"):
        mirrored["bar"] = 1 - rule.bar
    if getattr(rule, "prior", None):
        mirrored["prior"] = (1 - rule.prior[0], rule.prior[1])
    other = replace(rule, **mirrored).decide(seen(30 - events, 30))
    np.testing.assert_allclose(other, rule.decide(seen(events, 30)), atol=1e-7)


@settings(max_examples=25)
@given(table=tables, bars=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)))
def test_a_higher_bar_never_raises_the_share_awarded(table, bars):
    results, (low, high) = seen(np.array(table[0]), 30), sorted(bars)
    for rule in (
        AbsoluteRule(bar=low, direction="higher"),
        PosteriorRule(bar=low, probability=0.5, direction="higher"),
    ):
        easy, hard = rule.decide(results), replace(rule, bar=high).decide(results)
        assert (hard <= easy).all()
    relative = RelativeRule(factor=2 * low, direction="higher")
    assert (replace(relative, factor=2 * high).decide(results) <= relative.decide(results)).all()


@settings(max_examples=25)
@given(table=tables, shares=st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98)))
def test_a_larger_share_never_pays_fewer(table, shares):
    results, (low, high) = seen(np.array(table[0]), 30), sorted(shares)
    for rule in (
        PercentileRule(share=low, direction="higher"),
        PercentileRule(share=low, direction="lower", ties="withhold"),
        ProportionalRule(share=low, direction="higher"),
    ):
        few, many = rule.decide(results), replace(rule, share=high).decide(results)
        assert (few <= many + 1e-9).all()


@settings(max_examples=25)
@given(table=tables, probabilities=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)))
def test_asking_for_more_certainty_never_awards_more(table, probabilities):
    results, (low, high) = seen(np.array(table[0]), 30), sorted(probabilities)
    rule = PosteriorRule(bar=0.5, probability=low, direction="higher")
    assert (replace(rule, probability=high).decide(results) <= rule.decide(results)).all()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_with_endless_cases_the_rule_becomes_the_truth(rule):
    rng = np.random.default_rng(8)
    # .031 apart and .009 from every bar; the SD of a rate is .0005
    truth = rng.permuted(np.tile(np.linspace(0.05, 0.95, 30), (20, 1)), axis=1)
    n = 10**6
    decided = rule.decide(seen(rng.binomial(n, truth), n))
    deserved = rule.with_certainty.decide(seen(truth * 2.0**30, 2.0**30))
    # the search for the graded rule's quantile stops 1e-9 x .3 x 30 doctors from the sum
    np.testing.assert_allclose(decided, deserved, atol=1e-8)


def test_the_best_places_are_shared_by_all_or_none_of_those_at_the_edge():
    score = np.array([[3.0, 2, 2, 1], [3.0, 2, 1, 0]])
    places = np.array([2, 2])
    shared = best_places(score, places, ties="award")
    assert shared.tolist() == [[True, True, True, False], [True, True, False, False]]
    withheld = best_places(score, places, ties="withhold")
    assert withheld.tolist() == [[True, False, False, False], [True, True, False, False]]
    for ties in ("award", "withhold"):
        assert best_places(score, np.array([0, 4]), ties=ties).sum(axis=1).tolist() == [0, 4]


def test_a_single_case_is_enough_where_no_more_are_asked_for():
    assert enough_cases(np.array([0, 1, 2]), 0).tolist() == [False, True, True]
    assert enough_cases(np.array([0, 1, 2]), 2).tolist() == [False, False, True]


# posterior probability ------------------------------------------------------------------------


def test_the_posterior_of_a_known_prior_is_the_beta_of_the_textbook():
    a, b = known_prior(0.68, 0.08)
    assert a + b == pytest.approx(33)  # p(1 - p) / s² - 1
    assert stats.beta(a, b).std() == pytest.approx(0.08)
    rule = PosteriorRule(bar=0.7, probability=0.8, direction="higher", prior=(0.68, 0.08))
    events = np.arange(0, 101)
    by_hand = stats.beta(a + events, b + 100 - events).sf(0.7) > 0.8
    np.testing.assert_array_equal(rule.decide(seen(events, 100))[0], by_hand)


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("above", [0.0, 0.01, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("n", [1, 2, 20, 101])
def test_halving_finds_the_count_that_every_probability_finds(n, above, direction):
    rng = np.random.default_rng(n)
    events = rng.binomial(n, rng.beta(5, 5, (200, 40))).astype(float)
    trials = np.full(events.shape, float(n))
    prior = (rng.uniform(1, 8, (200, 1)), np.full((200, 1), 2.0))
    for bar in (0.01, 0.5, 0.95):
        fast = certain_beyond(events, trials, prior, bar=bar, direction=direction, above=above)
        p = probability_beyond(prior[0] + events, prior[1] + trials - events, bar, direction)
        np.testing.assert_array_equal(fast, p > above)


def test_the_estimated_prior_is_near_the_true_one_with_many_doctors():
    rng = np.random.default_rng(4)
    a, b = known_prior(0.68, 0.08)
    trials = rng.integers(20, 300, (50, 1000)).astype(float)
    events = rng.binomial(trials.astype(int), rng.beta(a, b, trials.shape)).astype(float)
    found_a, found_b = empirical_bayes(events, trials)
    # 50 replicates of 1,000 doctors: the standard error of the mean ICC is about .0003
    assert (1 / (1 + found_a + found_b)).mean() == pytest.approx(1 / 34, abs=0.0012)
    assert (found_a / (found_a + found_b)).mean() == pytest.approx(0.68, abs=0.003)


@pytest.mark.parametrize("n_doctors", [4, 10, 60])
@pytest.mark.parametrize("spread", [0, 1, 4])
def test_the_estimated_shrinkage_is_the_mean_of_the_cut_gamma(n_doctors, spread):
    n = 50
    events = 25 + spread * np.resize([1.0, -1.0], n_doctors)[None, :]
    a, b = empirical_bayes(events, np.full_like(events, n))
    p = (events.sum() + 0.5) / (n * n_doctors + 1)
    x2 = (n * (events / n - events.mean() / n) ** 2).sum() / (p * (1 - p))

    def mass(shrinkage, power):
        # flat prior on 1 / shrinkage: the Jacobian is shrinkage^-2
        return shrinkage ** ((n_doctors - 1) / 2 - 2 + power) * np.exp(-shrinkage * x2 / 2)

    mean = integrate.quad(mass, 0, 1, args=(1,))[0] / integrate.quad(mass, 0, 1, args=(0,))[0]
    icc = 1 / (1 + (a + b).item())
    m = (n - 1) * (1 - 1 / n_doctors) * n_doctors / (n_doctors - 1)
    assert 1 / (1 + icc * m) == pytest.approx(mean, rel=1e-6)


def test_doctors_with_equal_results_are_not_taken_for_equal_with_certainty():
    events = np.full((1, 20), 31.0)
    a, b = empirical_bayes(events, np.full_like(events, 50))
    p = probability_beyond(a + events, b + 50 - events, 0.6, "higher")
    assert ((p > 0.6) & (p < 0.95)).all()
    # the plain moment estimate has no spread: everybody would be above the bar, surely
    assert np.isfinite(a + b).all()
    for extreme in (0.0, 50.0):
        a, b = empirical_bayes(np.full((1, 20), extreme), np.full((1, 20), 50.0))
        assert np.isfinite(a).all() and (a > 0).all() and (b > 0).all()


def test_estimated_probabilities_come_true_as_often_as_they_say():
    truth, events = worlds(n_replicates=4000, n_doctors=40, n=60)
    trials = np.full(events.shape, 60.0)
    a, b = empirical_bayes(events.astype(float), trials)
    p = probability_beyond(a + events, b + trials - events, 0.65, "higher")
    cell = np.digitize(p, [0.1, 0.2, 0.4, 0.6, 0.8, 0.9])
    said = np.array([p[cell == k].mean() for k in range(7)])
    true = np.array([(truth > 0.65)[cell == k].mean() for k in range(7)])
    # 10,000 and more doctors in each cell (error .005), plus what estimating the prior costs
    np.testing.assert_allclose(said, true, atol=0.02)


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_graded_awards_add_up_to_the_share_of_the_doctors(share, direction):
    _, events = worlds(n=40)
    a, b = 20.0 + events, 12.0 + 40 - events
    awards = probability_among_best(a, b, share=share, direction=direction)
    np.testing.assert_allclose(awards.sum(axis=1), share * 25, rtol=1e-8)
    assert ((awards >= 0) & (awards <= 1)).all()
    better = np.argsort(events[0]) if direction == "higher" else np.argsort(-events[0])
    assert (np.diff(awards[0][better]) >= -1e-12).all()


def test_a_graded_award_is_the_probability_of_a_rank_where_doctors_are_many():
    rng = np.random.default_rng(3)
    events = rng.binomial(60, rng.beta(30, 20, 300))
    rule = ProportionalRule(share=0.2, direction="higher", prior=(0.6, 0.07))
    a, b = known_prior(0.6, 0.07)
    draws = rng.beta((a + events)[:, None], (b + 60 - events)[:, None], (300, 4000))
    # 4,000 draws: standard error below .008; one common quantile for 300 doctors instead of ranks
    closed = rule.decide(seen(events, 60))[0]
    np.testing.assert_allclose(closed, rule.decide_posterior(draws), atol=0.03)


def test_rules_read_posterior_draws():
    draws = np.array([[0.7, 0.8, 0.5], [0.4, 0.5, 0.9], [0.1, 0.2, 0.3]])
    rule = PosteriorRule(bar=0.6, probability=0.5, direction="higher")
    assert rule.decide_posterior(draws).tolist() == [True, False, False]
    graded = ProportionalRule(share=0.34, direction="higher").decide_posterior(draws)
    np.testing.assert_allclose(graded, [2 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AbsoluteRule(bar=np.nan, direction="higher"), "bar must be a finite number"),
        (lambda: AbsoluteRule(bar=0.5, direction="up"), "must be one of 'higher', 'lower'"),
        (
            lambda: AbsoluteRule(bar=0.5, direction="higher", cycles=0),
            "cycles must be a whole number of at least 1; got 0",
        ),
        (
            lambda: AbsoluteRule(bar=0.5, direction="lower", minimum_cases=-1),
            "cases must be a number of at least 0; got -1",
        ),
        (lambda: RelativeRule(direction="higher"), "either factor or difference"),
        (lambda: RelativeRule(direction="higher", factor=1, difference=0), "not both"),
        (
            lambda: RelativeRule(direction="higher", factor=0),
            "factor must be a number above 0, or None; got 0",
        ),
        (lambda: PercentileRule(share=10, direction="higher"), r"Did you mean 0\.1"),
        (lambda: PercentileRule(share=0.1, direction="lower", ties="share"), "'withhold'"),
        (lambda: PosteriorRule(bar=0.5, probability=95, direction="lower"), r"Did you mean 0\.95"),
        (
            lambda: PosteriorRule(bar=0.5, probability=0.9, direction="lower", prior=(0.5, 0.6)),
            r"sqrt\(p\(1 - p\)\) = 0\.5",
        ),
        (lambda: ProportionalRule(share=0.0, direction="lower"), "strictly between 0 and 1"),
        (lambda: ProportionalRule(share=1.0, direction="lower"), "strictly between 0 and 1"),
        (lambda: PercentileRule(share=1.0, direction="lower"), "strictly between 0 and 1"),
    ],
)
def test_rules_that_cannot_be_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_a_prior_cannot_be_estimated_from_too_little():
    rule = PosteriorRule(bar=0.5, probability=0.9, direction="higher")
    with pytest.raises(SpecError, match="from 3 of them; at least 4"):
        rule.decide(seen([10, 20, 30]))
    with pytest.raises(SpecError, match="one case at most"):
        rule.decide(seen([1, 0, 1, 0, 1], 1))
