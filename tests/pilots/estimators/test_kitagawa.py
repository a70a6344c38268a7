"""The split of a change: worked by hand, exact sums, and the laws that it must keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from outcomekpi.pilots.estimators.cluster_resampling import draw_clusters, jackknife_clusters
from outcomekpi.pilots.estimators.kitagawa import fit_outcome_model, split_change


def stratified(cells):
    """Rows of two strata: cells[period][stratum] = (patients, events)."""
    outcome, after, stratum = [], [], []
    for period, strata in enumerate(cells):
        for place, (patients, events) in enumerate(strata):
            outcome += [1.0] * events + [0.0] * (patients - events)
            after += [period == 1] * patients
            stratum += [place] * patients
    matrix = np.column_stack([np.ones(len(outcome)), np.array(stratum)])
    return np.array(outcome), np.array(after), matrix


# mild: 60 of 100 before, 140 of 200 after; severe: 20 of 100 before, 30 of 100 after.
# rates .6/.2 before, .7/.3 after; shares of mild 1/2 before, 2/3 after; plain .40 -> .5667
HAND = stratified((((100, 60), (100, 20)), ((200, 140), (100, 30))))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("standard", "within", "mix"),
    # within is .1 in both strata, so that every standard gives .1; mix = 1/6 x (.6 - .2) at the
    # rates before, and the rates after differ between strata by .4 as well
    [(name, 0.1, 1 / 6 * 0.4) for name in ("average", "pooled", "before", "after")],
)
def test_a_split_of_two_strata_is_the_one_worked_by_hand(binary, standard, within, mix):
    outcome, after, matrix = HAND
    split = split_change(
        outcome, after, matrix, model_rows=np.ones(500, bool), weights=np.ones(500),
        binary=binary, standard=standard,
    )  # fmt: skip
    assert split.within == pytest.approx(within, abs=1e-9)
    assert split.mix == pytest.approx(mix, abs=1e-9)
    assert split.total == pytest.approx(170 / 300 - 0.4, abs=1e-12)


def kitagawa(cells):
    """Kitagawa's two components, as her formula has them."""
    sizes = np.array([[n for n, _ in strata] for strata in cells], dtype=float)
    rates = np.array([[e / n for n, e in strata] for strata in cells])
    shares = sizes / sizes.sum(axis=1, keepdims=True)
    within = ((shares[0] + shares[1]) / 2) @ (rates[1] - rates[0])
    mix = ((rates[0] + rates[1]) / 2) @ (shares[1] - shares[0])
    return within, mix


@pytest.mark.parametrize("binary", [True, False])
def test_kitagawas_formula_on_strata_whose_rates_move_apart(binary):
    cells = (((80, 20), (120, 90)), ((150, 75), (50, 30)))
    outcome, after, matrix = stratified(cells)
    split = split_change(
        outcome, after, matrix, model_rows=np.ones(400, bool), weights=np.ones(400),
        binary=binary, standard="average",
    )  # fmt: skip
    within, mix = kitagawa(cells)
    # by hand: shares .4/.6 and .75/.25; rates .25/.75 and .5/.6
    assert within == pytest.approx(0.575 * 0.25 + 0.425 * -0.15)
    assert (split.within, split.mix) == pytest.approx((within, mix), abs=1e-9)


def test_a_stratum_with_events_only_is_split_exactly_all_the_same():
    cells = (((10, 10), (20, 5)), ((15, 15), (10, 4)))
    outcome, after, matrix = stratified(cells)
    split = split_change(
        outcome, after, matrix, model_rows=np.ones(55, bool), weights=np.ones(55),
        binary=True, standard="average",
    )  # fmt: skip
    assert (split.within, split.mix) == pytest.approx(kitagawa(cells), abs=1e-7)


def test_entries_and_exits_are_split_as_by_hand():
    # 6 stay (2 -> 4 events), 4 leave (0 events), 2 enter (2 events); no case mix
    before_stay, after_stay = [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]
    outcome = np.array([*before_stay, 0, 0, 0, 0, *after_stay, 1, 1], dtype=float)
    after = np.repeat([False, True], [10, 8])
    stay = np.array([True] * 6 + [False] * 4 + [True] * 6 + [False] * 2)
    split = split_change(
        outcome, after, np.ones((18, 1)), model_rows=stay, weights=np.ones(18), binary=True,
        standard="average",
    )  # fmt: skip
    assert split.within == pytest.approx(4 / 6 - 2 / 6)
    assert split.mix == pytest.approx(0, abs=1e-12)
    assert split.entry == pytest.approx(6 / 8 - 4 / 6)
    assert split.exit == pytest.approx(2 / 6 - 2 / 10)
    assert split.total == pytest.approx(6 / 8 - 2 / 10)


@st.composite
def tables(draw):
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(40, 120))
    after = np.arange(n) % 2 == 1
    x = rng.normal(size=n) + 0.5 * after
    matrix = np.column_stack([np.ones(n), x])
    outcome = (rng.random(n) < 0.5).astype(float)
    stay = rng.random(n) < draw(st.sampled_from([0.6, 1.0]))
    return outcome, after, matrix, stay | (np.arange(n) < 20)


@settings(max_examples=60, deadline=None)
@given(
    tables(), st.booleans(), st.sampled_from(["average", "pooled", "before", "after"]),
)  # fmt: skip
def test_the_parts_add_up_to_the_plain_difference(table, binary, standard):
    outcome, after, matrix, stay = table
    split = split_change(
        outcome, after, matrix, model_rows=stay, weights=np.ones(len(after)), binary=binary,
        standard=standard,
    )  # fmt: skip
    plain = outcome[after].mean() - outcome[~after].mean()
    assert split.parts()[:4].sum() == pytest.approx(plain, abs=1e-9)
    assert split.total == pytest.approx(plain, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(tables(), st.booleans())
def test_the_same_case_mix_leaves_no_mix_part(table, binary):
    outcome, _, matrix, _ = table
    half = len(outcome) // 2
    twice = np.concatenate([matrix[:half], matrix[:half]])
    split = split_change(
        outcome[: 2 * half], np.arange(2 * half) >= half, twice,
        model_rows=np.ones(2 * half, bool), weights=np.ones(2 * half), binary=binary,
        standard="average",
    )  # fmt: skip
    assert split.mix == pytest.approx(0, abs=1e-8)
    assert split.within == pytest.approx(split.total, abs=1e-8)


def test_the_logistic_fit_agrees_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    outcome = (rng.random(300) < 0.3 + 0.2 * (matrix[:, 1] > 0)).astype(float)
    weights = rng.integers(1, 4, 300).astype(float)
    reference = sm.GLM(outcome, matrix, family=sm.families.Binomial(), freq_weights=weights).fit()
    found = fit_outcome_model(matrix, outcome, weights, binary=True)
    # both stop when the score is nil: 1e-8 is far below any standard error
    assert np.allclose(found, reference.params, atol=1e-8)


def test_a_single_column_is_an_intercept_only_where_it_holds_ones():
    # 3 of 4 had the event: the log odds are log 3, and half of it per unit of a column of twos
    outcome, weights = np.array([1.0, 1, 1, 0]), np.ones(4)
    for value, expected in ((1.0, np.log(3)), (2.0, np.log(3) / 2)):
        column = np.full((4, 1), value)
        found = fit_outcome_model(column, outcome, weights, binary=True)
        assert found == pytest.approx([expected], abs=1e-10)
    # nobody and everybody: not the infinite logit, but a chance of 1e-12 beside 0 or 1
    for event in (0.0, 1.0):
        found = fit_outcome_model(np.ones((4, 1)), np.full(4, event), weights, binary=True)
        assert found == pytest.approx([(2 * event - 1) * np.log(1e12)], rel=1e-4)


def test_separated_patients_end_at_one_chance_however_often_each_counts():
    matrix = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    outcome = np.repeat([0.0, 1.0], 4)
    once, often = (
        fit_outcome_model(matrix, outcome, np.full(8, weight), binary=True)
        for weight in (1.0, 1000.0)
    )
    # rounding of the sums only; the score of a row ends below 1e-10, whoever else is there
    assert once == pytest.approx(often, rel=1e-9)
    missed = np.abs(outcome - expit(matrix @ once))
    assert missed.max() < 1e-9


def test_the_jackknife_of_a_mean_by_clusters_of_one_is_its_standard_error():
    values = np.random.default_rng(2).normal(size=50)
    found = jackknife_clusters(
        lambda w: np.array([values @ w / w.sum()]), np.arange(50), rng=np.random.default_rng(1)
    )
    assert found.errors()[0] == pytest.approx(values.std(ddof=1) / np.sqrt(50), rel=1e-9)
    left = np.delete(values, 7)
    assert found.errors_without()[7, 0] == pytest.approx(left.std(ddof=1) / 7, rel=1e-9)


def test_the_cluster_bootstrap_never_loses_a_period():
    cluster = np.array([0, 0, 1, 1, 2, 2])
    after = np.array([False, False, True, True, True, True])
    seen = draw_clusters(
        lambda w: np.array([w[after].sum(), w[~after].sum()]), cluster, after, draws=200,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert (seen > 0).all()
    assert (seen.sum(axis=1) == 6).all()
