"""Histories with known counts or known truth."""

import numpy as np
import pandas as pd
from scipy.special import expit

from outcomekpi.datasets import simulate_history
from outcomekpi.tables.history import CycleHistory


def made_history(events, trials, *, name="Washing", target=None, counts="events", first=2023):
    """One indicator from events (unit, cycle); a trial count of 0 leaves the row out."""
    events = np.asarray(events)
    trials = np.broadcast_to(np.asarray(trials), events.shape)
    unit, cycle = np.nonzero(trials)
    frame = pd.DataFrame(
        {
            "kpi": name,
            "unit": [f"U{u:02d}" for u in unit],
            "year": first + cycle,
            "hits": events[unit, cycle],
            "n": trials[unit, cycle],
            "goal": np.nan if target is None else target,
        }
    )
    return read_history(frame, counts=counts)


def read_history(frame, counts="events", **changes):
    named = {
        "indicator": "kpi",
        "unit": "unit",
        "cycle": "year",
        "numerator": "hits",
        "denominator": "n",
        "target": "goal",
    }
    return CycleHistory.from_frame(frame, counts=counts, **(named | changes))


def three_years(counts="events"):
    """The simulated history of the package, six indicators in eight departments."""
    return CycleHistory.from_frame(
        simulate_history(),
        indicator="indicator",
        unit="department",
        cycle="year",
        numerator="reached",
        denominator="patients",
        target="target",
        counts=counts,
    )


def moving_units(rng, *, n_units, n_cycles, size, level, sd_unit, sd_move):
    """Events, trials and true rates (unit, cycle) of units that move between cycles."""
    effect = rng.normal(0, sd_unit, (n_units, 1)) + rng.normal(0, sd_move, (n_units, n_cycles))
    rate = expit(level + effect)
    return rng.binomial(size, rate), np.full(rate.shape, size), rate
