"""One comparison for each design and each way of its intervals, from small made-up tables."""

from functools import cache

import numpy as np
import pandas as pd
from made_panels import made_panel, staggered_panel

import outcomekpi as ok

__all__ = ["EVERY_PILOT", "compared"]

PATIENT = {"outcome": "y", "period": "period", "after": "after", "doctor": "doctor"}
SERIES = {"time": "month", "start": 25}
PANEL = {"unit": "ward", "time": "year", "start": "start", "outcome": "rate"}


def patients(*, gaussian=False, few_known=False):
    """Twelve doctors in two wards, forty patients each and period; some outcomes missing."""
    rng = np.random.default_rng(1)
    frame = pd.MultiIndex.from_product(
        [range(12), range(40), ["before", "after"]], names=["doctor", "patient", "period"]
    ).to_frame(index=False)
    frame["ward"] = np.where(frame["doctor"] < 6, "A", "B")
    frame["age"] = rng.normal(size=len(frame))
    after = frame["period"] == "after"
    eta = rng.normal(0, 0.4, 12)[frame["doctor"]] + 0.5 * frame["age"] + 0.8 * after
    eta += 0.7 * (after & (frame["ward"] == "A"))
    frame["y"] = (rng.random(len(frame)) < 1 / (1 + np.exp(-eta))).astype(float)
    if gaussian:
        frame["y"] = 120 + 5 * eta + rng.normal(0, 5, len(frame))
    if few_known:
        frame.loc[rng.random(len(frame)) < 0.04 + 0.04 * after, "y"] = np.nan
    return frame


def chosen():
    """Patients of all doctors, of whom the five worst before were chosen."""
    frame = patients()
    worst = frame[frame["period"] == "before"].groupby("doctor")["y"].mean().nsmallest(5).index
    return frame.assign(program=frame["doctor"].isin(worst).astype(int))


def series(*, wanders=False):
    """Forty-eight months; counts and a control beside the rate."""
    rng = np.random.default_rng(1)
    month = np.arange(1, 49)
    after = month >= 25
    noise = rng.normal(size=48)
    return pd.DataFrame(
        {
            "month": month,
            "rate": 50 + 0.1 * month + 4 * after + (noise.cumsum() if wanders else noise),
            "there": 48 + 0.1 * month + rng.normal(size=48),
            "count": rng.poisson(30 * np.exp(0.005 * month - 0.3 * after)),
        }
    )


def wedge():
    """Twelve clusters, five periods, starts one after the other."""
    rng = np.random.default_rng(1)
    cells = pd.MultiIndex.from_product([range(12), range(5)], names=["ward", "year"])
    frame = cells.to_frame(index=False).assign(start=lambda one: one["ward"] % 4 + 1)
    with_it = frame["year"] >= frame["start"]
    return frame.assign(rate=50 + 5 * with_it + rng.normal(0, 2, len(frame)))


def small_panel():
    return made_panel(n_treated=5, n_controls=7, n_times=5)


def few_treated():
    return made_panel(n_treated=1, n_controls=24)


def figures(**known):
    return lambda: ok.PublishedFigures(before=43, after=68, unit="percent", years=2, **known)


def one_series(**options):
    return ok.InterruptedSeries(**SERIES | {"outcome": "rate"} | options)


def did(**options):
    return ok.DifferenceInDifferences(**PANEL | options)


CHOSEN = ok.Program(selected_on_baseline=True)
SELECTION = ok.UnitSelection(chosen="program")
EVERY_PILOT = {
    "series": (series, one_series(direction="higher")),
    "series that wanders": (lambda: series(wanders=True), one_series()),
    "series, exact posterior": (series, one_series(method="bayes")),
    "series, independent": (series, one_series(method="independent")),
    "series of counts": (series, one_series(outcome="count", family="poisson")),
    "controlled series": (
        series,
        ok.ControlledSeries(**SERIES, outcome="rate", control="there", direction="higher"),
    ),
    "patients": (lambda: patients(few_known=True), ok.BeforeAfter(**PATIENT, case_mix="age")),
    "patients, wild bootstrap": (
        patients,
        ok.BeforeAfter(**PATIENT, inference="wild_bootstrap"),
    ),
    "patients of chosen doctors": (chosen, ok.BeforeAfter(**PATIENT, selection=SELECTION)),
    "two groups": (
        lambda: patients(few_known=True),
        ok.ControlledBeforeAfter(**PATIENT, group="ward", treated="A", direction="higher"),
    ),
    "doctors": (
        lambda: patients(few_known=True),
        ok.DoctorEffects(**PATIENT, hospital="ward", direction="higher"),
    ),
    "panel": (small_panel, did(direction="higher")),
    "panel, several starts": (staggered_panel, did()),
    "panel, wild bootstrap": (small_panel, did(estimator="2x2", inference="wild_bootstrap")),
    "panel, randomization": (few_treated, did(estimator="2x2", inference="randomization")),
    "synthetic control": (few_treated, ok.SyntheticControl(**PANEL)),
    "wedge": (wedge, ok.SteppedWedge(**PANEL, direction="higher")),
    "wedge, randomization": (
        wedge,
        ok.SteppedWedge(**PANEL, effect="constant", inference="randomization"),
    ),
    "published": (figures(), ok.PublishedAggregates(direction="higher")),
    "published with patients": (figures(n_before=150, n_after=160), ok.PublishedAggregates()),
}
"""Name -> what makes the data, and the design."""


@cache
def compared(name):
    """Effect of one of them."""
    data, design = EVERY_PILOT[name]
    program = CHOSEN if getattr(design, "selection", None) is not None else None
    return ok.compare_pilot(data(), design, program=program, draws=400, seed=1)
