"""Measure how often the intervals from published percentages hold the truth, and write the table.

Run: ``python benchmarks/aggregates_coverage.py`` (about 5 minutes of one core). Pilots are made
from the priors, patient by patient and doctor by doctor, and published as rounded percentages;
only these figures go into the posterior. ``--pilots 200`` sets the number of pilots of each row.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from outcomekpi.pilots.estimators.aggregate_posterior import draw_aggregates
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.published import PublishedFigures

PILOTS = 1000
DRAWS = 600
SEED = 20261
YEARS = 2.0
LEVELS = (0.5, 0.8, 0.95)
PAGE = Path(__file__).with_suffix(".md")


def exactly(value):
    """A quantity that is known."""
    return PriorRange(lower=value, upper=value)


UNPAIRED = replace(AggregatePriors(), pairing=exactly(0.0))


@dataclass(frozen=True, kw_only=True)
class World:
    """How pilots are made and published.

    Attributes
    ----------
    priors : that everything unknown is drawn from, and that the posterior uses
    direction : whether higher or lower is better; None publishes successes alone, and the
        posterior is not told which side is better
    digits : decimals of the published percentages
    publishes_n : whether the numbers of patients are published
    publishes_change : whether a relative change is published in place of the levels
    """

    priors: AggregatePriors = UNPAIRED
    direction: str | None = "higher"
    digits: int = 0
    publishes_n: bool = False
    publishes_change: bool = False


FEW = PriorRange(lower=15, upper=40, scale="log")
WORLDS = {
    "as by default, other patients after": World(),
    "numbers of patients published": World(publishes_n=True),
    "lower is better": World(direction="lower"),
    "successes alone are published, side not told": World(direction=None),
    "15 to 40 patients": World(priors=replace(UNPAIRED, patients=FEW), publishes_n=True),
    "one decimal": World(digits=1, publishes_n=True),
    "same patients, correlation .3": World(
        priors=replace(AggregatePriors(), pairing=exactly(0.3), icc=exactly(1e-6)),
        publishes_n=True,
    ),
    "small effects, skeptical prior": World(priors=replace(UNPAIRED, effect_sd=10.0)),
    "relative change, prior of the base": World(
        priors=replace(UNPAIRED, base=PriorRange(lower=0.1, upper=0.4, scale="logit")),
        publishes_change=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What one pilot published, and the truth behind it in percentage points."""

    figures: PublishedFigures
    effect: float
    change: float


def draw(one, rng):
    """One value of a prior range."""
    return float(one.quantiles(np.array(rng.random())))


def draw_truth(world, sign, rng):
    """Proportions before, without and with the program, and the one counted after it."""
    priors = world.priors
    while True:
        before = draw(priors.base, rng) if priors.base else rng.uniform(0.001, 0.999)
        with_program = rng.uniform(0.001, 0.999)
        drift = draw(priors.trend, rng) * YEARS + draw(priors.regression_range(None), rng)
        without = float(np.clip(before + sign * drift / 100, 1e-3, 1 - 1e-3))
        effect = 100 * (with_program - without)
        sd = priors.effect_sd
        if sd is None or rng.random() < np.exp(-0.5 * (effect / sd) ** 2):
            break
    better = with_program if sign > 0 else 1 - with_program
    better = better / (better + (1 - better) * (1 - draw(priors.attrition, rng)))
    return before, effect, better if sign > 0 else 1 - better


def count_patients(proportion, patients, priors, rng):
    """Share of patients with the outcome: doctors differ by a beta distribution with this ICC."""
    per_doctor = min(max(1.0, draw(priors.patients_per_doctor, rng)), patients)
    spread = 1 / draw(priors.icc, rng) - 1
    doctors = max(1, round(patients / per_doctor))
    sizes = np.full(doctors, patients // doctors)
    sizes[: patients % doctors] += 1
    chances = rng.beta(proportion * spread, (1 - proportion) * spread, doctors)
    return rng.binomial(sizes, chances).sum() / patients


def count_pairs(before, after, patients, correlation, rng):
    """Shares before and after of the same patients, whose outcomes correlate (as far as can be)."""
    both = before * after + correlation * np.sqrt(before * (1 - before) * after * (1 - after))
    both = min(both, before, after)
    cells = np.array([both, before - both, after - both, 1 - before - after + both])
    counts = rng.multinomial(patients, np.clip(cells, 0, 1) / np.clip(cells, 0, 1).sum())
    return (counts[0] + counts[1]) / patients, (counts[0] + counts[2]) / patients


def publish(world, rng):
    """One pilot; None where nothing would have been published."""
    known = {"higher": 1, "lower": -1}
    sign = known.get(world.direction) or int(rng.choice([-1, 1]))
    before, effect, after = draw_truth(world, sign, rng)
    priors = world.priors
    patients = max(2, round(draw(priors.patients, rng)))
    if priors.pairing.lower > 0:
        shares = count_pairs(before, after, patients, priors.pairing.lower, rng)
    else:
        shares = [count_patients(p, patients, priors, rng) for p in (before, after)]
    if world.direction is None and sign * (shares[1] - shares[0]) <= 0:
        return None
    given = {"unit": "percent", "years": YEARS, "rounding": 0.5 * 10**-world.digits}
    if world.publishes_n:
        given |= {"n_before": patients, "n_after": patients}
    if world.publishes_change:
        if shares[0] == 0:
            return None
        change = round(100 * (shares[1] / shares[0] - 1), world.digits)
        if change <= -100:
            return None
        given |= {"change": change, "reading": "relative"}
    else:
        given |= {
            "before": round(100 * shares[0], world.digits),
            "after": round(100 * shares[1], world.digits),
        }
    return Pilot(figures=PublishedFigures(**given), effect=effect, change=100 * (after - before))


def place_truth(world, pilots, rng, *, draws=DRAWS):
    """(pilot, 2): posterior probability below the true effect, and below the true change."""
    places = []
    while len(places) < pilots:
        pilot = publish(world, rng)
        if pilot is None:
            continue
        drawn = draw_aggregates(
            pilot.figures,
            world.priors,
            direction=world.direction,
            selected=None,
            draws=draws,
            rng=rng,
        )
        change = 100 * (drawn.after - drawn.before)
        places.append(((drawn.effect < pilot.effect).mean(), (change < pilot.change).mean()))
    return np.array(places)


def coverage(places, level):
    """Share of the pilots whose truth lies within the central interval; per column."""
    tail = (1 - level) / 2
    return ((places >= tail) & (places <= 1 - tail)).mean(axis=0)


def write(pilots):
    """Write the page beside this file."""
    title = "Coverage of the posterior from published percentages"
    lines = [
        f"# {title}",
        "",
        f"Written by `python benchmarks/aggregates_coverage.py` ({pilots:,} pilots a row, seed "
        f"{SEED}, {DRAWS} draws each). Share of intervals that hold the truth, in percent. Pilots "
        "are made from the priors: doctors with beta distributed proportions, binomial patients, "
        "trend, regression to the mean, a program, patients who leave the count, percentages "
        "rounded for print. Monte Carlo standard error: "
        f"{100 * np.sqrt(0.25 / pilots):.1f} points at 50 %, "
        f"{100 * np.sqrt(0.16 / pilots):.1f} at 80 %, "
        f"{100 * np.sqrt(0.0475 / pilots):.1f} at 95 %. "
        "*Mean place* is the mean posterior probability below the truth; 50 % is unbiased.",
        "",
        "| pilots | quantity | 50 % | 80 % | 95 % | mean place |",
        "|---|---|---|---|---|---|",
    ]
    for name, world in WORLDS.items():
        places = place_truth(world, pilots, np.random.default_rng(SEED))
        for column, quantity in enumerate(("effect of the program", "change")):
            cells = [f"{100 * coverage(places, level)[column]:.1f}" for level in LEVELS]
            mean = f"{100 * places[:, column].mean():.1f}"
            lines.append(f"| {name} | {quantity} | {' | '.join(cells)} | {mean} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=PILOTS)
    write(parser.parse_args().pilots)
