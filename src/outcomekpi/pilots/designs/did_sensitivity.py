"""What a break of the parallel trends does to the effect, and the test of those before: words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import EngineError
from outcomekpi.draws.memory import remembered
from outcomekpi.pilots.designs.did_estimation import DidAnswer
from outcomekpi.pilots.estimators.parallel_bounds import bound_parallel_trends
from outcomekpi.pilots.estimators.pre_trend import PreTrendTest, assess_pre_trend
from outcomekpi.tables.columns import count_of

__all__ = [
    "VERY_FEW",
    "Sensitivity",
    "breakdown_words",
    "find_sensitivity",
    "pre_trend_fact",
    "pre_trend_words",
    "sensitivity_words",
]

PRE_TREND_LEVEL = 0.95
"""1 minus the size of the test of the trends before. Its power is told for this size, and whether
trends were seen to differ must not depend on the level at which an effect is read."""
VERY_FEW = 5
"""Below this many clusters on a side, tests of the trends see differences that are none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivity:
    """Test of the trends before, bounds and breakdown at a level; why there are none."""

    pre_trend: PreTrendTest | None
    relative: pd.DataFrame | None
    smooth: pd.DataFrame | None
    breakdown: float
    reason: str
    level: float


def find_sensitivity(answer: DidAnswer, *, level: float) -> Sensitivity:
    """Test the trends before the start and bound the effect, or say why that cannot be."""
    study = answer.event_study
    reason = answer.no_event_study if study is None else study.flaw
    if study is None or reason:
        return Sensitivity(
            pre_trend=None,
            relative=None,
            smooth=None,
            breakdown=float("nan"),
            reason=reason,
            level=level,
        )
    relative = bound_parallel_trends(study)
    smooth = None
    try:
        if study.n_before > 1:
            error = float(np.sqrt(study.average() @ study.covariance @ study.average()))
            smooth = bound_parallel_trends(
                study, method="smoothness", magnitudes=(0.0, error)
            ).to_frame(level=level)
    except EngineError as failure:
        reason = str(failure)
    return Sensitivity(
        pre_trend=_test_before(answer),
        relative=relative.to_frame(level=level),
        smooth=smooth,
        breakdown=relative.breakdown(level=level),
        reason=reason,
        level=level,
    )


@remembered
def _test_before(answer: DidAnswer) -> PreTrendTest | None:
    """Test the trends before the start; its numbers belong to no level of the effect."""
    study = answer.event_study
    return None if study is None else assess_pre_trend(study, level=PRE_TREND_LEVEL)


def pre_trend_words(answer: DidAnswer, test: PreTrendTest) -> str:
    """Say whether trends before the start were seen to differ."""
    seen = "were seen to differ" if test.p_value < 1 - test.level else "were not seen to differ"
    few = min(answer.panel.treated_clusters, answer.panel.control_clusters) < VERY_FEW
    return (
        f"Trends before the start {seen} (p = {test.p_value:.3g}, "
        f"{count_of(test.degrees_of_freedom, 'time')} tested)."
    ) + (" With so few clusters on a side, differences that are none are often seen." * few)


def breakdown_words(found: Sensitivity) -> str:
    """Say which break of the parallel trends undoes the effect."""
    if found.relative is None:
        return f"not known: {found.reason}"
    if found.breakdown == 0:
        return f"the {found.level:.0%} interval includes no effect even with parallel trends"
    if np.isinf(found.breakdown):
        return "no break of the trends that was tried makes the interval include no effect"
    return (
        f"a break of the trends after the start of {found.breakdown:.3g} times the largest one "
        f"before makes the {found.level:.0%} interval of the average effect include no effect "
        f"(M = {found.breakdown:.3g})"
    )


def pre_trend_fact(answer: DidAnswer, found: Sensitivity) -> str:
    """Answer the checklist's question about the trends before the start."""
    test = found.pre_trend
    if test is None:
        return f"not tested: {found.reason}"
    half, most = test.power.iloc[0], test.power.iloc[-1]
    unit = test.event_study.unit
    joint = ""
    if answer.joint_test is not None and answer.joint_test[1] > test.degrees_of_freedom:
        _, count, chance = answer.joint_test
        joint = f" Each start by itself: p = {chance:.3g} ({count:,} effects before)."
    return (
        f"{pre_trend_words(answer, test)}{joint} A linear difference of {half['slope']:.3g} "
        f"{unit} a period would be seen with a probability of 50 %, of {most['slope']:.3g} with 80 "
        f"%; the latter, unseen, biases the average effect by {most['bias_if_passed']:.3g} {unit}"
    )


def sensitivity_words(found: Sensitivity) -> str:
    """Answer the checklist's question about what overturns the result."""
    if found.relative is None:
        return f"no bounds: {found.reason}"
    table = found.relative
    row = table[table["m"] == 1.0].iloc[0]
    return (
        f"{breakdown_words(found)}; with breaks as large as before (M = 1) the interval is "
        f"{row['lower']:.4g} to {row['upper']:.4g} {table.attrs['unit']}"
    )
