"""Coverage of the intervals of `assess_predictions`, clustered by doctor and naive.

Doctors differ (SD of their effects on the logit scale), their caseloads are unequal, and so is
their case mix. Predictions by case mix are made for the population of doctors, either as they
should be or too extreme and too low. The truth of every measure is its value in 40,000 doctors.
Each data set is assessed twice: with doctors as clusters, and with every case on its own, as if
there were no doctors. A 95 % interval should hold the truth in 95 % of the data sets.

    python benchmarks/calibration_coverage.py                 # writes the .md beside this file
    python benchmarks/calibration_coverage.py --data-sets 100 --out ""
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from outcomekpi.calibration.assessment import assess_predictions
from outcomekpi.calibration.bins import Predicted, add_up
from outcomekpi.calibration.numbers import MEASURES, measure_resamples

LEVEL = 0.95
REPLICATES = 200
MANY_DOCTORS = 40_000
INTERCEPT, SPREAD, BETWEEN = -1.6, 0.8, 0.4
"""Case mix: mean, SD within doctors and SD between doctors, on the logit scale."""
SHOWN = ("oe", "in_the_large", "slope", "ici", "e90", "brier", "scaled_brier", "c_statistic")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A population of doctors, and how wrong the predictions are."""

    name: str
    n_doctors: int
    caseload: float
    sd_doctor: float = 0.5
    shift: float = 0.0
    stretch: float = 1.0


WORLDS = (
    World(name="50 doctors, calibrated", n_doctors=50, caseload=80.0),
    World(name="50 doctors, too extreme", n_doctors=50, caseload=80.0, shift=-0.3, stretch=1.3),
    World(name="100 doctors, too extreme", n_doctors=100, caseload=60.0, shift=-0.3, stretch=1.3),
    World(name="200 doctors, too extreme", n_doctors=200, caseload=60.0, shift=-0.3, stretch=1.3),
    World(name="200 alike doctors, too extreme", n_doctors=200, caseload=60.0, sd_doctor=0.0,
          shift=-0.3, stretch=1.3),
)  # fmt: skip


def simulate(world: World, n_doctors: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Predicted probability, outcome and doctor of every case."""
    caseload = 1 + rng.poisson(rng.gamma(2.0, (world.caseload - 1) / 2.0, n_doctors))
    doctor = np.repeat(np.arange(n_doctors), caseload)
    score = INTERCEPT + rng.normal(0, BETWEEN, n_doctors)[doctor]
    score = score + rng.normal(0, SPREAD, doctor.size)
    effect = rng.normal(0, world.sd_doctor, n_doctors)[doctor]
    outcome = (rng.random(doctor.size) < expit(score + effect)).astype(float)
    right = population_probability(score, world.sd_doctor)
    mean = float(logit(right).mean())
    predicted = expit(mean + world.shift + world.stretch * (logit(right) - mean))
    return predicted, outcome, doctor


def population_probability(score: np.ndarray, sd: float) -> np.ndarray:
    """Mean of expit(score + effect) over the doctors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    grid = np.linspace(score.min(), score.max(), 401)
    rate = expit(grid[:, None] + sd * nodes) @ (weights / weights.sum())
    return expit(np.interp(score, grid, logit(rate)))


def find_truth(world: World, seed: int) -> dict[str, float]:
    """Every measure in a population so large that chance is gone."""
    rate, outcome, doctor = simulate(world, MANY_DOCTORS, np.random.default_rng([seed, 99]))
    given = Predicted(
        probability=rate[None, :],
        outcome=outcome,
        size=np.ones_like(outcome),
        doctor=doctor,
        cluster=doctor,
        n_clusters=MANY_DOCTORS,
    )
    found = measure_resamples(add_up(given), np.ones((1, MANY_DOCTORS)), np.zeros(1)).measures[0]
    truth = dict(zip(MEASURES, found, strict=True))
    if world.shift == 0 and world.stretch == 1:  # the curve is the diagonal, by construction
        truth |= dict.fromkeys(("ici", "e50", "e90", "emax"), 0.0)
    return truth


def run_data_set(world: World, seed: int, number: int) -> pd.DataFrame:
    """Intervals of one data set, by doctor and case by case."""
    rng = np.random.default_rng([seed, WORLDS.index(world), number])
    rate, outcome, doctor = simulate(world, world.n_doctors, rng)
    parts = []
    for kind, label in (("clustered", doctor), ("naive", np.arange(doctor.size))):
        found = assess_predictions(
            rate, outcome=outcome, doctor=label, replicates=REPLICATES, seed=number
        )
        parts.append(found.to_frame(level=LEVEL).assign(kind=kind))
    return pd.concat(parts, ignore_index=True)


def run_world(world: World, *, n_data_sets: int, seed: int, workers: int) -> pd.DataFrame:
    """Coverage and width of each measure."""
    truth = find_truth(world, seed)
    task = partial(run_data_set, world, seed)
    with ProcessPoolExecutor(workers) as pool:
        every = pd.concat(pool.map(task, range(n_data_sets), chunksize=5), ignore_index=True)
    every = every[every["measure"].isin(SHOWN)]
    every["truth"] = every["measure"].map(truth)
    every["holds"] = (every["lower"] <= every["truth"]) & (every["truth"] <= every["upper"])
    every["width"] = every["upper"] - every["lower"]
    table = every.pivot_table(
        index="measure", columns="kind", values=["holds", "width"], aggfunc="mean"
    ).reindex(SHOWN)
    mean = every[every["kind"] == "clustered"].groupby("measure")["mean"].mean()
    return pd.DataFrame(
        {
            "truth": pd.Series(truth),
            "mean estimate": mean,
            "clustered": table["holds", "clustered"],
            "naive": table["holds", "naive"],
            "width clustered": table["width", "clustered"],
            "width naive": table["width", "naive"],
        }
    ).reindex(SHOWN)


def describe(world: World, table: pd.DataFrame, n_data_sets: int, seconds: float) -> list[str]:
    """Section of the report on one world."""
    lines = [
        f"## {world.name}",
        "",
        f"{n_data_sets} data sets of {world.n_doctors} doctors with {world.caseload:g} cases on "
        f"average, doctor SD {world.sd_doctor:g}. {seconds:.0f} s.",
        "",
        "| measure | " + " | ".join(table.columns) + " |",
        "|---|" + "---:|" * len(table.columns),
    ]
    for name, row in table.iterrows():
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    return [*lines, ""]


def write_report(sections: list[list[str]], n_data_sets: int, seed: int, path: Path) -> None:
    """Say what the file is, then every world."""
    from importlib.metadata import version

    error = (LEVEL * (1 - LEVEL) / n_data_sets) ** 0.5
    head = [
        "# Coverage of the intervals of a calibration",
        "",
        "Written by `python benchmarks/calibration_coverage.py`. Share of data sets whose "
        f"{LEVEL:.0%} interval holds the truth: clustered, with whole doctors resampled; naive, "
        "with every case on its own. ICI and E90 are means and quantiles of absolute distances: "
        "their estimates are too large on average, most of all where the truth is 0, and "
        "`chance` in `Calibration.to_frame` says by how much.",
        "",
        f"{date.today()}, seed {seed}, {REPLICATES} replicates, numpy {version('numpy')}, "
        f"outcomekpi {version('outcomekpi')}. Standard error of a coverage of {LEVEL:.0%}: "
        f"{error:.3f}.",
        "",
    ]
    scratch = path.with_suffix(".tmp")
    scratch.write_text("\n".join(head + [line for one in sections for line in one]), "utf-8")
    scratch.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    arguments = parser.parse_args()
    sections = []
    for world in WORLDS:
        began = perf_counter()
        table = run_world(
            world,
            n_data_sets=arguments.data_sets,
            seed=arguments.seed,
            workers=arguments.workers,
        )
        section = describe(world, table, arguments.data_sets, perf_counter() - began)
        print("\n".join(section), flush=True)
        sections.append(section)
        if arguments.out:
            write_report(sections, arguments.data_sets, arguments.seed, Path(arguments.out))


if __name__ == "__main__":
    main()
