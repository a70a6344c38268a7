"""Coverage of the intervals over patients that a single center gets from `assess_predictions`.

Independent patients, predictions that are right or too extreme and too low; a 95 % interval should
hold the truth, the value in 400,000 patients, in 95 % of the data sets.

    python benchmarks/calibration_one_center.py                 # writes the .md beside this file
    python benchmarks/calibration_one_center.py --data-sets 20 --out ""
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from datetime import date
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from scipy.special import expit

from outcomekpi.calibration.assessment import assess_predictions

LEVEL, REPLICATES, MANY = 0.95, 200, 400_000
SHOWN = ("oe", "in_the_large", "slope", "brier", "scaled_brier", "c_statistic")
WORLDS = {
    "300 patients, right": (300, 0.0, 1.0),
    "1,000 patients, right": (1000, 0.0, 1.0),
    "1,000 patients, too extreme and too low": (1000, 0.4, 0.7),
}


def simulate(
    n: int, shift: float, slope: float, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Predicted probability and outcome of every patient."""
    score = rng.normal(-1.5, 1.0, n)
    return expit(score), (rng.random(n) < expit(shift + slope * score)).astype(float)


def find_truth(shift: float, slope: float) -> pd.Series:
    """Every measure where chance is gone."""
    rate, outcome = simulate(MANY, shift, slope, np.random.default_rng(1))
    found = assess_predictions(rate, outcome=outcome, doctor=None, replicates=100)
    return found.to_frame().set_index("measure")["mean"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=120)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    arguments = parser.parse_args()
    sets, began, lines = arguments.data_sets, process_time(), []
    for name, (n, shift, slope) in WORLDS.items():
        truth = find_truth(shift, slope)
        held = []
        for number in range(sets):
            rate, outcome = simulate(n, shift, slope, np.random.default_rng([20261, n, number]))
            found = assess_predictions(
                rate, outcome=outcome, doctor=None, replicates=REPLICATES, seed=number
            )
            frame = found.to_frame(level=LEVEL).set_index("measure")
            held.append((frame["lower"] <= truth) & (truth <= frame["upper"]))
        share = pd.DataFrame(held).mean()
        lines.append(f"| {name} | " + " | ".join(f"{share[one]:.3f}" for one in SHOWN) + " |")
        print(lines[-1], flush=True)
    if not arguments.out:
        return
    error = (LEVEL * (1 - LEVEL) / sets) ** 0.5
    head = [
        "# Calibration of a single center",
        "",
        "Written by `python benchmarks/calibration_one_center.py`. Share of "
        f"{sets} data sets whose {LEVEL:.0%} interval over patients holds the truth; {REPLICATES} "
        f"replicates. Standard error of a coverage of {LEVEL:.0%}: {error:.3f}. {date.today()}, "
        f"{process_time() - began:.0f} s of processor time.",
        "",
        f"| world | {' | '.join(SHOWN)} |",
        "|---|" + "---:|" * len(SHOWN),
    ]
    Path(arguments.out).write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
