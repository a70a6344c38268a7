"""Speed and memory of Cases.from_frame and fit, beside statsmodels' Logit in the same process.

    python benchmarks/speed.py                            # every size, writes benchmarks/speed.md
    python benchmarks/speed.py --sizes 20000x200 --out "" # one size, prints only

Each size runs in a process of its own, so that its peak memory is its own. The clock starts at a
pandas table and stops when 2,000 joint draws of everything exist. Logit has no doctors at all: it
is a yardstick for what reading the covariates a few times costs on this machine at this moment.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

SIZES = ("5000x50", "20000x200", "100000x1000", "1000000x10000", "10000000x100000")
BARS = {
    "5000x50": "≤ .15 s",
    "20000x200": "≤ .3 s",
    "100000x1000": "≤ 6 × Logit",
    "1000000x10000": "≤ 3 × Logit, ≤ 2 GB above the table",
    "10000000x100000": "≤ 3 × Logit, ≤ 12 GB in all",
}
FIRST_FIT = "20000x200"
FIRST_FIT_BAR = "≤ 1.5 s"
IMPORTS = "import numpy, scipy, pandas, xarray, formulaic"
COVARIATES = " + ".join(f"x{k}" for k in range(1, 9))
REPEATS = 5
REPEATS_LARGE = 3
LARGE = 1_000_000
SEED = 20261
GIGABYTE = 1024**3


def main() -> None:
    """Measure what was asked for, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), metavar="CASESxDOCTORS")
    parser.add_argument("--out", default=str(Path(__file__).with_name("speed.md")))
    parser.add_argument("--child", metavar="CASESxDOCTORS", help=argparse.SUPPRESS)
    parser.add_argument("--first", metavar="CASESxDOCTORS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
    elif options.first:
        print(json.dumps(measure_first(options.first)))
    else:
        page = describe([run("--child", size) for size in options.sizes], run("--first", FIRST_FIT))
        print(page)
        if options.out:
            Path(options.out).write_text(page, encoding="utf-8")


def run(flag: str, size: str) -> dict[str, float | str]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, flag, size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{size} failed:\n{done.stderr}")
    found: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def parse(size: str) -> tuple[int, int]:
    """Return numbers of cases and doctors."""
    n_cases, n_doctors = size.split("x")
    return int(n_cases), int(n_doctors)


def measure(size: str) -> dict[str, float | str]:
    """Medians over interleaved repetitions, after one of each to warm up; peak memory."""
    import numpy as np
    import statsmodels.api as sm

    import outcomekpi as ok

    n_cases, n_doctors = parse(size)
    frame, _ = ok.datasets.simulate_cases(n_cases=n_cases, n_doctors=n_doctors, seed=SEED)
    spec = ok.ModelSpec(case_mix=COVARIATES)

    def fit() -> float:
        start = perf_counter()
        cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor")
        ok.fit(cases, spec, draws=2000, seed=SEED)
        return perf_counter() - start

    reset_peak()
    table = resident()
    fit()
    warm_peak = peak()
    names = [f"x{k}" for k in range(1, 9)]
    design = np.column_stack([np.ones(n_cases), frame[names].to_numpy()])
    outcome = frame["outcome"].to_numpy(dtype=np.float64)

    def logit() -> float:
        start = perf_counter()
        sm.Logit(outcome, design).fit(disp=0)
        return perf_counter() - start

    logit()
    repeats = REPEATS_LARGE if n_cases >= LARGE else REPEATS
    pairs = [(fit(), logit()) for _ in range(repeats)]
    return {
        "size": size,
        "fit": median(pair[0] for pair in pairs),
        "logit": median(pair[1] for pair in pairs),
        "ratio": median(pair[0] / pair[1] for pair in pairs),
        "above_table": (warm_peak - table) / GIGABYTE,
        "in_all": warm_peak / GIGABYTE,
        "repeats": repeats,
    }


def measure_first(size: str) -> dict[str, float | str]:
    """Seconds of the first fit of a process, on top of importing the libraries it stands on."""
    exec(IMPORTS)
    import outcomekpi as ok

    n_cases, n_doctors = parse(size)
    frame, _ = ok.datasets.simulate_cases(n_cases=n_cases, n_doctors=n_doctors, seed=SEED)
    start = perf_counter()
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor")
    ok.fit(cases, ok.ModelSpec(case_mix=COVARIATES), draws=2000, seed=SEED)
    return {"size": size, "first": perf_counter() - start}


def reset_peak() -> None:
    """Forget the peak memory so far (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def resident() -> int:
    """Bytes of memory in use."""
    return status("VmRSS")


def peak() -> int:
    """Bytes of memory in use at most since the last reset."""
    return status("VmHWM")


def status(field: str) -> int:
    """Return one size from the kernel's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"this system does not report {field}")


def describe(rows: list[dict[str, float | str]], first: dict[str, float | str]) -> str:
    """Return the page with both tables."""
    from importlib.metadata import version

    names = ("outcomekpi", "numpy", "numba", "statsmodels")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [
        "# Speed and memory",
        "",
        f"Written by `make bench` on {date.today()}: {os.cpu_count()} cores, {processor()}, "
        f"Python {platform.python_version()}, {versions}; load "
        f"{os.getloadavg()[0]:.1f} at the end.",
        "",
        "From a pandas table to 2,000 joint draws of every parameter and every doctor's effect: "
        "8 covariates, Gamma(2, 1)-weighted caseloads, doctor SD .4, about 20 % events. Medians "
        "after one warm-up; the ratio is the median of ratios within pairs. Memory is the peak of "
        "the warm-up.",
        "",
        "| cases × doctors | fit, s | Logit, s | fit / Logit | GB above the table | GB in all "
        "| must reach |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        n_cases, n_doctors = parse(str(row["size"]))
        lines.append(
            f"| {n_cases:,} × {n_doctors:,} | {row['fit']:.3g} | {row['logit']:.3g} "
            f"| {row['ratio']:.2g} | {row['above_table']:.2f} | {row['in_all']:.2f} "
            f"| {BARS.get(str(row['size']), '')} |"
        )
    n_cases, n_doctors = parse(str(first["size"]))
    lines += [
        "",
        f"First fit of a fresh process, {n_cases:,} × {n_doctors:,}, on top of `{IMPORTS}`: "
        f"{first['first']:.2f} s ({FIRST_FIT_BAR} must be reached); nothing is compiled.",
        "",
    ]
    return "\n".join(lines)


def processor() -> str:
    """Name of the processor, as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
