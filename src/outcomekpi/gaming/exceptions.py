"""Exceptions at the bar: whether patients who just fail are taken out of the denominator."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtr

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Positive
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, t_reach
from outcomekpi.indicators.chance.readings import Side, effective_bar
from outcomekpi.tables.columns import read_numbers

__all__ = ["ExceptionJump", "exception_jump"]

Array = NDArray[np.float64]
TERMS = 6
FEWEST_VALUES = 4  # distinct values on each side that a quadratic with an error needs
BINS = 10  # on each side of the bar


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExceptionJump:
    """Share of exceptions just on the failing side of a bar, against just on the passing side.

    Attributes
    ----------
    bar, passes : the bar for the values as measured, and its passing side
    passing, failing : share of exceptions at the bar, from each side
    passing_se, failing_se, jump_se : standard errors, of the shares and of failing minus passing
    df : degrees of freedom of their t intervals
    p_value : two-sided, of no jump
    bandwidth : distance within which values were used, in their unit
    n : patients inside the bandwidth
    distances : one row per bin: ``distance`` from the bar, positive on the failing side,
        ``eligible``, ``excepted``
    counts : patients that ``pass`` and ``fail``, and exceptions among them
    log : how bandwidth and errors were chosen
    """

    bar: float
    passes: Side
    passing: float
    failing: float
    passing_se: float
    failing_se: float
    jump_se: float
    df: float
    p_value: float
    bandwidth: float
    n: int
    distances: pd.DataFrame
    counts: pd.DataFrame
    log: tuple[str, ...]

    @property
    def jump(self) -> float:
        """Share of exceptions just failing minus share just passing."""
        return self.failing - self.passing

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per quantity, shares of the patients.

        Returns
        -------
        DataFrame indexed by ``quantity`` with columns ``mean, lower, upper``: ``passing`` and
        ``failing``, share of exceptions at the bar from each side; ``jump``, failing minus
        passing; ``completion``, share that passes once exceptions have left the denominator;
        ``completion_all``, the same with everyone in it (Jeffreys intervals).
        """
        check_level(level)
        quantile = float(t_reach(self.df, level=level))
        rows = {
            name: [mean, mean - quantile * se, mean + quantile * se]
            for name, mean, se in (
                ("passing", self.passing, self.passing_se),
                ("failing", self.failing, self.failing_se),
                ("jump", self.jump, self.jump_se),
            )
        }
        kept = self.counts["eligible"] - self.counts["excepted"]
        for name, part in (("completion", kept), ("completion_all", self.counts["eligible"])):
            rows[name] = _jeffreys(float(part["pass"]), float(part.sum()), level)
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "lower", "upper"])
        frame.index.name = "quantity"
        frame.attrs.update(level=level, p_value=self.p_value, bandwidth=self.bandwidth)
        return frame

    def distance_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per bin of distance to the bar, nearest passing and failing in the middle.

        Returns
        -------
        DataFrame with ``distance``, middle of the bin, negative on the passing side;
        ``eligible``, ``excepted``; ``mean, lower, upper`` of the share of exceptions (Jeffreys).
        """
        check_level(level)
        frame = self.distances.copy()
        shares = [
            _jeffreys(float(k), float(n), level)
            for k, n in zip(frame["excepted"], frame["eligible"], strict=True)
        ]
        frame[["mean", "lower", "upper"]] = shares
        frame.attrs.update(level=level)
        return frame

    def __repr__(self) -> str:
        completion = self.to_frame()["mean"]
        return (
            f"ExceptionJump: {self.failing:.1%} exceptions just across the bar {self.bar:g} "
            f"against {self.passing:.1%} just {self.passes} it, jump {self.jump:+.1%} "
            f"(p = {self.p_value:.2g}); completion {completion['completion']:.1%}, with everyone "
            f"in it {completion['completion_all']:.1%}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def exception_jump(
    values: ArrayLike,
    excepted: ArrayLike,
    *,
    bar: float,
    passes: Side = "below",
    strict: bool = True,
    eligible: ArrayLike | None = None,
    doctor: ArrayLike | None = None,
    rounding: Positive | None = None,
    bandwidth: Positive | None = None,
) -> ExceptionJump:
    """Jump of the exception rate where patients begin to fail the bar.

    Parameters
    ----------
    values : (row,), last reading of each patient, or achievement of each practice
    excepted : (row,), whether the patient was excepted or excluded; numbers of patients where
        ``eligible`` is given
    bar : in the unit of the values
    passes : side of the bar that counts as success
    strict : a value at the bar fails
    eligible : (row,), patients of a row before exceptions; None, each row is one patient
    doctor : (row,), who made the exceptions; given, errors allow for what his patients have in
        common
    rounding : step that the values are reported to; None, as measured
    bandwidth : distance from the bar within which values are used; None, 1.84 SD n^(-1/5)

    Raises
    ------
    CasesError
        Columns of different length, values that are no numbers, exceptions that are not 0 or 1
        (or more than the eligible), or too few values near the bar.
    SpecError
        Options that cannot be.

    Notes
    -----
    Share of exceptions on distance to the bar: local quadratic on each side with triangular kernel
    weights times the eligible; at a bandwidth that suits a local line this is its bias-corrected
    estimate. Errors are heteroscedasticity-robust (HC1), or robust to clusters by doctor with
    t(doctors - 1).

    References
    ----------
    Calonico, Cattaneo & Titiunik (2014), Econometrica 82 (quadratic fit at the bandwidth of a
    line). Imbens & Kalyanaraman (2012), Review of Economic Studies 79 (pilot bandwidth).

    Examples
    --------
    >>> import numpy as np
    >>> import outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> reading = rng.normal(138, 17, 5000)
    >>> excepted = rng.random(5000) < np.where(reading >= 140, 0.15, 0.05)
    >>> ok.exception_jump(reading, excepted, bar=140).to_frame().loc["jump", "lower"] > 0
    np.True_
    """
    check_arguments(exception_jump, locals())
    values, excepted, eligible, doctor = align(
        values=values, excepted=excepted, eligible=eligible, doctor=doctor
    )
    level, events, trials = _check_rows(values, excepted, eligible)
    codes = None if doctor is None else _check_doctor(doctor, level.size)
    edge = effective_bar(float(bar), rounding, strict, passes)
    at_bar_passes = rounding is None and not strict
    distance = level - edge if passes == "below" else edge - level
    fails = distance > 0 if at_bar_passes else distance >= 0
    width = _pilot_bandwidth(level) if bandwidth is None else float(bandwidth)
    how = "1.84 SD n^(-1/5)" if bandwidth is None else "as declared"
    estimate, covariance, df, n_rows = _local_quadratic(
        distance, fails, events / trials, trials, width, codes
    )
    inside = np.abs(distance) < width
    se = np.sqrt(np.diag(covariance))
    failing_se = float(np.sqrt(covariance[:2, :2].sum()))
    return ExceptionJump(
        bar=edge,
        passes=passes,
        passing=float(estimate[0]),
        failing=float(estimate[0] + estimate[1]),
        passing_se=float(se[0]),
        failing_se=failing_se,
        jump_se=float(se[1]),
        df=float(df),
        p_value=float(2 * stdtr(df, -abs(estimate[1]) / se[1])) if se[1] > 0 else np.nan,
        bandwidth=width,
        n=int(trials[inside].sum()),
        distances=_bin(distance, fails, events, trials, width, rounding),
        counts=_count(fails, events, trials),
        log=(
            f"Bandwidth {width:.3g}, {how}: {n_rows} rows inside.",
            "Errors robust to unequal variances."
            if codes is None
            else f"Errors robust to clusters: {df + 1:.0f} doctors.",
        ),
    )


def _local_quadratic(
    distance: Array,
    fails: NDArray[np.bool_],
    share: Array,
    trials: Array,
    width: float,
    codes: NDArray[np.intp] | None,
) -> tuple[Array, Array, float, int]:
    """Coefficients (share at the bar from the passing side, jump, ...) and robust covariance."""
    kernel = np.maximum(1 - np.abs(distance) / width, 0.0)
    use = kernel > 0
    for side, word in ((fails & use, "failing"), (~fails & use, "passing")):
        found = np.unique(distance[side]).size
        if found < FEWEST_VALUES:
            raise CasesError(
                f"Only {found} distinct values lie on the {word} side within {width:.3g} of the "
                f"bar; at least {FEWEST_VALUES} are needed. {_say_wider(distance, fails)}"
            )
    d, beyond = distance[use] / width, fails[use].astype(np.float64)
    design = np.column_stack([np.ones(d.size), beyond, d, d**2, beyond * d, beyond * d**2])
    weight = kernel[use] * trials[use]
    bread = np.linalg.inv((design * weight[:, None]).T @ design)
    estimate = bread @ (design * weight[:, None]).T @ share[use]
    scores = design * (weight * (share[use] - design @ estimate))[:, None]
    n = d.size
    if codes is None:
        factor, df = n / (n - TERMS), float(n - TERMS)
    else:
        _, groups = np.unique(codes[use], return_inverse=True)
        n_groups = int(groups.max()) + 1
        if n_groups < 2:
            raise CasesError("Errors by doctor need at least two doctors near the bar; found one.")
        summed = np.zeros((n_groups, TERMS))
        np.add.at(summed, groups, scores)
        scores = summed
        factor, df = n_groups / (n_groups - 1) * (n - 1) / (n - TERMS), float(n_groups - 1)
    covariance = factor * bread @ (scores.T @ scores) @ bread
    return estimate, covariance, df, n


def _say_wider(distance: Array, fails: NDArray[np.bool_]) -> str:
    """Name the bandwidth within which both sides have values enough."""
    sides = [np.unique(np.abs(distance[side])) for side in (fails, ~fails)]
    if min(side.size for side in sides) < FEWEST_VALUES:
        return "No bandwidth has them: too few values occur on one side."
    reach = max(side[FEWEST_VALUES - 1] for side in sides)
    return f"Widen bandwidth= beyond {reach:.3g}."


def _pilot_bandwidth(values: Array) -> float:
    return float(1.84 * values.std(ddof=1) * values.size ** (-0.2))


def _bin(
    distance: Array,
    fails: NDArray[np.bool_],
    events: Array,
    trials: Array,
    width: float,
    rounding: float | None,
) -> pd.DataFrame:
    size = width / BINS if rounding is None else rounding * max(1, round(width / BINS / rounding))
    inside = np.abs(distance) < width
    place = np.floor(np.abs(distance[inside]) / size).astype(np.int64)
    place = np.where(fails[inside], place, -place - 1)
    low, high = int(place.min()), int(place.max())
    index = np.arange(low, high + 1)
    return pd.DataFrame(
        {
            "distance": (index + 0.5) * size,
            "eligible": np.bincount(place - low, weights=trials[inside], minlength=index.size),
            "excepted": np.bincount(place - low, weights=events[inside], minlength=index.size),
        }
    )


def _count(fails: NDArray[np.bool_], events: Array, trials: Array) -> pd.DataFrame:
    sides = {"pass": ~fails, "fail": fails}
    return pd.DataFrame(
        {
            "eligible": {name: trials[side].sum() for name, side in sides.items()},
            "excepted": {name: events[side].sum() for name, side in sides.items()},
        }
    )


def _jeffreys(events: float, trials: float, level: float) -> list[float]:
    """Share with its Jeffreys interval; missing without trials."""
    if trials <= 0:
        return [np.nan, np.nan, np.nan]
    a, b, tail = events + 0.5, trials - events + 0.5, (1 - level) / 2
    lower = 0.0 if events == 0 else float(betaincinv(a, b, tail))
    upper = 1.0 if events == trials else float(betaincinv(a, b, 1 - tail))
    return [events / trials, lower, upper]


def _check_rows(
    values: ArrayLike, excepted: ArrayLike, eligible: ArrayLike | None
) -> tuple[Array, Array, Array]:
    level = read_numbers(pd.Series(np.asarray(values).ravel(), name="values"), "readings")
    events = read_numbers(pd.Series(np.asarray(excepted).ravel(), name="excepted"), "exceptions")
    given = np.ones(level.size) if eligible is None else np.asarray(eligible, np.float64).ravel()
    if not level.size == events.size == given.size:
        raise CasesError(
            f"values, excepted and eligible must have one entry per row; got {level.size}, "
            f"{events.size} and {given.size}."
        )
    for name, column in (("values", level), ("excepted", events), ("eligible", given)):
        wrong = np.flatnonzero(~np.isfinite(column))
        if wrong.size:
            raise CasesError(
                f"{name} must be finite numbers; {wrong.size} of {column.size} are not, the first "
                f"at position {wrong[0]}."
            )
    bad = np.flatnonzero((given <= 0) | (events < 0) | (events > given) | (events % 1 != 0))
    if bad.size:
        most = "1" if eligible is None else "the eligible"
        raise CasesError(
            f"excepted must be whole numbers from 0 to {most}; {bad.size} of {level.size} rows are "
            f"not, the first at position {bad[0]}: {events[bad[0]]:g} of {given[bad[0]]:g}."
        )
    if not 0 < events.sum() < given.sum():
        raise SpecError(
            f"The exception rate does not vary: {events.sum():.0f} of {given.sum():.0f} patients "
            "were excepted."
        )
    return level, events, given


def _check_doctor(doctor: ArrayLike, n_rows: int) -> NDArray[np.intp]:
    codes, _ = pd.factorize(np.asarray(doctor, dtype=object).ravel())
    if codes.size != n_rows or (codes < 0).any():
        raise CasesError(
            f"doctor must name one doctor for each of {n_rows} rows; got {codes.size}, "
            f"{int((codes < 0).sum())} of them missing."
        )
    return codes.astype(np.intp)
