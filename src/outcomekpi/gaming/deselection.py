"""Deselection: what a doctor wins by dropping his worst patients, alone or with everyone."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, Probability, Range, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.gaming.deselection_sums import CaseTable, DropSums, drop_sums, read_case_table
from outcomekpi.model.likelihood_model import overall_rate
from outcomekpi.posterior.fit import Fit, fit
from outcomekpi.profiling.classification import Classification, FlagRule, classify
from outcomekpi.profiling.standardization import standardize
from outcomekpi.tables.cases import keep_cases
from outcomekpi.tables.columns import count_of

__all__ = ["Deselection", "Everyone", "Worst", "deselect"]

Array = NDArray[np.float64]
Everyone = Literal["refit", "no"]


# What deselection changed: rates, ranks, flags and awards of every doctor, before and after
Worst = Literal["outcome", "residual", "risk", "column"]
MEASURES = {"raw": "raw_rate", "oe": "oe_rate", "pe": "mean"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deselection:
    """Every doctor's results before and after he drops his worst patients.

    Attributes
    ----------
    fit : the fit before anybody dropped anyone
    worst : which patients go first
    drops : numbers of dropped patients, 0 first
    rule : flag rule, as applied
    award_share : share of the doctors, best first, who get the award
    alone : one per entry of drops, each doctor dropping while nobody else does; case mix and
        doctor SD as fitted, no refit
    everyone : dropped -> flags of a full refit after all doctors dropped; 0 is the fit itself;
        empty where it was not asked for
    log : who could not drop as many, one sentence each
    """

    fit: Fit
    worst: Worst
    drops: tuple[int, ...]
    rule: FlagRule
    award_share: float
    alone: tuple[DropSums, ...]
    everyone: dict[int, Classification]
    log: tuple[str, ...]

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per game, number of dropped patients and doctor.

        Returns
        -------
        DataFrame with ``game`` ("alone": only this doctor drops; "everyone"), ``dropped``,
        ``doctor``, ``cases`` left, ``observed``, ``expected``, ``raw_rate``, ``oe_rate`` (O/E
        times the overall rate), ``mean, lower, upper`` of the P/E standardized rate, ``p_worse``,
        ``p_better``, ``flag``; ``rank_raw``, ``rank_oe``, ``rank_pe``, 1 is best, and
        ``award_raw``, ``award_oe``, ``award_pe``, whether the doctor is among the rewarded.
        Ranks of "alone" are among the others as they were; equal results share their mean rank
        and the award.
        """
        check_level(level)
        parts = [
            self._alone_frame(drop, sums, level)
            for drop, sums in zip(self.drops, self.alone, strict=True)
        ]
        parts += [self._everyone_frame(drop, flags, level) for drop, flags in self.everyone.items()]
        frame = pd.concat(parts, ignore_index=True)
        frame.attrs.update(level=level, worst=self.worst, award_share=self.award_share)
        return frame

    def summary(self) -> pd.DataFrame:
        """One row per game and number of dropped patients, against nobody dropping.

        Returns
        -------
        DataFrame indexed by ``game`` and ``dropped``: ``raw_rate``, ``oe_rate``, ``pe_rate``,
        mean change per doctor; ``places_raw``, ``places_oe``, ``places_pe``, mean places won;
        ``worse_flags``, flags "worse"; ``cleared``, doctors flagged "worse" before and not any
        more; ``won_raw``, ``won_oe``, ``won_pe``, doctors who get an award that they did not get;
        ``lost_raw``, ``lost_oe``, ``lost_pe``, who lose theirs.
        """
        frame = self.to_frame()
        rows, keys = [], []
        for game in frame["game"].unique():
            played = frame[frame["game"] == game]
            before = played[played["dropped"] == 0].set_index("doctor")
            for dropped in self.drops:
                after = played[played["dropped"] == dropped].set_index("doctor")
                rows.append(_compare(before, after))
                keys.append((game, dropped))
        return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(keys, names=["game", "dropped"]))

    def __repr__(self) -> str:
        row = self.summary().loc[[("alone", self.drops[-1])]].iloc[0]
        return (
            f"Deselection by {self.worst}: dropping {self.drops[-1]} of his patients alone, a "
            f"doctor moves {row['places_oe']:.1f} places in O/E and {row['places_pe']:.1f} in P/E; "
            f"{row['won_oe']:.0f} of {len(self.fit.cases.doctors)} would win the award by O/E, "
            f"{row['cleared']:.0f} would lose the flag 'worse'"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.summary(), number=".3g")

    def _alone_frame(self, drop: int, sums: DropSums, level: float) -> pd.DataFrame:
        honest = self.alone[0]
        rates, before = self._rates(sums), self._rates(honest)
        above, below = self._tails(sums)
        p_worse, p_better = (above, below) if self._lower_is_better else (below, above)
        frame = self._numbers("alone", drop, sums)
        for name, values in zip(
            ("mean", "lower", "upper"), self._summary(sums, level), strict=True
        ):
            frame[name] = values
        frame["p_worse"], frame["p_better"] = p_worse, p_better
        frame["flag"] = _flags(p_worse, p_better, self.rule.required_probability)
        for measure in MEASURES:
            rank, better = _rank_alone(rates[measure], before[measure], self._lower_is_better)
            frame[f"rank_{measure}"] = rank
            frame[f"award_{measure}"] = better < self._places
        return frame

    def _everyone_frame(self, drop: int, flags: Classification, level: float) -> pd.DataFrame:
        found = flags.rates.to_frame(level=level)
        reference = flags.rates.reference_rate
        gaussian = flags.rates.family == "gaussian"
        expected, observed = found["expected"], found["observed"]
        oe = (
            reference + (observed - expected) / found["cases"]
            if gaussian
            else observed / expected * reference
        )
        frame = pd.DataFrame(
            {
                "game": "everyone",
                "dropped": drop,
                "doctor": found.index,
                "cases": found["cases"].to_numpy(),
                "observed": observed.to_numpy(),
                "expected": expected.to_numpy(),
                "raw_rate": found["raw_rate"].to_numpy(),
                "oe_rate": oe.to_numpy(),
                "mean": found["mean"].to_numpy(),
                "lower": found["lower"].to_numpy(),
                "upper": found["upper"].to_numpy(),
                "p_worse": flags.p_worse.to_numpy(),
                "p_better": flags.p_better.to_numpy(),
                "flag": flags.flag.to_numpy(),
            }
        )
        for measure, name in MEASURES.items():
            frame[f"rank_{measure}"] = frame[name].rank(ascending=self._lower_is_better)
            first = frame[name].rank(ascending=self._lower_is_better, method="min")
            frame[f"award_{measure}"] = first <= self._places
        return frame

    @property
    def _places(self) -> int:
        """How many doctors are rewarded, unless equal results share the last place."""
        return max(1, round(self.award_share * len(self.fit.cases.doctors)))

    def _numbers(self, game: str, drop: int, sums: DropSums) -> pd.DataFrame:
        rates = self._rates(sums)
        return pd.DataFrame(
            {
                "game": game,
                "dropped": drop,
                "doctor": self.fit.cases.doctors,
                "cases": sums.cases,
                "observed": sums.observed,
                "expected": sums.expected,
                "raw_rate": rates["raw"],
                "oe_rate": rates["oe"],
            }
        )

    @property
    def _lower_is_better(self) -> bool:
        return self.fit.cases.direction == "lower"

    def _scale(self, ratio: Array) -> Array:
        """Standardized rate at a ratio (Gaussian: difference) to the expected outcome."""
        reference = overall_rate(self.fit.cases)
        return reference + ratio if self.fit.model.family == "gaussian" else reference * ratio

    def _rates(self, sums: DropSums) -> dict[str, Array]:
        gaussian = self.fit.model.family == "gaussian"
        difference = (sums.observed - sums.expected) / sums.cases
        oe = self._scale(difference if gaussian else sums.observed / sums.expected)
        pe = (self._scale(sums.ratio) * sums.weight).sum(axis=1)
        return {"raw": sums.observed / sums.exposure, "oe": oe, "pe": pe}

    def _tails(self, sums: DropSums) -> tuple[Array, Array]:
        """Posterior probability of a rate above and below the threshold of the rule."""
        reference = overall_rate(self.fit.cases)
        threshold = reference if self.rule.threshold is None else self.rule.threshold
        below = np.array(
            [
                _cumulative(rates, weight, threshold)
                for rates, weight in zip(self._scale(sums.ratio), sums.weight, strict=True)
            ]
        )
        return 1 - below, below

    def _summary(self, sums: DropSums, level: float) -> tuple[Array, Array, Array]:
        rates = self._scale(sums.ratio)
        tails = ((1 - level) / 2, (1 + level) / 2)
        ends = np.array(
            [
                [_quantile(rate, weight, tail) for tail in tails]
                for rate, weight in zip(rates, sums.weight, strict=True)
            ]
        )
        return (rates * sums.weight).sum(axis=1), ends[:, 0], ends[:, 1]


def _compare(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, float]:
    before = before.reindex(after.index)
    row = {f"{m}_rate": float((after[name] - before[name]).mean()) for m, name in MEASURES.items()}
    for measure in MEASURES:
        rank = f"rank_{measure}"
        row[f"places_{measure}"] = float((before[rank] - after[rank]).mean())
    was_worse, is_worse = before["flag"] == "worse", after["flag"] == "worse"
    row["worse_flags"] = int(is_worse.sum())
    row["cleared"] = int((was_worse & ~is_worse).sum())
    for measure in MEASURES:
        had, has = before[f"award_{measure}"], after[f"award_{measure}"]
        row[f"won_{measure}"] = int((has & ~had).sum())
        row[f"lost_{measure}"] = int((had & ~has).sum())
    return row


def _rank_alone(
    after: Array, before: Array, lower_is_better: bool
) -> tuple[Array, NDArray[np.intp]]:
    """Rank of each doctor's new value among the old values of the others; how many are better."""
    sign = 1.0 if lower_is_better else -1.0
    mine, others = sign * after, np.sort(sign * before)
    own = sign * before
    less = np.searchsorted(others, mine, side="left") - (own < mine)
    equal = np.searchsorted(others, mine, side="right") - (own <= mine) - less
    return np.asarray(1 + less + equal / 2), np.asarray(less)


def _flags(p_worse: Array, p_better: Array, required: float) -> NDArray[np.object_]:
    side = np.where(p_worse >= p_better, "worse", "better").astype(object)
    return np.where(np.maximum(p_worse, p_better) > required, side, "").astype(object)


def _cumulative(rates: Array, weight: Array, at: float) -> float:
    """Posterior probability of a rate below ``at``; a node's weight is spread around it."""
    middle = np.cumsum(weight) - weight / 2
    return float(np.interp(at, rates, middle, left=0.0, right=1.0))


def _quantile(rates: Array, weight: Array, probability: float) -> float:
    middle = np.cumsum(weight) - weight / 2
    return float(np.interp(probability, middle, rates))


def deselect(
    fitted: Fit,
    *,
    drop: tuple[Count, ...] = (1, 2, 3),
    worst: Worst = "outcome",
    column: str | None = None,
    rule: FlagRule | None = None,
    award_share: Probability = 0.10,
    everyone: Everyone = "refit",
    draws: Annotated[int, Range(low=100)] = 1000,
    seed: Seed = 20261,
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
    check_arguments(deselect, locals())
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
    again = fit(left, fitted.spec, engine=fitted.engine, draws=draws, seed=seed)
    return classify(standardize(again), rule)


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
    if rule.fdr is not None:
        raise SpecError(
            "A rule with fdr flags all doctors together, not one who drops patients alone. Use "
            "FlagRule(probability=...)."
        )
    if not drop or len(set(drop)) < len(drop):
        raise SpecError(f"drop must name different whole numbers from 1; got {drop!r}.")
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
