"""Measure the power of simulated pilots beside each formula, and write the table.

Run: ``python benchmarks/power.py`` (about 5 minutes of one core). ``--replicates 1000`` sets the
number of pilots of each fast row; fitted series and wedges take a tenth of it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from outcomekpi.pilots.robustness.power import pilot_power
from outcomekpi.pilots.robustness.power_clusters import DifferencePlan, WedgePlan
from outcomekpi.pilots.robustness.power_patients import BeforeAfterPlan, DoctorPlan
from outcomekpi.pilots.robustness.power_series import SeriesPlan

REPLICATES = 20_000
SEED = 20261
PAGE = Path(__file__).with_suffix(".md")


def plans():
    """Words -> plan and effect."""
    patients = BeforeAfterPlan(patients=469, base=0.2)
    means = BeforeAfterPlan(patients=300, sd=10.0, icc=0.05, patients_per_doctor=20)
    panel = DifferencePlan(
        treated=10, controls=10, before=4, after=4, patients=50, base=0.4, icc=0.05, cac=0.8
    )
    series = SeriesPlan(before=24, after=24, sd=5.0, rho=0.4)
    wedge = WedgePlan(
        clusters=3, waves=4, patients=20, sd=1.0, icc=0.05, cac=0.8, effect_model="constant"
    )
    return {
        "0, 1: two proportions": (patients, -6.8),
        "1: proportions, doctors alike": (
            replace(patients, patients=600, base=0.43, icc=0.05, patients_per_doctor=20),
            10.0,
        ),
        "1: proportions, same patients": (
            BeforeAfterPlan(patients=200, base=0.4, pairing=0.5),
            8.0,
        ),
        "1: means, same patients": (BeforeAfterPlan(patients=150, sd=10.0, pairing=0.6), 2.0),
        "1: means, other doctors": (means, 3.0),
        "1: means, same doctors and patients": (replace(means, lasting=0.8, pairing=0.5), 2.0),
        "2: level, rho .4": (replace(series, estimand="level"), 11.0),
        "2: slope, rho .4": (replace(series, estimand="slope"), 1.0),
        "2: average, rho .4": (series, 15.0),
        "2: level, 12 points, rho .2": (
            replace(series, before=6, after=6, rho=0.2, estimand="level"),
            18.0,
        ),
        "3: average, control": (replace(series, control_sd=5.0, control_correlation=0.7), 11.0),
        "4: 10 and 10 clusters": (panel, 8.0),
        "4: 5 and 15, decaying": (
            DifferencePlan(
                treated=5,
                controls=15,
                before=2,
                after=3,
                patients=30,
                sd=1.0,
                icc=0.1,
                cac=0.7,
                memory="decaying",
            ),
            0.4,
        ),
        "4: 3 and 3 clusters": (replace(panel, treated=3, controls=3), 15.0),
        "5: 20 doctors who differ": (
            DoctorPlan(doctors=20, patients=50, base=0.5, heterogeneity=5.0),
            7.0,
        ),
        "6: 12 clusters": (wedge, 0.3),
        "6: 4 clusters": (replace(wedge, clusters=1), 0.5),
        "6: 12 clusters, by period": (replace(wedge, effect_model="by period"), 0.4),
        "6: 24 clusters, events": (
            WedgePlan(
                clusters=6,
                waves=4,
                patients=120,
                base=0.05,
                icc=0.00245,
                effect_model="constant",
            ),
            -1.5,
        ),
    }


def write(rows, seconds):
    """Write the page."""
    lines = [
        "# Power: formula and simulation",
        "",
        f"Written by `python benchmarks/power.py` (seed {SEED}, {seconds / 60:.0f} minutes). Power "
        "of a 95 % interval to leave out no effect, in percent: by the formula, and as the share "
        "of simulated pilots (with its Monte Carlo standard error) that were drawn from the plan "
        "and analyzed as its test does: series and wedges with estimated variances and "
        "autocorrelation.",
        "",
        "| rung and plan | size | effect | pilots | formula | simulated |",
        "|---|---|---|---|---|---|",
    ]
    for words, plan, effect, found in rows:
        share = found.simulated()[0]
        count = found.p_values.size
        error = np.sqrt(share * (1 - share) / count)
        lines.append(
            f"| {words} | {plan.size:,} {plan.size_name} | {effect:g} | {count:,} | "
            f"{100 * found.power():.1f} | {100 * share:.1f} ± {100 * error:.1f} |"
        )
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    """Measure every row, and write the page as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    replicates = parser.parse_args().replicates
    rows, began = [], perf_counter()
    for number, (words, (plan, effect)) in enumerate(plans().items()):
        fitted = isinstance(plan, SeriesPlan | WedgePlan)
        count = replicates // 10 if fitted else replicates
        found = pilot_power(plan, effect=effect, simulations=count, seed=SEED + number)
        rows.append((words, plan, effect, found))
        write(rows, perf_counter() - began)


if __name__ == "__main__":
    main()
