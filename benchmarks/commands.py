"""How long `outcomekpi evaluate` takes, with every file it writes, and what it needs in memory.

    python benchmarks/commands.py                             # every size, writes commands.md
    python benchmarks/commands.py --sizes medpar --out ""     # one size, prints only

The command runs as a user starts it: a fresh process, from a CSV file to the finished folder. The
last row is the same chain in one Python process, from a pandas table to the written report.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from shlex import join
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

SIZES = ("medpar", "100000x1000", "1000000x10000")
BARS = {"medpar": "≤ 3.5 s", "100000x1000": "≤ 5 s", "1000000x10000": "≤ 9 s, ≤ 2 GB"}
IN_PROCESS = "1000000x10000"
IN_PROCESS_BAR = "≤ 5 s (goal: 3 s)"
MEDPAR = {"outcome": "died", "doctor": "provnum"}
MEDPAR_MIX = "hmo + age80 + C(type)"
MADE = {"outcome": "outcome", "doctor": "doctor"}
MADE_MIX = " + ".join(f"x{k}" for k in range(1, 9))
REPEATS = 3
SEED = 20261
GIGABYTE = 1024**2  # in KB, as the kernel counts a process's peak

Row = dict[str, float]


def main() -> None:
    """Measure what was asked for, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), metavar="CASESxDOCTORS")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--out", default=str(Path(__file__).with_name("commands.md")))
    parser.add_argument("--table", nargs=2, metavar=("SIZE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--chain", metavar="SIZE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        write_table(options.table[0], Path(options.table[1]))
    elif options.chain:
        print(json.dumps(measure_chain(options.chain)))
    else:
        load = os.getloadavg()[0]
        rows = {size: measure_command(size, options.repeats) for size in options.sizes}
        chain = None
        if IN_PROCESS in options.sizes:
            chain = middle(lambda: run_chain(IN_PROCESS), options.repeats)
        page = describe(rows, chain, repeats=options.repeats, load=load)
        print(page)
        if options.out:
            Path(options.out).write_text(page, encoding="utf-8")


def write_table(size: str, path: Path) -> None:
    """Write the cases as a CSV file, in a process whose memory nobody counts."""
    import outcomekpi as ok

    if size == "medpar":
        frame = ok.datasets.load_medpar()
    else:
        n_cases, n_doctors = (int(part) for part in size.split("x"))
        frame, _ = ok.datasets.simulate_cases(n_cases=n_cases, n_doctors=n_doctors, seed=SEED)
    frame.to_csv(path, index=False)


def evaluate(size: str) -> list[str]:
    """Return the command that is measured, without its file and its folder."""
    roles, mix = (MEDPAR, MEDPAR_MIX) if size == "medpar" else (MADE, MADE_MIX)
    named = [word for role, column in roles.items() for word in (f"--{role}", column)]
    return ["evaluate", *named, "--adjust", mix, "--direction", "lower"]


def measure_command(size: str, repeats: int) -> Row:
    """Medians over fresh processes, after one to warm up the files that Python reads."""
    with TemporaryDirectory() as folder:
        table = Path(folder, "cases.csv")
        subprocess.run([sys.executable, __file__, "--table", size, str(table)], check=True)

        def once() -> Row:
            verb, *options = evaluate(size)
            out = Path(folder, f"out{len(list(Path(folder).iterdir()))}")
            command = [sys.executable, "-m", "outcomekpi.cli", verb, str(table), *options]
            return time_process([*command, "--out", str(out)])

        once()
        return middle(once, repeats)


def time_process(command: list[str]) -> Row:
    """Wall and processor seconds of a process, and the most memory it had."""
    start = perf_counter()
    # an installed package has its bytecode; some machines that test forbid to write it
    plain = {name: value for name, value in os.environ.items() if "BYTECODE" not in name}
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=plain)
    _, code, usage = os.wait4(running.pid, 0)
    wall = perf_counter() - start
    running.returncode = os.waitstatus_to_exitcode(code)
    if running.returncode:
        raise SystemExit(f"{join(command)} ended with {running.returncode}")
    used = usage.ru_utime + usage.ru_stime
    return {"wall": wall, "processor": used, "memory": usage.ru_maxrss / GIGABYTE}


def middle(once: Callable[[], Row], repeats: int) -> Row:
    """Return the median of each number."""
    found = [once() for _ in range(repeats)]
    return {name: median(row[name] for row in found) for name in found[0]}


def run_chain(size: str) -> Row:
    """Measure the chain in a fresh process."""
    command = [sys.executable, __file__, "--chain", size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the chain on {size} failed:\n{done.stderr}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_chain(size: str) -> Row:
    """From a pandas table to the report; the peak memory counts making the table too."""
    import outcomekpi as ok

    n_cases, n_doctors = (int(part) for part in size.split("x"))
    frame, _ = ok.datasets.simulate_cases(n_cases=n_cases, n_doctors=n_doctors, seed=SEED)
    with TemporaryDirectory() as folder:
        start, busy = perf_counter(), process_time()
        cases = ok.Cases.from_frame(frame, **MADE, direction="lower")
        fit = ok.fit(cases, ok.ModelSpec(case_mix=MADE_MIX), seed=SEED)
        rates = ok.standardize(fit)
        path = Path(folder, "report.html")
        ok.report(fit, rates, ok.rank(rates), ok.classify(rates), path=path)
        wall, used = perf_counter() - start, process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    return {"wall": wall, "processor": used, "memory": memory}


def describe(rows: dict[str, Row], chain: Row | None, *, repeats: int, load: float) -> str:
    """Return the page."""
    names = ("outcomekpi", "numpy", "pandas", "matplotlib")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [
        "# The whole command",
        "",
        f"Written by `python benchmarks/commands.py --repeats {repeats}` on {date.today()}: "
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"{versions}; OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}; load "
        f"{load:.1f} before the first and {os.getloadavg()[0]:.1f} after the last measurement.",
        "",
        "`outcomekpi evaluate` in a fresh process, from a CSV file to the finished folder "
        f"(`{join(evaluate('medpar'))}` on medpar; the other tables are simulated, with 8 "
        f"covariates). Medians of {repeats} after one to warm up. Where the load is above the "
        "number of cores, others had the processor too: read processor seconds, not the wall.",
        "",
        "| what | wall, s | processor, s | peak memory, GB | must reach on 2 quiet cores |",
        "|---|---|---|---|---|",
    ]
    for size, row in rows.items():
        n_cases, n_doctors = (1495, 54) if size == "medpar" else map(int, size.split("x"))
        lines.append(describe_row(f"`evaluate`, {n_cases:,} × {n_doctors:,}", row, BARS.get(size)))
    if chain is not None:
        what = "table to report in one process, 1,000,000 × 10,000"
        lines.append(describe_row(what, chain, IN_PROCESS_BAR))
    return "\n".join([*lines, ""])


def describe_row(what: str, row: Row, bar: str | None) -> str:
    """Return one line of the table."""
    return (
        f"| {what} | {row['wall']:.1f} | {row['processor']:.1f} | {row['memory']:.2f} "
        f"| {bar or ''} |"
    )


if __name__ == "__main__":
    main()
