"""What the report says about a published risk that entered the model with slope 1."""

import numpy as np
from scipy.special import expit

from outcomekpi.draws.intervals import interval
from outcomekpi.pages.numbers import count, decimal, percent
from outcomekpi.posterior.fit import Fit

__all__ = ["add_published_risk", "count_published_risk", "explain_published_risk"]

KINDS = {
    "probability": "a published probability",
    "expected_count": "a published expected count",
    "expected_value": "a published expected value",
    "linear_predictor": "a published linear predictor",
}


def _kind(fit: Fit) -> str:
    return KINDS[str(fit.cases.offset_scale)]


def add_published_risk(fit: Fit, adjusted: str | None) -> str | None:
    """Name the published risk among what was adjusted for, if there is one."""
    if fit.cases.offset is None:
        return adjusted
    risk = f"{fit.cases.roles['offset']}, {_kind(fit)} that enters with slope 1"
    return risk if adjusted is None else f"{adjusted}, and {risk}"


def count_published_risk(fit: Fit) -> list[tuple[str, str]]:
    """Hold what the published risk expects of all cases against what was observed."""
    model = fit.model
    if model.offset is None:
        return []
    label = f"Expected by {fit.cases.roles['offset']}"
    if model.family == "gaussian":
        expected, observed = float(model.offset.mean()), float(model.outcome.mean())
        return [(label, f"a mean of {expected:.4g}; {observed:.4g} was observed")]
    inverse = expit if model.family in ("bernoulli", "binomial") else np.exp
    size = model.trials if model.trials is not None else model.exposure
    expected = float((inverse(model.offset) * (1.0 if size is None else size)).sum())
    observed = float(model.outcome.sum())
    return [
        (
            label,
            f"{decimal(expected, 1)} events; {count(observed)} were observed, "
            f"{decimal(observed / expected, 2)} times as many",
        )
    ]


def explain_published_risk(fit: Fit, *, level: float) -> list[str]:
    """Say how the published risk entered, and how far off the model finds it overall."""
    if fit.model.offset is None:
        return []
    draws = fit.draws["posterior"]["intercept_standardized"].to_numpy().reshape(1, -1)
    lower, upper = (float(limit[0]) for limit in interval(draws, level=level))
    unit = {"bernoulli": "log odds", "binomial": "log odds"}.get(
        fit.model.family, "the logarithm of the rate"
    )
    if fit.model.family == "gaussian":
        unit = f"units of {fit.cases.roles['outcome']}"
    mix = " with average case mix" if fit.design.terms else ""
    verdict = "too high" if upper < 0 else "too low" if lower > 0 else "about right"
    return [
        f"{fit.cases.roles['offset']}, {_kind(fit)}, entered the model as an offset, with slope 1: "
        "it was taken as it stands and not fitted to these cases, and doctors are compared "
        f"relative to it. For an average doctor{mix} it is {verdict}: outcomes lie "
        f"{decimal(draws.mean(), 2)} from it in {unit} ({percent(level)} interval "
        f"{decimal(lower, 2)} to {decimal(upper, 2)}; 0 would be right). That is the same for all "
        "doctors and does not count for or against any of them."
    ]
