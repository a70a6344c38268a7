from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_results import made_rates

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.ranking import rank, rank_draws


@given(arrays(float, (5, 7), elements=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0])))
def test_ranks_are_mean_ranks_where_doctors_tie(values):
    from scipy.stats import rankdata

    ours = rank_draws(values, highest_first=False)
    np.testing.assert_allclose(ours, rankdata(values, axis=0))
    np.testing.assert_allclose(rank_draws(values, highest_first=True), rankdata(-values, axis=0))


@given(st.integers(2, 40), st.integers(0, 10**6))
def test_expected_ranks_add_up_to_those_of_any_order(n_doctors, seed):
    values = np.random.default_rng(seed).normal(size=(n_doctors, 30))
    total = rank_draws(values, highest_first=True).mean(axis=1, dtype=float).sum()
    assert total == pytest.approx(n_doctors * (n_doctors + 1) / 2, rel=1e-7)


@given(st.permutations(range(9)))
def test_relabelling_doctors_permutes_the_ranks(order):
    rates = made_rates(9)
    moved = replace(rates, draws=rates.draws[:, :, list(order)])
    np.testing.assert_allclose(
        flatten_draws(rank(moved).draws), flatten_draws(rank(rates).draws)[list(order)]
    )


def test_rank_one_is_best_whichever_direction_that_is():
    lower, higher = (rank(made_rates(12, direction=d)).to_frame() for d in ("lower", "higher"))
    np.testing.assert_allclose(lower["mean"], 13 - higher["mean"], rtol=1e-6)
    np.testing.assert_allclose(lower["p_top"], higher["p_bottom"])
    rates = made_rates(12, direction="lower")
    assert lower["mean"].idxmin() == rates.to_frame()["mean"].idxmin()


def test_probabilities_of_places_are_shares_of_draws():
    rates = made_rates(12)
    frame = rank(rates, top=3).to_frame()
    values = flatten_draws(rates.draws)
    place = values.argsort(axis=0).argsort(axis=0) + 1
    np.testing.assert_allclose(frame["p_best"], (place == 1).mean(axis=1))
    np.testing.assert_allclose(frame["p_top"], (place <= 3).mean(axis=1))
    np.testing.assert_allclose(frame["p_bottom"], (place > 9).mean(axis=1))
    np.testing.assert_allclose(frame["percentile"], 100 * place.mean(axis=1) / 13, rtol=1e-6)
    assert frame["p_best"].sum() == pytest.approx(1)


def test_top_is_a_tenth_of_the_doctors_unless_given():
    assert rank(made_rates(40)).top == 4
    assert rank(made_rates(5)).top == 1


@pytest.mark.parametrize("top", [0, 13, -1])
def test_an_impossible_top_is_refused(top):
    with pytest.raises(
        SpecError,
        match=r"top must (lie between 1 and the 12 doctors|be a whole number of at least 1)",
    ):
        rank(made_rates(12), top=top)


def test_ranking_is_refused_without_a_direction():
    with pytest.raises(SpecError, match="direction='higher' or direction='lower'"):
        rank(made_rates(12, direction=None))


def test_many_doctors_are_ranked_in_blocks(monkeypatch):
    from outcomekpi.profiling import ranking

    values = np.random.default_rng(3).normal(size=(50, 41))
    whole = rank_draws(values, highest_first=False)
    monkeypatch.setattr(ranking, "BLOCK_NUMBERS", 150)
    np.testing.assert_array_equal(rank_draws(values, highest_first=False), whole)


def test_the_columns_of_ranks_are_the_documented_ones():
    ranks = rank(made_rates(12))
    assert all(column in type(ranks).to_frame.__doc__ for column in ranks.to_frame().columns)
    assert "<table" in ranks._repr_html_()
    assert "1 is best" in repr(ranks)
