"""Speed and memory of simulated operating characteristics, and their distance from the exact ones.

    python benchmarks/operating.py             # writes benchmarks/operating.md
    python benchmarks/operating.py --out ""    # prints only

20 true levels x 6 caseloads x 10,000 replicates of the two-cycle 90/60 rule (and of a bar for each
doctor). Each row runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from datetime import date
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

ROWS = {
    "one unit": {},
    "one unit, ten cycles watched": {"horizon": 10},
    "one unit, ICC .05, persistence 1": {"icc": 0.05},
    "one unit, ICC .05, persistence .5": {"icc": 0.05, "persistence": 0.5},
    "20 units": {"n_units": 20},
    "20 units, ICC .05, persistence 1": {"n_units": 20, "icc": 0.05},
    "20 units, ICC .05, persistence .5": {"n_units": 20, "icc": 0.05, "persistence": 0.5},
    "20 doctors, each against a bar, ICC .05, persistence .5": {
        "n_units": 20,
        "icc": 0.05,
        "persistence": 0.5,
    },
}
CASELOADS = (20, 50, 100, 200, 500, 1000)
MEGABYTE = 1024**2
BAR = "< 10 s"


def main() -> None:
    """Measure every row, print the page, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
        return
    page = describe([run(name) for name in ROWS])
    print(page)
    if options.out:
        Path(options.out).write_text(page, encoding="utf-8")


def run(name: str) -> dict[str, float | str]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", name], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def measure(name: str) -> dict[str, float | str]:
    import outcomekpi as ok
    from outcomekpi.review.rule import ReviewRule

    rule = (
        ok.AbsoluteRule(bar=0.75, direction="higher", cycles=2)
        if "each against" in name
        else ReviewRule(reading="raw_rate")
    )
    levels = tuple(np.linspace(0.52, 0.97, 20).round(4))
    setting = ok.Setting(levels=levels, caseloads=CASELOADS, **ROWS[name])
    small = ok.Setting(levels=levels[:2], caseloads=CASELOADS[:2], replicates=10, **ROWS[name])
    ok.operating_characteristics(rule, small, method="simulated").to_frame()
    before = peak()
    start, worked = perf_counter(), process_time()
    found = ok.operating_characteristics(rule, setting, method="simulated").to_frame()
    seconds, worked = perf_counter() - start, process_time() - worked
    return {
        "name": name,
        "seconds": seconds,
        "worked": worked,
        "megabytes": peak() - before,
        "largest_error": float(found["mc_error"].max()),
        "distance": distance(rule, setting, found),
    }


def distance(rule, setting, found) -> str:
    """Root mean square of (simulated - exact) / Monte Carlo error, where there is an exact answer.

    Settings in which fewer than 50 replicates fire, or fail to, are left out: the error itself
    is not known there.
    """
    import outcomekpi as ok

    try:
        exact = ok.operating_characteristics(rule, setting, method="exact").to_frame()
    except ok.SpecError:
        return "–"
    rare = np.minimum(exact["fires"], 1 - exact["fires"]) < 50 / setting.replicates
    z = ((found["fires"] - exact["fires"]) / found["mc_error"])[~rare]
    return f"{np.sqrt((z**2).mean()):.2f} over {len(z)}"


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE


def describe(rows: list[dict[str, float | str]]) -> str:
    import outcomekpi

    table = "\n".join(
        f"| {row['name']} | {row['seconds']:.2f} | {row['worked']:.2f} | {row['megabytes']:.0f} | "
        f"{row['largest_error']:.4f} | {row['distance']} | {BAR} |"
        for row in rows
    )
    return f"""# Speed of simulated operating characteristics

Written by `python benchmarks/operating.py` on {date.today()}: {os.cpu_count()} cores, Python \
{platform.python_version()}, outcomekpi {outcomekpi.__version__}, numpy {np.__version__}; load \
{os.getloadavg()[0]:.1f} at the end.

20 true levels × 6 caseloads (20 to 1,000 cases in a cycle) × 10,000 replicates of two cycles, \
from the call to the finished table: every probability, its error, and the money. The rule \
is the two-cycle 90/60 rule on the raw rate; in the last row a bar of 75 % for each doctor over \
two cycles. Processor time is that of all threads: two free cores need half of it. Memory is the \
peak above what the imports and a small first call take. The distance from the exact \
probabilities is the root mean square of (simulated − exact) / Monte Carlo error, 1 if the error \
is right.

| setting | s | processor s | MB | largest Monte Carlo error | distance from exact | must reach |
|---|---|---|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main()
