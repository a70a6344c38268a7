"""Simulation-based calibration and interval coverage of the fast engine.

Parameters are drawn from the priors, data from the parameters, and the engine is asked for the
posterior. If it is right, the rank of the truth among the draws is uniform and an interval of
level L holds the truth in a share L of the data sets (Talts et al. 2018, arXiv:1804.06788). The
log likelihood of all parameters together is ranked as well, which sees errors in how they depend
on each other (Modrák et al. 2025, Bayesian Analysis).

    python benchmarks/sbc.py                  # writes benchmarks/sbc.md, some minutes
    python benchmarks/sbc.py --data-sets 200 --studies bernoulli --out ""
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.special import expit

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.draws_tree import PosteriorSamples
from outcomekpi.engine.engine import build_target, sample_quadrature
from outcomekpi.engine.mode import find_mode
from outcomekpi.engine.proposal import propose_normal
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import HalfNormal, Normal, Priors

DRAWS = 1000
BINS = 20
LEVELS = (0.50, 0.80, 0.90, 0.95)
SLOPES, SDS = Normal(0.0, 0.5), HalfNormal(0.5)
N_TERMS, DOCTORS_PER_HOSPITAL = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One model whose posterior is checked."""

    family: str
    number: int
    n_rows: int
    intercept: Normal
    nested: bool = False
    n_doctors: int = 40
    coefficient: Normal = SLOPES
    sd: HalfNormal = SDS

    @property
    def priors(self) -> Priors:
        return Priors(
            intercept=self.intercept,
            coefficient=self.coefficient,
            sd_doctor=self.sd,
            sd_hospital=self.sd,
            sd_residual=HalfNormal(1.5),
        )


STUDIES = {
    "bernoulli": Study(family="bernoulli", number=1, n_rows=2000, intercept=Normal(-1.5, 1.0)),
    "binomial": Study(family="binomial", number=2, n_rows=400, intercept=Normal(-1.5, 1.0)),
    "poisson": Study(family="poisson", number=3, n_rows=1000, intercept=Normal(-1.0, 1.0)),
    "gaussian": Study(family="gaussian", number=4, n_rows=1000, intercept=Normal(1.0, 2.0)),
    "bernoulli in hospitals": Study(
        family="bernoulli",
        number=5,
        n_rows=1000,
        n_doctors=20,
        intercept=Normal(-1.0, 0.7),
        nested=True,
    ),
    "control": Study(family="bernoulli", number=1, n_rows=2000, intercept=Normal(-1.5, 1.0)),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """The parameters that a data set was drawn from."""

    beta: np.ndarray
    sd_doctor: float
    doctor_effect: np.ndarray
    sd_hospital: float
    hospital_effect: np.ndarray
    sd_residual: float


def simulate(study: Study, rng: np.random.Generator) -> tuple[Model, Truth]:
    """Draw parameters from the priors and a data set from the parameters."""
    n_doctors = study.n_doctors
    beta = np.append(
        rng.normal(study.intercept.mean, study.intercept.sd),
        rng.normal(study.coefficient.mean, study.coefficient.sd, N_TERMS),
    )
    sds = np.abs(rng.normal(size=2)) * study.sd.scale
    residual = abs(rng.normal()) * study.priors.sd_residual.scale
    n_hospitals = n_doctors // DOCTORS_PER_HOSPITAL
    truth = Truth(
        beta=beta,
        sd_doctor=sds[0],
        doctor_effect=rng.normal(0.0, sds[0], n_doctors),
        sd_hospital=sds[1],
        hospital_effect=rng.normal(0.0, sds[1], n_hospitals),
        sd_residual=residual,
    )
    weights = rng.gamma(2.0, 1.0, n_doctors)
    rest = rng.choice(n_doctors, study.n_rows - n_doctors, p=weights / weights.sum())
    code = np.sort(np.concatenate([np.arange(n_doctors), rest])).astype(np.intp)
    matrix = rng.normal(size=(study.n_rows, N_TERMS))
    matrix[:, 0] = rng.random(study.n_rows) < 0.3
    matrix = np.asfortranarray((matrix - matrix.mean(axis=0)) / matrix.std(axis=0))
    trials = rng.integers(1, 10, study.n_rows).astype(float)
    exposure = rng.gamma(4.0, 0.25, study.n_rows)
    hospital_code = (np.arange(n_doctors) % n_hospitals).astype(np.intp) if study.nested else None
    model = Model(
        family=study.family,
        outcome=np.zeros(study.n_rows),
        trials=trials if study.family == "binomial" else None,
        exposure=exposure if study.family == "poisson" else None,
        matrix=matrix,
        doctor_code=code,
        n_doctors=n_doctors,
        hospital_code=hospital_code,
        n_hospitals=n_hospitals if study.nested else 0,
        priors=study.priors,
        doctor_effects="normal",
    )
    model.outcome[:] = _draw_outcome(model, truth, rng)
    return model, truth


def _draw_outcome(model: Model, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    total = truth.doctor_effect
    if model.hospital_code is not None:
        total = total + truth.hospital_effect[model.hospital_code]
    eta = truth.beta[0] + model.matrix @ truth.beta[1:] + total[model.doctor_code]
    if model.family == "gaussian":
        return rng.normal(eta, truth.sd_residual)
    if model.family == "poisson":
        return rng.poisson(model.exposure * np.exp(eta)).astype(float)
    trials = 1 if model.trials is None else model.trials.astype(int)
    return rng.binomial(trials, expit(eta)).astype(float)


def log_likelihood(
    model: Model, beta: np.ndarray, total: np.ndarray, residual: np.ndarray
) -> np.ndarray:
    """Log likelihood given all effects, (draw,): beta (draw, column), total (doctor, draw)."""
    n_columns = beta.shape[1] - 1
    eta = model.matrix @ beta[:, 1:].T if n_columns else 0.0
    eta = eta + beta[:, 0] + total[model.doctor_code]
    y = model.outcome[:, None]
    if model.family == "gaussian":
        squares = ((y - eta) ** 2).sum(axis=0)
        return -0.5 * squares / residual**2 - y.size * np.log(residual)
    if model.family == "poisson":
        return (y * eta - model.exposure[:, None] * np.exp(eta)).sum(axis=0)
    size = 1.0 if model.trials is None else model.trials[:, None]
    return (y * eta - size * np.logaddexp(0.0, eta)).sum(axis=0)


def quantities(
    model: Model, truth: Truth, samples: PosteriorSamples
) -> dict[str, tuple[float, np.ndarray]]:
    """What is ranked: name -> (truth, draws)."""
    beta = np.column_stack((samples.intercept, samples.coefficient))
    by_size = np.argsort(np.bincount(model.doctor_code, minlength=model.n_doctors), kind="stable")
    result = {"sd_doctor": (truth.sd_doctor, samples.sd_doctor)}
    result["intercept"] = (truth.beta[0], beta[:, 0])
    for term in range(N_TERMS):
        result[f"slope {term + 1}"] = (truth.beta[term + 1], beta[:, term + 1])
    for name, at in (("smallest", 0), ("middle", model.n_doctors // 2), ("largest", -1)):
        doctor = by_size[at]
        result[f"effect, {name} doctor"] = (
            truth.doctor_effect[doctor],
            samples.doctor_effect[doctor],
        )
    result["mean effect"] = (truth.doctor_effect.mean(), samples.doctor_effect.mean(axis=0))
    total, true_total = samples.doctor_effect, truth.doctor_effect
    if samples.hospital_effect is not None:
        result["sd_hospital"] = (truth.sd_hospital, samples.sd_hospital)
        for hospital in (0, 1):
            result[f"effect, hospital {hospital + 1}"] = (
                truth.hospital_effect[hospital],
                samples.hospital_effect[hospital],
            )
        total = total + samples.hospital_effect[model.hospital_code]
        true_total = true_total + truth.hospital_effect[model.hospital_code]
    residual = samples.sd_residual
    if residual is not None:
        result["sd_residual"] = (truth.sd_residual, residual)
    result["log likelihood"] = (
        log_likelihood(model, truth.beta[None], true_total[:, None], truth.sd_residual)[0],
        log_likelihood(model, beta, total, residual),
    )
    return result


def _control(model: Model, seed: int) -> np.ndarray:
    """Doctor SDs of the normal at the mode without weights: wrong, and seen to be."""
    target = build_target(model)
    start = np.append(np.zeros(N_TERMS + 1), np.log(0.3))
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    return np.exp(propose_normal(mode, DRAWS, np.random.default_rng(seed)).thetas[:, -1])


def one_data_set(index: int, *, name: str, seed: int) -> dict[str, object]:
    """Simulate, fit, rank; the same result in whatever process and order."""
    study = STUDIES[name]
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(study.number, index)))
    model, truth = simulate(study, rng)
    row: dict[str, object] = {"data set": index, "failure": ""}
    try:
        if name == "control":
            ranked = {"sd_doctor": (truth.sd_doctor, _control(model, index))}
        else:
            samples = sample_quadrature(model, draws=DRAWS, seed=index)
            ranked = quantities(model, truth, samples)
            row.update({f"engine {key}": value for key, value in samples.diagnostics.items()})
    except EngineError as error:
        return row | {"failure": str(error)}
    for quantity, (true, draws) in ranked.items():
        row[f"rank {quantity}"] = int((draws < true).sum())
        for level in LEVELS:
            ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
            row[f"{level:.0%} {quantity}"] = bool(ends[0] <= true <= ends[1])
    return row


def run_study(name: str, *, n_data_sets: int, seed: int, workers: int) -> pd.DataFrame:
    """One row per data set."""
    job = partial(one_data_set, name=name, seed=seed)
    if workers == 1:
        return pd.DataFrame([job(index) for index in range(n_data_sets)])
    with ProcessPoolExecutor(workers) as pool:
        return pd.DataFrame(list(pool.map(job, range(n_data_sets), chunksize=10)))


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Per quantity: p-values of uniformity, and coverage of the intervals."""
    from scipy.stats import chisquare, kstest

    good = rows[rows["failure"] == ""]
    table = []
    for column in good.columns[good.columns.str.startswith("rank ")]:
        quantity = column.removeprefix("rank ")
        share = (good[column].to_numpy(dtype=float) + 0.5) / (DRAWS + 1)
        counts = np.bincount((share * BINS).astype(int), minlength=BINS)
        table.append(
            {"quantity": quantity, "chi2 p": chisquare(counts).pvalue}
            | {"KS p": kstest(share, "uniform").pvalue}
            | {f"{lv:.0%}": good[f"{lv:.0%} {quantity}"].mean() for lv in LEVELS}
        )
    return pd.DataFrame(table).set_index("quantity")


def _markdown(table: pd.DataFrame) -> Iterable[str]:
    yield "| quantity | " + " | ".join(table.columns) + " |"
    yield "|---|" + "---:|" * len(table.columns)
    for name, row in table.iterrows():
        cells = [f"{value:.3f}" for value in row]
        yield f"| {name} | " + " | ".join(cells) + " |"


def _describe(name: str, rows: pd.DataFrame, seconds: float) -> list[str]:
    """Section of the report on one study."""
    study = STUDIES[name]
    n_failed = int((rows["failure"] != "").sum())
    table = summarize(rows)
    p_values = table[["chi2 p", "KS p"]].to_numpy()
    nested = f", {study.n_doctors // DOCTORS_PER_HOSPITAL} hospitals" if study.nested else ""
    lines = [
        f"## {name}",
        "",
        f"{len(rows)} data sets of {study.n_rows} rows, {study.n_doctors} doctors{nested}, "
        f"{N_TERMS} covariates; intercept ~ {study.intercept}, slopes ~ {study.coefficient}, SDs ~ "
        f"{study.sd}"
        + (", residual SD ~ HalfNormal(1.5)" if study.family == "gaussian" else "")
        + f". {n_failed} refused by the engine. {seconds:.0f} s.",
    ]
    if name != "control":
        lines += [
            f"Smallest of {p_values.size} p-values {p_values.min():.4f} (if all is right, below "
            f"{1 - 0.95 ** (1 / p_values.size):.4f} once in 20 studies). "
            + _describe_engine(rows[rows["failure"] == ""]),
        ]
    return [*lines, "", *_markdown(table), ""]


def _describe_engine(good: pd.DataFrame) -> str:
    parts = []
    if "engine pareto_k" in good:
        parts.append(f"Largest Pareto k {good['engine pareto_k'].max():.2f}")
    if "engine efficiency" in good:
        parts.append(
            f"1 % quantile of the efficiency {good['engine efficiency'].quantile(0.01):.2f}"
        )
    if "engine quadrature_error" in good:
        parts.append(f"largest quadrature error {good['engine quadrature_error'].max():.1g}")
    if "engine proposal" in good:
        counts = good["engine proposal"].value_counts()
        parts.append("proposals: " + ", ".join(f"{key} {n}" for key, n in counts.items()))
    return "; ".join(parts) + "." if parts else ""


def write_report(sections: dict[str, list[str]], path: Path) -> None:
    """Write the sections, keep those of other studies that the file has, and say what it is."""
    kept = {}
    if path.exists():
        for text in path.read_text(encoding="utf-8").split("\n## ")[1:]:
            kept[text.splitlines()[0]] = ["## " + text.rstrip(), ""]
    head = [
        "# Simulation-based calibration of the fast engine",
        "",
        "Written by `python benchmarks/sbc.py`. Parameters come from the priors, data from the "
        f"parameters; if the posterior is right, the rank of the truth among {DRAWS} draws is "
        f"uniform (chi-square test of {BINS} bins, Kolmogorov-Smirnov test) and intervals of each "
        "level hold the truth in that share of the data sets. The control is a normal at the "
        "posterior mode without importance weights, and has to fail.",
        "",
    ]
    every = kept | sections
    lines = head + [line for name in STUDIES if name in every for line in every[name]]
    scratch = path.with_suffix(".tmp")
    scratch.write_text("\n".join(lines), encoding="utf-8")
    scratch.replace(path)


def _origin(n_data_sets: int, seed: int) -> str:
    """Say when, with what and how precisely a study was run."""
    from importlib.metadata import version

    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "outcomekpi"))
    errors = ", ".join(
        f"{(level * (1 - level) / n_data_sets) ** 0.5:.3f} at {level:.0%}" for level in LEVELS
    )
    return f"{date.today()}, seed {seed}, {versions}. Standard error of a coverage: {errors}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--studies", nargs="+", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".md")))
    arguments = parser.parse_args()
    sections: dict[str, list[str]] = {}
    for name in arguments.studies:
        began = perf_counter()
        rows = run_study(
            name,
            n_data_sets=arguments.data_sets,
            seed=arguments.seed,
            workers=arguments.workers,
        )
        section = _describe(name, rows, perf_counter() - began)
        section[-1:] = ["", _origin(arguments.data_sets, arguments.seed), ""]
        print("\n".join(section), flush=True)
        for failure in rows.loc[rows["failure"] != "", "failure"].unique()[:5]:
            print("refused:", failure, flush=True)
        sections[name] = section
        if arguments.out:
            write_report(sections, Path(arguments.out))


if __name__ == "__main__":
    main()
