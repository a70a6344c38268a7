"""Measure how often units picked for their results seem to improve by themselves; write the table.

Run: ``python benchmarks/selected_units.py`` (about 15 minutes of one core), or with the number of
replicates of each cell: ``python benchmarks/selected_units.py 100``.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.special import expit, logit

from outcomekpi.pilots.estimators.earlier_windows import replay_selection
from outcomekpi.pilots.estimators.selected_units import correct_unit_selection

REPLICATES = 100
SEED = 20261
LEVEL = 0.95
DRAWS = 500
WINDOWS = 4  # three before the program, the last of which selects, and the follow-up
PAGE = Path(__file__).with_suffix(".md")
WORLDS = {
    "nothing": {},
    "trend, .05 a window": {"trend": 0.05},
    "trend, .15 a window": {"trend": 0.15},
    "winter, .15": {"winter": 0.15},
    "winter, .3": {"winter": 0.3},
    "winter, .3, units differ by .15": {"winter": 0.3, "differ": 0.15},
    "units move, SD .1": {"move": 0.1},
    "trend .15, units move": {"trend": 0.15, "move": 0.1},
    "units waver, correlation .8": {"waver": 0.8},
}
"""Name -> what moves log odds. Winter is in every second window, the follow-up among them."""
GRID = [
    (n, k, cases, base) for n, k in ((18, 5), (60, 15)) for cases, base in ((60, 0.6), (200, 0.1))
]


def rates(n, base, rng, *, trend=0.0, winter=0.0, differ=0.0, move=0.0, waver=1.0):
    """True rates of units in all windows: normal log odds with SD .35, and what moves them."""
    own = 0.35 * rng.standard_normal(n)
    rows = []
    for window in range(WINDOWS):
        if window and waver < 1:
            own = waver * own + np.sqrt(1 - waver**2) * 0.35 * rng.standard_normal(n)
        cold = window % 2 * (winter + differ * rng.standard_normal(n))
        own_step = move * rng.standard_normal(n) if window else 0.0
        own = own + own_step
        rows.append(logit(base) + own + trend * window + cold)
    return expit(np.array(rows))


def holds(result):
    """Whether the interval of the corrected change leaves in 0."""
    lower, upper = result.effect.interval(level=LEVEL)
    return lower <= 0 <= upper


def study(n, k, cases, base, side, world, rng):
    """One selection without a program; name -> whether it is taken for an effect, or noticed."""
    trials = rng.integers(cases // 2, cases * 3 // 2 + 1, n)
    results = rng.binomial(trials, rates(n, base, rng, **world)) / trials
    order = np.argsort(results[2] if side == "below" else -results[2], kind="stable")
    chosen = np.zeros(n, dtype=bool)
    chosen[order[:k]] = True
    hidden = np.where(chosen, results[3], np.nan)
    found = {}
    for name, after in (("alone", hidden), ("others", results[3])):
        shrunken = correct_unit_selection(
            results[2] * trials, after * trials, chosen=chosen, before_trials=trials,
            after_trials=trials, draws=DRAWS, rng=rng,
        )  # fmt: skip
        found[f"shrinkage, {name}"] = not holds(shrunken)
        replayed = replay_selection(results[:3].T, after, n_chosen=k, side=side, draws=300, rng=rng)
        found[f"replay, {name}"] = not holds(replayed)
    replayed = replay_selection(
        results[:3].T, results[3], n_chosen=k, side=side, alike="odds", draws=300, rng=rng
    )
    found["replay, odds"] = not holds(replayed)
    names = ("shared", "one by one", "inwards")
    passed = [check.passed for check in shrunken.checks]
    return found | dict(
        zip((f"check: {one}" for one in names), (not p for p in passed), strict=True)
    )


def main():
    """Measure every world and write the page."""
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    began, rows = perf_counter(), []
    for place, (name, world) in enumerate(WORLDS.items()):
        for number, (n, k, cases, base) in enumerate(GRID):
            rng = np.random.default_rng([SEED, place, number])
            sides = ["below", "above"] * (replicates // 2)
            found = [study(n, k, cases, base, side, world, rng) for side in sides]
            shares = {key: np.mean([one[key] for one in found]) for key in found[0]}
            rows.append(((name, f"{n}, {k}", f"{cases}, {base:g}"), shares))
        write(rows, len(sides), perf_counter() - began)


def write(rows, replicates, seconds):
    """Write the page."""
    columns = list(rows[0][1])
    order = [name for kind in ("shrinkage", "replay", "check") for name in columns
             if name.startswith(kind)]  # fmt: skip
    lines = [
        "# Units picked for their results: how often what moves all is taken for an effect",
        "",
        f"Written by `python benchmarks/selected_units.py` ({replicates:,} selections a row, half "
        f"of the lowest and half of the highest units; seed {SEED}, {seconds / 60:.0f} minutes). "
        "No program anywhere. Percent of selections whose 95 % interval leaves out 0 (5 is right; "
        f"the Monte Carlo standard error there is {100 * np.sqrt(0.0475 / replicates):.1f}), and "
        "of those in which a check fails. *alone*: follow-ups of the units not chosen are not "
        "given, which is also what both did before they took off what moved the others. True log "
        "odds have SD .35 over units; four windows, the third selects, the fourth is the "
        'follow-up. *odds*: the replay with `alike="odds"`, the scale on which '
        "these worlds move. *Winter* is in the second and fourth, so that the "
        "replay sees one change into winter and one out of it.",
        "",
        "| what moves | units, chosen | cases each, rate | " + " | ".join(order) + " |",
        "|---|---|---|" + "---|" * len(order),
    ]
    for labels, shares in rows:
        cells = [f"{100 * shares[name]:.1f}" for name in order]
        lines.append("| " + " | ".join([*labels, *cells]) + " |")
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
