"""Measure how often each design holds the true effect of a roll-out, and write the table.

Run: ``python benchmarks/pilot_ladder.py`` (a quarter of an hour of one core; needs the extra
``did``). ``--pilots 10`` sets the number of roll-outs of each world.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import outcomekpi as ok

PILOTS = 50
FIRST_SEED = 1
LEVEL = 0.95
PAGE = Path(__file__).with_suffix(".md")
WORLDS = {
    "the better hospitals join": {"joining": "better"},
    "the improving hospitals join": {"joining": "improving"},
    "a lot decides": {"joining": "lot"},
    "the better join, no effect": {"joining": "better", "effect": 0.0},
    "a lot, no trends of their own": {"joining": "lot", "sd_trend": 0.0},
}
FIRST = 25
PATIENTS = 15
YEAR = 12
RAMP_UP = 3
BETTER = {"direction": "higher"}
PANEL = BETTER | {
    "outcome": "rate",
    "unit": "hospital",
    "time": "quarter",
    "start": "first",
    "outcome_unit": "%",
}
SERIES = BETTER | {
    "outcome": "joined",
    "time": "month",
    "start": FIRST,
    "change": "level",
    "ramp_up": RAMP_UP,
    "seasonality": ok.Seasonality(period=12, harmonics=1),
    "unit": "%",
}
WEDGE = BETTER | {
    "outcome": "events",
    "trials": "patients",
    "family": "binomial",
    "unit": "hospital",
    "time": "quarter",
    "start": "first",
}
DESIGNS = {
    "before and after": (
        "patients",
        ok.BeforeAfter(
            outcome="controlled",
            period="period",
            after="after",
            doctor="doctor",
            hospital="hospital",
            **BETTER,
        ),
        "first year",
    ),
    "interrupted series": ("series", ok.InterruptedSeries(**SERIES), "first wave, settled"),
    "controlled series": (
        "series",
        ok.ControlledSeries(control="others", **SERIES),
        "first wave, settled",
    ),
    "synthetic difference in differences": (
        "first wave",
        ok.SyntheticControl(**PANEL),
        "first wave",
    ),
    "difference in differences": ("quarters", ok.DifferenceInDifferences(**PANEL), "all"),
    "stepped wedge": ("quarters", ok.SteppedWedge(**WEDGE), "by exposure"),
    "stepped wedge, randomization": (
        "quarters",
        ok.SteppedWedge(effect="constant", inference="randomization", **WEDGE),
        "all",
    ),
}


def arrange(frame):
    """Every table that the designs need, from the patients of a roll-out."""
    joined = frame[frame["start"] > 0].assign(since=lambda f: f["month"] - f["start"])
    near = joined[joined["since"].between(-YEAR, YEAR - 1)]
    quarters = frame.assign(quarter=(frame["month"] + 2) // 3, first=(frame["start"] + 2) // 3)
    cells = quarters.groupby(["hospital", "quarter", "first"])["controlled"]
    panel = cells.agg(events="sum", patients="size").reset_index()
    panel["rate"] = 100 * panel["events"] / panel["patients"]
    early = frame[frame["start"].isin([0, FIRST])]
    series = 100 * early.groupby(["month", "start"])["controlled"].mean().unstack("start")
    return {
        "patients": near.assign(period=np.where(near["since"] >= 0, "after", "before")),
        "series": series.rename(columns={0: "others", FIRST: "joined"}).reset_index(),
        "quarters": panel,
        "first wave": panel[panel["first"].isin([0, (FIRST + 2) // 3])],
    }


def aims(truth):
    """Mean true effects over the hospitals and months that the designs speak of."""
    held = truth.cells[truth.cells["exposure"].ge(0).fillna(False)]
    early = held[held["start"] == FIRST]
    by_quarter = held.groupby(held["exposure"] // 3)["effect"].mean()
    return {
        "all": held["effect"].mean(),
        "first year": held.loc[held["exposure"] < YEAR, "effect"].mean(),
        "first wave": early["effect"].mean(),
        "first wave, settled": early.loc[early["exposure"] >= RAMP_UP, "effect"].mean(),
        "by exposure": by_quarter.mean(),
    }


def measure(world, pilots):
    """One row for each roll-out and design: estimate, interval and truth."""
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + pilots):
        frame, truth = ok.datasets.simulate_rollout(n_patients=PATIENTS, seed=seed, **WORLDS[world])
        tables, target = arrange(frame), aims(truth)
        for name, (table, design, aim) in DESIGNS.items():
            main = ok.compare_pilot(tables[table], design, draws=500).main
            rows.append((world, name, main.value, *main.interval(level=LEVEL), target[aim]))
    columns = ["world", "design", "estimate", "lower", "upper", "truth"]
    return pd.DataFrame(rows, columns=columns)


def summarize(rows):
    """Shares over the roll-outs of each world and design."""
    holds = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
    seen = rows.assign(
        holds=100 * holds,
        claims=100 * (rows["lower"] > 0),
        error=rows["estimate"] - rows["truth"],
        width=rows["upper"] - rows["lower"],
    )
    groups = seen.groupby(["world", "design"], sort=False)
    table = groups[["holds", "claims", "error", "width", "truth"]].mean()
    return table.assign(pilots=groups.size()).reset_index()


def write(table, pilots):
    """Write the page."""
    lines = [
        "# The ladder of designs on simulated roll-outs",
        "",
        f"Written by `python benchmarks/pilot_ladder.py` ({pilots} roll-outs of each world, "
        f"seeds {FIRST_SEED} to {FIRST_SEED + pilots - 1}). "
        f"`simulate_rollout(n_patients={PATIENTS})`: 24 hospitals, 12 of which start the program "
        "in four waves; a national guideline arrives with the first wave. *Holds*: percent of "
        "95 % intervals that hold the mean true effect over the hospitals and months that the "
        "design speaks of; *claims*: percent that lie above 0; *error*, *width* (means) and "
        "*truth* in percentage points. The Monte Carlo standard error of a share s is the square "
        f"root of s (100 - s) / {pilots}: at most {100 * 0.5 / pilots**0.5:.1f}, at 95 "
        f"{100 * (0.95 * 0.05 / pilots) ** 0.5:.1f}. The program has the same effect on everybody "
        "in log odds.",
        "",
        "| world | design | holds | claims | error | width | truth |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.world} | {row.design} | {row.holds:.0f} | {row.claims:.0f} | {row.error:.1f} "
            f"| {row.width:.1f} | {row.truth:.1f} |"
        )
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=PILOTS)
    pilots = parser.parse_args().pilots
    table = summarize(pd.concat([measure(world, pilots) for world in WORLDS]))
    write(table, pilots)
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
