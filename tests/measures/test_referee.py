"""Plain loops, patient by patient, judge random small hospitals as the statement does."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from made_patients import charts, define

from outcomekpi.measures.assess import assess
from outcomekpi.records.records import Records

N_HOSPITALS = 200
START, END = date(2026, 1, 1), date(2026, 12, 31)
RULE = define(
    cohort="diabetes and visit and 18 <= age_end <= 75",
    exclusions={"hospice": "hospice"},
    exceptions={"refused": "refused"},
    success="last < 7 and baseline - last >= 0.8",
    missing="exclude",
    find={
        "diabetes": {
            "table": "conditions", "concepts": ["dm"], "since": "start", "until": "end",
            "by": "overlap",
        },
        "hospice": {
            "table": "conditions", "concepts": ["hospice"], "since": "start", "until": "end",
            "by": "overlap",
        },
        "refused": {"table": "conditions", "concepts": ["refused"], "since": "start"},
        "visit": {"table": "encounters", "since": "start", "until": "end", "by": "inside"},
        "stay": {
            "table": "encounters", "where": {"class": ["IMP"]}, "by": "overlap", "since": "start",
            "until": "end",
        },
        "now": {
            "table": "measurements", "concepts": ["a1c"], "has": "number", "since": "start",
            "until": "end", "unit": "%", "measure": "hba1c", "not_on_days_of": "stay",
        },
        "then": {
            "table": "measurements", "concepts": ["a1c"], "has": "number",
            "since": "start - 6 months", "before": "start", "unit": "%", "measure": "hba1c",
        },
    },
    value={
        "last": {"find": "now", "per_day": "min", "pick": "last"},
        "baseline": {"find": "then", "per_day": "mean", "pick": "mean"},
    },
)  # fmt: skip


def hospital(seed):
    """A few patients with records near every edge."""
    rng = np.random.default_rng(seed)

    def day():
        edges = [date(2025, 6, 30), date(2025, 7, 1), date(2025, 12, 31), START, END]
        if rng.random() < 0.4:
            return edges[rng.integers(len(edges))] + timedelta(days=int(rng.integers(-1, 2)))
        return date(2025, 6, 1) + timedelta(days=int(rng.integers(0, 640)))

    def reading():
        value = ["6.9", "7.0", "7.7", "6.5", "52", "61", "high", "", "<4"][rng.integers(9)]
        unit = "mmol/mol" if value in ("52", "61") else ["%", "%", ""][rng.integers(3)]
        status = ["final", "corrected", "entered-in-error"][rng.choice(3, p=[0.6, 0.2, 0.2])]
        return (f"{day()}T{rng.integers(24):02d}:00", value, "a1c", unit, status)

    def condition(concept):
        onset = day() - timedelta(days=int(rng.integers(0, 400)))
        end = day() if rng.random() < 0.3 else ""
        status = ["active", "resolved", ""][rng.integers(3)]
        return (str(onset), str(end), concept, status, ["confirmed", "refuted"][rng.integers(2)])

    def visit():
        start = day()
        end = start + timedelta(days=int(rng.integers(0, 6)))
        kind = ["AMB", "IMP"][rng.integers(2)]
        return (str(start), str(end) if rng.random() < 0.9 else "", "", kind)

    people = {}
    for number in range(6):
        born = date(2026 - int(rng.choice([17, 18, 40, 60, 75, 76])), 12, int(rng.integers(30, 32)))
        many = {"conditions": [condition("dm") for _ in range(rng.integers(1, 4))]}
        for concept in ("hospice", "refused"):
            if rng.random() < 0.15:
                many["conditions"].append(condition(concept))
        many["encounters"] = [visit() for _ in range(rng.integers(1, 6))]
        many["measurements"] = [reading() for _ in range(rng.integers(2, 24))]
        people[f"p{number}"] = (str(born), many)
    return people


def as_day(text):
    return date.fromisoformat(text[:10]) if text else None


def percent(value, unit):
    """HbA1c in %, or None where it is no number or has no known unit."""
    try:
        number = float(value)
    except ValueError:
        return None
    return {"%": number, "mmol/mol": 0.09148 * number + 2.152}.get(unit)


def lasts(concept, many):
    for onset, end, named, status, verification in many["conditions"]:
        if named != concept or verification == "refuted":
            continue
        last = as_day(end) or (date.max if status in ("active", "") else None)
        if last and as_day(onset) <= END and last >= START:
            return True
    return False


def verdict(born, many):
    """The definition in words, one patient at a time."""
    birthday = as_day(born)
    age = END.year - birthday.year - ((END.month, END.day) < (birthday.month, birthday.day))
    spans = [(as_day(start), as_day(end)) for start, end, *_ in many["encounters"]]
    inside = any(last and first >= START and last <= END for first, last in spans)
    if not (lasts("dm", many) and inside and 18 <= age <= 75):
        return None
    if lasts("hospice", many):
        return "excluded"
    success = drop(*readings(many))
    refused = any(
        named == "refused" and verification != "refuted" and as_day(onset) >= START
        for onset, _, named, _, verification in many["conditions"]
    )
    if refused and not success:
        return "excluded"
    return {True: "reached", False: "not reached", None: "not assessable"}[success]


def readings(many):
    """Lowest number of the latest day of the year, and mean of the days of the half-year before."""
    in_hospital = set()
    for start, end, _, kind in many["encounters"]:
        one = as_day(start)
        while kind == "IMP" and one <= (as_day(end) or as_day(start)):
            in_hospital.add(one)
            one += timedelta(days=1)
    now, then = {}, {}
    for moment, value, _, unit, status in many["measurements"]:
        number, on = percent(value, unit), as_day(moment)
        if number is None or status == "entered-in-error":
            continue
        if START <= on <= END and on not in in_hospital:
            now.setdefault(on, []).append(number)
        if date(2025, 7, 1) <= on < START:
            then.setdefault(on, []).append(number)
    last = min(now[max(now)]) if now else None
    return last, np.mean([np.mean(numbers) for numbers in then.values()]) if then else None


def drop(last, baseline):
    """Whether the last is below 7 and .8 below the baseline; None where that cannot be told."""
    if last is None:
        return None
    if not last < 7 - 7e-6:
        return False  # whatever the baseline was
    return None if baseline is None else bool(baseline - last >= 0.8 - 1e-6)


@pytest.mark.slow
def test_loops_and_statement_agree_on_two_hundred_hospitals():
    people = {
        f"h{seed}-{name}": chart
        for seed in range(N_HOSPITALS)
        for name, chart in hospital(seed).items()
    }
    records = charts(people)
    found = assess(records, RULE, start=str(START), end=str(END)).to_frame()
    ours = found.set_index("patient")["verdict"].to_dict()
    theirs = {name: verdict(*chart) for name, chart in people.items()}
    theirs = {name: said for name, said in theirs.items() if said}
    assert {
        k: (ours.get(k), theirs.get(k)) for k in ours | theirs if ours.get(k) != theirs.get(k)
    } == {}
    # the hospitals hold every verdict, or the agreement says nothing
    assert set(theirs.values()) == {"reached", "not reached", "not assessable", "excluded"}
    assert min(pd.Series(theirs).value_counts()) >= 10


def test_shuffled_rows_and_other_patients_change_nobodys_verdict():
    people = hospital(3) | {f"other {k}": v for k, v in hospital(4).items()}
    records = charts(people)
    whole = assess(records, RULE, start=str(START), end=str(END)).to_frame()
    tables = {name: t.sample(frac=1, random_state=1) for name, t in records.tables.items()}
    shuffled = Records(tables=tables, time_zone="UTC")
    again = assess(shuffled, RULE, start=str(START), end=str(END)).to_frame()
    pd.testing.assert_frame_equal(whole, again)
    alone = assess(charts(hospital(3)), RULE, start=str(START), end=str(END)).to_frame()
    own = whole[whole["patient"].isin(alone["patient"])].reset_index(drop=True)
    assert own["verdict"].tolist() == alone["verdict"].tolist()
