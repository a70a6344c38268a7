"""Measure how often intervals, ranks and flags of doctors come true in worlds of a fixed spread.

The truth is that of the sentence in the report: a doctor is worse if, with his own patients, he
has more events than the doctors of his world would have on average with the same patients, where
that average is at the level at which it adds up to the events of all doctors.

Run: ``python benchmarks/doctor_intervals.py`` (about 9 minutes of one core), or with the number of
worlds of each setting: ``python benchmarks/doctor_intervals.py 40``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy import optimize, stats
from scipy.special import expit

import outcomekpi as ok

SEED = 20261
WORLDS = 200
DRAWS = 1000
DOCTORS = 25
SPREADS = (0.15, 0.4, 0.8)
PATIENTS = (750, 5000)
LEVELS = (0.50, 0.80, 0.95)
CLASSES = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1)
SPEC = ok.ModelSpec(case_mix="x1 + x2")
PAGE = Path(__file__).with_suffix(".md")


def true_ratios(frame, truth):
    """Expected events of each doctor with his patients over the doctors' mean with the same ones.

    The mean is over the doctors themselves, each counted with his patients, not over a normal
    distribution as in the package; its level is found by bisection.
    """
    doctor = frame["doctor"].astype("str")
    eta = truth.intercept + frame[["x1", "x2"]].to_numpy() @ truth.coefficient
    own = pd.Series(expit(eta + truth.doctor_effect[doctor].to_numpy()))
    share = doctor.value_counts(normalize=True)
    effects = truth.doctor_effect[share.index].to_numpy()

    def mean_of(level):
        return expit(eta[:, None] + level + effects) @ share.to_numpy()

    level = optimize.brentq(lambda m: mean_of(m).sum() - own.sum(), -2, 2)
    return own.groupby(doctor).sum() / pd.Series(mean_of(level)).groupby(doctor).sum()


def see_world(spread, patients, world):
    """One row a doctor: what was said of him and whether it is true."""
    frame, truth = ok.datasets.simulate_cases(
        n_cases=patients,
        n_doctors=DOCTORS,
        n_covariates=2,
        sd_doctor=spread,
        rate=0.2,
        seed=SEED + world,
    )
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor", direction="lower")
    fit = ok.fit(cases, SPEC, draws=DRAWS, seed=world)
    rates = ok.standardize(fit)
    found = rates.to_frame()[["observed", "expected", "ratio"]]
    found = found.assign(spread=spread, patients=patients, world=world)
    found["truth"] = true_ratios(frame, truth)
    for reference in ("population", "median"):
        totals = ok.standardize(fit, average_doctor=reference).totals()["mean"]
        found[f"E/O, {reference}"] = totals["expected"] / totals["observed"]
    for level in LEVELS:
        _, lower, upper = rates.ratio("P/E", level=level)
        found[f"P/E, {level:.0%}"] = found["truth"].between(lower, upper)
    lower, upper = poisson_limits(found["observed"], found["expected"])
    found["O/E, 95%"] = found["truth"].between(lower, upper)
    places = ok.rank(rates).to_frame(level=0.95)
    found["rank, 95%"] = found["truth"].rank().between(places["lower"], places["upper"])
    return found.assign(p_worse=ok.classify(rates).p_worse)


def poisson_limits(observed, expected):
    """Exact 95 % limits of observed over expected events."""
    lower = np.nan_to_num(stats.chi2.ppf(0.025, 2 * observed) / 2)
    return lower / expected, stats.chi2.ppf(0.975, 2 * observed + 2) / 2 / expected


def summarize(doctors):
    """Coverage with its standard error; the doctor whom everybody looks at; flags."""
    setting = ["spread", "patients"]
    held = [f"P/E, {level:.0%}" for level in LEVELS] + ["O/E, 95%", "rank, 95%"]
    worlds = doctors.groupby([*setting, "world"])[held].mean().groupby(setting)
    n_worlds = doctors["world"].nunique()
    errors = (worlds.std() / np.sqrt(n_worlds)).add_suffix(", error")
    sums = doctors.groupby([*setting, "world"])[["E/O, population", "E/O, median"]].first()
    sums = sums.groupby(setting).agg(["mean", "min", "max"])
    sums.columns = [f"{name}, {what}" for name, what in sums.columns]
    doctors = doctors.assign(oe=doctors["observed"] / doctors["expected"])
    highest = doctors.loc[doctors.groupby([*setting, "world"])["oe"].idxmax()]
    highest = highest.groupby(setting)[["oe", "ratio", "truth"]].mean()
    highest.columns = ["O/E", "P/E", "truth"]
    classes = pd.cut(doctors["p_worse"], CLASSES, include_lowest=True).map(
        lambda bounds: f"{max(bounds.left, 0):g} to {bounds.right:g}"
    )
    flags = doctors.assign(worse=doctors["truth"] > 1, said=classes)
    flags = flags.groupby([*setting, "said"], observed=True)
    return {
        "Intervals": pd.concat([worlds.mean(), errors], axis=1),
        "The doctor with the highest O/E of his world": highest,
        "All expected events over all observed ones, by the reference": sums,
        "Probability of being worse than the overall rate": flags.agg(
            doctors=("worse", "size"), mean=("p_worse", "mean"), found=("worse", "mean")
        ),
    }


def write_rows(table):
    """Return a table as lines of Markdown."""
    table = table.reset_index()
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row[1:]]
        lines.append("| " + " | ".join([f"{row[0]:g}", *cells]) + " |")
    return lines


def main():
    """Simulate, summarize, write."""
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    began = perf_counter()
    settings = [(s, n, w) for s in SPREADS for n in PATIENTS for w in range(worlds)]
    doctors = pd.concat([see_world(*setting) for setting in settings], ignore_index=True)
    lines = [
        "# Do intervals of doctors come true?",
        "",
        f"Written by `python benchmarks/doctor_intervals.py` ({worlds:,} worlds a setting, seed "
        f"{SEED}, {(perf_counter() - began) / 60:.0f} minutes). {DOCTORS} doctors in each world, "
        "20 % events, two covariates, *patients* in caseloads that differ, and a *spread* of the "
        "doctors (SD of their log odds) that is fixed, not drawn from the prior of the model, "
        "which is half-normal with SD 1. The true ratio of a doctor is that of his events to those "
        "that the doctors of his world would have on average with his patients, each counted with "
        "his patients, at the level at which both add up to the same number: the overall rate. "
        "Share of doctors whose true standardized ratio (or rank) lies in the interval; errors are "
        "standard errors over worlds.",
        "",
    ]
    for title, table in summarize(doctors).items():
        lines += [f"## {title}", "", *write_rows(table), ""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
