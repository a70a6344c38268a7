"""Draws of the true rate of every unit in every cycle of one indicator."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, logit

from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import Fit, fit
from outcomekpi.profiling.linear_predictor import read_predictor
from outcomekpi.review.indicator_table import IndicatorTable
from outcomekpi.review.nested_binomial import sample_nested_binomial
from outcomekpi.review.rule import ReviewModel
from outcomekpi.tables.cases import Cases

__all__ = ["RateDraws", "beta_draws", "conjugate_rates", "hierarchical_rates"]

Array = NDArray[np.float64]

SMALLEST = 1e-12
FEWEST_EFFECTIVE = 400
LARGEST_TAIL = 0.7  # Pareto k above which weighted draws cannot be trusted (Vehtari et al. 2024)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RateDraws:
    """Posterior of the true rates of one indicator.

    Attributes
    ----------
    rates : (row, sample), true rate of each row of the table (a unit in a cycle)
    unit_level : (unit, sample), log odds of each unit in the latest cycle without what was
        peculiar to that cycle
    sd_move : (sample,), SD of a unit's own movement from cycle to cycle, log odds
    cycle_level : (cycle, sample), log odds of an average unit; cycles that have data, in order
    model : the model that ran
    """

    rates: Array
    unit_level: Array
    sd_move: Array
    cycle_level: Array
    model: ReviewModel


def hierarchical_rates(
    table: IndicatorTable, *, draws: int, seed: int, rng: np.random.Generator
) -> RateDraws:
    """Units share strength, cycles are a covariate, and each unit may move between cycles.

    Parameters
    ----------
    table : an indicator with at least two units
    seed : of the general engine, which runs where the weights of the fast draws are poor

    Notes
    -----
    logit p_uc = m_c + v_u + e_uc, with v_u ~ N(0, omega^2) and e_uc ~ N(0, sigma^2). In the
    general engine the unit stands in the place of the hospital and the unit in a cycle in the
    place of the doctor. With a single cycle v and e cannot be told apart, and e is left out.
    """
    cycles, cycle = np.unique(table.cycle, return_inverse=True)
    events, trials = np.zeros((2, len(table.units), cycles.size))
    events[table.unit, cycle], trials[table.unit, cycle] = table.events, table.trials
    found = sample_nested_binomial(events, trials, draws=draws, rng=rng)
    size = found.weights.efficiency * found.weights.log_weights.size
    if size < min(FEWEST_EFFECTIVE, draws) or found.weights.pareto_k > LARGEST_TAIL:
        return _fit_rates(table, draws=draws, seed=seed)
    return RateDraws(
        rates=np.asarray(expit(found.eta[table.unit, cycle])),
        unit_level=found.cycle[-1] + found.unit,
        sd_move=found.sd_move,
        cycle_level=found.cycle,
        model="hierarchical",
    )


def _fit_rates(table: IndicatorTable, *, draws: int, seed: int) -> RateDraws:
    """Draw from the same model by the general engine, for tables too large for the fast way."""
    frame = pd.DataFrame(
        {
            "events": table.events,
            "trials": table.trials,
            "unit": [f"u{code:06d}" for code in table.unit],
            "cycle": [f"c{code:06d}" for code in table.cycle],
        }
    )
    frame["cell"] = frame["unit"] + frame["cycle"]
    nested = len(np.unique(table.cycle)) > 1
    cases = Cases.from_frame(
        frame,
        outcome="events",
        trials="trials",
        doctor="cell" if nested else "unit",
        hospital="unit" if nested else None,
    )
    spec = ModelSpec(case_mix="cycle" if nested else None, family="binomial")
    return _read_fit(fit(cases, spec, draws=draws, seed=seed), table)


def _read_fit(found: Fit, table: IndicatorTable) -> RateDraws:
    predictor = read_predictor(found)
    base = predictor.matrix @ predictor.slope + predictor.intercept
    total = np.asarray(predictor.effect, dtype=np.float64)
    unit_effect, sd_move = total, np.zeros(predictor.n_samples)
    if predictor.hospital is not None and predictor.hospital_code is not None:
        unit_effect = np.asarray(predictor.hospital, dtype=np.float64)
        total = total + unit_effect[predictor.hospital_code]
        sd_move = np.asarray(predictor.sd_doctor, dtype=np.float64)
    first_row = np.unique(table.cycle, return_index=True)[1]
    cycle_level = np.asarray(base[first_row], dtype=np.float64)
    return RateDraws(
        rates=np.asarray(expit(base + total[predictor.doctor_code]), dtype=np.float64),
        unit_level=cycle_level[-1] + unit_effect,
        sd_move=sd_move,
        cycle_level=cycle_level,
        model="hierarchical",
    )


def conjugate_rates(table: IndicatorTable, *, draws: int, rng: np.random.Generator) -> RateDraws:
    """Each row by itself under a uniform prior: Beta(1 + events, 1 + trials - events)."""
    rates = np.array(
        [
            beta_draws(x, n, draws=draws, rng=rng)
            for x, n in zip(table.events, table.trials, strict=True)
        ]
    )
    level = logit(np.clip(rates, SMALLEST, 1 - SMALLEST))
    return RateDraws(
        rates=rates,
        unit_level=level[table.latest],
        sd_move=np.zeros(draws),
        cycle_level=np.array(
            [level[table.cycle == code].mean(axis=0) for code in np.unique(table.cycle)]
        ),
        model="conjugate",
    )


def beta_draws(events: float, trials: float, *, draws: int, rng: np.random.Generator) -> Array:
    """Beta(1 + events, 1 + trials - events), one draw from each of ``draws`` equal shares of it.

    Notes
    -----
    The quantiles at (i + 1/2) / draws, shuffled: probabilities read from them are exact to
    1 / draws.
    """
    middle = (rng.permutation(draws) + 0.5) / draws
    return np.asarray(betaincinv(1 + events, 1 + trials - events, middle), dtype=np.float64)
