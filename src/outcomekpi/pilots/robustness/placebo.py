"""The same analysis where no effect can be, and without one cluster at a time."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, OutcomeKPIError, OutcomeKPIWarning, SpecError
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.data.panel_times import find_never
from outcomekpi.pilots.designs.wedge_data import read_moments
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Design
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import count_of, label_text, list_values

__all__ = [
    "Reestimate",
    "find_cluster",
    "leave_out_clusters",
    "placebo_outcomes",
    "placebo_starts",
    "reestimate",
]

GOOD_SIDE = 8
"""Points on each side of a placebo start of a series, where there are enough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reestimate:
    """The main effect of the same design on other data, or of another design.

    Attributes
    ----------
    kind : "placebo start", "placebo outcome", "leave one out" or "other design"
    what : which start, outcome, cluster or design
    estimate : None where it could not be made
    reason : why it could not
    """

    kind: str
    what: str
    estimate: Estimate | None
    reason: str = ""


def reestimate(
    kind: str,
    what: str,
    design: Design,
    data: object,
    *,
    program: Program,
    draws: int,
    seed: int,
    level: float = DEFAULT_LEVEL,
) -> Reestimate:
    """Run a design once more, keeping the reason where it refuses.

    Parameters
    ----------
    kind, what : of the result
    design, data, program, draws, seed : as for :func:`compare_pilot`
    level : at which the findings are told; the estimate that is kept of them has none

    Notes
    -----
    A design whose full findings take long may offer ``main_effect(data, *, draws, rng)``.
    """
    from threadpoolctl import threadpool_limits

    try:
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("ignore", OutcomeKPIWarning)
            rng = np.random.default_rng(seed)
            short = getattr(design, "main_effect", None)
            if callable(short):
                found: Estimate = short(data, draws=draws, rng=rng)
            else:
                answer = design.estimate(data, program=program, draws=draws, rng=rng)
                found = answer.tell(level=level).estimates[0]
    except OutcomeKPIError as error:
        return Reestimate(kind=kind, what=what, estimate=None, reason=str(error))
    return Reestimate(kind=kind, what=what, estimate=found)


def design_fields(design: Design) -> Mapping[str, Any]:
    """Field -> value of a design; empty where it is no dataclass."""
    return {name: getattr(design, name) for name in getattr(design, "__dataclass_fields__", {})}


def placebo_starts(
    design: Design, data: pd.DataFrame, *, count: int
) -> Iterator[tuple[str, Design, pd.DataFrame]]:
    """Pretend earlier starts, in the rows before the real one alone.

    Parameters
    ----------
    design : with a ``start`` that is a time (series, patients) or a column of the start of each
        unit (panels)
    data : as for the design
    count : starts at most

    Yields
    ------
    words, design, data : of each placebo; nothing where the design has no times
    """
    named = design_fields(design)
    column = named.get("time") or named.get("period")
    start = named.get("start")
    if not isinstance(column, str) or column not in data.columns or start is None:
        return
    if isinstance(start, str) and start in data.columns and isinstance(named.get("unit"), str):
        yield from _panel_starts(design, data, column, start, str(named["unit"]), count)
        return
    said = {"unit": named.get("time_unit"), "zone": named.get("time_zone")}
    moments = read_moments(data[column], "time", **said)

    def moment_of(time: object) -> Any:
        cell = pd.Series([time], dtype=object)
        return read_moments(cell, "start", like=data[column], **said).iloc[0]

    real = moment_of(start)
    others = [(one, moment_of(one.start)) for one in named.get("other_interruptions") or ()]
    before = (moments < real).to_numpy()
    order = np.unique(moments[before].to_numpy())
    is_series = "period" not in named
    for place in _spread(order.size, count, _least_side(order.size) if is_series else 1):
        at = np.flatnonzero((moments == order[place]).to_numpy())[0]
        fake = data[column].iloc[at]
        if any(moment == order[place] for _, moment in others):
            continue
        change: dict[str, Any] = {"start": fake}
        if others:
            change["other_interruptions"] = tuple(one for one, moment in others if moment < real)
        if named.get("horizon") is not None:
            change["horizon"] = None
        yield f"start {label_text(fake)}", replace(design, **change), data[before]  # type: ignore[type-var]


def _least_side(points: int) -> int:
    return GOOD_SIDE if points >= 2 * GOOD_SIDE + 2 else max(3, points // 3)


def _spread(points: int, count: int, side: int) -> NDArray[np.intp]:
    """Positions of placebo starts, evenly over those with enough points on each side."""
    possible = np.arange(side, points - side + 1)
    if possible.size <= count:
        return possible
    chosen = np.linspace(0, possible.size - 1, count).round().astype(np.intp)
    return np.asarray(possible[np.unique(chosen)])


def _panel_starts(
    design: Design, data: pd.DataFrame, time: str, start: str, unit: str, count: int
) -> Iterator[tuple[str, Design, pd.DataFrame]]:
    """Move the starts of the units earlier by 1, 2, ... periods.

    Clusters of a stepped wedge keep their own rows before their start, and their order. Other
    panels are cut before the first start, so that they stay complete, and have one placebo start.
    """
    selected = getattr(design, "selected_in", ())
    if selected:
        # periods that chose the units are no placebos; they may lie after a start that was none
        chosen = read_moments(pd.Series(list(selected), dtype=object), "selected_in")
        data = data[~read_moments(data[time], "time").isin(chosen).to_numpy()]
        design = replace(design, selected_in=())  # type: ignore[type-var]
    moments = read_moments(data[time], "time")
    order = pd.Index(np.unique(moments.to_numpy()))
    position = order.get_indexer(pd.Index(moments.to_numpy()))
    first = _first_position(data[start], data[time], order)
    treated = first < len(order)
    if not treated.any():
        return
    earliest, last = int(first[treated].min()), int(first[treated].max())
    stepped = design.rung == 6
    raw = pd.Series(data[time].to_numpy(), index=position).groupby(level=0).first()
    for shift in range(1, min(count, (last if stepped else earliest) - 1) + 1):
        moved = np.where(treated, (first if stepped else earliest) - shift, len(order))
        shown = np.where(treated, position < first, position < last)
        keep = (shown if stepped else position < earliest) & (moved > 0)
        values = data[start].astype(object).to_numpy(copy=True)
        values[treated] = raw.reindex(np.maximum(moved[treated], 0)).to_numpy()
        fake = data[keep].copy()
        fake[start] = pd.Series(values, index=data.index)[keep].infer_objects()
        dropped = int(data.loc[treated & (moved <= 0), unit].nunique())
        words = f"start {count_of(shift, 'period')} earlier"
        if dropped:
            words += f" ({count_of(dropped, 'unit')} without an earlier start left out)"
        yield words, design, fake


def _first_position(starts: pd.Series, times: pd.Series, order: pd.Index) -> NDArray[np.intp]:
    """Position of the first time with the program, for each row; the number of times for never."""
    never = find_never(starts, times)
    first = np.full(len(starts), len(order), dtype=np.intp)
    if not never.all():
        known = read_moments(starts[~never], "start", like=times)
        first[~never] = order.searchsorted(known.to_numpy(), side="left")
    return first


def placebo_outcomes(
    design: Design, outcomes: tuple["str | Design", ...], data: pd.DataFrame
) -> Iterator[tuple[str, Design, pd.DataFrame]]:
    """Put outcomes that the program cannot have changed in the place of the real one.

    Parameters
    ----------
    design : of the real outcome
    outcomes : columns, or whole designs where the outcome is of another kind
    data : as for the design

    Raises
    ------
    SpecError
        A column that is not in the table, or a design without an outcome column.

    Yields
    ------
    words, design, data : of each placebo
    """
    for one in outcomes:
        if not isinstance(one, str):
            yield f"outcome {getattr(one, 'outcome', type(one).__name__)}", one, data
            continue
        if one not in data.columns or "outcome" not in design_fields(design):
            raise SpecError(
                f"placebo_outcomes: {one!r} is no column of the table, or the design has no "
                f"outcome column. The columns are {list_values(data.columns, shown=15)}."
            )
        yield f"outcome {one}", replace(design, outcome=one), data  # type: ignore[type-var]


def find_cluster(design: Design, data: pd.DataFrame, cluster: str | None) -> str | None:
    """Column of the clusters: the one that is named, or the outermost one of the design.

    Parameters
    ----------
    design, data : as compared
    cluster : column, or None

    Raises
    ------
    CasesError
        The column that is named is not in the table.
    """
    if cluster is not None:
        if cluster not in data.columns:
            raise CasesError(f"cluster={cluster!r} is not a column of the table.")
        return cluster
    named = design_fields(design)
    for role in ("cluster", "hospital", "unit", "doctor"):
        value = named.get(role)
        value = named.get(value, value) if isinstance(value, str) else value
        if isinstance(value, str) and value in data.columns:
            return value
    return None


def leave_out_clusters(
    data: pd.DataFrame, cluster: str, *, most: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Leave out one cluster at a time, the largest ones where there are too many.

    Parameters
    ----------
    data : as compared
    cluster : column
    most : clusters at most

    Yields
    ------
    name, data : without that cluster
    """
    sizes = data[cluster].value_counts(sort=True)
    for name in sorted(sizes.index[:most], key=str):
        yield label_text(name), data[(data[cluster] != name).to_numpy()]
