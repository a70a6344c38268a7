"""Size and power of the density test at patient-level cut-offs, and of its rivals.

    python benchmarks/cliffs.py                    # 300 data sets per cell, writes cliffs.md
    python benchmarks/cliffs.py --data-sets 40     # a quick look

A world is a smooth distribution of true readings, the way in which they are reported (rounding,
preference for end digits), and the share of the readings just failing that are reported as just
passing. Seeds depend on the world and the number of the data set alone.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIError
from outcomekpi.gaming.cliffs import density_jump, density_test

SHARES = (0.0, 0.2)
SIZES = (500, 2000, 10_000)
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How readings come about and how they are reported."""

    number: int
    cutoff: float
    step: float | None
    draw: Callable[[np.random.Generator, int], np.ndarray]


def _report(exact: np.ndarray, rng: np.random.Generator, parts: dict[float, float]) -> np.ndarray:
    """Round to a step that each reading draws: step -> share of the readings."""
    step = rng.choice(list(parts), size=exact.size, p=list(parts.values()))
    return np.round(np.round(exact / step) * step, 6)


def hba1c(rng: np.random.Generator, n: int, *, parts: dict[float, float]) -> np.ndarray:
    return _report(5.2 + rng.gamma(4.0, 0.5, n), rng, parts)


def systolic(rng: np.random.Generator, n: int, *, parts: dict[float, float]) -> np.ndarray:
    return _report(rng.normal(138, 17, n), rng, parts)


def ldl(rng: np.random.Generator, n: int, *, parts: dict[float, float]) -> np.ndarray:
    return _report(np.exp(rng.normal(1.0, 0.3, n)), rng, parts)


def exact_hba1c(rng: np.random.Generator, n: int) -> np.ndarray:
    return 5.2 + rng.gamma(4.0, 0.5, n)


def drifting(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw pressures that end in 0 more often at high levels, which the fit does not know."""
    exact = rng.normal(138, 17, n)
    to_ten = rng.random(n) < np.clip(0.1 + 0.006 * (exact - 100), 0.05, 0.6)
    return np.where(to_ten, np.round(exact / 10) * 10, np.round(exact / 2) * 2)


WORLDS = {
    "HbA1c to .1": World(number=1, cutoff=7.0, step=0.1, draw=partial(hba1c, parts={0.1: 1.0})),
    "HbA1c to .1, 20 % to .5": World(
        number=2, cutoff=7.0, step=0.1, draw=partial(hba1c, parts={0.1: 0.8, 0.5: 0.2})
    ),
    "BP to 1, 40 % even, 30 % zero": World(
        number=3,
        cutoff=140,
        step=1.0,
        draw=partial(systolic, parts={1.0: 0.3, 2.0: 0.4, 10.0: 0.3}),
    ),
    "BP to 2, 30 % zero": World(
        number=4, cutoff=140, step=2.0, draw=partial(systolic, parts={2.0: 0.7, 10.0: 0.3})
    ),
    "BP to 5": World(number=5, cutoff=140, step=5.0, draw=partial(systolic, parts={5.0: 1.0})),
    "BP to 2, more zeros at high levels": World(number=6, cutoff=140, step=2.0, draw=drifting),
    "LDL-C to .1": World(number=7, cutoff=2.6, step=0.1, draw=partial(ldl, parts={0.1: 1.0})),
    "HbA1c not rounded": World(number=8, cutoff=7.0, step=None, draw=exact_hba1c),
}
RIVALS = ("density_test", "rddensity")


def manipulate(
    values: np.ndarray, rng: np.random.Generator, world: World, share: float
) -> np.ndarray:
    """Report a share of the readings just failing (two steps, or .2) as just passing."""
    step = 0.1 if world.step is None else world.step
    failing = (values >= world.cutoff - 1e-9) & (values < world.cutoff + 1.99 * step)
    moved = np.flatnonzero(failing & (rng.random(values.size) < share))
    changed = values.copy()
    back = rng.random(moved.size) * 2 if world.step is None else rng.integers(1, 3, moved.size)
    changed[moved] = np.round(world.cutoff - step * back, 6 if world.step else 12)
    return changed


def one_data_set(index: int, *, name: str, n: int, share: float, seed: int) -> dict[str, float]:
    """p-value of each test; NaN where it refuses."""
    world = WORLDS[name]
    key = (world.number, n, round(100 * share), index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    values = manipulate(world.draw(rng, n), rng, world, share)
    tests: dict[str, Callable[[], float]] = {
        "density_test": lambda: density_test(values, world.cutoff).p_value,
        "rddensity": lambda: density_jump(values, world.cutoff).p_value,
    }
    found = {}
    for test, run in tests.items():
        try:
            found[test] = run()
        except OutcomeKPIError:
            found[test] = np.nan
    return found


def study(name: str, *, n_data_sets: int, seed: int, workers: int) -> pd.DataFrame:
    """Rejection rates and refusals of one world: one row per size and share."""
    rows = []
    with ProcessPoolExecutor(workers) as pool:
        for n in SIZES:
            for share in SHARES:
                job = partial(one_data_set, name=name, n=n, share=share, seed=seed)
                results = pool.map(job, range(n_data_sets), chunksize=10)
                p = pd.DataFrame(list(results))
                row: dict[str, float] = {"n": n, "moved": share}
                for test in RIVALS:
                    row[test] = (p[test].dropna() < ALPHA).mean()
                    row[f"{test} refused"] = p[test].isna().mean()
                rows.append(row)
    return pd.DataFrame(rows)


def _section(name: str, rows: pd.DataFrame, seconds: float) -> list[str]:
    lines = [f"## {name}", "", "| readings | moved | " + " | ".join(RIVALS) + " |"]
    lines.append("|---:|---:|" + "---:|" * len(RIVALS))
    for _, row in rows.iterrows():
        cells = []
        for test in RIVALS:
            refused = row[f"{test} refused"]
            text = "–" if refused == 1 else f"{row[test]:.3f}"
            cells.append(text + (f" ({refused:.0%} refused)" if 0 < refused < 1 else ""))
        lines.append(f"| {row['n']:,.0f} | {row['moved']:.0%} | " + " | ".join(cells) + " |")
    return [*lines, "", f"{seconds:.0f} s.", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    given = parser.parse_args()
    error = (ALPHA * (1 - ALPHA) / given.data_sets) ** 0.5
    lines = [
        "# Size and power of the density test",
        "",
        "Written by `python benchmarks/cliffs.py`. Share of "
        f"{given.data_sets} data sets in which a test rejects at {ALPHA:.0%} (standard error "
        f"{error:.3f} where it should be {ALPHA:.0%}). Moved: share of the readings within two "
        "steps on the failing side that are reported within two steps on the passing side; 0 % is "
        "the size. `density_test` finds rounding and end digits itself; `rddensity` was given the "
        "readings as reported. Shares are among the data sets that a test did not refuse.",
        "",
    ]
    for name in given.worlds:
        began = perf_counter()
        rows = study(name, n_data_sets=given.data_sets, seed=given.seed, workers=given.workers)
        section = _section(name, rows, perf_counter() - began)
        print("\n".join(section), flush=True)
        lines += section
    lines += [f"{date.today()}, seed {given.seed}.", ""]
    Path(given.out).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
