"""Measure how often intervals of a stepped wedge hold the truth, and write the table.

Run: ``python benchmarks/stepped_wedge.py`` (about 10 minutes of one core). ``--replicates 100``
sets the number of trials of each row. There is no effect in any trial, so that 100 less a coverage
is the false-positive rate; the model is linear in the effect, so that the coverage is the same
under any constant one.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri, stdtrit

from outcomekpi.pilots.estimators.start_permutation import StartTest, draw_assignments
from outcomekpi.pilots.estimators.wedge_model import (
    Sample,
    exchangeable,
    fit_means,
    nested_exchangeable,
)
from outcomekpi.pilots.estimators.wedge_terms import build_terms

REPLICATES = 1000
SEED = 20261
LEVEL = 0.95
ASSIGNMENTS = 200
PAGE = Path(__file__).with_suffix(".md")
METHODS = (
    "by period (default)",
    "constant",
    "constant, exchangeable",
    "constant, normal",
    "randomization",
)


@dataclass(frozen=True)
class World:
    """Clusters in waves, patients of each cell, how alike they are; a base makes outcomes binary.

    ``cac`` is the correlation of the cluster's effect in two periods; 1 has no cell effects.
    """

    clusters: int
    patients: int
    icc: float
    cac: float
    base: float | None = None
    waves: int = 4

    def draw(self, rng):
        """Cell means and the squares within cells, of one trial without an effect."""
        periods = self.waves + 1
        level = rng.normal(0, np.sqrt(self.icc * self.cac), (self.clusters, 1))
        level = level + rng.normal(0, np.sqrt(self.icc * (1 - self.cac)), (self.clusters, periods))
        shape = (self.clusters, periods, self.patients)
        if self.base is None:
            outcome = level[:, :, None] + rng.normal(0, np.sqrt(1 - self.icc), shape)
        else:
            spread = np.sqrt(self.base * (1 - self.base))
            chance = np.clip(self.base + spread * level, 0.01, 0.99)
            outcome = (rng.random(shape) < chance[:, :, None]).astype(float)
        mean = outcome.mean(axis=2)
        return mean, float(((outcome - mean[:, :, None]) ** 2).sum())

    def first(self):
        """First period with the program of each cluster, waves as equal as they can be."""
        return np.arange(self.clusters) % self.waves + 1


def worlds():
    """Every trial that is simulated."""
    found = [
        World(clusters, 20, icc, cac)
        for clusters in (4, 6, 8, 12, 24)
        for icc in (0.01, 0.1)
        for cac in (1.0, 0.8)
    ]
    return found + [World(clusters, 20, 0.05, 0.8, base=0.2) for clusters in (4, 8, 24)]


def measure(world, replicates, rng):
    """Share of trials whose interval holds 0, by method."""
    first = world.first()
    exposure = np.maximum(np.arange(world.waves + 1) - first[:, None] + 1, 0)
    size = np.full(exposure.shape, float(world.patients))
    constant = build_terms(exposure, size > 0, "constant")
    by_period = build_terms(exposure, size > 0, "by period")
    nested = nested_exchangeable(size, has_within=True)
    simple = exchangeable(size, has_within=True)
    periods = constant.values[:, :, : world.waves + 1]
    held = dict.fromkeys(METHODS, 0)
    for _ in range(replicates):
        mean, within = world.draw(rng)
        degrees = int(size.sum()) - size.size
        sample = Sample(mean=mean, present=size > 0, within=within, within_degrees=degrees)
        fit = fit_means(sample, nested, constant.values)
        held["constant"] += covers(*fit.contrast(constant.average))
        value = float(constant.average @ fit.coefficients)
        plain = np.sqrt(constant.average @ fit.plain_covariance @ constant.average)
        held["constant, normal"] += abs(value) <= ndtri(0.5 + LEVEL / 2) * plain
        other = fit_means(sample, simple, constant.values)
        held["constant, exchangeable"] += covers(*other.contrast(constant.average))
        free = fit_means(sample, nested, by_period.values)
        held["by period (default)"] += covers(*free.contrast(by_period.average))
        assignments, complete = draw_assignments(first, most=ASSIGNMENTS, rng=rng)
        test = StartTest(
            sample=sample,
            variance=nested,
            periods=periods,
            assignments=assignments,
            complete=complete,
        )
        held["randomization"] += test.p_value(0.0) > 1 - LEVEL
    return {method: count / replicates for method, count in held.items()}


def covers(value, error, degrees):
    """Whether the interval holds 0."""
    return abs(value) <= float(stdtrit(min(degrees, 1e9), 0.5 + LEVEL / 2)) * error


def write(rows, replicates):
    """Write the page."""
    worst = 100 * np.sqrt(LEVEL * (1 - LEVEL) / replicates)
    lines = [
        "# Coverage of stepped wedges",
        "",
        f"Written by `python benchmarks/stepped_wedge.py` ({replicates:,} trials a row, seed "
        f"{SEED}). Share of 95 % intervals that hold the truth, in "
        f"percent; the Monte Carlo standard error is {worst:.1f} points. No effect in any trial: "
        "100 less a number is the false-positive rate. Four waves, five periods, 20 patients a "
        "cell; ICC within a period, CAC its share that lasts (1: no cell effects).",
        "",
        "*by period*: average over exposure times, nested exchangeable, Kenward and Roger. "
        "*constant*: the same for a constant effect. *constant, exchangeable*: without cell "
        "effects (Hussey and Hughes), Kenward and Roger. *constant, normal*: nested, with its "
        "plain standard error and normal quantiles, as mixed models are often read. "
        "*randomization*: the test of "
        f"start times, {ASSIGNMENTS} random ways (all 24 with 4 clusters, where p can reach .05 "
        "only at 1 of 24).",
        "",
        "| outcome | clusters | ICC | CAC | " + " | ".join(METHODS) + " |",
        "|---|---|---|---|" + "---|" * len(METHODS),
    ]
    for world, held in rows:
        kind = "Gaussian" if world.base is None else f"binary, {world.base:.0%}"
        cells = " | ".join(f"{100 * held[method]:.1f}" for method in METHODS)
        lines.append(f"| {kind} | {world.clusters} | {world.icc:g} | {world.cac:g} | {cells} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_rows():
    """Rows of a page that was left unfinished; each row has a seed of its own."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[one.strip() for one in line.strip("|").split("|")] for line in lines]
    header = next(row for row in cells if row[0] == "outcome")[4:]
    body = [row[4:] for row in cells if row[0].startswith(("Gaussian", "binary"))]
    held = [{name: float(x) / 100 for name, x in zip(header, row, strict=True)} for row in body]
    return list(zip(worlds(), held, strict=False))


def main():
    """Measure every row, and write the page as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    replicates = parser.parse_args().replicates
    rows = read_rows() if parser.parse_args().resume else []
    for number, world in enumerate(worlds()):
        if number < len(rows):
            continue
        rng = np.random.default_rng([SEED, number])
        rows.append((world, measure(world, replicates, rng)))
        write(rows, replicates)
    write(rows, replicates)


if __name__ == "__main__":
    main()
