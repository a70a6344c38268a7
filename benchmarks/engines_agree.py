"""Hold the fast engine against NUTS, quantity by quantity, and write the table.

Run: ``python benchmarks/engines_agree.py`` (about 15 minutes on two cores), or name data sets:
``python benchmarks/engines_agree.py surgical "few doctors"``.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

import outcomekpi as ok
from outcomekpi.datasets import simulate_cases
from outcomekpi.engine.draws_tree import PosteriorSamples
from outcomekpi.engine.engine import sample_quadrature
from outcomekpi.engine.nuts import sample_nuts
from outcomekpi.model.design import build_design
from outcomekpi.model.likelihood_model import Model, build_model

MEAN_TOLERANCE = 0.05  # posterior SDs
SD_TOLERANCE = 0.05  # of the SD
MONTE_CARLO_ERRORS = 3.0  # added to each tolerance

SURGICAL_CASES = (47, 148, 119, 810, 211, 196, 148, 215, 207, 97, 256, 360)
SURGICAL_DEATHS = (0, 18, 8, 46, 8, 13, 9, 31, 14, 8, 29, 24)

SETS = {
    "small SD": {"n_cases": 3000, "n_doctors": 40, "sd_doctor": 0.05, "n_covariates": 4},
    "moderate SD": {"n_cases": 4000, "n_doctors": 60, "sd_doctor": 0.4, "n_covariates": 4},
    "large SD": {"n_cases": 3000, "n_doctors": 40, "sd_doctor": 2.0, "n_covariates": 3},
    "rare outcome": {"n_cases": 6000, "n_doctors": 60, "rate": 0.01, "n_covariates": 3},
    "tiny doctors": {"n_cases": 700, "n_doctors": 250, "sd_doctor": 1.0, "n_covariates": 2},
    "few doctors": {"n_cases": 1000, "n_doctors": 5, "sd_doctor": 0.5, "n_covariates": 3},
    "binomial rows": {
        "n_cases": 600,
        "n_doctors": 40,
        "n_covariates": 2,
        "family": "binomial",
    },
    "Poisson": {
        "n_cases": 3000,
        "n_doctors": 50,
        "n_covariates": 3,
        "rate": 0.3,
        "family": "poisson",
    },
    "Gaussian": {
        "n_cases": 2000,
        "n_doctors": 50,
        "n_covariates": 3,
        "rate": 5.0,
        "family": "gaussian",
    },
    "nested": {
        "n_cases": 4000,
        "n_doctors": 60,
        "n_covariates": 2,
        "n_hospitals": 12,
        "sd_hospital": 0.5,
    },
    "nested, few hospitals": {
        "n_cases": 2000,
        "n_doctors": 24,
        "n_covariates": 2,
        "n_hospitals": 6,
        "sd_hospital": 0.1,
    },
    "nested Poisson": {
        "n_cases": 3000,
        "n_doctors": 48,
        "n_covariates": 2,
        "n_hospitals": 12,
        "sd_hospital": 0.4,
        "rate": 0.3,
        "family": "poisson",
    },
    "nested Gaussian": {
        "n_cases": 2000,
        "n_doctors": 48,
        "n_covariates": 2,
        "n_hospitals": 12,
        "sd_hospital": 0.4,
        "rate": 5.0,
        "family": "gaussian",
    },
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Every quantity of a model under both engines: one row each."""

    name: str
    quantities: pd.DataFrame
    seconds_quadrature: float
    seconds_nuts: float
    divergences: float

    @property
    def disagreements(self) -> pd.DataFrame:
        """Quantities beyond tolerance plus Monte Carlo error."""
        return self.quantities[~self.quantities["agrees"]]


def make_model(name: str) -> Model:
    """Data set ``name``, as the engines see it."""
    if name == "surgical":
        frame = pd.DataFrame(
            {"outcome": SURGICAL_DEATHS, "trials": SURGICAL_CASES, "doctor": list("ABCDEFGHIJKL")}
        )
        world = {"family": "binomial", "n_covariates": 0}
    else:
        world = SETS[name]
        frame, _ = simulate_cases(**world, seed=7)
    roles = {role: role for role in ("trials", "exposure", "hospital") if role in frame}
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor", **roles)
    terms = [f"x{k + 1}" for k in range(world["n_covariates"])]
    spec = ok.ModelSpec(case_mix=" + ".join(terms) or None, family=world.get("family"))
    design, cases = build_design(cases, spec)
    return build_model(cases, spec, design)


def compare_engines(name: str, *, draws: int, nuts_draws: int, sampler="auto") -> Comparison:
    """Sample one data set by both engines and hold every quantity against the other."""
    model = make_model(name)
    began = perf_counter()
    fast = sample_quadrature(model, draws=draws, seed=11)
    between = perf_counter()
    reference = sample_nuts(model, draws=nuts_draws, seed=12, target_accept=0.95, sampler=sampler)
    ended = perf_counter()
    return Comparison(
        name=name,
        quantities=compare_samples(fast, reference),
        seconds_quadrature=between - began,
        seconds_nuts=ended - between,
        divergences=float(reference.diagnostics["divergences"]),
    )


def compare_samples(fast: PosteriorSamples, reference: PosteriorSamples) -> pd.DataFrame:
    """Differences of means (in posterior SDs) and ratios of SDs, with Monte Carlo errors."""
    one, other = _quantities(fast), _quantities(reference)
    rows = {}
    for name in other:
        mean_a, sd_a, error_a, sd_error_a = _moments(one[name], 1)
        mean_b, sd_b, error_b, sd_error_b = _moments(other[name], reference.n_chains)
        mean_error = np.hypot(error_a, error_b) / sd_b
        ratio_error = np.hypot(sd_error_a, sd_error_b)
        shift, ratio = (mean_a - mean_b) / sd_b, sd_a / sd_b
        rows[name] = {
            "mean_fast": mean_a,
            "mean_nuts": mean_b,
            "sd_nuts": sd_b,
            "shift": shift,
            "shift_error": mean_error,
            "sd_ratio": ratio,
            "sd_ratio_error": ratio_error,
            "agrees": bool(
                abs(shift) <= MEAN_TOLERANCE + MONTE_CARLO_ERRORS * mean_error
                and abs(ratio - 1.0) <= SD_TOLERANCE + MONTE_CARLO_ERRORS * ratio_error
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"agrees": bool})


def _quantities(samples: PosteriorSamples) -> dict[str, np.ndarray]:
    found = {"intercept": samples.intercept, "sd_doctor": samples.sd_doctor}
    for name in ("sd_hospital", "sd_residual", "dispersion"):
        if getattr(samples, name) is not None:
            found[name] = getattr(samples, name)
    found |= {f"coefficient {k + 1}": draws for k, draws in enumerate(samples.coefficient.T)}
    found |= {f"doctor {j + 1}": draws for j, draws in enumerate(samples.doctor_effect)}
    if samples.hospital_effect is not None:
        found |= {f"hospital {h + 1}": draws for h, draws in enumerate(samples.hospital_effect)}
    return found


def _moments(draws: np.ndarray, n_chains: int) -> tuple[float, float, float, float]:
    """Mean, SD, Monte Carlo error of the mean, relative Monte Carlo error of the SD."""
    import arviz as az

    chains = np.asarray(draws, dtype=float).reshape(n_chains, -1)
    sd = float(chains.std(ddof=1))
    axes = {"chain_axis": 0, "draw_axis": 1}
    error, sd_error = (float(az.mcse(chains, method=method, **axes)) for method in ("mean", "sd"))
    return float(chains.mean()), sd, error, sd_error / sd


def summarize(found: list[Comparison]) -> pd.DataFrame:
    """One row per data set."""
    rows = {}
    for one in found:
        table = one.quantities
        rows[one.name] = {
            "quantities": len(table),
            "largest shift (SD)": table["shift"].abs().max(),
            "its MC error": table["shift_error"][table["shift"].abs().idxmax()],
            "rms shift (SD)": float(np.sqrt((table["shift"] ** 2).mean())),
            "SD ratio, lowest": table["sd_ratio"].min(),
            "SD ratio, highest": table["sd_ratio"].max(),
            "beyond tolerance": int((~table["agrees"]).sum()),
            "divergences": int(one.divergences),
            "fast, s": one.seconds_quadrature,
            "NUTS, s": one.seconds_nuts,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("data set")


def write_table(found: list[Comparison], folder: Path) -> Path:
    """Write the summary as Markdown."""
    summary = summarize(found)
    header = ["data set", *summary.columns]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, row in summary.iterrows():
        cells = [f"{v:.3f}" if isinstance(v, float) and v != int(v) else f"{v:.0f}" for v in row]
        lines.append("| " + " | ".join([str(name), *cells]) + " |")
    text = (
        "# The fast engine against NUTS\n\n"
        "Written by `benchmarks/engines_agree.py` (part of `make validate`). Every parameter, "
        "doctor and hospital of each data set: difference of posterior means in posterior SDs "
        f"(tolerance {MEAN_TOLERANCE} plus {MONTE_CARLO_ERRORS:.0f} Monte Carlo errors of both "
        f"engines), ratio of posterior SDs (tolerance {SD_TOLERANCE:.0%} plus the same).\n\n"
        + "\n".join(lines)
        + "\n"
    )
    path = folder / "engines_agree.md"
    path.write_text(text, encoding="utf-8")
    return path


def main(names: list[str]) -> list[Comparison]:
    """Compare the named data sets, or all of them; for all, write the table as it grows."""
    chosen = names or ["surgical", *SETS]
    found = []
    for name in chosen:
        found.append(compare_engines(name, draws=8000, nuts_draws=8000))
        print(summarize(found[-1:]).to_string(float_format="{:.3f}".format), flush=True)
        if len(found[-1].disagreements):
            print(found[-1].disagreements.to_string(float_format="{:.3f}".format), flush=True)
        if not names:
            write_table(found, Path(__file__).parent)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
