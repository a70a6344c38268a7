"""The rule of a review, tried at the caseloads of its own history."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.operating.operating import (
    OperatingCharacteristics,
    operating_characteristics,
)
from outcomekpi.operating.settings import Setting
from outcomekpi.review.review import ThresholdReview
from outcomekpi.review.rule import ReviewRule
from outcomekpi.tables.history import Reading

__all__ = ["true_completion", "try_rule"]

MOST_COUNTS = 1_000_000  # counts drawn per level and caseload where the trial is simulated
MOST_REPLICATES = 4000
FEWEST_REPLICATES = 500
LEAST_ICC = 1e-3  # units that do not differ at all are all on one side of their target
BISECTIONS = 50

Array = NDArray[np.float64]


def try_rule(review: ThresholdReview) -> OperatingCharacteristics:
    """Work out what the rule of a review does by chance at the caseloads of its history.

    Parameters
    ----------
    review : review of the thresholds

    Returns
    -------
    OperatingCharacteristics at the smallest, the median and the largest of the indicators' median
    denominators in the cycles that they have

    Notes
    -----
    Where counts are pooled over units, completion is one binomial count per cycle. Where units
    are compared with a target, the median number of units has beta-distributed true rates whose
    ICC is the median over indicators of the posterior mean of var(rate) / (p (1 - p)); a unit's
    rate stays what it is from cycle to cycle, and all have the mean target.
    """
    rule = review.rule
    if not _has_targets(review):
        return operating_characteristics(
            rule,
            _setting(
                review, _caseloads(review, by_unit=False), levels=_completions(rule, step=0.01)
            ),
        )
    known = [each for each in review.indicators if each.table.target is not None]
    target = float(np.mean([np.mean(np.asarray(each.table.target)) for each in known]))
    n_units = max(2, int(np.median([each.n_units[each.n_units > 0].mean() for each in known])))
    icc = _between_units(review)
    setting = _setting(
        review,
        _caseloads(review, by_unit=True),
        levels=_levels_behind(_completions(rule, step=0.02), rule.reading, target=target, icc=icc),
        n_units=n_units,
        icc=icc,
    )
    return operating_characteristics(replace(rule, target=target), setting)


def true_completion(operating: OperatingCharacteristics) -> pd.Series:
    """Completion that each true level of a trial stands for, were there no chance.

    Parameters
    ----------
    operating : of a :class:`ReviewRule`

    Returns
    -------
    Series indexed by level: the level itself where counts are pooled; level / target for
    "mean_achievement"; for "share_of_doctors" the share of the beta distribution at or above the
    target
    """
    from scipy.special import betainc

    rule, setting = operating.rule, operating.setting
    levels = np.array(setting.levels)
    target = rule.target if isinstance(rule, ReviewRule) else None
    if target is None:
        shares = levels
    elif isinstance(rule, ReviewRule) and rule.reading == "mean_achievement":
        shares = levels / target
    else:
        shapes = [setting.beta_shapes(level) for level in setting.levels]
        shares = np.array(
            [
                float(level >= target) if shape is None else 1 - float(betainc(*shape, target))
                for level, shape in zip(setting.levels, shapes, strict=True)
            ]
        )
    shares = np.round(shares, 9)  # the levels were solved for
    return pd.Series(shares, index=pd.Index(setting.levels, name="level"), name="true_completion")


def _has_targets(review: ThresholdReview) -> bool:
    return any(each.table.target is not None for each in review.indicators)


def _setting(
    review: ThresholdReview,
    caseloads: list[int],
    *,
    levels: Array,
    n_units: int = 1,
    icc: float = 0.0,
) -> Setting:
    cycles = review.rule.cycles
    fits = MOST_COUNTS // (n_units * cycles)
    return Setting(
        levels=tuple(float(level) for level in levels),
        caseloads=tuple(caseloads),
        n_units=n_units,
        n_cycles=cycles,
        icc=icc,
        n_indicators=len(review.indicators),
        replicates=int(np.clip(fits, FEWEST_REPLICATES, MOST_REPLICATES)),
        seed=review.provenance.seed,
    )


def _completions(rule: ReviewRule, *, step: float) -> Array:
    """Return the true completions to try: ``step`` apart near the bars, .05 elsewhere."""
    near = [np.arange(-0.08, 0.0801, step) + bar for bar in (rule.lower, rule.upper)]
    far = np.arange(0.05, 1.0, 0.05)
    tried = np.unique(np.round(np.concatenate([*near, far[far >= rule.lower - 0.3], [1.0]]), 4))
    return tried[(tried > 0) & (tried <= 1)]


def _levels_behind(completions: Array, reading: Reading, *, target: float, icc: float) -> Array:
    """Mean true rates of units at which completion would be what is wanted, were there no chance.

    Notes
    -----
    For "share_of_doctors" the root in p of 1 - I_target(p k, (1 - p) k) = completion, with
    k = 1/icc - 1, found by bisection; the share rises with p. Shares of 0 and 1 have no root.
    """
    from scipy.special import betainc

    if reading == "mean_achievement":
        levels = completions * target
        return np.asarray(levels[levels <= 1])
    inside = completions[(completions > 0) & (completions < 1)]
    low, high = np.zeros(inside.size), np.ones(inside.size)
    size = 1 / max(icc, LEAST_ICC) - 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        reached = 1 - betainc(middle * size, (1 - middle) * size, target) >= inside
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.unique((low + high) / 2)


def _caseloads(review: ThresholdReview, *, by_unit: bool) -> list[int]:
    """Smallest, median and largest of the indicators' median denominators."""
    medians = []
    for each in review.indicators:
        counts = each.table.trials if by_unit else each.table.totals
        medians.append(float(np.median(counts[counts > 0])))
    found = {max(1, round(value)) for value in np.quantile(medians, [0.0, 0.5, 1.0])}
    return sorted(found)


def _between_units(review: ThresholdReview) -> float:
    shares = []
    for each in review.indicators:
        rates = each.unit_rates[~np.isnan(each.unit_rates[:, 0])]
        if len(rates) < 2:
            continue
        mean = rates.mean(axis=0)
        shares.append(float((rates.var(axis=0, ddof=1) / (mean * (1 - mean))).mean()))
    return float(np.clip(np.median(shares), LEAST_ICC, 0.95)) if shares else LEAST_ICC
