"""Hamiltonian Monte Carlo by PyMC: the reference engine, and what it says about itself."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from os import cpu_count
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError, OutcomeKPIWarning, SpecError, check_choice
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.engine.draws_tree import PosteriorSamples
from outcomekpi.engine.pymc_model import build_pymc_model
from outcomekpi.model.likelihood_model import Model

__all__ = ["Sampler", "sample_nuts"]

Sampler = Literal["auto", "pymc", "nutpie"]

UNUSABLE_R_HAT = 1.1
UNUSABLE_DIVERGENT_SHARE = 0.1
SUSPECT_R_HAT = 1.02
SUSPECT_DIVERGENT_SHARE = 0.001
TAIL = (0.05, 0.95)  # quantiles that the effective sample size of the tails is about

# The two samplers name the same statistics differently; PyMC's names are kept.
_STATISTICS: Mapping[str, tuple[str, ...]] = {
    "lp": ("lp", "logp"),
    "acceptance_rate": ("acceptance_rate", "mean_tree_accept"),
    "tree_depth": ("tree_depth", "depth"),
    "reached_max_treedepth": ("reached_max_treedepth", "maxdepth_reached"),
    "diverging": ("diverging",),
    "energy": ("energy",),
    "n_steps": ("n_steps",),
    "step_size": ("step_size",),
}


def sample_nuts(
    model: Model,
    *,
    draws: int,
    seed: int,
    chains: int = 4,
    tune: int = 1000,
    target_accept: float = 0.9,
    sampler: Sampler = "auto",
    progress: bool = False,
) -> PosteriorSamples:
    """Posterior of a model by the No-U-Turn sampler, with the sampler's own diagnostics.

    Parameters
    ----------
    model : what an engine needs, see :class:`outcomekpi.model.likelihood_model.Model`
    draws : draws kept, over all chains together
    seed : same seed, sampler and versions give the same draws
    chains : independent chains; 4 or more make the convergence diagnostics meaningful
    tune : warm-up draws of each chain, thrown away
    target_accept : acceptance the step size is tuned for; nearer 1 is slower and safer
    sampler : "auto" is nutpie where that package is installed, else PyMC's own; which one ran
        is in the diagnostics
    progress : show PyMC's progress bar

    Returns
    -------
    PosteriorSamples; ``stats`` carry PyMC's names whichever sampler ran, ``diagnostics`` hold
    ``sampler, chains, tune, target_accept, r_hat_max, r_hat_max_parameters, ess_bulk_min,
    ess_tail_min, divergences, max_treedepth_hits, bfmi_min``

    Raises
    ------
    SpecError
        ``draws`` is not a multiple of ``chains``, or an option is not known.
    EngineError
        The chains did not mix (R-hat above 1.1) or more than 10 % of the draws diverged: there
        is no posterior that may be used.

    Warns
    -----
    OutcomeKPIWarning
        More than 1 draw in 1,000 diverged, or R-hat of a parameter is above 1.02.

    References
    ----------
    Hoffman and Gelman (2014), Journal of Machine Learning Research 15.
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis,
    doi:10.1214/20-BA1221 (rank-normalized R-hat and effective sample size).
    """
    chosen = _choose_sampler(sampler)
    if chains < 1 or draws < 4 * chains or draws % chains:
        raise SpecError(
            f"draws must be a multiple of the {chains} chains, at least 4 for each; got {draws}. "
            f"Ask for draws={max(4, -(-draws // max(chains, 1))) * max(chains, 1)}."
        )
    tree = _run(
        model,
        sampler=chosen,
        draws=draws // chains,
        chains=chains,
        options={"tune": tune, "random_seed": seed, "progressbar": progress},
        target_accept=target_accept,
    )
    samples = _collect(tree, model, n_chains=chains)
    diagnostics: dict[str, float | str] = {
        "sampler": chosen,
        "chains": float(chains),
        "tune": float(tune),
        "target_accept": float(target_accept),
        **_diagnose(samples),
    }
    _refuse_or_warn(diagnostics, draws)
    return replace(samples, diagnostics=diagnostics)


def _choose_sampler(sampler: Sampler) -> str:
    check_choice("sampler", sampler, get_args(Sampler))
    installed = find_spec("nutpie") is not None
    if sampler == "nutpie" and not installed:
        raise SpecError(
            "sampler='nutpie' needs the package nutpie, which is not installed. "
            "Install outcomekpi[nutpie], or use sampler='pymc'."
        )
    if sampler == "auto":
        return "nutpie" if installed else "pymc"
    return sampler


def _run(
    model: Model,
    *,
    sampler: str,
    draws: int,
    chains: int,
    options: dict[str, Any],
    target_accept: float,
) -> xr.DataTree:
    import pymc as pm

    pymc_model = build_pymc_model(model)
    # PyMC's chains would be forked processes, unsafe beside threads; nutpie's are threads
    cores = min(chains, cpu_count() or 1) if sampler == "nutpie" else 1
    tree: xr.DataTree = pm.sample(
        draws,
        chains=chains,
        cores=cores,
        nuts={"target_accept": target_accept},
        nuts_sampler=sampler,
        compute_convergence_checks=False,
        quiet=not options["progressbar"],
        model=pymc_model,
        **options,
    )
    return tree


def _collect(tree: xr.DataTree, model: Model, *, n_chains: int) -> PosteriorSamples:
    """Flatten PyMC's draws to (unit, sample), chain after chain, in the names of the package."""
    posterior = tree["posterior"].to_dataset()

    def rows(name: str) -> NDArray[np.float64]:
        return flatten_draws(posterior[name]).astype(np.float64, copy=False)

    def optional(name: str) -> NDArray[np.float64] | None:
        return rows(name)[0] if name in posterior else None

    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    has_terms = model.matrix.shape[1] > 0
    stats = tree["sample_stats"].to_dataset()
    return PosteriorSamples(
        intercept=rows("intercept_standardized")[0],
        coefficient=rows("coefficient_standardized").T if has_terms else np.empty((n_samples, 0)),
        sd_doctor=rows("sd_doctor")[0],
        doctor_effect=rows("doctor_effect"),
        hospital_effect=rows("hospital_effect") if "hospital_effect" in posterior else None,
        sd_hospital=optional("sd_hospital"),
        sd_residual=optional("sd_residual"),
        dispersion=optional("dispersion"),
        n_chains=n_chains,
        stats={
            name: flatten_draws(stats[alias])[0]
            for name, aliases in _STATISTICS.items()
            for alias in aliases
            if alias in stats
        },
    )


def _diagnose(samples: PosteriorSamples) -> dict[str, float | str]:
    """R-hat, effective sample sizes, divergences, tree depth and energy of the chains."""
    from arviz import ess, rhat

    chains = samples.n_chains
    optional = (samples.sd_hospital, samples.sd_residual, samples.dispersion)
    parameters = np.vstack(
        [samples.intercept, samples.coefficient.T, samples.sd_doctor]
        + [values for values in optional if values is not None]
    )
    effects = [samples.doctor_effect]
    if samples.hospital_effect is not None:
        effects.append(samples.hospital_effect)
    every = np.vstack([parameters, *effects])
    shaped = every.reshape(len(every), chains, -1)
    axes = {"chain_axis": 1, "draw_axis": 2}
    r_hat = np.asarray(rhat(shaped, **axes))
    stats = samples.stats
    return {
        "r_hat_max": float(np.max(r_hat)),
        "r_hat_max_parameters": float(np.max(r_hat[: len(parameters)])),
        "ess_bulk_min": float(np.min(ess(shaped, method="bulk", **axes))),
        "ess_tail_min": float(np.min(ess(shaped, method="tail", prob=TAIL, **axes))),
        "divergences": float(stats["diverging"].sum()),
        "max_treedepth_hits": float(stats["reached_max_treedepth"].sum()),
        "bfmi_min": float(np.min(_bfmi(stats["energy"].reshape(chains, -1)))),
    }


def _bfmi(energy: NDArray[Any]) -> NDArray[np.float64]:
    """Bayesian fraction of missing information of each chain (Betancourt 2016)."""
    moved: NDArray[np.float64] = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return moved / energy.var(axis=1)


def _refuse_or_warn(diagnostics: Mapping[str, float | str], draws: int) -> None:
    r_hat = float(diagnostics["r_hat_max"])
    divergences = int(float(diagnostics["divergences"]))
    found = (
        f"largest R-hat {r_hat:.3f}, {divergences} of {draws} draws divergent, smallest "
        f"effective sample size {float(diagnostics['ess_bulk_min']):.0f}"
    )
    remedy = "Raise tune (to 3000) and target_accept (to 0.99), or use tighter priors."
    unusable = not r_hat <= UNUSABLE_R_HAT  # also where it is not a number
    if unusable or divergences > UNUSABLE_DIVERGENT_SHARE * draws:
        raise EngineError(f"NUTS gave no usable posterior: {found}. {remedy}")
    suspect = divergences > SUSPECT_DIVERGENT_SHARE * draws
    if suspect or float(diagnostics["r_hat_max_parameters"]) > SUSPECT_R_HAT:
        warnings.warn(f"NUTS: {found}. {remedy}", OutcomeKPIWarning, stacklevel=3)
