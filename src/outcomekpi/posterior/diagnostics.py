"""Sampling check: whether the draws of a fit may stand for its posterior."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.draws.checks import CheckResult
from outcomekpi.posterior.fit import Fit

__all__ = ["check_sampling"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one diagnostic must fulfil; ``limit`` is the worst value that passes."""

    meaning: str
    side: Literal["at most", "at least"]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value passes; one that is not a number does not."""
        return bool(value <= self.limit if self.side == "at most" else value >= self.limit)


def check_sampling(fit: Fit) -> CheckResult:
    """Whether the draws of a fit may stand for its posterior, by the engine's own diagnostics.

    Parameters
    ----------
    fit : a fit by either engine, also one loaded from a file

    Returns
    -------
    CheckResult with one row per ``diagnostic``: ``value, wanted, passed, meaning``. Diagnostics
    without a limit are listed for information

    Notes
    -----
    Fast engine: Pareto k of the importance weights at most min(1 - 1/log10 M, 0.7), M the number
    of exact weights; their effective share at least 0.5; twice the quadrature nodes change the
    log posterior by at most 0.02 (SD). NUTS: R-hat at most 1.01 for the parameters and 1.05 for
    every doctor; effective sample sizes at least 100 per chain; at most 1 draw in 1,000
    divergent; energy BFMI at least 0.3.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Journal of Machine Learning Research 25(72).
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), Bayesian Analysis,
    doi:10.1214/20-BA1221.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> check_sampling(fit).passed
    True
    """
    check_arguments(check_sampling, locals())
    rules = _nuts_rules(fit) if fit.engine == "nuts" else _quadrature_rules(fit)
    numbers = {
        name: float(value) for name, value in fit.diagnostics.items() if not isinstance(value, str)
    }
    rows = {name: _row(value, rules.get(name)) for name, value in numbers.items()}
    rows |= {name: _row(np.nan, rule) for name, rule in rules.items() if name not in numbers}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("diagnostic")
    failed = [name for name, row in rows.items() if row["passed"] is False]
    return CheckResult(
        name="Sampling",
        passed=not failed,
        verdict=_verdict(fit, rows, failed),
        table=table[["value", "wanted", "passed", "meaning"]],
    )


def _row(value: float, rule: Rule | None) -> dict[str, object]:
    if rule is None:
        return {"value": value, "wanted": "", "passed": None, "meaning": ""}
    return {
        "value": value,
        "wanted": f"{rule.side} {rule.limit:.4g}",
        "passed": rule.holds(value),
        "meaning": rule.meaning,
    }


def _quadrature_rules(fit: Fit) -> dict[str, Rule]:
    rules = {
        "efficiency": Rule("effective share of the importance weights", "at least", 0.5),
        "quadrature_error": Rule(
            "change of the log posterior with twice the nodes (SD)", "at most", 0.02
        ),
    }
    pareto_k = fit.diagnostics.get("pareto_k", np.nan)
    n_weights = float(fit.diagnostics.get("exact_weights", 1000.0))
    if not np.isnan(float(pareto_k)):  # below 100 weights there is no tail to look at
        limit = float(min(1.0 - 1.0 / np.log10(max(n_weights, 11.0)), 0.7))
        rules["pareto_k"] = Rule("tail shape of the importance weights", "at most", limit)
    return rules


def _nuts_rules(fit: Fit) -> dict[str, Rule]:
    sizes = fit.draws["posterior"].sizes
    enough = 100.0 * sizes["chain"]
    return {
        "r_hat_max_parameters": Rule("R-hat of the parameters", "at most", 1.01),
        "r_hat_max": Rule("largest R-hat of all quantities, doctors included", "at most", 1.05),
        "ess_bulk_min": Rule("smallest effective sample size, center", "at least", enough),
        "ess_tail_min": Rule("smallest effective sample size, tails", "at least", enough),
        "divergences": Rule(
            "divergent draws", "at most", float(sizes["chain"] * sizes["draw"] // 1000)
        ),
        "bfmi_min": Rule("energy: fraction of missing information", "at least", 0.3),
    }


def _verdict(fit: Fit, rows: dict[str, dict[str, object]], failed: list[str]) -> str:
    if failed:
        found = "; ".join(
            f"{rows[name]['meaning']} {rows[name]['value']:.3g}, wanted {rows[name]['wanted']}"
            for name in failed
        )
        remedy = (
            "Use engine='nuts' to compare."
            if fit.engine == "quadrature"
            else "Ask for more draws, or use tighter priors."
        )
        return f"{found[0].upper()}{found[1:]}. {remedy}"
    if fit.engine == "quadrature":
        return (
            f"Importance weights keep {rows['efficiency']['value']:.0%} of their size, and twice "
            f"the quadrature nodes change the log posterior by "
            f"{rows['quadrature_error']['value']:.2g}."
        )
    return (
        f"Largest R-hat {rows['r_hat_max']['value']:.3f}, smallest effective sample size "
        f"{rows['ess_bulk_min']['value']:.0f}, {rows['divergences']['value']:.0f} divergent draws."
    )
