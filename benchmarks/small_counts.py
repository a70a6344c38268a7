"""How often small sets of counts are refused: 5 or 40 doctors, SD 1 to 3, four decades of exposure.

    python benchmarks/small_counts.py --sets 3000 --draws 400

Prints every set that is refused or whose effects reach beyond nine doctor SDs, and their numbers.
"""

import argparse
from collections import Counter

import numpy as np
import pandas as pd

import outcomekpi as ok
from outcomekpi.declare.errors import EngineError


def small_set(seed: int) -> tuple[pd.DataFrame, str | None]:
    """Counts of 5 or 40 doctors, with none or up to three covariates."""
    rng = np.random.default_rng([77, seed])
    n_doctors, n_columns = int(rng.choice([5, 40])), int(rng.choice([0, 0, 1, 3]))
    doctor = np.arange(n_doctors * int(rng.choice([1, 1, 2, 4]))) % n_doctors
    top = rng.choice([0, 2, 4])
    exposure = 10 ** rng.uniform(top - 4, top, doctor.size)
    x = rng.normal(size=(doctor.size, n_columns))
    effect = rng.normal(0.0, rng.uniform(1, 3), n_doctors)[doctor]
    mean = exposure * np.exp(rng.uniform(-4, 4) + 0.3 * x.sum(axis=1) + effect)
    frame = pd.DataFrame({f"x{k}": x[:, k] for k in range(n_columns)})
    frame = frame.assign(d=[f"D{j:02d}" for j in doctor], y=rng.poisson(mean), e=exposure)
    return frame, " + ".join(f"x{k}" for k in range(n_columns)) or None


def main() -> None:
    """Fit them all and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=3000)
    parser.add_argument("--draws", type=int, default=400)
    options = parser.parse_args()
    count: Counter[str] = Counter()
    largest = 0.0
    for seed in range(options.sets):
        frame, case_mix = small_set(seed)
        if not frame["y"].any():
            count["no events"] += 1
            continue
        cases = ok.Cases.from_frame(frame, outcome="y", doctor="d", exposure="e")
        try:
            posterior = ok.fit(cases, ok.ModelSpec(case_mix=case_mix), draws=options.draws).draws[
                "posterior"
            ]
        except EngineError as refusal:
            count["refused"] += 1
            print(seed, refusal, flush=True)
            continue
        size = np.abs(posterior["doctor_effect"] / posterior["sd_doctor"]).max()
        largest = max(largest, float(size))
        if not size < 9:
            print(f"set {seed}: {size:.3g} doctor SDs", flush=True)
        count["fitted" if size < 9 else "broken"] += 1
    print(dict(count), f"largest effect {largest:.1f} doctor SDs")


if __name__ == "__main__":
    main()
