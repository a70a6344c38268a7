"""Star cut points against an independent brute-force implementation, scipy, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcomekpi import programs
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.programs.clusters import cluster_starts, inside_fences, outer_fences


def within_ss(members):
    return float(((members - members.mean()) ** 2).sum())


def brute_force_starts(scores, clusters):
    """Ward by its definition: merge whichever two clusters, anywhere, add the least spread."""
    parts = [np.array([score]) for score in scores]
    while len(parts) > clusters:
        best = None
        for i in range(len(parts)):
            for j in range(i + 1, len(parts)):
                both = np.concatenate([parts[i], parts[j]])
                cost = within_ss(both) - within_ss(parts[i]) - within_ss(parts[j])
                if best is None or cost < best[0]:
                    best = (cost, i, j)
        _, i, j = best
        parts[i] = np.concatenate([parts[i], parts[j]])
        del parts[j]
    return sorted(float(part.min()) for part in parts)


def sas_quantile(scores, p):
    """Definition 5 of SAS: the mean of two neighbors where n p is whole, else the next one."""
    ordered, place = sorted(scores), len(scores) * p
    whole = int(place)
    if abs(place - whole) < 1e-12:
        return (ordered[whole - 1] + ordered[whole]) / 2
    return ordered[whole]


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_ward_by_its_definition(seed):
    scores = np.sort(np.random.default_rng(seed).beta(6, 2, 45))
    found = cluster_starts(scores, clusters=5)
    np.testing.assert_allclose(found, brute_force_starts(scores, 5), rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_those_of_scipy(seed):
    from scipy.cluster.hierarchy import cut_tree, linkage

    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(0.7, 0.1, rng.integers(20, 300)))
    label = cut_tree(linkage(scores[:, None], "ward"), n_clusters=6).ravel()
    wanted = sorted(scores[label == k].min() for k in range(6))
    np.testing.assert_array_equal(cluster_starts(scores, clusters=6), wanted)


def test_the_whole_algorithm_agrees_with_one_written_apart():
    rng = np.random.default_rng(11)
    scores = np.r_[rng.beta(40, 14, 38), 0.001]  # one far outlier
    first, third = sas_quantile(scores, 0.25), sas_quantile(scores, 0.75)
    low, high = first - 3 * (third - first), third + 3 * (third - first)
    kept = np.array(sorted(s for s in scores if low <= s <= high))
    groups = np.random.default_rng(5).permutation(kept.size) % 10
    runs = [brute_force_starts(kept[groups != out], 5)[1:] for out in range(10)]
    found = programs.star_cut_points(scores, seed=5)
    np.testing.assert_allclose(found.run_cuts, runs, rtol=0, atol=0)
    np.testing.assert_allclose(found.cuts, np.mean(runs, axis=0), rtol=1e-15)
    assert found.fences == pytest.approx((low, high))
    assert found.outliers == scores.size - kept.size
    assert kept.size == 38
    assert np.bincount(groups).tolist() == [4] * 8 + [3] * 2


@pytest.mark.parametrize("n", [10, 11, 12, 13, 40, 41])
def test_fences_use_the_quartiles_of_sas(n):
    scores = np.random.default_rng(n).normal(size=n)
    first, third = sas_quantile(scores, 0.25), sas_quantile(scores, 0.75)
    np.testing.assert_allclose(
        outer_fences(scores), (first - 3 * (third - first), third + 3 * (third - first))
    )


def test_outliers_do_not_make_a_star_of_their_own():
    rng = np.random.default_rng(2)
    scores = np.r_[rng.normal(0.7, 0.03, 200), 0.05, 0.06]
    with_fences = programs.star_cut_points(scores)
    without = programs.star_cut_points(scores, fences=None)
    assert with_fences.outliers == 2
    assert with_fences.cuts[0] > 0.6
    assert without.outliers == 0
    ordered, _, _ = inside_fences(scores, 3.0, "higher", "fraction")
    assert ordered[0] > 0.5


def test_well_separated_clusters_are_cut_where_they_begin():
    scores = np.repeat([0.2, 0.4, 0.6, 0.8, 0.9], 20)
    found = programs.star_cut_points(scores)
    np.testing.assert_allclose(found.cuts, [0.4, 0.6, 0.8, 0.9])
    rated = programs.star_ratings(scores, cuts=found.cuts - 1e-12)
    assert np.bincount(rated.astype(int))[1:].tolist() == [20] * 5


def test_guardrails_stop_a_cut_five_points_from_the_year_before():
    scores = np.repeat([0.2, 0.4, 0.6, 0.8, 0.9], 20)
    found = programs.star_cut_points(scores, previous_cuts=[0.30, 0.58, 0.86, 0.90])
    np.testing.assert_allclose(found.cuts, [0.35, 0.60, 0.81, 0.90])
    np.testing.assert_allclose(found.free_cuts, [0.4, 0.6, 0.8, 0.9])
    percent = programs.star_cut_points(
        100 * scores, previous_cuts=[30, 58, 86, 90], scale="percent"
    )
    np.testing.assert_allclose(percent.cuts, [35, 60, 81, 90])


def test_guardrails_of_a_free_scale_are_five_percent_of_the_range_without_outliers():
    scores = np.repeat([2.0, 4.0, 6.0, 8.0, 9.0], 20)
    past = np.r_[np.linspace(0, 10, 99), 500.0]  # restricted range 10, whatever the outlier
    found = programs.star_cut_points(
        scores, previous_cuts=[3.0, 6.1, 9.0, 9.0], previous_scores=past, scale="free"
    )
    np.testing.assert_allclose(found.cuts, [3.5, 6.0, 8.5, 9.0])
    with pytest.raises(SpecError, match="previous_scores, or cap"):
        programs.star_cut_points(scores, previous_cuts=[3, 6, 9, 9], scale="free")


def test_the_spread_holds_the_cuts_of_every_split():
    scores = np.random.default_rng(8).beta(12, 5, 120)
    spread = programs.star_cut_spread(scores, splits=60, seed=4)
    frame = spread.to_frame(level=0.8)
    assert list(frame.index) == [2, 3, 4, 5]
    np.testing.assert_allclose(frame["mean"], spread.draws.mean(axis=0))
    np.testing.assert_allclose(frame["lower"], np.quantile(spread.draws, 0.1, axis=0))
    np.testing.assert_allclose(frame["highest"], spread.draws.max(axis=0))
    assert (frame["sd"] > 0).any()  # the split alone moves a cut
    rated = np.stack([programs.star_ratings(scores, cuts=cut) for cut in spread.draws])
    assert spread.changed == (rated.min(axis=0) != rated.max(axis=0)).mean() > 0
    pairs = [np.mean(rated[i] != rated[j]) for i in range(60) for j in range(i)]
    assert spread.differs == pytest.approx(np.mean(pairs))
    assert 0 < spread.differs < spread.changed
    np.testing.assert_array_equal(
        spread.draws, programs.star_cut_spread(scores, splits=60, seed=4).draws
    )
    assert "60 random splits" in repr(spread)
    assert "<table" in spread._repr_html_()


def test_a_unit_at_a_cut_that_all_runs_agree_on_keeps_its_star():
    centers = np.array([0.17, 0.39, 0.53, 0.83, 0.97])  # ten times .83 over ten is not .83
    assert any(np.mean([center] * 10) != center for center in np.linspace(0.01, 0.99, 99))
    found = programs.star_cut_points(np.repeat(centers, 20))
    np.testing.assert_array_equal(found.cuts, centers[1:])
    assert programs.star_ratings(centers, cuts=found.cuts).tolist() == [1, 2, 3, 4, 5]
    halfway = np.nextafter(0.71, 1)  # a mean of .70 and .72 with the last binary digit off
    assert programs.star_ratings(0.71, cuts=[0.3, halfway]) == 3.0


def test_cut_points_without_guardrails_are_one_of_the_splits_of_the_spread():
    scores = np.random.default_rng(8).beta(12, 5, 120)
    spread = programs.star_cut_spread(scores, splits=3, seed=4)
    np.testing.assert_array_equal(spread.draws[0], programs.star_cut_points(scores, seed=4).cuts)
    assert (spread.draws[0] != spread.draws[1]).any()


@pytest.mark.validate
def test_the_spread_that_the_methods_page_quotes_is_this():
    spread = programs.star_cut_spread(np.random.default_rng(1).beta(16, 4, 500), splits=200)
    frame = spread.to_frame()
    assert frame["sd"].round(3).tolist() == [0.004, 0.006, 0.005, 0.005]
    assert np.ptp(spread.draws, axis=0).max() == pytest.approx(0.032, abs=5e-4)
    assert spread.differs == pytest.approx(0.079, abs=5e-4)
    assert spread.changed == pytest.approx(0.332, abs=5e-4)


finite_scores = st.lists(st.integers(0, 1000), min_size=30, max_size=60, unique=True)


@given(finite_scores, st.randoms(use_true_random=False))
def test_the_order_of_the_units_changes_no_cut(values, random):
    scores = np.array(values) / 1000
    shuffled = scores.copy()
    random.shuffle(shuffled)
    first = programs.star_cut_points(scores)
    np.testing.assert_array_equal(first.cuts, programs.star_cut_points(shuffled).cuts)


@given(finite_scores)
def test_lower_is_better_mirrors_higher_is_better(values):
    scores = np.array(values, dtype=float)
    good = programs.star_cut_points(scores, scale="free")
    bad = programs.star_cut_points(-scores, scale="free", direction="lower")
    np.testing.assert_array_equal(bad.cuts, -good.cuts)
    np.testing.assert_array_equal(
        programs.star_ratings(-scores, cuts=bad.cuts, direction="lower"),
        programs.star_ratings(scores, cuts=good.cuts),
    )


@given(finite_scores, st.sampled_from([0.25, 2.0, 64.0]))
def test_a_change_of_unit_changes_cuts_by_the_same_factor(values, factor):
    scores = np.array(values, dtype=float)  # powers of two: exact in binary, so that ties stay
    found = programs.star_cut_points(factor * scores, scale="free").cuts
    np.testing.assert_allclose(found, factor * programs.star_cut_points(scores, scale="free").cuts)


@pytest.mark.slow
@given(finite_scores)
def test_cuts_ascend_inside_the_scores_and_everyone_gets_one_to_five_stars(values):
    scores = np.array(values, dtype=float)
    cuts = programs.star_cut_points(scores, scale="free").cuts
    assert (np.diff(cuts) > 0).all()
    assert scores.min() < cuts[0]
    assert cuts[-1] <= scores.max()
    rated = programs.star_ratings(scores, cuts=cuts)
    assert set(rated) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    order = np.argsort(scores)
    assert (np.diff(rated[order]) >= 0).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: programs.star_cut_points([0.5] * 9), CasesError, "at least 10 scores"),
        (lambda: programs.star_cut_points([*[0.5] * 20, np.nan]), CasesError, "1 missing"),
        (lambda: programs.star_cut_points(np.linspace(1, 90, 50)), CasesError, "percent"),
        (lambda: programs.star_cut_points([0.5, 0.6] * 20), CasesError, "found 2 in"),
        (lambda: programs.star_cut_points(np.linspace(0, 1, 50), stars=1), SpecError, "stars"),
        (lambda: programs.star_cut_points(np.linspace(0, 1, 50), groups=1), SpecError, "groups"),
        (
            lambda: programs.star_cut_points(np.linspace(0, 1, 50), previous_cuts=[0.5]),
            SpecError,
            "4 cut points",
        ),
        (lambda: programs.star_cut_spread(np.linspace(0, 1, 50), splits=1), SpecError, "splits"),
        (lambda: programs.star_ratings(0.5, cuts=[0.9, 0.5]), SpecError, "worst star"),
        (lambda: programs.StarRule(cuts=(0.5, 0.6), stars=4), SpecError, "from 2 to 3"),
    ],
)
def test_stars_refuse_what_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call()
