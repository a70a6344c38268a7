"""What withholding does to the results of those who are shown, and what its rule gives away.

    python benchmarks/suppression.py [REPLICATES]

Simulates tables of doctors, fits them whole and as published with small counts withheld, and
compares the doctors who are shown in both. Then looks, for each small count and each value that it
could have, for another table that would be published with the same doctors and totals.
"""

import sys
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError
from outcomekpi.pages import suppression
from outcomekpi.pages.publication import publish

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "factories"))
from made_publications import RATES as TABLE_RATES
from made_publications import made_counts, other_tables

PAGE = Path(__file__).with_suffix(".md")
REPLICATES, TABLES = 12, 60
N_DOCTORS, BELOW, DRAWS = 100, 10, 1000
RATES, SPREADS, CASELOADS = (0.10, 0.25), (0.2, 0.4), (60, 200)


def simulate(rate: float, spread: float, caseload: float, seed: int) -> pd.DataFrame:
    """Events of doctors whose caseloads are gamma with shape 2, and their true chances."""
    rng = np.random.default_rng(seed)
    n = np.maximum(1, rng.gamma(2.0, caseload / 2.0, N_DOCTORS).round().astype(int))
    chance = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + rng.normal(0, spread, N_DOCTORS))))
    return pd.DataFrame(
        {
            "doctor": [f"D{j:03d}" for j in range(N_DOCTORS)],
            "died": rng.binomial(n, chance),
            "n": n,
            "chance": chance,
        }
    )


def compare(table: pd.DataFrame) -> dict[str, float] | None:
    """Fit a table whole and for publication; None where it cannot be published."""
    cases = ok.Cases.from_frame(
        table, outcome="died", doctor="doctor", trials="n", direction="lower"
    )
    whole = ok.fit(cases, ok.ModelSpec(), draws=DRAWS)
    rates = ok.standardize(whole, measure="direct")
    try:
        public = publish(whole, rates, ok.rank(rates), ok.classify(rates), below=BELOW)
    except SpecError:
        return None
    shown = public.mask.shown
    truth = table["chance"].to_numpy()[shown]
    first = rates.to_frame()[shown]
    second = public.rates.to_frame()
    width = (first["upper"] - first["lower"]) / (2 * 1.96)
    flags = ok.classify(rates).flag[shown]
    spread = [float(one.draws["posterior"]["sd_doctor"].mean()) for one in (whole, public.fit)]
    covers = [((one["lower"] <= truth) & (truth <= one["upper"])).mean() for one in (first, second)]
    return {
        "withheld": 1 - shown.mean(),
        "sd_whole": spread[0],
        "sd_public": spread[1],
        "shift": ((second["mean"] - first["mean"]) / width).mean(),
        "distance": ((second["mean"] - first["mean"]).abs() / width).mean(),
        "covered_whole": covers[0],
        "covered_public": covers[1],
        "flags_whole": (flags != "").sum(),
        "flags_public": (public.flags.flag != "").sum(),
    }


def excluded(seed: int) -> tuple[int, int, int]:
    """Doctors withheld in one table; small values in all, and those without another table."""
    cells = made_counts(seed, n_doctors=12 + seed % 8, rate=TABLE_RATES[seed % 3])

    def hide(table: np.ndarray) -> np.ndarray | None:
        try:
            found = suppression.choose_withheld(table, table.sum(axis=1), below=BELOW)
        except SpecError:
            return None
        return found.hidden

    hidden = hide(cells)
    if hidden is None:
        return 0, 0, 0
    rng = np.random.default_rng(seed)
    values = [
        (doctor, cell, value)
        for doctor in np.flatnonzero(hidden)
        for cell in (0, 1)
        for value in range(BELOW)
        if cells[doctor, cell] < BELOW
    ]
    lost = sum(
        not any(
            (again := hide(table)) is not None and bool((again == hidden).all())
            for table in other_tables(cells, hidden, *one, rng)
        )
        for one in values
    )
    return int(hidden.sum()), len(values), lost


def tell_rule(tables: int) -> None:
    """Print what somebody who knows the rule by heart can exclude."""
    print("\n## What the rule gives away\n")
    print(f"{tables} tables of 12 to 19 doctors: for each small count and each value from 0 to")
    print(f"{BELOW - 1}, whether one of 1,200 tables drawn at random with that value is published")
    print("with the same doctors and the same totals.\n")
    print(
        "| withheld beyond what the totals need | withheld, mean | values | without such a table |"
    )
    print("|---|---|---|---|")
    for more in (0, 1):
        suppression.ONE_MORE = more
        found = np.array([excluded(seed) for seed in range(tables)])
        found = found[found[:, 0] > 0]
        print(
            f"| {more} | {found[:, 0].mean():.1f} | {found[:, 1].sum():,} | {found[:, 2].sum():,}"
            f" (in {(found[:, 2] > 0).sum()} tables) |",
            flush=True,
        )


def main(replicates: int) -> None:
    """Print the table."""
    print("# What withholding does to the doctors who are shown\n")
    print(f"`python benchmarks/suppression.py {replicates}`: {N_DOCTORS} doctors, caseloads gamma")
    print(f"(shape 2), events binomial, nothing adjusted for, counts below {BELOW} withheld. Means")
    print("over the tables that can be published; shift and distance of the rate (direct measure)")
    print("in posterior SDs of the whole fit, over the doctors shown; coverage of their true rates")
    print("by 95 % intervals; flags at 95 %.\n")
    print(
        "| rate | SD | mean cases | published | withheld | SD found, whole | published | shift |",
        end="",
    )
    print(" distance | coverage, whole | published | flags, whole | published |")
    print("|" + "---|" * 13)
    for rate, spread, caseload in product(RATES, SPREADS, CASELOADS):
        found = [compare(simulate(rate, spread, caseload, seed)) for seed in range(replicates)]
        kept = pd.DataFrame([one for one in found if one is not None])
        if kept.empty:
            print(f"| {rate:.2f} | {spread} | {caseload} | 0 of {replicates} |" + " – |" * 9)
            continue
        mean = kept.mean()
        print(
            f"| {rate:.2f} | {spread} | {caseload} | {len(kept)} of {replicates} | "
            f"{mean['withheld']:.0%} | {mean['sd_whole']:.3f} | {mean['sd_public']:.3f} | "
            f"{mean['shift']:+.2f} | {mean['distance']:.2f} | {mean['covered_whole']:.3f} | "
            f"{mean['covered_public']:.3f} | {mean['flags_whole']:.1f} | "
            f"{mean['flags_public']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    with redirect_stdout(StringIO()) as page:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES)
        tell_rule(TABLES)
    PAGE.write_text(page.getvalue(), encoding="utf-8")
