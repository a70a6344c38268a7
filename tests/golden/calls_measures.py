"""Calls about raw records: verdicts of patients, what is missing, what was set aside."""

from functools import cache

import numpy as np
from made_patients import charts, define

import outcomekpi as ok

PERIOD = {"start": "2026-01-01", "end": "2026-12-31"}
A1C = {"table": "measurements", "concepts": ["hba1c"], "has": "number"}
ON_TARGET = {
    "find": {"a1c": {**A1C, "since": "start", "until": "end"}},
    "value": {"last": {"find": "a1c"}},
    "success": "last < 7",
    "cohort": "age_end >= 18",
}
AFTER_GO = {
    "find": {
        "go": {"table": "procedures", "concepts": ["go"]},
        "back": {"table": "encounters", "concepts": ["back"], "since": "index"},
        "death": {"table": "deaths"},
    },
    "index": {"find": "go"},
    "event": "back",
    "competes": ["death"],
    "horizon": 90,
}


@cache
def clinic():
    """Forty patients with up to four readings each, a word and a missing result among them."""
    rng = np.random.default_rng(1)
    people = {}
    for number in range(40):
        days = sorted(rng.integers(1, 360, rng.integers(0, 5)))
        values = [f"{value:.1f}" for value in rng.normal(7.2, 1.0, len(days))]
        if number % 9 == 0 and values:
            values[0] = ("pending", "")[number % 2]
        dates = [str(np.datetime64("2026-01-01") + np.timedelta64(day, "D")) for day in days]
        readings = [(day, value, "hba1c", "%") for day, value in zip(dates, values, strict=True)]
        records = {"measurements": readings, "procedures": [("2026-03-01", "2026-03-01", "go")]}
        if number % 4 == 1:
            back = str(np.datetime64("2026-03-01") + np.timedelta64(7 * number, "D"))
            records["encounters"] = [(back, back, "back", "inpatient")]
        if number % 7 == 3:
            records["deaths"] = [
                (str(np.datetime64("2026-03-01") + np.timedelta64(5 * number, "D")),)
            ]
        people[f"p{number}"] = (f"{1940 + number}-06-15", records)
    frames = charts(people).tables
    frames["patients"] = frames["patients"].assign(doctor=[f"d{k % 4}" for k in range(40)])
    return ok.Records.from_frames({name: frame for name, frame in frames.items() if len(frame)})


def judged(definition):
    return ok.assess(clinic(), define(**definition), **PERIOD)


ROOMS = {
    "measures": {
        "assess": lambda: judged(ON_TARGET),
        "compare_missing": lambda: ok.compare_missing(clinic(), define(**ON_TARGET), **PERIOD),
        "cumulative_incidence": lambda: ok.cumulative_incidence(judged(AFTER_GO)),
        "set_aside": lambda: ok.set_aside(clinic(), define(**ON_TARGET)),
        "quality_table": lambda: ok.quality_table(clinic()),
    }
}
SLOW = set()
