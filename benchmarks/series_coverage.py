"""Measure how often the intervals of an interrupted series hold the truth, and write the table.

Run: ``python benchmarks/series_coverage.py`` (about 15 minutes of one core), or name the studies
that are measured again: ``python benchmarks/series_coverage.py Poisson Binomial``.
``--replicates 200`` sets the number of series of each cell.
"""

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import expit, stdtrit

from outcomekpi.pilots.designs.series_effects import realized_weights
from outcomekpi.pilots.designs.series_forecast import fit_forecast
from outcomekpi.pilots.designs.series_model import (
    SeriesModel,
    fit_model,
    level_loads,
    model_working,
    pair_with_control,
    weigh,
)
from outcomekpi.pilots.designs.series_wandering import choose_method, judge_wandering
from outcomekpi.pilots.estimators.bayesian_series import fit_posterior
from outcomekpi.pilots.estimators.structural_series import (
    DEFAULT_PRIOR,
    WANDERING_PRIOR,
    fit_structural,
)
from outcomekpi.pilots.estimators.working_series import WorkingSeries

REPLICATES = 1000
SEED = 20261
LEVEL = 0.95
RHOS = (0.0, 0.2, 0.4, 0.6)
LENGTHS = (24, 48, 96)
EFFECTS = ("level change", "slope change", "average effect", "observed minus forecast")
PAGE = Path(__file__).with_suffix(".md")
DOCS = Path(__file__).parents[1] / "docs" / "methods" / "interrupted.md"
SHOWN = ("Gaussian", "Poisson")


@dataclass(frozen=True)
class World:
    """How series are made: family, length, autocorrelations, whether a control stands beside."""

    family: str
    length: int
    phi: tuple[float, ...]
    controlled: bool = False
    step: float | None = None
    walk: bool = False

    @property
    def noise(self):
        """Words of the column of noise."""
        if self.walk:
            return "random walk"
        if self.step is not None:
            return f"step {self.step:g}"
        return ", ".join(f"{value:g}" for value in self.phi)


def make_model(family, length, method, order):
    """An empty model of a series with the start in the middle, trend, level and slope change."""
    since = np.arange(length) - length // 2
    after = since >= 0
    ones = np.ones(length)
    return SeriesModel(
        family=family,
        method=method,
        order=order,
        names=("intercept", "trend", "level change", "slope change"),
        terms=np.column_stack([ones, since, after, after * since]).astype(float),
        program=np.array([False, False, True, True]),
        outcome=ones,
        size=200 * ones if family == "binomial" else ones,
        offset=0 * ones,
        used=after | ~after,
        after=after,
        before=~after,
    )


def noise(world, rng):
    """Autoregressive noise of variance 1, begun in its stationary state; a walk has steps of 1."""
    if world.walk:
        return rng.standard_normal(world.length).cumsum()
    phi, burn = np.array(world.phi), 200
    values = np.zeros(burn + world.length)
    shocks = rng.standard_normal(values.size)
    for time in range(phi.size, values.size):
        values[time] = phi @ values[time - phi.size : time][::-1] + shocks[time]
    scale = 1 / np.sqrt(1 - phi[0] ** 2) if phi.size == 1 else 1.0
    return values[burn:] / scale


def simulate(world, rng):
    """Outcomes of the treated series and of the control, no effect in either.

    Gaussian: noise of SD 1 around 0. Poisson: 50 events a period, log rate with noise of SD .15
    (a dispersion of 2.1). Binomial: 40 % of 200 a period, logit with noise of SD .2 (2.9). With a
    control, both share a random walk of SD .1 (of the noise's scale) a period. With a step, the
    level of a Gaussian series wanders by so much a period about noise of SD 1.
    """
    if world.step is not None:
        level = world.step * rng.standard_normal(world.length).cumsum()
        return [level + rng.standard_normal(world.length)]
    walk = rng.standard_normal(world.length).cumsum() * 0.1 * world.controlled
    both = []
    for _ in range(1 + world.controlled):
        u = noise(world, rng) + walk
        if world.family == "poisson":
            both.append(rng.poisson(50 * np.exp(0.15 * u)).astype(float))
        elif world.family == "binomial":
            both.append(rng.binomial(200, expit(np.log(2 / 3) + 0.2 * u)).astype(float))
        else:
            both.append(u)
    return both


def contrasts(model):
    """Weights of level change, slope change and average effect on the scale of the link."""
    average = (model.terms - model.without)[model.after].mean(axis=0)
    return np.array([[0, 0, 1, 0], [0, 0, 0, 1], average])


NONE = (np.nan, np.nan)


def span(fit, weights, level=LEVEL):
    """Interval of a combination."""
    value, error, degrees = fit.contrast(weights)
    half = stdtrit(min(degrees, 1e9), 0.5 + level / 2) * error
    return value - half, value + half


def judge(model):
    """Interval of each effect of a model; of the forecast by REML alone."""
    fit = fit_model(model)
    spans = [span(fit, weights) for weights in contrasts(model)]
    forecast = fit_forecast(model) if model.method == "reml" else None
    if forecast is None:
        return [*spans, NONE]
    return [*spans, span(forecast.fit, realized_weights(model, forecast))]


def judge_default(model):
    """The same for the default: REML, or a level that wanders about the trend."""
    if choose_method("auto", judge_wandering(model)) == "reml":
        return judge(model)
    return judge_trend(model)


def judge_trend(model):
    """The same for a level that wanders about the trend."""
    model = replace(model, method="structural_trend")
    working = model_working(model)
    rows, response, missing = weigh(model.terms, working, model.offset, model.used)
    loads = level_loads(working, model.used)[0]
    posterior = fit_structural(rows, response, missing=missing, loads=loads)
    spans = [
        posterior.interval(weights, prior=WANDERING_PRIOR, level=LEVEL)
        for weights in contrasts(model)
    ]
    ahead = fit_forecast(model)
    if ahead is None:
        return [*spans, NONE]
    whole = fit_structural(ahead.rows, ahead.response, missing=ahead.missing, loads=ahead.loads)
    weights = realized_weights(model, ahead)
    return [*spans, whole.interval(weights, prior=WANDERING_PRIOR, level=LEVEL)]


def judge_bayes(model):
    """The same for the Bayesian model."""
    working = WorkingSeries(response=model.outcome, weights=np.ones_like(model.outcome))
    rows, response, missing = weigh(model.terms, working, model.offset, model.used)
    posterior = fit_posterior(rows, response, missing=missing)
    spans = [
        posterior.interval(weights, prior="uniform", level=LEVEL) for weights in contrasts(model)
    ]
    return [*spans, NONE]


def judge_structural(model):
    """The same for a wandering level without slope change, under the default prior."""
    terms = model.terms[:, [0, 2]]
    posterior = fit_structural(terms, model.outcome)
    found = posterior.interval(np.array([0, 1.0]), prior=DEFAULT_PRIOR, level=LEVEL)
    return [found, NONE, found, NONE]


def judge_newey_west(model):
    """Ordinary least squares with Newey-West errors (one lag, small-sample factor, t)."""
    x, y = model.terms, model.outcome
    bread = np.linalg.inv(x.T @ x)
    residual = y - x @ (bread @ x.T @ y)
    score = x * residual[:, None]
    cross = score[1:].T @ score[:-1]
    meat = score.T @ score + 0.5 * (cross + cross.T)
    free = y.size - x.shape[1]
    covariance = bread @ meat @ bread * y.size / free
    beta = bread @ x.T @ y
    spans = []
    for weights in contrasts(model):
        half = stdtrit(free, 0.5 + LEVEL / 2) * np.sqrt(weights @ covariance @ weights)
        spans.append((weights @ beta - half, weights @ beta + half))
    return [*spans, NONE]


SPECIAL = {
    "auto": judge_default,
    "structural_trend": judge_trend,
    "bayes": judge_bayes,
    "structural": judge_structural,
    "newey_west": judge_newey_west,
}


def measure(world, methods, replicates, rng):
    """Intervals of every method on the same series, method -> (series, effect, 2)."""
    models = {
        (name, order): make_model(
            world.family, world.length, "reml" if name in SPECIAL else name, order
        )
        for name, order in methods
    }
    spans = {key: [] for key in models}
    for _ in range(replicates):
        series = simulate(world, rng)
        for key, model in models.items():
            filled = replace(model, outcome=series[0])
            if world.controlled:
                size = filled.size
                filled = pair_with_control(filled, series[1], size)
            spans[key].append(SPECIAL.get(key[0], judge)(filled))
    return {key: np.array(rows, dtype=float) for key, rows in spans.items()}


def coverage(spans):
    """(effect,), share of intervals that hold 0; nan where there are none."""
    held = np.where(np.isnan(spans[..., 0]), np.nan, (spans[..., 0] <= 0) & (spans[..., 1] >= 0))
    return held.mean(axis=0)


def widths(spans):
    """Median and 95th percentile of the width of the average effect's interval, as text."""
    wide = spans[:, EFFECTS.index("average effect"), 1] - spans[:, 2, 0]
    return f"{np.median(wide):.1f} / {np.quantile(wide, 0.95):.1f}"


def studies():
    """Title -> worlds and methods."""
    ar1 = [(n, (rho,)) for n in LENGTHS for rho in RHOS]
    everything = [("reml", 1), ("prais_winsten", 1), ("bayes", 1), ("independent", 0)]
    counts = [("reml", 1), ("prais_winsten", 1), ("quasi", 0), ("independent", 0)]
    short = [(n, (rho,)) for n in (10, 14) for rho in (0.0, 0.4)]
    near = [World("gaussian", n, (rho,)) for n in (24, 31, 48, 60) for rho in (0.9, 0.95)]
    near += [World("gaussian", n, (), walk=True) for n in (24, 31, 48, 60)]
    return {
        "Gaussian": ([World("gaussian", *w) for w in ar1], [*everything, ("newey_west", 1)]),
        "Gaussian, fewer than 8 points a side": (
            [World("gaussian", *w) for w in short],
            everything,
        ),
        "Gaussian, second-order noise (.4, .3)": (
            [World("gaussian", n, (0.4, 0.3)) for n in LENGTHS],
            [("reml", 1), ("reml", 2), ("prais_winsten", 2)],
        ),
        "Poisson": ([World("poisson", *w) for w in ar1], counts),
        "Binomial": ([World("binomial", 48, (rho,)) for rho in RHOS], counts),
        "Controlled, difference, Gaussian": (
            [World("gaussian", 48, (rho,), controlled=True) for rho in RHOS],
            everything[:3],
        ),
        "Controlled, difference, Poisson": (
            [World("poisson", 48, (rho,), controlled=True) for rho in RHOS],
            counts[:2],
        ),
        "Controlled, difference, binomial": (
            [World("binomial", 48, (rho,), controlled=True) for rho in RHOS],
            counts[:2],
        ),
        "Gaussian, a level that wanders": (
            [World("gaussian", n, (), step=s) for n in (48, 96) for s in (0.0, 0.1, 0.3, 1.0)],
            [("structural", 1), ("reml", 1)],
        ),
        "Gaussian, near a unit root": (
            sorted(near, key=lambda world: world.length),
            [("auto", 1), ("reml", 1)],
        ),
        "Gaussian, the default with its switch": (
            [World("gaussian", *w) for w in ar1],
            [("auto", 1), ("reml", 1)],
        ),
        "Poisson, near a unit root": (
            [
                World("poisson", 48, (0.6,)),
                World("poisson", 48, (0.9,)),
                World("poisson", 48, (0.95,)),
            ],
            [("auto", 1), ("reml", 1), ("quasi", 0)],
        ),
    }


def tabulate(rows):
    """Lines of the table of one study."""
    heads = [*EFFECTS, "width of the average effect, median / 95th percentile"]
    lines = ["| T | noise | method | " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(heads))
    for world, (name, order), spans in rows:
        label = f"{name} ({order})" if order > 1 else name
        cells = ["" if np.isnan(value) else f"{100 * value:.1f}" for value in coverage(spans)]
        cells.append(widths(spans))
        lines.append(f"| {world.length} | {world.noise} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(tables, replicates):
    """Write the page, with the sections that were not measured again as they were."""
    error = np.sqrt(LEVEL * (1 - LEVEL) / REPLICATES)
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    sections = {
        title: text.strip()
        for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", old, flags=re.M | re.S)
    }
    few = f"{replicates:,} series a cell.\n\n" if replicates != REPLICATES else ""
    sections |= {title: few + tabulate(rows) for title, rows in tables.items()}
    head = (
        "# Coverage of interrupted series\n\n"
        f"Written by `python benchmarks/series_coverage.py` ({REPLICATES:,} series a cell where a "
        f"section does not say another number, seed {SEED}). Share of 95 % intervals that hold the "
        f"truth, in percent; the Monte Carlo standard error is {100 * error:.1f} points, and grows "
        "with the root of the number. There is no effect in any series, so that "
        "100 less a number is the false-positive rate; trend, level and slope are in the model, "
        "so that the coverage of Gaussian series is the same under any linear effect. T points, "
        "the start in the middle. Noise: autocorrelation of order 1 (two numbers: coefficients "
        "of order 2), the step of a wandering level, or a random walk with steps of 1 (all other "
        "noise has a variance of 1). Widths, where they were measured, are on the scale of the "
        "link. *Observed minus forecast* uses the "
        "points before the start alone.\n"
    )
    known = [title for title in studies() if title in sections]
    body = "\n".join(f"## {title}\n\n{sections[title]}\n" for title in known)
    PAGE.write_text(f"{head}\n{body}", encoding="utf-8")
    copy_to_docs(sections)


def copy_to_docs(sections):
    """Print level, slope and average effect, side by side by method, on the page of methods."""
    parts = []
    for title in SHOWN:
        if title not in sections:
            continue
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in sections[title].splitlines()[2:]
        ]
        methods = list(dict.fromkeys(row[2] for row in rows))
        cells = {(row[0], row[1], row[2]): " / ".join(row[3:6]) for row in rows}
        places = list(dict.fromkeys((row[0], row[1]) for row in rows))
        parts.append(f"{title}: level change / slope change / average effect, percent.\n")
        parts.append("| T | rho | " + " | ".join(methods) + " |")
        parts.append("|---|---|" + "---|" * len(methods))
        for length, rho in places:
            shown = " | ".join(cells.get((length, rho, name), "") for name in methods)
            parts.append(f"| {length} | {rho} | {shown} |")
        parts.append("")
    begin, end = "<!-- coverage: begin -->", "<!-- coverage: end -->"
    text = DOCS.read_text(encoding="utf-8")
    table = "\n".join([begin, "", *parts, end])
    marked = re.compile(f"{begin}.*{end}", flags=re.S)
    DOCS.write_text(marked.sub(lambda _: table, text), encoding="utf-8")


def main():
    """Measure every study, or those that are named, and write the page as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", choices=[*studies(), []])
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    chosen = parser.parse_args()
    tables = {}
    for number, (title, (worlds, methods)) in enumerate(studies().items()):
        if chosen.studies and title not in chosen.studies:
            continue
        rng = np.random.default_rng([SEED, number])
        rows = tables.setdefault(title, [])
        for world in worlds:
            spans = measure(world, methods, chosen.replicates, rng)
            rows += [(world, key, values) for key, values in spans.items()]
        write(tables, chosen.replicates)


if __name__ == "__main__":
    main()
