"""Tables with doctors who have few patients or events, and exchanges that nobody may notice."""

import numpy as np
import pandas as pd

import outcomekpi as ok

BELOW = 10
RATES = (0.08, 0.15, 0.3)


def made_table(kind, *, n_doctors=24, seed=1, covariate=False):
    """A table of 24 doctors of whom about a third have fewer than ten events.

    kind : "patients", "trials", "exposure" or "measurements"
    """
    rng = np.random.default_rng(seed)
    cases = rng.integers(25, 160, n_doctors)
    cases[:3] = [1, 4, 9]
    names = [f"D{j:02d}" for j in range(n_doctors)]
    effect = rng.normal(0, 0.3, n_doctors)
    if kind in ("patients", "measurements"):
        code = np.repeat(np.arange(n_doctors), cases)
        age = np.round(rng.normal(60, 10, code.size)) if covariate else np.zeros(code.size)
        risk = -1.4 + effect[code] + 0.03 * (age - 60) * covariate
        died = (rng.random(code.size) < 1 / (1 + np.exp(-risk))).astype(int)
        if kind == "measurements":
            died = np.round(rng.normal(50 + 5 * effect[code], 8), 1)
        table = pd.DataFrame({"died": died, "doctor": np.array(names)[code], "age": age})
    elif kind == "trials":
        parts = [(j, g, n) for j, n in enumerate(cases) for g, n in enumerate([n - n // 3, n // 3])]
        table = pd.DataFrame(parts, columns=["j", "age", "n"])
        table = table[table["n"] > 0] if covariate else table.groupby("j", as_index=False).sum()
        risk = -1.4 + effect[table["j"]] + 0.4 * table["age"].to_numpy() * covariate
        table["died"] = rng.binomial(table["n"], 1 / (1 + np.exp(-risk)))
        table["doctor"] = np.array(names)[table["j"]]
    else:
        days = cases * 100.0
        died = rng.poisson(days * 0.002 * np.exp(effect))
        table = pd.DataFrame({"died": died, "doctor": names, "days": days, "age": 0})
    return table.reset_index(drop=True)


def made_cases(table, kind):
    more = {"trials": {"trials": "n"}, "exposure": {"exposure": "days"}}.get(kind, {})
    return ok.Cases.from_frame(table, outcome="died", doctor="doctor", direction="lower", **more)


def made_spec(kind, *, covariate):
    family = "gaussian" if kind == "measurements" else None
    return ok.ModelSpec(case_mix="age" if covariate else None, family=family)


def counts_of(table, kind):
    """Events, and cases without the event, of each doctor."""
    size = table["n"] if kind == "trials" else pd.Series(1, index=table.index)
    frame = pd.DataFrame({"doctor": table["doctor"], "events": table["died"], "cases": size})
    sums = frame.groupby("doctor").sum()
    return sums["events"], sums["cases"] - sums["events"]


def exchange_rows(table, hidden, seed):
    """Give the patients (rows) of the withheld doctors to others of them, numbers kept."""
    rng = np.random.default_rng(seed)
    changed = table.copy()
    rows = np.flatnonzero(changed["doctor"].isin(hidden))
    changed.loc[rows, "doctor"] = rng.permutation(changed.loc[rows, "doctor"].to_numpy())
    return changed.sort_values("doctor", kind="stable", ignore_index=True)


def exchange_counts(table, hidden, seed):
    """Give events of aggregated rows of the withheld doctors to others, like risk for like."""
    rng = np.random.default_rng(seed)
    changed = table.copy()
    for _, group in changed[changed["doctor"].isin(hidden)].groupby("age"):
        rows = group.index.to_numpy()
        for _ in range(200):
            giver, taker = rng.choice(rows, 2, replace=False)
            room = np.inf if "n" not in table else changed.loc[taker, "n"]
            if changed.loc[giver, "died"] > 0 and changed.loc[taker, "died"] < room:
                changed.loc[giver, "died"] -= 1
                changed.loc[taker, "died"] += 1
    return changed.sort_values("doctor", kind="stable", ignore_index=True)


def move_patients(table, giver_taker, *, events, others):
    """Move patients with and without the event from the first doctor to the second."""
    giver, taker = giver_taker
    changed = table.copy()
    for value, number in ((1, events), (0, others)):
        source, target, n = (giver, taker, number) if number >= 0 else (taker, giver, -number)
        rows = changed.index[(changed["doctor"] == source) & (changed["died"] == value)]
        if len(rows) < n:
            return None
        changed.loc[rows[:n], "doctor"] = target
    return changed.sort_values("doctor", kind="stable", ignore_index=True)


def made_counts(seed, n_doctors=12, rate=0.15):
    """Events, and cases without one, of doctors of whom some have few."""
    rng = np.random.default_rng(seed)
    cases = rng.integers(60, 260, n_doctors)
    cases[: rng.integers(1, 4)] = rng.integers(1, 12)
    events = rng.binomial(cases, rate)
    return np.column_stack([events, cases - events])


def other_tables(cells, hidden, doctor, cell, value, rng):
    """Tables at random with another value in one cell of one withheld doctor, and all totals."""
    others = np.flatnonzero(hidden & (np.arange(len(cells)) != doctor))
    for _ in range(1200):
        table = cells.copy()
        for _ in range(
            rng.integers(0, 12) if others.size > 1 else 0
        ):  # whatever else the others may have
            giver, taker = rng.choice(others, 2, replace=False)
            kind = rng.integers(0, 2)
            given = rng.integers(0, min(15, table[giver, kind]) + 1)
            table[giver, kind] -= given
            table[taker, kind] += given
        step = int(np.sign(value - cells[doctor, cell]))
        for _ in range(abs(value - cells[doctor, cell])):
            partner = rng.choice(others)
            table[doctor, cell] += step
            table[partner, cell] -= step
            rest = 1 - cell
            back = table[doctor, rest] - step >= 0 and table[partner, rest] + step >= 0
            if back and rng.random() < 0.7:  # a patient for a patient
                table[doctor, rest] -= step
                table[partner, rest] += step
        if (table >= 0).all() and (table.sum(axis=1) >= 1).all():
            yield table
