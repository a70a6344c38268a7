"""Measure how often selection alone is taken for an effect, corrected and not; write the table.

Run: ``python benchmarks/regression_to_mean.py`` (about 15 minutes of one core), or with the
number of replicates of each cell: ``python benchmarks/regression_to_mean.py 200``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.special import ndtr, ndtri

from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.earlier_windows import replay_selection
from outcomekpi.pilots.estimators.regression_to_mean import correct_selection
from outcomekpi.pilots.estimators.selected_units import correct_unit_selection

REPLICATES = 1000
SEED = 20261
LEVEL = 0.95
DRAWS = 1000
MEAN, SD = 7.5, 1.5
RHOS = (0.3, 0.6, 0.9)
DEPTHS = {0.0: "half", 1.0: "16 %", 2.0: "2.3 %"}
SIZES = (30, 300)
PAGE = Path(__file__).with_suffix(".md")


def select_patients(rho, depth, n, readings, rng, *, later=2):
    """Baselines beyond the cutoff (n, readings) and ``later`` further readings, no program.

    The mean baseline is drawn beyond the cutoff, the rest given it.
    """
    between, within = SD * np.sqrt(rho), SD * np.sqrt(1 - rho)
    spread = np.sqrt(between**2 + within**2 / readings)
    z = -ndtri(ndtr(-depth) * rng.random(n))
    mean = MEAN + spread * z
    slope = between**2 / spread**2
    truth = MEAN + slope * (mean - MEAN) + between * np.sqrt(1 - slope) * rng.standard_normal(n)
    noise = rng.standard_normal((n, readings)) * within
    before = mean[:, None] + noise - noise.mean(axis=1, keepdims=True)
    return before, truth[:, None] + within * rng.standard_normal((n, later)), MEAN + depth * spread


def screen(rho, n, readings, rng):
    """Readings of n unselected people."""
    truth = rng.normal(MEAN, SD * np.sqrt(rho), n)
    return truth[:, None] + rng.normal(0, SD * np.sqrt(1 - rho), (n, readings))


def select_clusters(rho, depth, n, doctors, icc, rng):
    """Selected patients of doctors who differ, on average n of them."""
    crowd = int(n / doctors / ndtr(-depth))
    shift = rng.normal(0, SD * np.sqrt(rho * icc), (doctors, 1))
    truth = MEAN + shift + rng.normal(0, SD * np.sqrt(rho * (1 - icc)), (doctors, crowd))
    before = truth + rng.normal(0, SD * np.sqrt(1 - rho), truth.shape)
    # what the doctor adds to the follow-up wavers too: patients stay alike given their baseline
    after = truth + rng.normal(0, SD * np.sqrt((1 - rho) * (1 - icc)), truth.shape)
    after += rng.normal(0, SD * np.sqrt((1 - rho) * icc), (doctors, 1))
    cutoff = MEAN + depth * SD
    doctor = np.broadcast_to(np.arange(doctors)[:, None], before.shape)
    keep = before >= cutoff
    return before[keep], after[keep], doctor[keep], cutoff


def holds(result, truth=0.0):
    """Whether the interval holds the truth."""
    lower, upper = result.effect.interval(level=LEVEL)
    return lower <= truth <= upper


def naive_holds(result):
    """Whether the interval of the plain change holds 0."""
    lower, upper = result.naive.interval(level=LEVEL)
    return lower <= 0 <= upper


def continuous(rho, depth, n, rng, *, effect=0.0):
    """One sample, every way to correct it; name -> whether its interval holds the effect."""
    before, later, cutoff = select_patients(rho, depth, n, 1, rng)
    before, after = before[:, 0], later[:, 0] + effect
    pairs, singles = screen(rho, 300, 2, rng), screen(rho, 1000, 1, rng)[:, 0]
    ways = {
        "model, all known": BaselinePopulation(mean=MEAN, sd=SD, reliability=rho),
        "model, 300 screened twice": BaselinePopulation.from_readings(pairs),
        "model, 1,000 screened once": BaselinePopulation.from_readings(singles),
        "Mee-Chua, mean known": BaselinePopulation(mean=MEAN),
    }
    settings = {"cutoff": cutoff, "side": "above", "draws": DRAWS, "rng": rng}
    held = {}
    for name, population in ways.items():
        result = correct_selection(before, after, population=population, **settings)
        held[name] = holds(result, effect)
    second = correct_selection(before, after, second_baseline=later[:, 1], **settings)
    held["second baseline"] = holds(second, effect)
    several, next_ones, cutoff = select_patients(rho, depth, n, 3, rng)
    repeated = correct_selection(
        several,
        next_ones[:, 0] + effect,
        population=BaselinePopulation(mean=MEAN, sd=SD),
        **settings | {"cutoff": cutoff},
    )
    held["model, mean of 3 readings"] = holds(repeated, effect)
    return {"plain change": naive_holds(result), **held}


def screened_with_them(rho, depth, rng):
    """Everybody who was screened, the selected among them."""
    readings = screen(rho, 1000, 2, rng)
    cutoff = MEAN + depth * SD
    chosen = readings[:, 0] >= cutoff
    result = correct_selection(
        readings[chosen, 0],
        readings[chosen, 1],
        cutoff=cutoff,
        side="above",
        population=BaselinePopulation.from_readings(readings[:, 0], includes_selected=True),
        draws=DRAWS,
        rng=rng,
    )
    return {"plain change": naive_holds(result), "screened with them": holds(result)}


def clustered(rho, depth, n, doctors, icc, rng):
    """Patients of doctors: intervals that know the doctors and intervals that do not."""
    before, after, doctor, cutoff = select_clusters(rho, depth, n, doctors, icc, rng)
    settings = {
        "cutoff": cutoff,
        "side": "above",
        "population": BaselinePopulation(mean=MEAN, sd=SD, reliability=rho),
        "draws": DRAWS,
        "rng": rng,
    }
    aware = correct_selection(before, after, clusters=doctor, **settings)
    blind = correct_selection(before, after, **settings)
    on = (after < cutoff).astype(float)
    target = correct_selection(before, on, clusters=doctor, target=cutoff, **settings)
    return {
        "plain change": naive_holds(aware),
        "model, doctors known": holds(aware),
        "model, doctors ignored": holds(blind),
        "target, doctors known": holds(target),
    }


def binary(rho, depth, n, rng):
    """Patients selected because they were off target, target 7 or the cutoff."""
    before, later, cutoff = select_patients(rho, depth, n, 1, rng)
    on = (later[:, 0] < cutoff).astype(float)
    known = BaselinePopulation(mean=MEAN, sd=SD, reliability=rho)
    estimated = BaselinePopulation.from_readings(screen(rho, 300, 2, rng))
    settings = {"cutoff": cutoff, "side": "above", "target": cutoff, "draws": DRAWS, "rng": rng}
    first = correct_selection(before[:, 0], on, population=known, **settings)
    return {
        "plain change": naive_holds(first),
        "baselines and population known": holds(first),
        "baselines known, 300 screened twice": holds(
            correct_selection(before[:, 0], on, population=estimated, **settings)
        ),
        "side only, population known": holds(
            correct_selection(None, on, population=known, **settings)
        ),
        "side only, 300 screened twice": holds(
            correct_selection(None, on, population=estimated, **settings)
        ),
    }


def unit_rates(n_units, n_chosen, cases, spread, rng):
    """Worst units by their rates; true rates beta around 60 %."""
    v = 0.24 / spread**2 - 1
    truth = rng.beta(0.6 * v, 0.4 * v, n_units)
    trials = rng.integers(cases // 2, cases * 3 // 2 + 1, n_units)
    results = rng.binomial(trials, truth, (4, n_units)) / trials
    chosen = np.zeros(n_units, dtype=bool)
    chosen[np.argsort(results[2], kind="stable")[:n_chosen]] = True
    shrunken = correct_unit_selection(
        results[2] * trials,
        results[3] * trials,
        chosen=chosen,
        before_trials=trials,
        after_trials=trials,
        draws=DRAWS,
        rng=rng,
    )
    replayed = replay_selection(results[:3].T, results[3], n_chosen=n_chosen, draws=400, rng=rng)
    error = np.sqrt(results * (1 - results) / trials).clip(0.25 / trials)
    normal = correct_unit_selection(
        results[2], results[3], chosen=chosen, before_se=error[2], after_se=error[3],
        draws=DRAWS, rng=rng,
    )  # fmt: skip
    return {
        "plain change": naive_holds(shrunken),
        "shrinkage, counts": holds(shrunken),
        "shrinkage, normal": holds(normal),
        "replay in 2 windows": holds(replayed),
    }


def skewed(rho, depth, n, rng):
    """True values that are not normal: gamma of shape 4, the same mean, SD and reliability."""
    truth = MEAN + SD * np.sqrt(rho) * (rng.gamma(4, 0.5, 60 * n) - 2)
    noise = SD * np.sqrt(1 - rho)
    before = truth + rng.normal(0, noise, truth.size)
    cutoff = MEAN + depth * SD
    rows = np.flatnonzero(before >= cutoff)[:n]
    result = correct_selection(
        before[rows],
        truth[rows] + rng.normal(0, noise, rows.size),
        cutoff=cutoff,
        side="above",
        population=BaselinePopulation(mean=MEAN, sd=SD, reliability=rho),
        draws=DRAWS,
        rng=rng,
    )
    return {
        "plain change": naive_holds(result),
        "model, all known": holds(result),
        "checks passed": all(check.passed for check in result.checks),
    }


def studies():
    """Title -> (names of the columns, rows of values, function of a row and rng)."""
    grid = [(rho, depth, n) for rho in RHOS for depth in DEPTHS for n in SIZES]
    few = [(rho, depth, 100) for rho in RHOS for depth in DEPTHS]
    doctors = [
        (r, 1.0, 30 * g, g, icc) for g in (5, 10, 20, 40) for r in (0.7,) for icc in (0, 0.1)
    ]
    units = [
        (n, k, cases, spread)
        for n, k in ((12, 3), (60, 15))
        for cases in (20, 100)
        for spread in (0.03, 0.08)
    ]
    return {
        "Readings, no program": (("rho", "selected", "n"), grid, continuous),
        "Readings, a program that lowers them by half an SD": (
            ("rho", "selected", "n"),
            [(0.6, depth, 100) for depth in DEPTHS],
            lambda *row: continuous(*row[:-1], row[-1], effect=-0.75),
        ),
        "Readings, no program, 1,000 screened of whom the worst were selected": (
            ("rho", "selected"),
            [(rho, depth) for rho in RHOS for depth in DEPTHS],
            screened_with_them,
        ),
        "On target or not, no program": (("rho", "selected", "n"), grid, binary),
        "Patients of doctors, no program": (
            ("rho", "selected", "n", "doctors", "ICC"), doctors, clustered,
        ),
        "Worst units, no program": (
            ("units", "worst", "cases each", "SD of true rates"), units, unit_rates,
        ),
        "True values that are skewed (gamma, shape 4), no program": (
            ("rho", "selected", "n"), few, skewed,
        ),
    }  # fmt: skip


def measure(function, row, replicates, rng):
    """Share of replicates in which each interval holds the truth."""
    found = [function(*row, rng) for _ in range(replicates)]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def write(tables, replicates, seconds):
    """Write the page."""
    error = np.sqrt(LEVEL * (1 - LEVEL) / replicates)
    lines = [
        "# Regression to the mean: how often selection is taken for an effect",
        "",
        f"Written by `python benchmarks/regression_to_mean.py` ({replicates:,} samples a cell, "
        f"seed {SEED}, {seconds / 60:.0f} minutes). Share of 95 % intervals that hold the truth, "
        f"in percent; the Monte Carlo standard error at 95 is {100 * error:.1f} points. With no "
        "program, 100 less a number is the false-positive rate; *plain change* is the paired "
        "difference between follow-up and baseline without any correction. Readings have mean "
        f"{MEAN} and SD {SD}; *rho* is their reliability, *selected* the share of the population "
        "beyond the cutoff.",
        "",
    ]
    for title, (names, rows) in tables.items():
        columns = list(rows[0][1])
        lines += [f"## {title}", "", "| " + " | ".join((*names, *columns)) + " |"]
        lines.append("|" + "---|" * (len(names) + len(columns)))
        for row, held in rows:
            labels = [
                DEPTHS[value] if name == "selected" else f"{value:g}"
                for name, value in zip(names, row, strict=True)
            ]
            lines.append(
                "| "
                + " | ".join([*labels, *(f"{100 * value:.1f}" for value in held.values())])
                + " |"
            )
        lines.append("")
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def main():
    """Measure every study and write the page as it grows."""
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    began, tables = perf_counter(), {}
    for number, (title, (names, rows, function)) in enumerate(studies().items()):
        tables[title] = (names, [])
        for place, row in enumerate(rows):
            rng = np.random.default_rng([SEED, number, place])
            tables[title][1].append((row, measure(function, row, replicates, rng)))
        write(tables, replicates, perf_counter() - began)


if __name__ == "__main__":
    main()
