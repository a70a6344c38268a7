"""The checks of a report: which ones run by themselves, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from outcomekpi.calibration.check import check_calibration
from outcomekpi.draws.checks import CheckResult
from outcomekpi.pages.cells import PlainTable, plain_table
from outcomekpi.pages.numbers import plural
from outcomekpi.posterior.diagnostics import check_sampling
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictive import check_predictive
from outcomekpi.posterior.sensitivity import check_prior_sensitivity

__all__ = ["Checks", "Verdict", "describe_checks", "quick_checks"]

QUICK_UP_TO = 100_000  # rows; replicating more than these takes longer than fitting them
REFIT_UP_TO = 50_000  # rows; two refits of these take a second or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One check as the report prints it."""

    name: str
    kind: str
    status: str
    verdict: str
    table: PlainTable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The section on checks: an opening sentence, the verdicts, the engine's own numbers."""

    intro: str
    items: tuple[Verdict, ...]
    engine: PlainTable | None


def quick_checks(fit: Fit, *, level: float) -> list[CheckResult]:
    """Run the checks that take seconds for a table of this size; sampling always."""
    checks = [check_sampling(fit)]
    if fit.cases.outcome.size <= QUICK_UP_TO:
        checks += [check_predictive(fit, level=level), check_calibration(fit, level=level)]
    if fit.engine == "quadrature" and fit.cases.outcome.size <= REFIT_UP_TO:
        checks.append(check_prior_sensitivity(fit))
    return checks


def describe_checks(fit: Fit, checks: Sequence[CheckResult], *, with_tables: bool) -> Checks:
    """Say what the checks found, with the numbers behind them unless counts are withheld."""
    items = tuple(
        Verdict(
            name=check.name,
            kind={True: "passed", False: "failed", None: ""}[check.passed],
            status=check.status,
            verdict=check.verdict,
            table=plain_table(check.table) if with_tables and len(check.table) else None,
        )
        for check in checks
    )
    engine = pd.DataFrame({"value": fit.diagnostics})
    engine.index.name = "diagnostic"
    return Checks(
        intro=_introduce(checks),
        items=items,
        engine=plain_table(engine) if len(engine) else None,
    )


def _introduce(checks: Sequence[CheckResult]) -> str:
    if not checks:
        return (
            "No checks of the model were run for this report. Before anyone acts on it, run "
            "check_sampling, check_predictive, check_calibration and check_prior_sensitivity."
        )
    failed = [check.name for check in checks if check.passed is False]
    judged = sum(check.passed is not None for check in checks)
    if failed:
        return (
            f"{len(failed)} of {plural(judged, 'check')} failed: {'; '.join(failed)}. Read the "
            "results of this report with that in mind."
        )
    return f"{'The check' if judged == 1 else f'All {judged} checks'} that judge the model passed."
