"""Prior sensitivity: how far the doctors' results move when the prior of the SDs moves."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Count
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.model.likelihood_model import Model
from outcomekpi.posterior.fit import Fit, sample_model
from outcomekpi.tables.columns import count_of

__all__ = ["check_prior_sensitivity"]

Array = NDArray[np.float64]

FACTORS = {"halved": 0.5, "doubled": 2.0}
LARGEST_MOVE = 0.25
"""Posterior SDs that a doctor's effect may move before the prior is called decisive."""
FLAG_PROBABILITY = 0.95
BLOCK_VALUES = 4_000_000


def check_prior_sensitivity(fit: Fit, *, draws: Count | None = None) -> CheckResult:
    """How far the doctors' results move when the prior of the SDs is halved and doubled.

    Parameters
    ----------
    fit : a fit by either engine; it is refitted twice, by the same engine and with its seed
    draws : of each refit; by default as many as the fit has

    Returns
    -------
    CheckResult with one row per ``prior`` ("halved", "as fitted", "doubled"): ``sd_doctor``
    (posterior mean), ``largest_move`` and ``mean_move`` of the doctors' effects in posterior
    SDs of the fit, ``flags`` (doctors with P(effect > 0) above .95 or below .05),
    ``flags_changed``, ``largest_rank_change`` of the order by posterior mean, and
    ``spread_ratio`` (mean over doctors of posterior SD against the fit)

    Notes
    -----
    The scales of the priors of ``sd_doctor`` and ``sd_hospital`` are multiplied by 0.5 and 2;
    every other prior stays. Effects include the hospital's. The check fails where a doctor
    moves by more than 0.25 posterior SD: then the prior, and not the cases, decides.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> ok.check_prior_sensitivity(fit, draws=400).name
    "Sensitivity to the prior of the doctors' spread"
    """
    check_arguments(check_prior_sensitivity, locals())
    posterior = fit.draws["posterior"].to_dataset()
    hospitals = posterior.get("hospital_effect")
    base = _summarize(
        flatten_draws(posterior["doctor_effect"]),
        None if hospitals is None else flatten_draws(hospitals),
        fit.model,
    )
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"] if draws is None else draws
    rows = {"as fitted": _compare(base, base, float(posterior["sd_doctor"].mean()))}
    for name, factor in FACTORS.items():
        model = _scale_priors(fit.model, factor)
        samples = sample_model(model, engine=fit.engine, draws=n_draws, seed=fit.provenance.seed)
        moved = _summarize(samples.doctor_effect, samples.hospital_effect, fit.model)
        rows[name] = _compare(moved, base, float(samples.sd_doctor.mean()))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("prior")
    table = table.loc[["halved", "as fitted", "doubled"]]
    largest = float(table["largest_move"].max())
    flags = int(table["flags_changed"].max())
    spread = table["sd_doctor"].tolist()
    places = float(table["largest_rank_change"].max())
    return CheckResult(
        name="Sensitivity to the prior of the doctors' spread",
        passed=largest <= LARGEST_MOVE,
        verdict=(
            f"Halving and doubling the prior of the SDs moves a doctor's result by at most "
            f"{largest:.2f} posterior SD, changes {count_of(flags, 'flag')} and moves a rank by at "
            f"most {count_of(round(places), 'place')}; the doctors' SD is "
            f"{spread[0]:.3f}, {spread[1]:.3f} and {spread[2]:.3f}."
        ),
        table=table,
    )


def _scale_priors(model: Model, factor: float) -> Model:
    priors = replace(
        model.priors,
        sd_doctor=model.priors.sd_doctor.scaled(factor),
        sd_hospital=model.priors.sd_hospital.scaled(factor),
    )
    return replace(model, priors=priors)


def _summarize(
    effects: NDArray[np.floating], hospital: NDArray[np.floating] | None, model: Model
) -> Array:
    """Posterior mean, SD and P(effect > 0) of each doctor, (3, doctor); block by block."""
    summary = np.empty((3, len(effects)))
    step = max(1, BLOCK_VALUES // effects.shape[1])
    for first in range(0, len(effects), step):
        block = slice(first, first + step)
        draws = effects[block].astype(np.float64)
        if hospital is not None and model.hospital_code is not None:
            draws += hospital[model.hospital_code[block]]
        summary[:, block] = draws.mean(axis=1), draws.std(axis=1, ddof=1), (draws > 0).mean(axis=1)
    return summary


def _compare(moved: Array, base: Array, sd_doctor: float) -> dict[str, float]:
    """Differences of two summaries of the doctors' effects."""
    mean, sd, above = base
    move = np.abs(moved[0] - mean) / sd
    flagged, before = _flags(moved[2]), _flags(above)
    return {
        "sd_doctor": sd_doctor,
        "largest_move": float(move.max()),
        "mean_move": float(move.mean()),
        "spread_ratio": float((moved[1] / sd).mean()),
        "flags": float(np.count_nonzero(flagged)),
        "flags_changed": float(np.count_nonzero(flagged != before)),
        "largest_rank_change": float(
            (pd.Series(moved[0]).rank() - pd.Series(mean).rank()).abs().max()
        ),
    }


def _flags(above: Array) -> Array:
    """1 where a doctor's effect is surely above 0, -1 where below, else 0."""
    return np.where(above > FLAG_PROBABILITY, 1.0, 0.0) - (above < 1.0 - FLAG_PROBABILITY)
