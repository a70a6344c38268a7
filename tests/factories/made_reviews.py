"""Histories and reviews made by hand, so that pictures, report and command line can be tested."""

from functools import cache

import numpy as np
import pandas as pd

from outcomekpi.review.review import ReviewJudgment, ReviewRule, review_thresholds
from outcomekpi.tables.history import CycleHistory

RATES = {"easy": 0.97, "hard": 0.45, "fine": 0.75, "near": 0.88}
CYCLES = (2023, 2024, 2025)


def made_table(rates=RATES, *, units=4, cases=120, cycles=CYCLES, seed=1):
    """Counts of each indicator, unit and year around a true rate; every unit has as many cases."""
    rng = np.random.default_rng(seed)
    rows = [
        (name, f"U{unit}", cycle, rng.binomial(cases, rate), cases, 0.7)
        for name, rate in rates.items()
        for unit in range(units)
        for cycle in cycles
    ]
    return pd.DataFrame(rows, columns=["indicator", "unit", "year", "reached", "patients", "goal"])


def made_history(table, *, target=None):
    """The history of a table of :func:`made_table`."""
    return CycleHistory.from_frame(
        table,
        indicator="indicator",
        unit="unit",
        cycle="year",
        numerator="reached",
        denominator="patients",
        target=target,
        counts="events",
    )


def made_review(table=None, *, reading="raw_rate", target=None, rule=None, **judgment):
    """A review in closed form, which takes no time."""
    history = made_history(made_table() if table is None else table, target=target)
    rule = ReviewRule(reading=reading) if rule is None else rule
    judgment = ReviewJudgment(model="conjugate", **judgment)
    return review_thresholds(history, rule, judgment=judgment, draws=400)


@cache
def usual_review():
    """One ordinary review, for tests that only look at it."""
    return made_review()


@cache
def target_review():
    """A review of the share of units that reach a target of 70%."""
    return made_review(made_table(units=6, cases=60), reading="share_of_doctors", target="goal")
