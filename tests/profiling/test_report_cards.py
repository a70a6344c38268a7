from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from made_results import made_rates

from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.report_cards import (
    grade_exactly,
    grade_in_order,
    pairwise_worse,
    report_card,
)


def loss_of(grades, p_worse, weight):
    """Sum over pairs with different grades, from the definition; p_worse[i, j] = P(j better)."""
    n = len(grades)
    return sum(
        p_worse[i, j] - weight * (1 - p_worse[i, j])
        for i in range(n)
        for j in range(n)
        if grades[i] < grades[j]
    )


def cyclic(n, seed):
    """Pair probabilities without any transitivity."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)), 1)
    return upper + np.tril(1 - upper.T, -1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weight", [0.1, 0.25, 1.0])
def test_the_exact_grading_is_the_best_of_all_weak_orders(seed, weight):
    pairs = pairwise_worse(np.random.default_rng(seed).normal(size=(5, 3)))
    pairs = replace(pairs, wrong=cyclic(5, seed))
    best = min(loss_of(g, pairs.wrong, weight) for g in product(range(5), repeat=5))
    ours = loss_of(grade_exactly(pairs, weight=weight), pairs.wrong, weight)
    assert ours == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weight", [0.1, 0.25, 1.0])
def test_the_ordered_grading_is_the_best_along_its_order(seed, weight):
    rng = np.random.default_rng(seed)
    pairs = pairwise_worse(rng.normal(size=(7, 1)) + rng.normal(size=(7, 200)))
    cuts = [np.r_[0, np.cumsum(c)] for c in product([0, 1], repeat=6)]
    best = min(loss_of(g, pairs.wrong, weight) for g in cuts)
    grades = grade_in_order(pairs, weight=weight)
    assert (np.diff(grades) >= 0).all()
    assert loss_of(grades, pairs.wrong, weight) == pytest.approx(best, abs=1e-9)


def test_exact_and_ordered_gradings_agree_on_a_posterior():
    rates = made_rates(10)
    exact = report_card(rates, method="exact")
    ordered = report_card(rates, method="ordered")
    assert list(exact.grade) == list(ordered.grade)
    assert exact.discordance == pytest.approx(ordered.discordance)


def test_certainty_one_half_ranks_and_high_certainty_stops_grading():
    rates = made_rates(10)
    cards = [report_card(rates, certainty=c) for c in (0.5, 0.8, 0.95, 0.999999)]
    numbers = [int(card.grade.max()) for card in cards]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == 10
    shares = [card.discordance for card in cards]
    assert shares == sorted(shares, reverse=True)


def test_grade_one_goes_to_the_best():
    for direction in ("lower", "higher"):
        rates = made_rates(12, direction=direction)
        card = report_card(rates)
        mean = rates.to_frame()["mean"]
        best = mean.idxmin() if direction == "lower" else mean.idxmax()
        assert card.grade[best] == 1


def test_the_bound_on_wrong_pairs_is_kept():
    rates = made_rates(30)
    free = report_card(rates, certainty=0.5)
    bound = free.discordance / 3
    card = report_card(rates, certainty=0.5, max_discordance=bound)
    assert card.discordance <= bound
    assert card.certainty > 0.5
    assert card.grade.max() > 1


def test_shares_of_pairs_are_counted_in_the_draws():
    rates = made_rates(9)
    card = report_card(rates, method="ordered")
    values = rates.draws.stack(sample=("chain", "draw")).transpose("doctor", "sample").to_numpy()
    grade = card.grade.to_numpy()
    wrong = [
        (values[i] > values[j]).mean() for i in range(9) for j in range(9) if grade[i] < grade[j]
    ]
    assert card.discordance == pytest.approx(sum(wrong) / 36)
    assert card.wrong_among_ordered == pytest.approx(np.mean(wrong))


def test_thousands_of_doctors_are_graded_in_blocks():
    rates = made_rates(1600)
    card = report_card(rates)
    assert card.method == "ordered"
    assert "blocks" in card.approximation
    # the blocks are checked against a tenth of the doctors, counted pair by pair
    mean = rates.to_frame()["mean"]
    assert 2 <= card.grade.max() < 30
    assert np.corrcoef(mean.rank(), card.grade)[0, 1] > 0.8
    values = rates.draws.stack(sample=("chain", "draw")).transpose("doctor", "sample").to_numpy()
    some = np.arange(0, 1600, 10)
    grade = card.grade.to_numpy()[some]
    better = grade[:, None] < grade[None, :]
    worse = np.array([(values[some] < values[i]).mean(axis=1) for i in some])
    counted = worse[better].sum() / (some.size * (some.size - 1) / 2)
    assert card.discordance == pytest.approx(counted, abs=0.02)


def test_wrong_uses_are_refused():
    rates = made_rates(12)
    with pytest.raises(SpecError, match="certainty"):
        report_card(rates, certainty=0.3)
    with pytest.raises(SpecError, match="max_discordance"):
        report_card(rates, max_discordance=0)
    with pytest.raises(SpecError, match="at least two"):
        report_card(made_rates(1))
    with pytest.raises(SpecError, match="direction"):
        report_card(made_rates(12, direction=None))


def test_report_cards_describe_themselves():
    card = report_card(made_rates(12))
    assert "grades for 12 doctors" in repr(card)
    assert "<table" in card._repr_html_()
    assert list(card.to_frame().columns) == ["grade"]
