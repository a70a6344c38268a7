"""Why a verdict cannot be given: missing cycles, denominators that jump, too little data."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.tables.columns import count_of

__all__ = ["find_silence"]

Array = NDArray[np.float64]


def find_silence(
    total: Array,
    cycles: tuple[str, ...],
    rule: ReviewRule,
    judgment: ReviewJudgment,
    *,
    noun: str,
) -> tuple[str, str]:
    """Reasons why the rule, and why the Bayesian review, cannot say; "" where they can.

    Parameters
    ----------
    total : (cycle,), denominators of the indicator, 0 where it has no data
    cycles : labels in order of time
    noun : what a denominator counts, "case" or "doctor"

    Returns
    -------
    rule_reason, reason : the rule needs every cycle that it looks at; the Bayesian review only
        the latest one; neither speaks from too little data, or across a jump of the denominators
    """
    window = total[-rule.cycles :]
    names = cycles[-rule.cycles :]
    if window[-1] == 0:
        return (missing := f"no data in {names[-1]}, the latest cycle", missing)
    if window.sum() < judgment.fewest:
        few = f"only {count_of(int(window.sum()), noun)} in the cycles under review"
        return few, few
    jump = _find_jump(window, names, judgment)
    if jump:
        return jump, jump
    if len(window) < rule.cycles:
        have = count_of(len(window), "cycle")
        return f"it needs {rule.cycles} consecutive cycles and there is {have}", ""
    absent = [name for name, size in zip(names, window, strict=True) if size == 0]
    if absent:
        return f"no data in {', '.join(absent)}, and it needs consecutive cycles", ""
    return "", ""


def _find_jump(window: Array, names: tuple[str, ...], judgment: ReviewJudgment) -> str:
    for i in range(1, len(window)):
        before, after = window[i - 1], window[i]
        if before > 0 and after > 0 and abs(after - before) / before > judgment.largest_change:
            return (
                f"the denominator changed from {before:,.0f} in {names[i - 1]} to {after:,.0f} in "
                f"{names[i]}, so that the cycles may not count the same thing"
            )
    return ""
