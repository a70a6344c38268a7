"""Coverage and false positives of before/after comparisons when nothing happened.

Patients of doctors in two periods; doctors differ (ICC on the logit scale within a period), and
half of what a doctor adds in one period is there in the other as well. The program does nothing: a
95 % interval should leave out zero in 5 % of the data sets. In the second study patients get worse
after the start, so that only a comparison at one case mix can be right. In the third, patients or
doctors are chosen because their baseline was extreme. Last, each doctor has his own change.

    python benchmarks/before_after.py                    # writes the .md beside this file
    python benchmarks/before_after.py --data-sets 50 --out ""
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.special import expit

import outcomekpi as ok
from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.pilots.designs.change_estimates import STEP, main_estimate, naive_estimate
from outcomekpi.pilots.designs.patient_change import ChangeOptions, measure_change
from outcomekpi.pilots.estimators.cluster_robust import wild_bootstrap_interval
from outcomekpi.tables.labels import Labels

LEVEL = 0.95
DOCTORS = (5, 10, 20, 40)
ICCS = (0.0, 0.02, 0.10)
CASELOAD = 30
RESAMPLES = 199
DRIFT = 0.5
"""SDs by which patients are worse after the start, in the second study."""
Study = Callable[[int, float, int], dict[str, bool]]


def simulate(rng: np.random.Generator, n_doctors: int, icc: float, drift: float) -> PatientRows:
    """Draw patients of doctors in two periods, and no program."""
    variance = icc / (1.0 - icc) * np.pi**2 / 3.0
    kept = rng.normal(0.0, np.sqrt(variance / 2.0), n_doctors)
    level = kept + rng.normal(0.0, np.sqrt(variance / 2.0), (2, n_doctors))
    share = rng.gamma(3.0, 1.0, n_doctors)
    caseload = 3 + rng.multinomial((CASELOAD - 3) * n_doctors, share / share.sum())
    doctor = np.concatenate([np.repeat(np.arange(n_doctors), caseload)] * 2)
    after = np.repeat([False, True], doctor.size // 2)
    x = rng.normal(size=doctor.size) + drift * after
    eta = -0.3 + 0.8 * x + level[after.astype(int), doctor]
    names = [f"D{k:02d}" for k in range(n_doctors)]
    return PatientRows(
        outcome=(rng.random(doctor.size) < expit(eta)).astype(float),
        after=after,
        matrix=np.column_stack([np.ones(doctor.size), x]),
        terms=("Intercept", "x"),
        labels={"doctor": Labels(names=names, code=doctor)},
        periods=("before", "after"),
        place=np.arange(doctor.size),
    )


def choose(inference: str) -> ChangeOptions:
    """Return the options of the design, with one inference."""
    return ChangeOptions(
        binary=True, patients="all", cluster=None, standard="average", inference=inference,
        draws=RESAMPLES,
    )  # fmt: skip


def plain(n_doctors: int, icc: float, seed: int) -> dict[str, bool]:
    """Say which intervals without a case mix leave out zero."""
    rng = np.random.default_rng([seed, n_doctors, round(1000 * icc)])
    rows = simulate(rng, n_doctors, icc, 0.0)
    bare = PatientRows(
        outcome=rows.outcome, after=rows.after, matrix=rows.matrix[:, :1], terms=("Intercept",),
        labels=rows.labels, periods=rows.periods, place=rows.place,
    )  # fmt: skip
    change = measure_change(bare, choose("t"), rng=rng)
    main = main_estimate(change, unit="points")
    crude = np.sqrt(STEP @ change.fit.crude_covariance() @ STEP) * 100
    wild = wild_bootstrap_interval(change.fit, STEP, level=LEVEL, draws=399, rng=rng)
    return {
        "patients independent": naive_estimate(change, unit="points").excludes_null(level=LEVEL),
        "CR1, normal": abs(main.value) > 1.959964 * crude,
        "CR2, Satterthwaite": main.excludes_null(level=LEVEL),
        "wild bootstrap": not wild[0] <= 0.0 <= wild[1],
    }


def standardized(n_doctors: int, icc: float, seed: int) -> dict[str, bool]:
    """Say which intervals at one case mix leave out zero, while patients get worse."""
    rng = np.random.default_rng([seed, n_doctors, round(1000 * icc), 1])
    rows = simulate(rng, n_doctors, icc, DRIFT)
    change = measure_change(rows, choose("t"), rng=rng)
    resampled = measure_change(rows, choose("cluster_bootstrap"), rng=rng)
    return {
        "plain difference": naive_estimate(change, unit="points").excludes_null(level=LEVEL),
        "jackknife, t": main_estimate(change, unit="points").excludes_null(level=LEVEL),
        "cluster bootstrap": main_estimate(resampled, unit="points").excludes_null(level=LEVEL),
    }


def chosen_patients(n_doctors: int, icc: float, seed: int) -> dict[str, bool]:
    """HbA1c of patients taken in above 8, by doctors who differ; nothing is done to them."""
    rng = np.random.default_rng([seed, n_doctors, round(1000 * icc), 2])
    n = 60 * n_doctors
    both = rng.multivariate_normal([7.5, 7.5], 2.25 * np.array([[1, 0.7], [0.7, 1]]), n)
    doctor = rng.integers(0, n_doctors, n)
    both = both + rng.normal(0.0, 1.5 * np.sqrt(icc), (n_doctors, 2))[doctor]
    high = both[:, 0] >= 8
    count = int(high.sum())
    frame = pd.DataFrame(
        {
            "patient": np.tile(np.arange(count), 2),
            "doctor": np.tile(doctor[high], 2),
            "period": np.repeat(["before", "after"], count),
            "hba1c": both[high].T.ravel(),
        }
    )
    sd = 1.5 * np.sqrt(1.0 + icc)
    known = ok.BaselinePopulation(mean=7.5, sd=sd, reliability=0.7 / (1.0 + icc))
    design = ok.BeforeAfter(
        outcome="hba1c", period="period", after="after", patient="patient", doctor="doctor",
        family="gaussian",
        selection=ok.BaselineSelection(cutoff=8.0, side="above", population=known),
    )  # fmt: skip
    findings = ok.compare_pilot(frame, design, draws=1000, seed=seed).findings
    return {
        "uncorrected": findings.estimates[1].excludes_null(level=LEVEL),
        "corrected": findings.estimates[0].excludes_null(level=LEVEL),
    }


def chosen_doctors(n_doctors: int, icc: float, seed: int) -> dict[str, bool]:
    """Correct the worst quarter of the doctors, none of whom changed for good or bad."""
    rng = np.random.default_rng([seed, n_doctors, round(1000 * icc), 3])
    sd = np.sqrt(icc / (1.0 - icc) * np.pi**2 / 3.0)
    rate = expit(rng.normal(-0.3, sd, 4 * n_doctors))
    events = rng.binomial(CASELOAD, rate, (2, rate.size))
    worst = np.argsort(events[0], kind="stable")[:n_doctors]
    outcome = (np.arange(CASELOAD) < events[..., None]).astype(int)
    frame = pd.DataFrame(
        {
            "y": outcome.ravel(),
            "period": np.repeat(["before", "after"], rate.size * CASELOAD),
            "doctor": np.tile(np.repeat(np.arange(rate.size), CASELOAD), 2),
        }
    )
    frame["picked"] = frame["doctor"].isin(worst).astype(int)
    design = ok.BeforeAfter(
        outcome="y", period="period", after="after", doctor="doctor",
        selection=ok.UnitSelection(chosen="picked"),
    )  # fmt: skip
    findings = ok.compare_pilot(frame, design, draws=1000, seed=seed).findings
    return {
        "uncorrected": findings.estimates[1].excludes_null(level=LEVEL),
        "corrected": findings.estimates[0].excludes_null(level=LEVEL),
    }


def hierarchical(n_doctors: int, sd_change: float, seed: int) -> dict[str, bool]:
    """Coverage of the model with a change of each doctor's own; a miss is True."""
    frame, truth = ok.datasets.simulate_pilot(
        n_doctors=n_doctors, n_hospitals=1, n_patients=CASELOAD, sd_effect=sd_change,
        seed=10_000 * n_doctors + seed,
    )  # fmt: skip
    design = ok.DoctorEffects(
        outcome="controlled", period="period", after="after", doctor="doctor",
        case_mix="age + severity",
    )  # fmt: skip
    findings = ok.compare_pilot(frame, design, draws=800, seed=seed).findings
    lower, upper = findings.estimates[0].interval(level=LEVEL)
    new = next(one for one in findings.estimates if one.name.endswith("new doctor"))
    spread = next(one for one in findings.estimates if one.name.endswith("log odds"))
    table = findings.tables["doctor_effects"].set_index("doctor")
    each = 100 * truth.by_doctor[table.index]
    low, high = new.interval(level=LEVEL)
    population = POPULATION[sd_change]
    return {
        "average of these doctors": not lower <= 100 * truth.risk_difference <= upper,
        "at a new doctor": not low <= population <= high,
        "SD of changes": not spread.interval(level=LEVEL)[0] <= sd_change
        <= spread.interval(level=LEVEL)[1],
        "each doctor": float(((each < table["lower"]) | (each > table["upper"])).mean()),
    }  # fmt: skip


def population_effect(sd_change: float) -> float:
    """Mean change over very many doctors, from a table of 1,000 of them."""
    _, truth = ok.datasets.simulate_pilot(
        n_doctors=1000, n_hospitals=200, n_patients=100, sd_effect=sd_change, seed=1
    )
    return 100 * truth.risk_difference


POPULATION = {sd: population_effect(sd) for sd in (0.0, 0.5)}


def measure(study: Study, n_doctors: int, value: float, data_sets: int) -> dict[str, float]:
    """Share of data sets in which each interval is wrong."""
    jobs = partial(study, n_doctors, value)
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(jobs, range(data_sets), chunksize=8))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def table(study: Study, worlds: list[tuple[int, float]], data_sets: int, label: str) -> list[str]:
    """Return the lines of one table."""
    lines, began = [], perf_counter()
    for n_doctors, value in worlds:
        shares = measure(study, n_doctors, value, data_sets)
        if not lines:
            lines.append(f"| doctors | {label} | " + " | ".join(shares) + " |")
            lines.append("|---:|---:|" + "---:|" * len(shares))
        cells = " | ".join(f"{100 * share:.1f}" for share in shares.values())
        lines.append(f"| {n_doctors} | {value:g} | {cells} |")
        print(lines[-1], f"{perf_counter() - began:.0f} s", flush=True)
    error = 100 * np.sqrt(0.05 * 0.95 / data_sets)
    lines.append("")
    lines.append(
        f"{data_sets:,} data sets a line, {perf_counter() - began:.0f} s; standard error of a rate "
        f"of 5 %: {error:.1f}."
    )
    return lines


def main() -> None:
    """Run the studies and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=1000)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    options = parser.parse_args()
    many = options.data_sets
    fewer, fits = max(many // 4, 10), max(many // 24, 10)
    worlds = [(n, icc) for icc in ICCS for n in DOCTORS]
    drifting = [(n, 0.05) for n in DOCTORS]
    spreads = [(n, sd) for sd in (0.0, 0.5) for n in (10, 20)]
    some = [(n, icc) for icc in (0.0, 0.05) for n in (10, 20)]
    parts = [
        ("Nothing happens", "Percent of data sets whose 95 % interval leaves out zero.",
         table(plain, worlds, many, "ICC")),
        ("Nothing happens, but patients get worse", "The same with a case mix that drifts by "
         f"{DRIFT} SD and doctors of unequal caseloads.",
         table(standardized, drifting, fewer, "ICC")),
        ("Patients chosen for a high baseline, no program", "HbA1c above 8, reliability .7 over "
         "the population that is known; ICC of doctors within a period.",
         table(chosen_patients, some, fewer, "ICC")),
        ("The worst quarter of four times as many doctors, no program", "Doctors chosen: the "
         "column doctors.", table(chosen_doctors, some, fewer, "ICC")),
        ("A change of each doctor's own", "Percent of 95 % intervals that miss the truth, with an "
         "effect of .8 log odds on average; an SD of 0 lies on the edge of what a posterior of an "
         "SD can hold, so that its interval always misses.",
         table(hierarchical, spreads, fits, "SD of changes")),
    ]  # fmt: skip
    text = [
        "# False positives and coverage of before/after comparisons",
        "",
        f"Written by `python benchmarks/before_after.py --data-sets {many}`. "
        + " ".join(__doc__.split("\n\n")[1].split()),
        "",
        f"{date.today()}, {CASELOAD} patients a doctor and period on average, {RESAMPLES} "
        f"resamples of a cluster bootstrap, outcomekpi {ok.__version__}, numpy {np.__version__}.",
    ]  # fmt: skip
    for title, words, lines in parts:
        text += ["", f"## {title}", "", words, "", *lines]
    if options.out:
        Path(options.out).write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
