"""Few clusters: the wild bootstrap, and choosing other clusters as treated."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from made_panels import made_panel

from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.estimators.cluster_robust import wild_bootstrap_interval
from outcomekpi.pilots.estimators.did_fits import fit_interaction
from outcomekpi.pilots.estimators.reassignment import reassign
from outcomekpi.pilots.ladder.comparison import compare_pilot


def design(**changes):
    given = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    return DifferenceInDifferences(**(given | {"estimator": "2x2"} | changes))


def brute_force_p(changes, treated, effect):
    """Share of choices that look at least as large, once the effect is taken off the treated."""
    shifted = changes - effect * treated
    count, chosen = treated.size, int(treated.sum())

    def difference(picked):
        inside = np.isin(np.arange(count), picked)
        return abs(shifted[inside].mean() - shifted[~inside].mean())

    real = difference(np.flatnonzero(treated))
    found = [difference(picked) for picked in combinations(range(count), chosen)]
    return np.mean(np.array(found) >= real - 1e-9)


@pytest.mark.parametrize(("n_treated", "level"), [(3, 0.9), (4, 0.95), (1, 0.8)])
def test_the_interval_holds_the_effects_that_the_test_does_not_reject(n_treated, level):
    rng = np.random.default_rng(n_treated)
    changes = rng.normal(size=9)
    treated = np.arange(9) < n_treated
    changes[treated] += 1.0
    found = reassign(changes, np.ones(9), treated, draws=0, rng=rng)
    assert found.p_value == pytest.approx(brute_force_p(changes, treated, 0.0))
    lower, upper = found.interval(level)
    for end, inward in ((lower, 1e-6), (upper, -1e-6)):
        assert brute_force_p(changes, treated, end + inward) > 1 - level
        assert brute_force_p(changes, treated, end - inward) <= 1 - level


def test_too_few_choices_leave_the_interval_open():
    found = reassign(
        np.arange(5.0), np.ones(5), np.arange(5) == 4, draws=0, rng=np.random.default_rng(1)
    )
    assert found.interval(0.95) == (-np.inf, np.inf)
    assert np.isfinite(found.interval(0.7)).all()


def test_many_choices_are_sampled_and_the_real_one_is_among_them():
    rng = np.random.default_rng(1)
    found = reassign(rng.normal(size=40), np.ones(40), np.arange(40) < 20, draws=999, rng=rng)
    assert not found.is_exact
    assert found.placebo.size == 1000
    assert found.placebo[0] == pytest.approx(found.effect)


def test_one_treated_cluster_is_compared_with_every_control():
    frame = made_panel(n_treated=1, n_controls=24, effect=8.0)
    effect = compare_pilot(frame, design(inference="randomization"))
    lower, upper = effect.main.interval(level=0.95)
    assert lower < 8.0 < upper
    assert effect.main.excludes_null(level=0.95)
    assert "all 25 choices" in effect.main.origin
    assert "not tested: one cluster on a side" in effect.findings.facts["pre_trend"]
    assert "bounds" not in effect.findings.tables


@pytest.mark.slow
def test_the_randomization_effect_is_that_of_the_regression():
    frame = made_panel()
    plain = compare_pilot(frame, design()).main.value
    assert compare_pilot(frame, design(inference="randomization")).main.value == pytest.approx(
        plain
    )


@pytest.mark.slow
def test_the_wild_bootstrap_repeats_itself_and_is_wider_than_the_t_interval():
    frame = made_panel(n_treated=4, n_controls=4)
    chosen = design(inference="wild_bootstrap")
    first, second = (compare_pilot(frame, chosen, draws=399).main for _ in range(2))
    assert first.interval(level=0.95) == second.interval(level=0.95)
    lower, upper = first.interval(level=0.9)
    wide = first.interval(level=0.95)
    assert wide[0] <= lower < first.value < upper <= wide[1]
    assert "wild cluster bootstrap, 8 clusters" in first.origin


@pytest.mark.parametrize(("sides", "kind"), [((4, 4), "webb"), ((8, 10), "rademacher")])
@pytest.mark.parametrize("covariates", [(), ("age", "twice", "one")])
def test_the_wild_bootstrap_of_the_interaction_is_that_of_another_library(sides, kind, covariates):
    library = pytest.importorskip("diff_diff")
    frame = made_panel(*sides, seed=4)
    rng = np.random.default_rng(4)
    # a column far from 0, one that it determines, and one that the intercept determines
    frame = frame.assign(age=rng.normal(65_000, 10, len(frame)), one=1.0)
    frame = frame.assign(
        twice=2 * frame["age"],
        outcome=frame["rate"] + 0.02 * (frame["age"] - 65_000),
        treated=(frame["start"] > 0).astype(int),
        after=(frame["year"] >= 2004).astype(int),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = library.DifferenceInDifferences(
            cluster="ward",
            inference="wild_bootstrap",
            bootstrap_weights=kind,
            n_bootstrap=599,
            seed=11,
            alpha=0.1,
        ).fit(
            frame,
            outcome="outcome",
            treatment="treated",
            post="after",
            covariates=list(covariates) or None,
        )
    fit, weights = fit_interaction(frame, covariates=covariates, cluster="ward")
    law = "six points" if kind == "webb" else "signs"
    found = wild_bootstrap_interval(
        fit, weights, level=0.9, draws=599, rng=np.random.default_rng(11), law=law
    )
    assert fit.contrast(weights)[0] == pytest.approx(wanted.att, rel=1e-9)
    # both draw the same weights from the same seed, and stop within 1e-9 standard errors
    assert found == pytest.approx(wanted.conf_int, rel=1e-6)


@pytest.mark.validate
def test_without_an_effect_randomization_rejects_at_its_rate():
    rejected = []
    for seed in range(400):
        frame = made_panel(n_treated=3, n_controls=7, effect=0.0, seed=seed, start=2)
        effect = compare_pilot(frame, design(inference="randomization"))
        rejected.append(effect.main.excludes_null(level=0.9))
    # exact: at most 10 % (12 of 120 choices); 3 standard errors
    assert np.mean(rejected) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 400)
