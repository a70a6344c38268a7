"""Accuracy of the fast engine in hard cases, against integration patient by patient.

python benchmarks/accuracy.py             # writes benchmarks/accuracy.md, one minute
"""

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "factories"))

from worlds import HARD_CASES, brute_log_posterior, conditional_quantiles, hard_case

from outcomekpi.engine.engine import build_target, sample_quadrature
from outcomekpi.engine.evaluation import anchor_effects, log_posterior
from outcomekpi.engine.mode import find_mode
from outcomekpi.engine.scores import shuffled_midpoints

DRAWS, SEED, DOCTORS, CHECKED, THETAS = 2000, 7, 12, 60, 10


def measure(name: str) -> dict[str, object]:
    """One row of the table."""
    model = hard_case(name)
    samples = sample_quadrature(model, draws=DRAWS, seed=SEED)
    beta = np.column_stack((samples.intercept, samples.coefficient))
    errors = _errors_of_draws(model, samples, beta)
    off = _errors_of_log_posterior(model, beta, samples.sd_doctor)
    found = samples.diagnostics
    return {
        "case": name,
        "events": int(model.outcome.sum()),
        "proposal": str(found["proposal"]).replace("grid over the doctor SD", "grid"),
        "efficiency": f"{found['efficiency']:.3f}",
        "Pareto k": f"{found['pareto_k']:.2f}",
        "log posterior": f"{off:.1e}",
        "draws, rms": f"{np.sqrt((errors**2).mean()):.4f}",
        "draws, shift": f"{np.abs(errors.mean(axis=1)).max():.4f}",
    }


def _errors_of_draws(model, samples, beta):
    """Draws less their exact quantiles at the same scores, in conditional SDs, (doctor, draw)."""
    by_size = np.argsort(np.bincount(model.doctor_code), kind="stable")
    doctors = by_size[np.unique(np.linspace(0, by_size.size - 1, DOCTORS).astype(int))]
    errors = np.empty((doctors.size, CHECKED))
    for row, doctor in enumerate(doctors):
        score = shuffled_midpoints(DRAWS, "doctor", int(doctor), SEED)
        for column, draw in enumerate(np.linspace(0, DRAWS - 1, CHECKED).astype(int)):
            exact, sd = conditional_quantiles(
                model, beta[draw], samples.sd_doctor[draw], doctor, ndtr(score[draw])
            )
            errors[row, column] = (samples.doctor_effect[doctor, draw] - exact) / sd
    return errors


def _errors_of_log_posterior(model, beta, sigma):
    """SD over some draws of the engine's log posterior less that of dense grids."""
    target = build_target(model)
    start = np.append(beta.mean(axis=0), np.log(sigma.mean()))
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    some = np.linspace(0, sigma.size - 1, THETAS).astype(int)
    thetas = np.column_stack((beta, np.log(sigma)))[some]
    exact = np.array([brute_log_posterior(model, theta) for theta in thetas])
    return np.std(log_posterior(target, anchor_effects(target, mode), thetas) - exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    path = Path(parser.parse_args().out)
    table = pd.DataFrame([measure(name) for name in HARD_CASES])
    lines = [
        "# Accuracy of the fast engine in hard cases",
        "",
        f"Written by `python benchmarks/accuracy.py` on {date.today()} "
        f"({', '.join(f'{name} {version(name)}' for name in ('numpy', 'scipy', 'outcomekpi'))}).",
        "",
        f"`log posterior`: SD over {THETAS} draws of the engine's log posterior less that of dense "
        "grids (it allows itself .02). `draws`: draws of the effects less the quantiles of the "
        "patient-level conditional at the same normal scores, in conditional SDs: root mean "
        f"square, and largest mean of a doctor, over {DOCTORS} doctors of all sizes and {CHECKED} "
        "draws each (bar .03).",
        "",
        "| " + " | ".join(table.columns) + " |",
        "|---|---:|---|" + "---:|" * (len(table.columns) - 3),
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in table.to_numpy()),
        "",
    ]
    scratch = path.with_suffix(".tmp")
    scratch.write_text("\n".join(lines), encoding="utf-8")
    scratch.replace(path)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
