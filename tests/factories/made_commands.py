"""Small tables and command lines that work, one for each command and design of a pilot."""

import numpy as np
import pandas as pd

__all__ = ["COMMANDS", "TABLES"]


def cases():
    rng = np.random.default_rng(5)
    n = 96
    doctor = np.arange(n) % 8
    return pd.DataFrame(
        {
            "died": rng.integers(0, 2, n),
            "surgeon": [f"S{i:02d}" for i in doctor],
            "clinic": [f"H{i // 2}" for i in doctor],
            "age": rng.normal(60, 9, n).round(1),
            "sex": rng.choice(["F", "M"], n),
            "falls": rng.poisson(2, n),
            "days": rng.integers(1, 30, n),
            "events": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "minutes": rng.normal(50, 9, n).round(2),
            "state": rng.choice(["alive", "dead"], n),
            "id": [f"p{i}" for i in range(n)],
            "year": 2020 + np.arange(n) // 48,
            "euroscore": rng.uniform(0.2, 0.8, n).round(3),
            "forecast": rng.uniform(1.0, 3.0, n).round(2),
            "planned": rng.normal(50, 4, n).round(1),
            "log_odds": rng.normal(0, 0.5, n).round(2),
        }
    )


def history():
    rows = [
        {
            "indicator": indicator, "year": 2020 + year, "unit": f"U{unit}",
            "reached": 20 + 3 * unit + year + 5 * place, "patients": 40 + unit,
            "share": (20 + 3 * unit + year + 5 * place) / (40 + unit), "goal": 0.6,
            "half": f"202{year // 2}-{year % 2 + 1}",
        }
        for place, indicator in enumerate(["a1c", "bp"])
        for year in range(4)
        for unit in range(4)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def patients():
    rng = np.random.default_rng(6)
    n = 160
    late = np.arange(n) % 2
    patient = np.arange(n) // 2
    severity = rng.normal(0, 1, n // 2).round(2)[patient]
    reading = (8 + 0.5 * severity - 0.3 * late + rng.normal(0, 0.4, n)).round(2)
    return pd.DataFrame(
        {
            "controlled": (rng.random(n) < 0.4 + 0.1 * late).astype(int),
            "word": np.where(rng.random(n) < 0.5, "yes", "no"),
            "reached": late * (rng.random(n) < 0.4),
            "a1c": reading,
            "screen": (7.9 + 0.5 * severity + rng.normal(0, 0.4, n // 2)[patient]).round(2),
            "period": np.where(late == 1, "after", "before"),
            "when": 2023 + late,
            "doctor": [f"D{i % 10:02d}" for i in patient],
            "hospital": [f"H{i % 10 // 2}" for i in patient],
            "id": [f"p{i}" for i in patient],
            "age": (60 + 8 * severity).round(1),
            "picked": (patient % 10 < 3).astype(int),
            "picked_site": (patient % 10 < 4).astype(int),
            "ward": np.where(patient % 10 < 5, "A", "B"),
            "seen": [f"{2023 + i}-06-{1 + j % 28:02d}T09:30:00+02:00" for j, i in enumerate(late)],
        }
    )


def series():
    at = np.arange(36)
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "month": at + 1,
            "rate": (50 + rng.normal(0, 1, 36) + 3 * (at >= 20)).round(2),
            "other": (48 + rng.normal(0, 1, 36)).round(2),
            "falls": rng.poisson(9, 36),
            "days": 300 + at,
            "hits": rng.binomial(60, 0.4, 36),
            "tries": np.full(36, 60),
            "other_tries": np.full(36, 61),
            "other_days": 310 + at,
            "other_hits": rng.binomial(60, 0.4, 36),
            "heat": rng.normal(20, 3, 36).round(1),
            "half": [f"{2000 + i // 2}-{i % 2 + 1}" for i in range(36)],
        }
    )


def panel():
    rng = np.random.default_rng(8)
    unit, time = np.divmod(np.arange(14 * 8), 8)
    start = np.where(unit < 5, 5, 0)
    rate = 50 + unit + 0.5 * time + 4 * ((start > 0) & (time + 1 >= start)) + rng.normal(0, 1, 112)
    return pd.DataFrame(
        {
            "ward": [f"W{i:02d}" for i in unit],
            "site": [f"H{i % 7}" for i in unit],
            "quarter": time + 1,
            "start": np.where(start > 0, start, np.nan),
            "rate": rate.round(2),
            "n": 20 + unit,
            "heat": rng.normal(20, 3, 112).round(1),
            "good": rng.binomial(20 + unit, 0.4),
            "yes": rng.integers(0, 2, 112),
        }
    )


def wedge():
    rng = np.random.default_rng(9)
    n = 12 * 5 * 4
    unit, rest = np.divmod(np.arange(n), 20)
    time = rest // 4
    start = 2 + unit % 4
    chance = 0.3 + 0.2 * (time + 1 >= start)
    return pd.DataFrame(
        {
            "ward": [f"W{i:02d}" for i in unit],
            "period": time + 1,
            "start": start,
            "hit": (rng.random(n) < chance).astype(int),
            "word": np.where(rng.random(n) < chance, "yes", "no"),
            "score": (50 + 3 * (time + 1 >= start) + rng.normal(0, 2, n)).round(2),
            "size": rng.integers(3, 9, n),
        }
    )


def means():
    """Return one mean for each ward and period of a stepped wedge."""
    grouped = wedge().groupby(["ward", "period", "start"], as_index=False)["score"]
    return grouped.agg(mean="mean", n="size")


def doctors():
    """Doctors on target out of doctors, one row for each indicator and cycle."""
    return history().query("unit == 'U1'").drop(columns="unit")


def records():
    return pd.DataFrame(
        {"patient": ["p1", "p1", "p2", "p2"], "month": [0, 6, 0, 6], "hba1c": [8.1, 7.2, 7.9, 6.8]}
    )


def people():
    return pd.DataFrame({"patient": ["p1", "p2"], "doctor": ["S01", "S02"]})


def encounters():
    return pd.DataFrame({"patient": ["p2"], "day": [41], "kind": ["hf_admission"]})


TABLES = {
    "cases": cases, "history": history, "patients": patients, "series": series, "panel": panel,
    "wedge": wedge, "means": means, "doctors": doctors, "records": records, "people": people,
    "encounters": encounters,
}  # fmt: skip

COMMANDS = {
    "check": ("check", "cases", "--outcome died --doctor surgeon --adjust age"),
    "check_history": (
        "check", "history",
        "--indicator indicator --cycle year --unit unit --numerator reached --denominator patients",
    ),
    "check_records": ("check", "records", "--as records"),
    "evaluate": (
        "evaluate", "cases",
        "--outcome died --doctor surgeon --direction lower --draws 100 --adjust age",
    ),
    "thresholds": (
        "thresholds", "history",
        "--indicator indicator --cycle year --unit unit --numerator reached --denominator patients "
        "--reading raw_rate --model conjugate --draws 100",
    ),
    "doctors": (
        "thresholds", "doctors",
        "--indicator indicator --cycle year --numerator reached --denominator patients "
        "--reading share_of_doctors --counts doctors --model conjugate --draws 100",
    ),
    "figures": ("pilot", None, "--before 43 --after 68 --percent --years 2 --draws 200"),
    "before-after": (
        "pilot", "patients",
        "--design before-after --outcome controlled --time period --after after --doctor doctor "
        "--direction higher --draws 100 --quick",
    ),
    "controlled-before-after": (
        "pilot", "patients",
        "--design controlled-before-after --outcome controlled --time period --after after "
        "--group ward --treated A --direction higher --draws 100 --quick",
    ),
    "doctor-effects": (
        "pilot", "patients",
        "--design doctor-effects --outcome controlled --time period --after after --doctor doctor "
        "--direction higher --draws 100 --quick",
    ),
    "interrupted": (
        "pilot", "series",
        "--design interrupted --outcome rate --time month --start 21 --direction higher "
        "--draws 100 --quick",
    ),
    "controlled": (
        "pilot", "series",
        "--design controlled --outcome rate --control other --time month --start 21 "
        "--direction higher --draws 100 --quick",
    ),
    "synthetic": (
        "pilot", "panel",
        "--design synthetic --outcome rate --unit ward --time quarter --start start "
        "--direction higher --draws 100 --quick",
    ),
    "did": (
        "pilot", "panel",
        "--design did --outcome rate --unit ward --time quarter --start start --direction higher "
        "--draws 100 --quick",
    ),
    "stepped-means": (
        "pilot", "means",
        "--design stepped-wedge --outcome mean --patients n --unit ward --time period "
        "--start start --family gaussian --direction higher --draws 100 --quick",
    ),
    "stepped-wedge": (
        "pilot", "wedge",
        "--design stepped-wedge --outcome hit --unit ward --time period --start start "
        "--direction higher --draws 100 --quick",
    ),
}  # fmt: skip
"""Name -> command, table that it reads (None reads none), and options that work together."""
