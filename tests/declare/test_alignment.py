"""Arrays with labels belong together by their labels, in every public function."""

import inspect

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import SpecError
from outcomekpi.declare.alignment import align

N = 40
RNG = np.random.default_rng(11)
LABELS = pd.Index([f"D{k:02d}" for k in range(N)])
ORDER = RNG.permutation(N)


def series(values) -> pd.Series:
    return pd.Series(np.asarray(values), index=LABELS)


EXPECTED = series(RNG.uniform(5, 20, N))
OBSERVED = series(RNG.poisson(EXPECTED)).astype(float)
CASES = series(RNG.integers(60, 120, N))
RATE = series(RNG.uniform(0.2, 0.9, N))
OTHER = series(RNG.uniform(0.2, 0.9, N))
RISK = series(RNG.uniform(0.1, 0.6, N))
EVENT = series((RNG.random(N) < RISK).astype(float))
UNITS = series([f"u{k % 8}" for k in range(N)])
READING = series(RNG.normal(9, 1, N).clip(8.01))
LATER = series(RNG.normal(8, 1, N))
WINDOWS = pd.DataFrame(RNG.uniform(0.3, 0.8, (N, 4)), index=LABELS)
PRESSURES = pd.DataFrame(RNG.normal(134, 4, (N, 6)) + RNG.normal(0, 8, (N, 1)), index=LABELS)
PAYMENTS = pd.DataFrame(RNG.uniform(10, 20, (N, 2)), index=LABELS)
RATIOS = pd.DataFrame(RNG.uniform(0.8, 1.3, (N, 2)), index=LABELS)
PEERS = pd.DataFrame(RNG.integers(20, 90, (N, 2)), index=LABELS)
P = ok.programs
POPULATION = ok.BaselinePopulation(mean=7.5, sd=1.2, reliability=0.7)

CALLS = {
    "count_limits": lambda x: ok.count_limits(EXPECTED * 0 + OBSERVED, x(EXPECTED), cases=x(CASES)),
    "assess_predictions": lambda x: ok.assess_predictions(
        RISK, outcome=x(EVENT), doctor=x(UNITS), replicates=100
    ).to_frame(),
    "assess_criterion": lambda x: ok.assess_criterion(
        ok.TargetCriterion(bar=8.0, cv=0.05), LATER, weights=x(RATE)
    ),
    "correct_selection": lambda x: ok.correct_selection(
        READING, x(LATER), cutoff=8.0, side="above", population=POPULATION,
        rng=np.random.default_rng(1),
    ),
    "correct_unit_selection": lambda x: ok.correct_unit_selection(
        OBSERVED, x(OBSERVED + 1), chosen=x(OBSERVED > 12), before_trials=x(CASES),
        after_trials=x(CASES + 3), rng=np.random.default_rng(1),
    ),
    "replay_selection": lambda x: ok.replay_selection(
        WINDOWS, x(RATE), n_chosen=8, rng=np.random.default_rng(1)
    ),
    "sweep_population_means": lambda x: ok.sweep_population_means(
        READING, x(LATER), means=[7.0, 7.5]
    ),
    "exception_jump": lambda x: ok.exception_jump(
        RATE * 100, x(OBSERVED), bar=50.0, eligible=x(CASES), bandwidth=40.0
    ),
    "expected_regression": lambda x: ok.expected_regression(RATE, worst=x(OTHER), sd=x(EXPECTED)),
    "regression_share": lambda x: ok.regression_share(
        EXPECTED, reliability=x(RATE), worst=x(OTHER), sd=x(CASES)
    ),
    "improvement_by_chance": lambda x: ok.improvement_by_chance(RATE, by=x(OTHER), sd=x(CASES)),
    "fit_beta_binomial": lambda x: ok.fit_beta_binomial(OBSERVED, x(CASES)),
    "programs.abc_benchmark": lambda x: P.abc_benchmark(OBSERVED, x(CASES)),
    "programs.hrrp_excess_ratio": lambda x: P.hrrp_excess_ratio(OBSERVED, x(EXPECTED)),
    "programs.hrrp_peer_medians": lambda x: P.hrrp_peer_medians(RATIOS, peer_group=x(UNITS)),
    "programs.hrrp_adjustment": lambda x: P.hrrp_adjustment(
        RATIOS, discharges=x(PEERS), payments=x(PAYMENTS), total_payments=x(CASES * 10.0),
        dual_share=x(RATE),
    ),
    "programs.mips_benchmark": lambda x: P.mips_benchmark(RATE, cases=x(CASES - 50)),
    "programs.mips_points": lambda x: P.mips_points(
        RATE, cuts=np.linspace(0.1, 0.9, 9), cases=x(CASES - 55)
    ),
    "programs.mssp_shared_savings": lambda x: P.mssp_shared_savings(
        CASES * 100.0, x(CASES * 90.0), x(CASES * 200)
    ),
    "programs.qof_achievement": lambda x: P.qof_achievement(OBSERVED, x(CASES)),
    "programs.qof_pounds": lambda x: P.qof_pounds(
        OBSERVED, list_size_ratio=x(RATE), prevalence_ratio=x(OTHER)
    ),
    "programs.source_a_base": lambda x: P.source_a_base(RATE * 2 + 5.3, x(LATER)),
    "programs.source_a_team": lambda x: P.source_a_team(
        PRESSURES, x(PRESSURES * 0.6)
    ),
    "programs.source_a_bonus": lambda x: P.source_a_bonus(CASES * 4.0, followed_days=x(CASES * 5)),
    "programs.source_b_score": lambda x: P.source_b_score(RATE * 100, x(OTHER * 100)),
    "programs.srtr_flag": lambda x: P.srtr_flag(OBSERVED, x(EXPECTED)),
    "programs.srtr_hazard_ratio": lambda x: P.srtr_hazard_ratio(OBSERVED, x(EXPECTED)),
    "programs.srtr_probability": lambda x: P.srtr_probability(OBSERVED, x(EXPECTED), beyond=1.2),
    "programs.srtr_tiers": lambda x: P.srtr_tiers(OBSERVED, x(EXPECTED), cuts=(0.8, 1.2)),
    "programs.vbp_thresholds": lambda x: P.vbp_thresholds(RATE, cases=x(CASES - 60)),
    "programs.vbp_achievement_points": lambda x: P.vbp_achievement_points(
        RATE, threshold=x(OTHER * 0.5), benchmark=x(OTHER * 0.5 + 0.4)
    ),
    "programs.vbp_improvement_points": lambda x: P.vbp_improvement_points(
        RATE, x(OTHER), benchmark=0.95
    ),
    "programs.vbp_points": lambda x: P.vbp_points(
        RATE, x(OTHER), threshold=0.5, benchmark=0.95, cases=x(CASES)
    ),
}  # fmt: skip
# arrays of two different things, which have no label in common: units, and cut points or grids
APART = {"programs.ncqa_rating", "programs.star_cut_points", "programs.star_ratings"}


def public_functions():
    for prefix, home in (("", ok), ("programs.", ok.programs)):
        for name in sorted(n for n in dir(home) if not n.startswith("_")):
            if inspect.isfunction(getattr(home, name)):
                yield prefix + name, getattr(home, name)


def test_every_public_function_of_two_arrays_is_looked_at():
    def is_array(annotation: object) -> bool:
        text = str(annotation)
        return "ArrayLike" in text or "NDArray" in text or text.startswith("<class 'pandas.Series")

    found = {
        name
        for name, function in public_functions()
        if sum(is_array(p.annotation) for p in inspect.signature(function).parameters.values()) > 1
    }
    assert found - set(CALLS) == APART
    assert set(CALLS) <= found


def values(result) -> np.ndarray:
    if hasattr(result, "to_frame") and not isinstance(result, pd.Series):
        result = result.to_frame()
    if isinstance(result, pd.DataFrame):
        if result.index.isin(LABELS).all():
            result = result.loc[LABELS]
        return result.select_dtypes("number").to_numpy(dtype=float)
    if isinstance(result, np.ndarray | pd.Series | float | tuple):
        return np.asarray(result, dtype=float)
    return np.array(
        [v for v in vars_of(result) if isinstance(v, int | float | np.number)], dtype=float
    )


def vars_of(result):
    return [getattr(result, name) for name in result.__dataclass_fields__]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_another_order_of_rows_changes_nothing(name):
    straight = values(CALLS[name](lambda one: one))
    shuffled = values(CALLS[name](lambda one: one.iloc[ORDER]))
    assert straight.size
    np.testing.assert_allclose(shuffled, straight, rtol=1e-12)
    by_place = values(CALLS[name](lambda one: one.iloc[ORDER].set_axis(LABELS, axis=0)))
    assert not np.array_equal(by_place, straight, equal_nan=True), "the order must matter here"


@pytest.mark.parametrize("name", sorted(CALLS))
def test_other_labels_are_refused(name):
    with pytest.raises(SpecError, match="must have the same labels"):
        CALLS[name](lambda one: one.set_axis([f"x{k}" for k in range(N)], axis=0))


def test_labels_that_come_twice_are_refused_where_the_order_differs():
    one, two = pd.Series([1, 2, 3], index=list("aab")), pd.Series([1, 2, 3], index=list("aba"))
    with pytest.raises(SpecError, match="'a' more than once"):
        align(one=one, two=two)
    assert align(one=one, two=one + 1)[1].tolist() == [2, 3, 4]


def test_arrays_without_labels_count_by_position():
    first, second, third = align(first=np.arange(3), second=pd.Series([1, 2, 3]), third=None)
    assert second.tolist() == [1, 2, 3]
    assert third is None
    assert first.tolist() == [0, 1, 2]
