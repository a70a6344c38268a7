"""The rows of one indicator as arrays, and completions made of them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError
from outcomekpi.review.rule import ReviewRule
from outcomekpi.review.targets import score_units
from outcomekpi.tables.columns import list_values
from outcomekpi.tables.completion import completion_by_cycle
from outcomekpi.tables.history import CycleHistory

__all__ = ["IndicatorTable", "check_reading", "read_indicator"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndicatorTable:
    """One indicator: a row per unit and cycle.

    Attributes
    ----------
    units : labels, position = code; in an order that does not depend on the labels
    unit, cycle : (row,), codes
    events, trials : (row,)
    target : (row,), or None where the reading pools all counts
    n_cycles : cycles of the history
    """

    units: tuple[str, ...]
    unit: NDArray[np.intp]
    cycle: NDArray[np.intp]
    events: Array
    trials: Array
    target: Array | None
    n_cycles: int

    @property
    def totals(self) -> Array:
        """Denominators of each cycle, (cycle,)."""
        total = np.bincount(self.cycle, weights=self.trials, minlength=self.n_cycles)
        return np.asarray(total, dtype=np.float64)

    @property
    def latest(self) -> NDArray[np.intp]:
        """Row of each unit's latest cycle, (unit,)."""
        return np.array([own[self.cycle[own].argmax()] for own in self._own_rows])

    @property
    def first(self) -> NDArray[np.intp]:
        """Row of each unit's first cycle, (unit,)."""
        return np.array([own[self.cycle[own].argmin()] for own in self._own_rows])

    @property
    def _own_rows(self) -> list[NDArray[np.intp]]:
        order = np.argsort(self.unit, kind="stable")
        return np.split(order, np.searchsorted(self.unit[order], np.arange(1, len(self.units))))

    @property
    def current(self) -> NDArray[np.bool_]:
        """Units with data in the latest cycle that has any, (unit,): those the next will have."""
        return np.asarray(self.cycle[self.latest] == self.cycle.max())

    def pool_units(self) -> "IndicatorTable":
        """Return the same counts with all units together, one row per cycle."""
        cycles = np.unique(self.cycle)
        events = np.bincount(self.cycle, weights=self.events, minlength=self.n_cycles)
        return IndicatorTable(
            units=("all",),
            unit=np.zeros(cycles.size, dtype=np.intp),
            cycle=cycles,
            events=events[cycles],
            trials=self.totals[cycles],
            target=None,
            n_cycles=self.n_cycles,
        )

    def observe(self, rule: ReviewRule) -> Array:
        """Completion of each cycle as observed, (cycle,); NaN without data."""
        shape = (1, len(self.units), self.n_cycles)
        events, trials, target = np.zeros(shape), np.zeros(shape), np.ones(shape)
        events[0, self.unit, self.cycle] = self.events
        trials[0, self.unit, self.cycle] = self.trials
        if self.target is not None:
            target[0, self.unit, self.cycle] = self.target
        own = None if self.target is None else target
        completion: Array = completion_by_cycle(events, trials, reading=rule.reading, target=own)[0]
        return completion

    def complete(self, rates: Array, part: NDArray[np.bool_], rule: ReviewRule) -> Array:
        """Completion over some rows at the rates given.

        Parameters
        ----------
        rates : (row, sample)
        part : (row,), which rows; at least one

        Returns
        -------
        (sample,), the mean over rows of the units' scores, or over cases where counts are pooled
        """
        if self.target is None:
            return np.asarray(self.trials[part] @ rates[part] / self.trials[part].sum())
        return np.asarray(score_units(rates[part], self.target[part], rule.reading).mean(axis=0))

    def average_by_unit(self, rates: Array, part: NDArray[np.bool_]) -> Array:
        """Case-weighted mean rate of each unit over some rows, (unit, sample); NaN without any."""
        total = np.bincount(self.unit[part], weights=self.trials[part], minlength=len(self.units))
        summed = np.zeros((len(self.units), rates.shape[1]))
        np.add.at(summed, self.unit[part], rates[part] * self.trials[part][:, None])
        out = np.full(summed.shape, np.nan)
        np.divide(summed, total[:, None], out=out, where=total[:, None] > 0)
        return out


def check_reading(history: CycleHistory, rule: ReviewRule) -> None:
    """Refuse readings of completion that the counts of a history cannot give.

    Raises
    ------
    SpecError
        Says which reading, which counts or which targets would do.
    """
    if history.numerator_counts == "doctors":
        if rule.reading != "share_of_doctors":
            raise SpecError(
                f"The reading {rule.reading!r} needs patients (counts='events'); this history "
                "counts doctors on target out of doctors, for which "
                "ReviewRule(reading='share_of_doctors') is the reading."
            )
        if rule.target is not None:
            raise SpecError(
                "ReviewRule.target has no use where the history counts doctors on target already. "
                "Leave it out, or pass counts of patients (counts='events')."
            )
        return
    if rule.reading == "raw_rate":
        return
    without = [
        name
        for name, part in history.frame.groupby("indicator")
        if part["target"].isna().any() and not (rule.target and part["target"].isna().all())
    ]
    if without:
        raise SpecError(
            f"The reading {rule.reading!r} compares each unit with its target; "
            f"{len(without)} of {len(history.indicators)} indicators have rows without one: "
            f"{list_values(without)}. Pass target=... to CycleHistory.from_frame, a single "
            "ReviewRule(target=...), or use reading='raw_rate'."
        )
    if rule.reading == "share_of_doctors" and len(history.units) == 1:
        raise SpecError(
            "The reading 'share_of_doctors' counts the units that reach their target, and this "
            f"history has only one unit ({history.units[0]!r}). Pass unit=..., or doctors on "
            "target out of doctors with counts='doctors', or use reading='raw_rate'."
        )


def read_indicator(history: CycleHistory, indicator: str, rule: ReviewRule) -> IndicatorTable:
    """Take the rows of one indicator out of a history."""
    rows = history.frame[history.frame["indicator"] == indicator]
    cycle = rows["cycle"].map({label: code for code, label in enumerate(history.cycles)})
    rows = rows.assign(cycle=cycle.to_numpy(dtype=np.intp))
    units = _in_order_of_counts(rows)
    rows = rows.assign(unit=rows["unit"].map({label: code for code, label in enumerate(units)}))
    rows = rows.sort_values(["unit", "cycle"])
    needs_target = history.numerator_counts == "events" and rule.reading != "raw_rate"
    target = rows["target"].fillna(np.nan if rule.target is None else rule.target)
    return IndicatorTable(
        units=units,
        unit=rows["unit"].to_numpy(dtype=np.intp),
        cycle=rows["cycle"].to_numpy(dtype=np.intp),
        events=rows["numerator"].to_numpy(dtype=np.float64),
        trials=rows["denominator"].to_numpy(dtype=np.float64),
        target=target.to_numpy(dtype=np.float64) if needs_target else None,
        n_cycles=len(history.cycles),
    )


def _in_order_of_counts(rows: pd.DataFrame) -> tuple[str, ...]:
    """Order units by what they did, not by their names: renaming them then changes no number."""
    columns = ["cycle", "numerator", "denominator", "target"]
    record = {
        str(unit): tuple(part[columns].fillna(0).sort_values("cycle").to_numpy().ravel())
        for unit, part in rows.groupby("unit")
    }
    return tuple(sorted(record, key=record.__getitem__))
