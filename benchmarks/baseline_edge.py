"""Measure how often a baseline is taken for one that was selected, and missed; write the table.

Run: ``python benchmarks/baseline_edge.py`` (about 2 minutes of one core), or with the number of
replicates of each cell: ``python benchmarks/baseline_edge.py 200``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from outcomekpi.pilots.estimators.baseline_edge import find_edge

REPLICATES = 2000
SEED = 20261
SIZES = (30, 100, 1000)
PAGE = Path(__file__).with_suffix(".md")


def normal(n, rng):
    """Readings with a reliability of .7."""
    own = rng.normal(0, np.sqrt(0.7), n)
    return 140 + 18 * (own + np.sqrt(0.3) * rng.normal(size=(2, n)))


def log_normal(n, rng):
    """Costs: a long tail, and nothing below 0; programs move their logarithm, or themselves."""
    own = rng.normal(0, 0.7, n)
    return 1000 * np.exp(own + 0.5 * rng.normal(size=(2, n)))


def days(n, rng):
    """Days in hospital, at least one; a fifth stay one day."""
    return 1.0 + rng.poisson(rng.gamma(1.5, 2, (2, n)))


def ceiling(n, rng):
    """Scores up to 100, which a quarter reach."""
    own = rng.normal(90, 12, n)
    return np.minimum(np.round(own + rng.normal(0, 8, (2, n))), 100.0)


def events(n, rng):
    """Targets reached by 15 %."""
    return (rng.random((2, n)) < 0.15).astype(float)


WORLDS = {
    "normal": normal,
    "log normal, on its logarithm": log_normal,
    "log normal, as it is": log_normal,
    "days, at least 1": days,
    "scores with a ceiling": ceiling,
    "events at 15 %": events,
}
PROGRAMS = {
    "none": lambda after, before: after,
    "shift of 1 SD down": lambda after, before: after - before.std(),
    "shift of 1 SD up": lambda after, before: after + before.std(),
    "a fifth less": lambda after, before: 0.8 * after,
    "a quarter more": lambda after, before: 1.25 * after,
    "spread 1.5 times": lambda after, before: after.mean() + 1.5 * (after - after.mean()),
    "half respond": lambda after, before: after - 1.5 * before.std() * (np.arange(after.size) % 2),
}
LIMITED = {
    "log normal, as it is": (0.0, np.inf),
    "days, at least 1": (1.0, np.inf),
    "scores with a ceiling": (-np.inf, 100.0),
}


def noticed(name, n, program, rng):
    """Whether a world without selection looks selected."""
    before, after = WORLDS[name](n, rng)
    if name.startswith("events"):
        return find_edge(before, np.maximum(after, rng.random(n) < 0.2 * (program != "none")))
    low, high = LIMITED.get(name, (-np.inf, np.inf))
    if name == "log normal, on its logarithm":
        made = np.exp(PROGRAMS[program](np.log(after), np.log(before)))
    else:
        made = PROGRAMS[program](after, before)
    return find_edge(before, np.clip(made, low, high))


def selected(n, depth, reliability, effect, rng):
    """Normal readings beyond a cutoff, and the next ones less an effect in SDs."""
    before = np.zeros(0)
    while before.size < n:
        own = rng.normal(0, np.sqrt(reliability), 50 * n)
        first, second = own + np.sqrt(1 - reliability) * rng.normal(size=(2, own.size))
        keep = first >= depth
        before, after = first[keep], second[keep]
    return find_edge(before[:n], after[:n] - effect)


def main():
    """Measure and write the page."""
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    began = perf_counter()
    lines = []
    for place, name in enumerate(WORLDS):
        for other, program in enumerate(PROGRAMS):
            if name.startswith("events") and other > 1:
                continue
            rng = np.random.default_rng([SEED, place, other])
            shares = [
                np.mean([noticed(name, n, program, rng) is not None for _ in range(replicates)])
                for n in SIZES
            ]
            label = "a fifth more reach it" if name.startswith("events") and other else program
            cells = " | ".join(f"{100 * share:.2f}" for share in shares)
            lines.append(f"| {name} | {label} | {cells} |")
    found = []
    for place, (depth, reliability, effect) in enumerate(
        (d, r, e) for d in (0.0, 1.0, 2.0) for r in (0.3, 0.7, 0.9) for e in (0.0, 0.5)
    ):
        rng = np.random.default_rng([SEED, 100, place])
        shares = [
            np.mean([selected(n, depth, reliability, effect, rng) is not None
                     for _ in range(max(replicates // 10, 20))])
            for n in SIZES
        ]  # fmt: skip
        cells = " | ".join(f"{100 * share:.0f}" for share in shares)
        found.append(f"| {depth:g} | {reliability:g} | {effect:g} | {cells} |")
    sizes = " | ".join(f"n = {n:,}" for n in SIZES)
    PAGE.write_text(
        "\n".join(
            [
                "# A baseline that is cut off: how often it is noticed",
                "",
                f"Written by `python benchmarks/baseline_edge.py` (seed {SEED}, "
                f"{(perf_counter() - began) / 60:.0f} minutes).",
                "",
                f"## Without any selection ({replicates:,} samples a cell), percent",
                "",
                f"| outcome | program | {sizes} |",
                "|---|---|" + "---|" * len(SIZES),
                *lines,
                "",
                "*Log normal, as it is*: half of the patients lose 1.5 SDs, or all spread 1.5 "
                "times, where the mean is about 1 SD from 0: the program itself makes a tail that "
                "the baseline did not have, and no data tell this from a selection.",
                "",
                f"## Selected by a cutoff ({max(replicates // 10, 20):,} samples a cell), percent",
                "",
                "Normal readings beyond a cutoff in SDs from the mean; the program lowers them by "
                "an effect in SDs, that is towards the population for those above.",
                "",
                f"| cutoff | reliability | effect | {sizes} |",
                "|---|---|---|" + "---|" * len(SIZES),
                *found,
                "",
            ]
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
