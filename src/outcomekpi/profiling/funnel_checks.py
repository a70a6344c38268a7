"""What funnel limits may be asked for, and which counts they can be computed from."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.draws.intervals import check_level
from outcomekpi.profiling.funnel_quantiles import LimitRule
from outcomekpi.profiling.overdispersion import Outliers, Transform

__all__ = ["Overdispersion", "check_events", "check_rule", "check_whole_counts", "match_labels"]

Array = NDArray[np.float64]
Overdispersion = Literal["none", "multiplicative", "additive", "predictive"]


def check_rule(rule: LimitRule, levels: tuple[float, ...]) -> None:
    """Refuse unknown options and impossible levels or shares."""
    check_choice("method", rule.method, ("exact", "normal"))
    check_choice("overdispersion", rule.overdispersion, get_args(Overdispersion))
    check_choice("transform", rule.transform, get_args(Transform))
    check_choice("outliers", rule.outliers, get_args(Outliers))
    if not levels:
        raise SpecError("levels must hold at least one probability, for example (0.95, 0.998).")
    for level in levels:
        check_level(level)
    if not 0 <= rule.outlier_share < 0.5:
        raise SpecError(f"outlier_share must lie in [0, 0.5); got {rule.outlier_share!r}.")
    if rule.distribution == "normal" and rule.overdispersion == "predictive":
        raise SpecError("Predictive limits are for events; use overdispersion='additive'.")


def check_events(observed: Array, expected: Array, cases: Array | None) -> None:
    """Refuse expected events that are not positive, and more events than cases."""
    wrong = np.flatnonzero(~(expected > 0))
    if wrong.size:
        raise SpecError(
            f"Expected events must be positive. {wrong.size} of {expected.size} doctors have "
            f"others, the first at position {wrong[0]} ({expected[wrong[0]]!r})."
        )
    if cases is not None and ((expected > cases).any() or (observed > cases).any()):
        first = int(np.flatnonzero((expected > cases) | (observed > cases))[0])
        raise SpecError(
            f"Events exceed cases at position {first}: observed {observed[first]:g}, expected "
            f"{expected[first]:g}, cases {cases[first]:g}. Leave cases out for Poisson limits."
        )


def match_labels(name: str, values: pd.Series, expected: pd.Series) -> pd.Series:
    """Return values in the order of the expected events, by their labels."""
    if values.index.equals(expected.index):
        return values
    if not (values.index.is_unique and expected.index.is_unique):
        raise SpecError(
            f"{name} and expected have different labels, and labels that occur twice, so that "
            "they cannot be matched. Give both the same index with one row per doctor."
        )
    alone = values.index.symmetric_difference(expected.index)
    if len(alone):
        raise SpecError(
            f"{name} and expected must have the same doctors as labels. {len(alone)} labels stand "
            f"in one of them only, the first {alone[0]!r}."
        )
    return values.reindex(expected.index)


def check_whole_counts(observed: Array, cases: Array) -> None:
    """Refuse parts of events or cases, for which there are no exact limits."""
    parts = np.flatnonzero((observed != np.round(observed)) | (cases != np.round(cases)))
    if parts.size:
        raise SpecError(
            f"Exact limits are those of whole counts. {parts.size} of {observed.size} doctors have "
            f"parts of events or cases, the first at position {parts[0]} ({observed[parts[0]]:g} "
            f"events, {cases[parts[0]]:g} cases). Count whole ones, or take method='normal'."
        )
