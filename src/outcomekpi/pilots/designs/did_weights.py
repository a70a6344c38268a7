"""The same effect with the other weights: each unit alike, or each patient."""

from dataclasses import replace

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIError
from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.data.panel import Weights, weigh_units
from outcomekpi.pilots.designs.did_estimation import DidAnswer, estimate_effect
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["check_weights", "estimate_other_weights"]


def estimate_other_weights(
    answer: DidAnswer, *, draws: int, rng: np.random.Generator
) -> Estimate | None:
    """Effect with the weights that were not asked for.

    Parameters
    ----------
    answer : with those that were
    draws, rng : of its inference

    Returns
    -------
    None where patients are not known, where all units have equally many, on the scale of odds and
    rates, and where it cannot be estimated
    """
    design = answer.design
    patients = answer.panel.frame.groupby("unit")["patients"].sum()
    if not design.counts_patients or patients.nunique() == 1 or design.family != "gaussian":
        return None
    other: Weights = "patients" if design.weights == "units" else "units"
    inference = "cluster" if design.inference == "wild_bootstrap" else design.inference
    panel = replace(answer.panel, frame=weigh_units(answer.panel.frame, other))
    try:
        design = replace(design, weights=other, inference=inference)
        found = estimate_effect(panel, design, design, draws=draws, rng=rng)
    except OutcomeKPIError:
        return None
    return found.main


def check_weights(main: Estimate, other: Estimate, *, level: float) -> CheckResult:
    """Say whether counting units or patients alike makes the effect another one.

    Parameters
    ----------
    main, other : effect, and that with the other weights
    level : probability of the intervals that are compared, those that the reader sees

    Notes
    -----
    It does where one interval leaves out no effect and the other does not, or where the other
    effect lies outside the interval of the main one.
    """
    lower, upper = main.interval(level=level)
    ends = other.interval(level=level)
    clear = [one.excludes_null(level=level) for one in (main, other)]
    differs = not lower <= other.value <= upper or clear[0] != clear[1]
    said = "That is another answer" if differs else "The answer is the same"
    return CheckResult(
        name="units or patients counted alike",
        passed=not differs,
        verdict=f"{other.name} {other.value:.4g} {other.unit} ({level:.0%} interval "
        f"{ends[0]:.4g} to {ends[1]:.4g}), beside {main.value:.4g}. {said}: large and small units "
        + (
            "changed differently. Say whose effect is meant (weights)."
            if differs
            else "changed alike, as far as these data show."
        ),
        table=pd.DataFrame(
            {
                "mean": [main.value, other.value],
                "lower": [lower, ends[0]],
                "upper": [upper, ends[1]],
            },
            index=pd.Index([main.name, other.name], name="weights"),
        ),
    )
