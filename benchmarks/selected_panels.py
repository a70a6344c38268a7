"""Measure how often the check for selected units fails, with and without selection.

Run: ``python benchmarks/selected_panels.py`` (about 5 minutes of one core);
``--replicates 100`` sets the number of panels of each row.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from outcomekpi.pilots.data.panel import PanelData
from outcomekpi.pilots.designs.selection_signs import find_selection_signs
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.ladder.comparison import compare_pilot

REPLICATES = 200
SEED = 20261
LEVEL_SD, NOISE_SD, AFTER = 15.0, 10.0, 2
PAGE = Path(__file__).with_suffix(".md")


def made_readings(rng, count, before, rho, shift=None):
    """Levels and noise of units that no program touches, (unit, time)."""
    noise = np.empty((count, before + AFTER))
    noise[:, 0] = rng.normal(size=count)
    for one in range(1, before + AFTER):
        noise[:, one] = rho * noise[:, one - 1] + np.sqrt(1 - rho**2) * rng.normal(size=count)
    level = rng.normal(140, LEVEL_SD, count)
    if shift is not None:
        level = level + shift
    return level[:, None] + NOISE_SD * noise


def judge(readings, treated, before):
    """Whether the check fails, and whether an effect would be claimed at 5 %."""
    times = np.arange(1, readings.shape[1] + 1)
    count = treated.size
    frame = pd.DataFrame(
        {
            "outcome": readings.ravel(),
            "cluster": np.repeat(np.arange(count), times.size),
            "time": np.tile(times, count),
            "start": np.repeat(np.where(treated, before + 1, 0), times.size),
        }
    )
    panel = PanelData(
        frame=frame, units=[], clusters=[], times=tuple(map(str, times)), is_share=False, word=""
    )
    signs = find_selection_signs(panel)
    # one start and no covariates: Callaway and Sant'Anna's effect is this difference of changes
    change = readings[:, before:].mean(axis=1) - readings[:, before - 1]
    if treated.sum() > 1:
        claimed = ttest_ind(change[treated], change[~treated], equal_var=False).pvalue < 0.05
    else:
        claimed = False
    return signs.stands_out, signs.cut is not None, signs.any, claimed


def assigned(rng, sides, before, rho, apart=0.0, spread=1.0):
    """Judge treated that were not chosen by their readings."""
    treated = np.arange(sum(sides)) < sides[0]
    readings = made_readings(rng, treated.size, before, rho, apart * LEVEL_SD * treated)
    middle = readings.mean(axis=1, keepdims=True)
    return judge(np.where(treated[:, None], middle + spread * (readings - middle), readings),
                 treated, before)  # fmt: skip


def selected(rng, count, share, before, rho, by, strict=True):
    """Judge treated that were chosen because a reading was high."""
    readings = made_readings(rng, count, before, rho)
    seen = {
        "last": readings[:, before - 1],
        "mean": readings[:, :before].mean(axis=1),
        "last but one": readings[:, max(before - 2, 0)],
    }[by]
    if not strict:
        seen = seen + rng.normal(0, 10, count)
    return judge(readings, seen >= np.quantile(seen, 1 - share), before)


def wedge(rng, clusters, early, strict):
    """Judge a stepped wedge whose clusters start by lot, or the highest first."""
    periods, waves = early + 5, 4
    readings = made_readings(rng, clusters, periods - AFTER, 0.0)
    seen = readings[:, :early].mean(axis=1) if strict else rng.normal(size=clusters)
    rank = np.argsort(np.argsort(-seen))
    frame = pd.DataFrame(
        {
            "y": readings.ravel(),
            "unit": np.repeat(np.arange(clusters), periods),
            "time": np.tile(np.arange(1, periods + 1), clusters),
            "start": np.repeat(early + 1 + rank * waves // clusters, periods),
        }
    )
    design = SteppedWedge(outcome="y", unit="unit", time="time", start="start", effect="constant")
    effect = compare_pilot(frame, design, draws=1000, seed=int(rng.integers(1e9)))
    failed = effect.findings.checks[-1].passed is False
    return failed, False, failed, bool(effect.main.excludes_null(level=0.95))


def row(found, *cells):
    """Shares of what was judged, as cells of a table."""
    stands_out, cut, either, claimed = np.array(found, dtype=bool).T
    shares = (stands_out, cut, either, claimed, claimed & ~either)
    return "| " + " | ".join([*cells, *(f"{100 * one.mean():.1f}" for one in shares)]) + " |"


def main():
    """Run everything and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    count = parser.parse_args().replicates
    rng = np.random.default_rng(SEED)
    none, some = [], []
    for sides, apart, spread in (
        *(((t, c), 0.0, 1.0) for t, c in ((1, 20), (3, 17), (5, 5), (20, 80), (100, 300))),
        ((3, 17), 0.0, 2.0), ((10, 10), 0.0, 2.0),
        *(((10, 10), apart, 1.0) for apart in (1.0, 2.0, 4.0)),
    ):  # fmt: skip
        for before, rho in ((1, 0.0), (2, 0.0), (4, 0.5)):
            found = [assigned(rng, sides, before, rho, apart, spread) for _ in range(count)]
            cells = (*map(str, sides), f"{apart:g}", f"{spread:g}", str(before), f"{rho:g}")
            none.append(row(found, *cells))
    for units in (40, 400):
        for by, strict in (("last", True), ("last", False), ("mean", True), ("last but one", True)):
            for before, rho in ((1, 0.0), (2, 0.0), (4, 0.5)):
                if before == 1 and by != "last":
                    continue
                found = [selected(rng, units, 0.25, before, rho, by, strict) for _ in range(count)]
                words = by if strict else f"{by}, loosely"
                some.append(row(found, str(units), words, str(before), f"{rho:g}"))
    stairs = []
    for clusters in (12, 24):
        for early in (1, 2):
            for strict in (False, True):
                found = [wedge(rng, clusters, early, strict) for _ in range(count)]
                shares = row(found, "").split(" | ")[3:]
                order = "highest first" if strict else "lot"
                stairs.append(f"| {clusters} | {early} | {order} | " + " | ".join(shares))
    PAGE.write_text(write_page(count, none, some, stairs), "utf-8")


def write_page(count, none, some, stairs):
    """Put the tables into words."""
    error = 100 * np.sqrt(0.05 * 0.95 / count)
    shares = "stands out | cut | check fails | effect at 5 % | effect, check passed"
    parts = (
        "# Units chosen by their baseline: how often the check sees it",
        f"Written by `python benchmarks/selected_panels.py` ({count:,} panels a row, seed {SEED}; "
        f"Monte Carlo standard error at 5 %: {error:.1f} points). No program does anything: levels "
        f"of units N(140, {LEVEL_SD:g}), readings with SD {NOISE_SD:g} and autocorrelation rho, "
        f"{AFTER} periods after the start. Percent of panels in which: the last period before the "
        "start *stands out*; a *cut* separates treated and controls; the *check fails* for either; "
        "the comparison with the last period shows an *effect at 5 %* (Welch's t of the changes); "
        "it does and the check passed, so that the effect is claimed.",
        "## Nobody chosen by a reading",
        f"| treated | controls | levels apart (SD) | noise of treated | before | rho | {shares} |",
        "The right share for *check fails* is small; treated whose levels lie 4 SD from the "
        "controls' are told from chosen ones by nothing but what the user says.",
        "## The highest quarter chosen",
        f"| units | chosen by | before | rho | {shares} |",
        "*Loosely*: by the reading plus as much noise again. With one period before the start a "
        "loose choice cannot be seen. What was chosen by the last but one period and compared with "
        "the last one has little regression to the mean left where noise does not last.",
        "## Stepped wedges",
        "| clusters | periods before the first start | start by | check fails | effect at 5 % | "
        "effect, check passed |",
        "Four waves; the check compares the order of the starts with the means before the first. "
        "These are in the model, which takes most of the return out.",
    )
    rows = {3: none, 6: some, 9: stairs}
    page = [
        "\n".join([one, "|" + "---|" * (one.count("|") - 1), *rows[place]])
        if place in rows
        else one
        for place, one in enumerate(parts)
    ]
    return "\n\n".join(page) + "\n"


if __name__ == "__main__":
    main()
