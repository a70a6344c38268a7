"""Measure how often the interval of two groups before and after holds the truth; write the table.

Run: ``python benchmarks/two_groups.py`` (about 10 minutes of one core), or with the number of
replicates of each cell: ``python benchmarks/two_groups.py 200``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

import outcomekpi as ok

REPLICATES = 1000  # of each cell, fewer of worlds that take longer
SEED = 20261
LEVEL = 0.95
PAGE = Path(__file__).with_suffix(".md")
SHOCKS = (0.0, 0.05, 0.1, 0.2)  # SD of what moves a ward in a period, in SDs of a patient
SIZES = (30, 200)  # patients of each ward and period
LEVELS = np.array([0.0, 0.3, 0.5, 0.8])  # of the four wards and periods; nothing but the trend
PROGRAM = ok.Program()


def frame_of(cells, n, **columns):
    """One row for each patient of the four wards and periods."""
    frame = pd.DataFrame({"cell": np.repeat(np.arange(4), n)})
    frame["ward"] = np.where(frame["cell"] >= 2, "A", "B")
    frame["year"] = frame["cell"] % 2
    return frame.assign(y=cells, **columns)


def design(**options):
    """Difference in differences of ward A against ward B."""
    return ok.ControlledBeforeAfter(
        outcome="y", period="year", after=1, group="ward", treated="A", **options
    )


def measurements(n, shock, rng):
    """Different patients; the treated ward scatters twice as much. Truth 0."""
    level = np.repeat(rng.normal(0, shock, 4) + LEVELS, n)
    values = level + rng.normal(size=4 * n) * np.repeat([1, 1, 2, 2], n)
    return frame_of(values, n), design(family="gaussian")


def readings(n, shock, rng):
    """The same n patients of each ward twice, correlation .7. Truth 0."""
    own = np.repeat(rng.normal(0, np.sqrt(0.7), (2, n)), 2, axis=0).ravel()
    level = np.repeat(rng.normal(0, shock, 4) + LEVELS, n)
    values = own + level + rng.normal(0, np.sqrt(0.3), 4 * n)
    who = np.r_[np.arange(n), np.arange(n), n + np.arange(n), n + np.arange(n)]
    return frame_of(values, n, id=who), design(family="gaussian", patient="id")


def case_mix(n, shock, rng):
    """Different patients, older ones in the treated ward after the start; adjusted. Truth 0."""
    age = rng.normal(size=4 * n) + np.repeat([0, 0, 0, 0.5], n)
    level = np.repeat(rng.normal(0, shock, 4) + LEVELS, n)
    values = level + 0.8 * age + rng.normal(size=4 * n)
    return frame_of(values, n, age=age), design(family="gaussian", case_mix="age")


def shares(base):
    """Events of different patients about a level; shocks are added to the risk. Truth 0."""

    def world(n, shock, rng):
        while True:  # a table without any event is refused: there is nothing to compare
            made = draw(n, shock, rng)
            if made.any():
                return frame_of(made, n), design()

    def draw(n, shock, rng):
        risk = np.array([0, 0.1, 0.2, 0.3]) * base + base
        risk = risk + rng.normal(0, shock, 4) * np.sqrt(base * (1 - base))
        return rng.binomial(1, np.repeat(risk.clip(0.001, 0.999), n))

    return world


def pairs_of_events(n, shock, rng):
    """Events of the same patients twice, by a threshold of normals correlated .7. Truth 0."""
    own = np.repeat(rng.normal(0, np.sqrt(0.7), (2, n)), 2, axis=0).ravel()
    latent = own + rng.normal(0, np.sqrt(0.3), 4 * n) + np.repeat(rng.normal(0, shock, 4), n)
    who = np.r_[np.arange(n), np.arange(n), n + np.arange(n), n + np.arange(n)]
    return frame_of((latent > 0.2).astype(int), n, id=who), design(patient="id")


def logistic(n, shock, rng):
    """Events with a case mix that drifts; log odds are parallel, the effect on them is 0."""
    age = rng.normal(size=4 * n) + np.repeat([0, 0, 0, 0.5], n)
    eta = np.repeat(rng.normal(0, 2 * shock, 4) - np.array([0.5, 0.5, 0, 0]), n) + 0.8 * age
    events = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    return frame_of(events, n, age=age), design(case_mix="age")


STUDIES = {
    "measurements, different patients": (measurements, 1),
    "measurements, the same patients twice": (readings, 1),
    "measurements, case mix that drifts": (case_mix, 1),
    "events at 40 %": (shares(0.4), 1),
    "events at 5 %": (shares(0.05), 2),
    "events, the same patients twice": (pairs_of_events, 2),
    "events, case mix that drifts (logistic)": (logistic, 20),
}
"""Name -> world, and by how much fewer replicates it gets because it takes longer."""


def covers(world, n, shock, replicates, rng):
    """Share of intervals that hold 0, and their mean half width in SDs of the estimates."""
    found, values, widths = 0, [], []
    for _ in range(replicates):
        frame, made = world(n, shock, rng)
        main = made.estimate(frame, program=PROGRAM, draws=1, rng=rng).tell(level=0.95).estimates[0]
        lower, upper = main.interval(level=LEVEL)
        found += lower <= 0 <= upper
        values.append(main.value)
        widths.append((upper - lower) / 2)
    return found / replicates, float(np.mean(widths) / 1.959964 / np.std(values))


def main():
    """Measure every world and write the page."""
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    began, rows = perf_counter(), []
    for number, (name, (world, slower)) in enumerate(STUDIES.items()):
        for size in SIZES:
            held = []
            for place, shock in enumerate(SHOCKS):
                rng = np.random.default_rng([SEED, number, size, place])
                held.append(covers(world, size, shock, max(replicates // slower, 20), rng))
            rows.append((name, size, max(replicates // slower, 20), held))
        write(rows, replicates, perf_counter() - began)


def write(rows, replicates, seconds):
    """Write the page."""
    error = np.sqrt(LEVEL * (1 - LEVEL) / replicates)
    shown = [f"{shock:g}" for shock in SHOCKS]
    lines = [
        "# Two groups of patients before and after: how often the interval holds the truth",
        "",
        f"Written by `python benchmarks/two_groups.py` (seed {SEED}, {seconds / 60:.0f} minutes). "
        "No program; share of 95 % intervals of `ControlledBeforeAfter` that hold 0, in percent; "
        f"the Monte Carlo standard error at 95 is {100 * error:.1f} points for {replicates:,} "
        "samples. Columns: SD of what moves all patients of a ward in one period (four independent "
        "shocks), in standard deviations of a patient; of log odds times 2 in the last rows. 0 is "
        "the world that the interval speaks of; the others are what two groups can never rule out, "
        "and a reason why the page says so.",
        "",
        "| outcome | patients a cell | samples | " + " | ".join(shown) + " | length at 0 |",
        "|" + "---|" * (4 + len(SHOCKS)),
    ]
    for name, size, count, held in rows:
        cells = " | ".join(f"{100 * share:.1f}" for share, _ in held)
        lines.append(f"| {name} | {size} | {count:,} | {cells} | {held[0][1]:.2f} |")
    lines += [
        "",
        "*Length at 0*: mean half width over 1.96 SDs of the estimates; 1 is what the normal "
        "distribution needs.",
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
