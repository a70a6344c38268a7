"""Measure whether the review's probabilities come true, in its own model and where it is broken.

Run: ``python benchmarks/review_worlds.py`` (about 15 minutes of one core), or with the number of
hospitals of each world: ``python benchmarks/review_worlds.py 20``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

import outcomekpi as ok
from outcomekpi.simulation.made.completion import DEPARTMENTS, INDICATORS, YEARS

HOSPITALS = 100
SEED = 20261
UPPER, LOWER = 0.9, 0.6
GROUPS = [0, 0.05, 0.25, 0.75, 1]
PAGE = Path(__file__).with_suffix(".md")
WORLDS = {
    "its own model": {},
    "departments drift": {"drift": 0.5},
    "overdispersed counts": {"extra": 0.05},
    "cycles that are alike": {"memory": 0.8},
    "a bad last cycle": {"shock": 0.7},
}
"""Name -> what is added to ``simulate_history``. Drift: SD of each department's own change a year,
log odds. Extra: intraclass correlation of the patients of a department and year, beyond its rate.
Memory: correlation of the effects of a department in successive years. Shock: log odds that every
department and indicator loses in the last year, and gets back after it."""


def history(seed, *, drift=0.0, extra=0.0, memory=0.0, shock=0.0):
    """Indicators, departments and years as in ``simulate_history``, with one thing more."""
    rng = np.random.default_rng([SEED, seed])
    tables = []
    shape = (len(DEPARTMENTS), len(YEARS))
    for name, (target, start, change, sd_unit, sd_year, size) in INDICATORS.items():
        year = sd_year * rng.standard_normal(shape)
        for later in range(1, shape[1] if memory else 1):
            year[:, later] = memory * year[:, later - 1] + np.sqrt(1 - memory**2) * year[:, later]
        effect = rng.normal(0.0, sd_unit, (shape[0], 1)) + year
        effect = effect + drift * rng.standard_normal((shape[0], 1)) * np.arange(shape[1])
        level = logit(start) + change * np.arange(shape[1]) + effect
        lasting = expit(level)
        rate = expit(level - shock * (np.arange(shape[1]) == shape[1] - 1))
        chance = rate
        if extra:
            chance = rng.beta(rate * (1 / extra - 1), (1 - rate) * (1 / extra - 1))
        mean_size = size * rng.gamma(4.0, 0.25, (shape[0], 1))
        patients = np.maximum(5, rng.poisson(np.broadcast_to(mean_size, shape)))
        tables.append(
            pd.DataFrame(
                {
                    "indicator": name,
                    "department": np.repeat(DEPARTMENTS, shape[1]),
                    "year": np.tile(YEARS, shape[0]),
                    "reached": rng.binomial(patients, chance).ravel(),
                    "patients": patients.ravel(),
                    "target": target,
                    "lasting": lasting.ravel(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def side_of(completion):
    """Which side of the bars a completion lies on."""
    beyond = [completion > UPPER, completion < LOWER]
    return np.select(beyond, ["too easy", "too hard"], "leave alone")


def judge(seed, world):
    """Verdicts on the indicators of one hospital, and what was due."""
    table = history(seed, **world)
    names = {"indicator": "indicator", "unit": "department", "cycle": "year", "target": "target"}
    counts = {"numerator": "reached", "denominator": "patients", "counts": "events"}
    known = ok.CycleHistory.from_frame(table.drop(columns="lasting"), **names, **counts)
    rule = ok.ReviewRule(reading="share_of_doctors", cycles=2, upper=UPPER, lower=LOWER)
    found = ok.review_thresholds(known, rule, draws=500, seed=SEED).to_frame()
    on = (table["lasting"] >= table["target"])[table["year"] >= YEARS[-2]]
    truth = on.groupby(table["indicator"]).mean().reindex(found.index)
    return found.assign(due=side_of(truth))


def interval(count, total):
    """Wilson's 95 % interval of a share, in percent."""
    low, high = stats.binomtest(int(count), int(total)).proportion_ci(method="wilson")
    return f"{100 * low:.0f} to {100 * high:.0f}"


def mistakes(trial, column):
    """Changes of a bar without need, and bars that were left alone in need."""
    acts, due = trial[column] != "leave alone", trial["due"] != "leave alone"
    wrong = trial[column] != trial["due"]
    return int((acts & wrong).sum()), int((~acts & due).sum())


def summarize(name, trial):
    """Rows of the two tables for one world."""
    trial = trial.assign(wrong=trial["rule_verdict"] != trial["due"])
    groups = pd.cut(trial["p_rule_wrong"], GROUPS, include_lowest=True)
    stated = []
    for group, part in trial.groupby(groups, observed=True):
        low, high = max(group.left, 0.0), group.right
        found = int(part["wrong"].sum())
        stated.append(
            f"| {name} | {low:g} to {high:g} | {100 * part['p_rule_wrong'].mean():.1f} | "
            f"{found} of {len(part)} | {100 * found / len(part):.1f} | "
            f"{interval(found, len(part))} |"
        )
    rule, review = mistakes(trial, "rule_verdict"), mistakes(trial, "verdict")
    counted = (
        f"| {name} | {rule[0]} | {rule[1]} | {4 * rule[0] + rule[1]} | {review[0]} | "
        f"{review[1]} | {4 * review[0] + review[1]} |"
    )
    return stated, counted


def main():
    """Judge the hospitals of every world and write the page."""
    hospitals = int(sys.argv[1]) if len(sys.argv) > 1 else HOSPITALS
    began, stated, counted = perf_counter(), [], []
    for name, world in WORLDS.items():
        trial = pd.concat([judge(seed, world) for seed in range(1, hospitals + 1)])
        found, line = summarize(name, trial)
        stated += found
        counted.append(line)
        write(stated, counted, hospitals, perf_counter() - began)


def write(stated, counted, hospitals, seconds):
    """Write the page."""
    lines = [
        "# The review in worlds that are not its own",
        "",
        f"Written by `python benchmarks/review_worlds.py` ({hospitals} hospitals of each "
        f"world, 6 indicators each, seed {SEED}, {seconds / 60:.0f} minutes). Rule: the share "
        "of departments on target in two cycles, bars at 90 and 60 %. *Departments drift*: "
        "each has a change of its own a year, SD .5 of log odds. *Overdispersed counts*: "
        "patients of a department and year are alike, intraclass correlation .05. *Cycles "
        "that are alike*: what a department has in one year is correlated .8 with the year "
        "before. *A bad last cycle*: every department and indicator loses .7 log odds in the "
        "last year, and what is due is what lasts, without it.",
        "",
        "## Is the rule as often wrong as the review says?",
        "",
        "| world | stated between | mean stated, % | wrong | found, % | 95 % interval |",
        "|---|---|---|---|---|---|",
        *stated,
        "",
        "## Mistakes",
        "",
        "| world | rule: false changes | rule: misses | rule: cost | review: false changes | "
        "review: misses | review: cost |",
        "|---|---|---|---|---|---|---|",
        *counted,
        "",
        "Cost: 4 for a false change, 1 for a miss.",
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
