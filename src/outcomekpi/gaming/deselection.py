"""Deselection: what a doctor wins by dropping his worst patients, alone or with everyone."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError, check_choice, check_kind, percent_hint
from outcomekpi.gaming.deselection_results import Deselection, Worst
from outcomekpi.gaming.deselection_sums import CaseTable, drop_sums, read_case_table
from outcomekpi.posterior.fit import Fit, fit
from outcomekpi.profiling.classification import Classification, FlagRule, classify
from outcomekpi.profiling.standardization import standardize
from outcomekpi.tables.cases import keep_cases
from outcomekpi.tables.columns import count_of

__all__ = ["Everyone", "deselect"]

Array = NDArray[np.float64]
Everyone = Literal["refit", "no"]


def deselect(
    fitted: Fit,
    *,
    drop: tuple[int, ...] = (1, 2, 3),
    worst: Worst = "outcome",
    column: str | None = None,
    rule: FlagRule | None = None,
    award_share: float = 0.10,
    everyone: Everyone = "refit",
    draws: int = 1000,
    seed: int = 20261,
) -> Deselection:
    """Results, ranks, flags and awards after doctors drop their worst patients.

    Parameters
    ----------
    fitted : fit of all cases, one row per patient, with a direction
    drop : numbers of patients that each doctor drops; a doctor keeps at least one
    worst : who goes first: the worst "outcome" (among equal ones, the least expected), the worst
        "residual" (outcome minus expected), the highest "risk" of a bad outcome, known beforehand,
        or the worst value of a "column", such as last year's reading
    column : numeric column of the cases, for worst="column"; its bad side is that of the outcome
    rule : flag rule without ``fdr``; None is P(beyond the overall rate) > .95
    award_share : share of the doctors, best first, who get an award
    everyone : "refit" the model after all doctors dropped, once for each number; "no" leaves that
        out
    draws, seed : of the refits

    Raises
    ------
    SpecError
        No direction, rows that are no single patients, a negative binomial fit, or options that
        cannot be.
    CasesError
        The column is missing or holds no numbers.

    Notes
    -----
    Alone: O - sum y and E - sum e over the dropped cases, e the fitted expectation of each case;
    P/E from the posterior of the doctor's effect on a grid with the fitted case mix and doctor SD
    plugged in, so that no refit is needed; ranks among the others, unchanged. Everyone: the same
    specification fitted to the cases that are left.

    References
    ----------
    Hofer et al. (1999), JAMA 281:2098-2105, doi:10.1001/jama.281.22.2098.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fitted = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    >>> found = ok.deselect(fitted, drop=(3,), everyone="no")
    >>> bool(found.summary().loc[("alone", 3), "places_oe"] > 0)
    True
    """
    check_kind("fitted", fitted, Fit, "fit(cases, spec)")
    check_choice("worst", worst, get_args(Worst))
    check_choice("everyone", everyone, get_args(Everyone))
    rule = FlagRule() if rule is None else rule
    drops = _check_options(fitted, drop, rule, award_share, worst, column)
    table = read_case_table(fitted, _Score(worst=worst, fit=fitted, column=column))
    alone = tuple(drop_sums(table, drops))
    log = [
        f"{count_of(int((table.count <= k).sum()), 'doctor')} could not drop {k}: one case stays."
        for k in drops
        if (table.count <= k).any()
    ]
    games = {}
    if everyone == "refit":
        games = {k: _refit(fitted, table, k, rule, draws, seed) for k in drops}
    return Deselection(
        fit=fitted,
        worst=worst,
        drops=drops,
        rule=rule,
        award_share=award_share,
        alone=alone,
        everyone=games,
        log=tuple(log),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Score:
    """Keys by which a doctor's cases are dropped, the largest first."""

    worst: Worst
    fit: Fit
    column: str | None

    def __call__(self, outcome: Array, expected: Array) -> tuple[Array, ...]:
        sign = 1.0 if self.fit.cases.direction == "lower" else -1.0
        if self.worst == "risk":
            return (sign * expected,)
        if self.worst == "residual":
            return (sign * (outcome - expected),)
        if self.worst == "column" and self.column is not None:
            return (sign * self.fit.cases.frame[self.column].to_numpy(np.float64),)
        return (sign * outcome, -sign * expected)


def _refit(
    fitted: Fit, table: CaseTable, drop: int, rule: FlagRule, draws: int, seed: int
) -> Classification:
    if drop == 0:
        return classify(standardize(fitted), rule)
    keep = np.ones(table.order.size, dtype=bool)
    place = np.arange(table.order.size) - np.repeat(table.start, table.count)
    keep[table.order[place < np.repeat(np.minimum(drop, table.count - 1), table.count)]] = False
    try:
        left = keep_cases(
            fitted.cases, keep, because=f"Every doctor dropped up to {drop} of his patients."
        )
    except CasesError as error:
        raise SpecError(
            f"Nothing can be fitted after everyone dropped {drop}: {error} Drop fewer, or pass "
            "everyone='no'."
        ) from error
    return classify(standardize(fit(left, fitted.spec, draws=draws, seed=seed)), rule)


def _check_options(
    fitted: Fit,
    drop: tuple[int, ...],
    rule: FlagRule,
    award_share: float,
    worst: Worst,
    column: str | None,
) -> tuple[int, ...]:
    if fitted.cases.direction is None:
        raise SpecError(
            "deselect needs to know which outcome is bad. Pass direction='higher' or "
            "direction='lower' to Cases.from_frame."
        )
    check_kind("rule", rule, FlagRule, "FlagRule(probability=...)")
    if rule.fdr is not None:
        raise SpecError(
            "A rule with fdr flags all doctors together, not one who drops patients alone. Use "
            "FlagRule(probability=...)."
        )
    whole = all(isinstance(k, int) and not isinstance(k, bool) and k >= 1 for k in drop)
    if not drop or not whole or len(set(drop)) < len(drop):
        raise SpecError(f"drop must name different whole numbers from 1; got {drop!r}.")
    if not 0 < award_share < 1:
        hint = percent_hint(award_share)
        raise SpecError(f"award_share must lie between 0 and 1; got {award_share!r}.{hint}")
    if (worst == "column") != (column is not None):
        raise SpecError(f"column goes with worst='column'; got {column!r} and {worst!r}.")
    if column is not None:
        _check_column(fitted.cases.frame, column)
    return (0, *sorted(drop))


def _check_column(frame: pd.DataFrame, column: str) -> None:
    if column not in frame:
        raise CasesError(f"The cases have no column {column!r}; they have {list(frame.columns)}.")
    if not pd.api.types.is_numeric_dtype(frame[column]) or frame[column].isna().any():
        raise CasesError(
            f"Column {column!r} must hold a number for every case to say who is dropped first."
        )
