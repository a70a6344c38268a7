"""What a break of the parallel trends does to the effect, and the test of those before: words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import EngineError
from outcomekpi.draws.intervals import DEFAULT_LEVEL
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

VERY_FEW = 5
"""Below this many clusters on a side, tests of the trends see differences that are none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivity:
    """Test of the trends before, bounds and breakdown; why there are none."""

    pre_trend: PreTrendTest | None
    relative: pd.DataFrame | None
    smooth: pd.DataFrame | None
    breakdown: float
    reason: str


def find_sensitivity(answer: DidAnswer) -> Sensitivity:
    """Test the trends before the start and bound the effect, or say why that cannot be."""
    study = answer.event_study
    reason = answer.no_event_study if study is None else study.flaw
    if study is None or reason:
        return Sensitivity(
            pre_trend=None, relative=None, smooth=None, breakdown=float("nan"), reason=reason
        )
    relative = bound_parallel_trends(study)
    smooth = None
    try:
        if study.n_before > 1:
            error = float(np.sqrt(study.average() @ study.covariance @ study.average()))
            smooth = bound_parallel_trends(
                study, method="smoothness", magnitudes=(0.0, error)
            ).to_frame()
    except EngineError as failure:
        reason = str(failure)
    return Sensitivity(
        pre_trend=assess_pre_trend(study),
        relative=relative.to_frame(),
        smooth=smooth,
        breakdown=relative.breakdown(),
        reason=reason,
    )


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
        return f"the {DEFAULT_LEVEL:.0%} interval includes no effect even with parallel trends"
    if np.isinf(found.breakdown):
        return "no break of the trends that was tried makes the interval include no effect"
    return (
        f"a break of the trends after the start of {found.breakdown:.3g} times the largest one "
        f"before makes the {DEFAULT_LEVEL:.0%} interval of the average effect include no effect "
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
