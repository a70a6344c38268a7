"""Do intervals hold the doctors' true effects relative to a published risk?

Doctors differ in their patients' risk and in their effect; the published risk is off by a constant.
Each data set is fitted with the risk as offset, and without it. Effects and level are drawn anew in
every data set. A 95 % interval should hold the truth in 95 % of all doctors and data sets.

    python benchmarks/offset_recovery.py                 # writes the .md beside this file
    python benchmarks/offset_recovery.py --data-sets 20 --out ""
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

import outcomekpi as ok

LEVEL = 0.95
N_DOCTORS, N_CASES, SD_DOCTOR, SD_LEVEL = 40, 2000, 0.4, 0.5
SICKNESS, RISK = 0.5, 1.0
"""SDs of the published risk between doctors, and between the patients of one."""
SCALES = {
    "bernoulli": ("probability", expit),
    "poisson": ("expected_count", np.exp),
    "gaussian": ("expected_value", lambda eta: eta),
}


def simulate(
    family: str, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, float, float]:
    """Cases with a published risk, effects of the doctors, how far the risk is off, doctor SD."""
    sd, level = abs(rng.normal(0, SD_DOCTOR)), rng.normal(0, SD_LEVEL)
    first = np.arange(N_DOCTORS)
    doctor = np.concatenate([first, rng.integers(0, N_DOCTORS, N_CASES - N_DOCTORS)])
    published = -1.5 + rng.normal(0, SICKNESS, N_DOCTORS)[doctor] + rng.normal(0, RISK, N_CASES)
    effect = rng.normal(0, sd, N_DOCTORS)
    eta = level + published + effect[doctor]
    if family == "bernoulli":
        outcome = (rng.random(N_CASES) < expit(eta)).astype(int)
    else:
        outcome = rng.poisson(np.exp(eta)) if family == "poisson" else rng.normal(eta, 1.0)
    labels = [f"D{j:02d}" for j in doctor]
    risk = SCALES[family][1](published)
    return pd.DataFrame({"y": outcome, "doctor": labels, "risk": risk}), effect, level, sd


def fit_one(frame: pd.DataFrame, family: str, *, offset: bool, seed: int) -> ok.Fit:
    """Fit with the published risk as offset, or without it."""
    roles = {"offset": "risk", "offset_scale": SCALES[family][0]} if offset else {}
    cases = ok.Cases.from_frame(frame, outcome="y", doctor="doctor", **roles)
    # the prior that the truth is drawn from, so that coverage is that of the model
    unit = 1.0 if family != "gaussian" else float(np.std(frame["y"] - offset * frame["risk"]))
    priors = ok.Priors(sd_doctor=ok.HalfNormal(SD_DOCTOR / unit))
    return ok.fit(cases, ok.ModelSpec(family=family, priors=priors), draws=1000, seed=seed)


def holds(draws: np.ndarray, truth: np.ndarray | float) -> np.ndarray:
    """Whether the interval of each row of draws holds its truth."""
    lower, upper = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=-1)
    return (lower <= truth) & (truth <= upper)


def run_data_set(family: str, seed: int) -> dict[str, float]:
    """Coverage in one data set."""
    frame, effect, level, sd = simulate(family, np.random.default_rng([20261, seed]))
    found: dict[str, float] = {}
    for kind, offset in (("offset", True), ("nothing", False)):
        posterior = fit_one(frame, family, offset=offset, seed=seed).draws["posterior"]

        def draws(name: str, group=posterior) -> np.ndarray:
            return group[name].stack(sample=("chain", "draw")).to_numpy()

        own = draws("doctor_effect")
        found[f"effects, {kind}"] = float(holds(own, effect).mean())
        found[f"correlation, {kind}"] = float(np.corrcoef(own.mean(axis=1), effect)[0, 1])
        if offset:
            found["level"] = float(holds(draws("intercept"), level))
            found["doctor SD"] = float(holds(draws("sd_doctor"), sd))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=60)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    arguments = parser.parse_args()
    n, began, lines = arguments.data_sets, process_time(), []
    for family, (scale, _) in SCALES.items():
        table = pd.DataFrame([run_data_set(family, seed) for seed in range(n)])
        mean, error = table.mean(), table.std() / n**0.5
        columns = ("effects, offset", "level", "doctor SD", "effects, nothing",
                   "correlation, offset", "correlation, nothing")  # fmt: skip
        cells = [f"{mean[name]:.3f} ({error[name]:.3f})" for name in columns]
        lines.append(f"| {family} | {scale} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if not arguments.out:
        return
    columns = ("family", "scale", "effects", "level", "doctor SD", "effects without it",
               "correlation", "correlation without it")  # fmt: skip
    head = [
        "# Doctors relative to a published risk",
        "",
        f"Written by `python benchmarks/offset_recovery.py`. {n} data sets of {N_CASES:,} cases of "
        f"{N_DOCTORS} doctors for each family; the published risk varies by {SICKNESS:g} between "
        f"and {RISK:g} within doctors (link scale) and is off by a constant (SD {SD_LEVEL:g}); the "
        f"doctor SD is drawn from its prior, HalfNormal({SD_DOCTOR:g}). Share of {LEVEL:.0%} "
        "intervals that hold the truth, with the risk as offset and with nothing adjusted for, and "
        "the correlation of estimated and true effects; Monte Carlo errors in parentheses. "
        f"{date.today()}, {process_time() - began:.0f} s of processor time.",
        "",
        f"| {' | '.join(columns)} |",
        "|---|---|" + "---:|" * 6,
    ]
    Path(arguments.out).write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
