"""How long a synthetic hospital takes, and what it needs in memory.

Each size runs in a process of its own, so that its peak memory is its own.

    python benchmarks/population_speed.py               # writes the .md beside this file
"""

import argparse
import os
import platform
import resource
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace
from datetime import date
from pathlib import Path
from time import perf_counter, process_time

SIZES = (100, 250, 500, 1000, 2000)
PATIENTS = 200
MONTHS = 24


def run(doctors: int) -> str:
    """Simulate one hospital and return the numbers of its line."""
    import outcomekpi as ok

    base = ok.tertiary_hospital()
    many = replace(base.doctors, doctors=doctors, patients_per_doctor=float(PATIENTS))
    scenario = replace(base, doctors=many, months=MONTHS)
    empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, busy = perf_counter(), process_time()
    population = ok.simulate_population(scenario, seed=20261)
    took, used = perf_counter() - began, process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tables = (population.patients, population.measurements, population.encounters)
    size = sum(table.memory_usage(deep=True).sum() for table in tables) / 2**20
    rows = len(population.measurements)
    return (
        f"| {doctors:,} | {len(population.patients):,} | {rows:,} | {took:.1f} | {used:.1f} | "
        f"{size:.0f} | {peak - empty:.0f} | {(peak - empty) * 2**20 / rows:.0f} |"
    )


def main() -> None:
    """Run every size in a process of its own and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doctors", type=int)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    options = parser.parse_args()
    if options.doctors:
        print(run(options.doctors))
        return
    rows = []
    for doctors in SIZES:
        command = [sys.executable, __file__, "--doctors", str(doctors)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(done.stdout.strip())
        print(rows[-1], flush=True)
    import numpy as np

    import outcomekpi as ok

    text = [
        "# Speed and memory of a synthetic hospital",
        "",
        "Written by `python benchmarks/population_speed.py`: the tertiary hospital with more "
        f"doctors, {PATIENTS} patients each, {MONTHS} months, one thread. The bar: 1,000 doctors × "
        "200 patients × 24 months in under 10 s, memory linear.",
        "",
        f"{date.today()}, outcomekpi {ok.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, shared with other work: seconds by "
        "the clock are an upper bound, those of the processor are what it took.",
        "",
        "| doctors | patients | rows of measurements | seconds | processor seconds | tables, MB | "
        "peak above start, MB | bytes per row at the peak |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]
    if options.out:
        Path(options.out).write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
