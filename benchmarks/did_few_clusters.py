"""Measure how often pilots with controls show an effect where there is none, and write the table.

Run: ``python benchmarks/did_few_clusters.py`` (about 6 minutes of one core);
``--replicates 100`` sets the number of panels of each row.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from outcomekpi.pilots.designs.did_estimation import FEW_FOR_SIGNS
from outcomekpi.pilots.estimators.cluster_robust import wild_bootstrap_interval
from outcomekpi.pilots.estimators.did_adapter import (
    fit_callaway_santanna,
    fit_cells,
    fit_two_by_two,
)
from outcomekpi.pilots.estimators.did_fits import fit_interaction
from outcomekpi.pilots.estimators.event_study import joint_p_value
from outcomekpi.pilots.estimators.reassignment import reassign
from outcomekpi.pilots.estimators.synthetic_fit import fit_synthetic, run_placebos
from outcomekpi.pilots.ladder.estimates import Estimate

REPLICATES = 200
SEED = 20261
LEVEL = 0.95
TIMES, START, RHO = 8, 5, 0.5
SIDES = ((2, 8), (3, 17), (5, 5), (10, 10), (25, 25))
PAGE = Path(__file__).with_suffix(".md")


def made_panel(rng, n_treated, n_controls, *, staggered=False, spread=1.0):
    """Units with levels, a common path and autocorrelated noise; no effect."""
    count = n_treated + n_controls
    noise = np.empty((count, TIMES))
    noise[:, 0] = rng.normal(size=count)
    for one in range(1, TIMES):
        noise[:, one] = RHO * noise[:, one - 1] + np.sqrt(1 - RHO**2) * rng.normal(size=count)
    noise[:n_treated] *= spread
    outcome = rng.normal(0, 2, (count, 1)) + np.cumsum(rng.normal(0, 0.3, TIMES)) + noise
    start = np.where(np.arange(count) < n_treated, START, 0)
    if staggered:
        start[: n_treated // 2] = START - 2
    return pd.DataFrame(
        {
            "outcome": outcome.ravel(),
            "unit": np.repeat(np.arange(count), TIMES),
            "cluster": np.repeat(np.arange(count), TIMES),
            "time": np.tile(np.arange(1, TIMES + 1), count),
            "start": np.repeat(start, TIMES),
        }
    ).assign(
        treated=lambda f: (f["start"] > 0).astype(int),
        after=lambda f: (f["time"] >= START).astype(int),
    )


def rejects(limits):
    """Whether an interval leaves out no effect."""
    return not limits[0] <= 0 <= limits[1]


def t_interval(effect, error, clusters):
    """Interval as the designs give it."""
    return Estimate(
        name="", unit="", value=effect, se=error, degrees_of_freedom=clusters - 1.0
    ).interval(level=LEVEL)


def compare_once(rng, n_treated, n_controls, spread):
    """Reject or not, by each inference of the 2x2 estimator and of the staggered one."""
    frame = made_panel(rng, n_treated, n_controls, spread=spread)
    clusters = n_treated + n_controls
    effect, error, _ = fit_two_by_two(frame, covariates=(), cluster="cluster")
    means = frame.groupby(["unit", "after"])["outcome"].mean().unstack()
    chosen = reassign(
        (means[1] - means[0]).to_numpy(),
        np.ones(clusters),
        np.arange(clusters) < n_treated,
        draws=999,
        rng=rng,
    )
    wild = wild_bootstrap_interval(
        *fit_interaction(frame, covariates=(), cluster="cluster"),
        level=LEVEL,
        draws=399,
        rng=np.random.default_rng(int(rng.integers(1e9))),
        law="six points" if clusters < FEW_FOR_SIGNS else "signs",
    )
    late = made_panel(rng, n_treated, n_controls, staggered=True, spread=spread)
    fit = fit_callaway_santanna(
        late,
        covariates=(),
        cluster="cluster",
        control="never_treated",
        degrees_of_freedom=clusters - 1.0,
        unit="",
    )
    return (
        rejects(t_interval(effect, error, clusters)),
        rejects(wild),
        rejects(chosen.interval(LEVEL)),
        rejects(t_interval(fit.effect, fit.error, clusters)),
        *pre_trend_rejects(frame, clusters),
    )


def pre_trend_rejects(frame, clusters):
    """Whether a test sees a difference before the start, by chi-square and by F."""
    cells = fit_cells(frame, family="gaussian", covariates=(), cluster="cluster")
    before = cells.time < cells.start
    spread = cells.covariance[np.ix_(before, before)]
    found = cells.coefficients[before]
    if np.linalg.matrix_rank(spread) < found.size:
        return None, None
    statistic = found @ np.linalg.solve(spread, found)
    known, estimated = (joint_p_value(statistic, found.size, one) for one in (np.inf, clusters - 1))
    return known < 0.05, estimated < 0.05


def synthetic_once(rng, n_treated, n_controls, method):
    """Reject or not, by the placebo error, and by the rank among the placebos."""
    frame = made_panel(rng, n_treated, n_controls)
    wide = frame.pivot(index="time", columns="unit", values="outcome").to_numpy()
    controls, treated = wide[:, n_treated:], wide[:, :n_treated].mean(axis=1)
    options = {"method": method, "n_treated": n_treated}
    fit = fit_synthetic(controls, treated, START - 1, **options)
    placebos = run_placebos(controls, START - 1, rng=rng, **options)
    return abs(fit.effect) > 1.959964 * placebos.error, placebos.p_value(fit.effect) <= 0.05


def table(rows, columns):
    """Write rows of cells as a table."""
    head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def share(values):
    """Percent of what was judged; empty where nothing was."""
    judged = [one for one in values if one is not None]
    return f"{100 * np.mean(judged):.1f}" if judged else ""


def main():
    """Run everything and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    count = parser.parse_args().replicates
    rng = np.random.default_rng(SEED)
    warnings.simplefilter("ignore")
    rows = []
    for spread in (1.0, 2.0):
        for sides in SIDES:
            found = [compare_once(rng, *sides, spread) for _ in range(count)]
            rows.append((f"{spread:g}", *sides, *map(share, zip(*found, strict=True))))
    synthetic = []
    for method in ("sdid", "sc", "did"):
        for sides in ((1, 10), (1, 20)):
            found = [synthetic_once(rng, *sides, method) for _ in range(count)]
            synthetic.append((method, *sides, *map(share, zip(*found, strict=True))))
    first = (
        "noise of treated", "treated", "controls", "2x2, t", "2x2, wild bootstrap",
        "2x2, randomization", "Callaway-Sant'Anna, t", "trends before, chi-square",
        "trends before, F",
    )  # fmt: skip
    second = ("method", "treated", "controls", "placebo error, normal", "placebo rank")
    PAGE.write_text(write_page(count, table(rows, first), table(synthetic, second)), "utf-8")


def write_page(count, few, synthetic):
    """Put the two tables into words."""
    error = 100 * np.sqrt(0.05 * 0.95 / count)
    parts = (
        "# Pilots with controls: effects where there are none",
        f"Written by `python benchmarks/did_few_clusters.py` ({count:,} panels a row, seed "
        f"{SEED}). Percent of 95 % intervals that leave out no effect, and of tests at 5 %, where "
        "there is none: 5 is right, more is too many false effects. The Monte Carlo standard error "
        f"is {error:.1f} points. {TIMES} times, {START - 1} before the start, noise within units "
        f"with autocorrelation {RHO}; half of the treated start two times earlier for Callaway and "
        "Sant'Anna. *Noise of treated*: SD of the treated relative to that of the controls; "
        "randomization takes it as 1.",
        "## Few clusters",
        few,
        "## Synthetic control, one treated unit",
        synthetic,
        "The rank among k placebos cannot fall below 1 / (k + 1): with 10 controls it never shows "
        "anything at 5 %.",
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
