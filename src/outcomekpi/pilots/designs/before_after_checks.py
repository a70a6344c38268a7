"""Checks of a before/after comparison: clusters, missing outcomes, patients who changed."""

import numpy as np
import pandas as pd
from scipy.special import bdtr

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.before_after_facts import FEW_CLUSTERS, ChangeAnswer
from outcomekpi.pilots.designs.patient_change import MeasuredChange
from outcomekpi.pilots.estimators.baseline_edge import check_edge
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import count_of

__all__ = ["check_change", "describe_missing", "look_for_selection"]


def check_change(answer: ChangeAnswer, *, level: float) -> tuple[CheckResult, ...]:
    """Check clusters, missing outcomes, and the pairs of a binary outcome."""
    change = answer.change
    count = change.n_clusters
    checks = [
        CheckResult(
            name="clusters behind the interval",
            passed=count >= FEW_CLUSTERS if change.cluster_names else None,
            verdict=f"The interval rests on {count_of(count, change.cluster_role)}; below "
            f"{FEW_CLUSTERS} it holds its level only if they are of like size and kind."
            if change.cluster_names
            else "No doctor or hospital was named or used: patients are taken as independent, and "
            "the interval is too narrow if they are not.",
            table=pd.DataFrame({"clusters": [count]}),
        ),
        describe_missing(answer, level=level),
    ]
    if change.is_paired and change.options.binary:
        checks.append(_discordant(change))
    if answer.corrected is not None:
        checks += answer.corrected.checks
    return tuple(checks)


def look_for_selection(answer: ChangeAnswer, program: Program) -> tuple[CheckResult, ...]:
    """Look for a baseline that is cut off at one value, where it was not corrected."""
    if answer.corrected is not None:
        return ()
    rows, use = answer.change.rows, answer.change.model_rows
    return check_edge(
        rows.outcome[use & ~rows.after],
        rows.outcome[use & rows.after],
        outcome=answer.columns.outcome,
        said=program.selected_on_baseline,
    )


def describe_missing(answer: ChangeAnswer, *, level: float) -> CheckResult:
    """Say how many outcomes are missing and what they could do; fails if more are missing after."""
    missing = answer.missing
    return CheckResult(
        name="missing outcomes",
        passed=not missing.more_after,
        verdict=missing.spell(level=level),
        table=pd.DataFrame(
            {
                "period": list(answer.change.rows.periods),
                "missing": [missing.before[0], missing.after[0]],
                "rows": [missing.before[1], missing.after[1]],
            }
        ),
    )


def _discordant(change: MeasuredChange) -> CheckResult:
    """McNemar's exact test, for information: it takes patients as independent."""
    rows = change.rows
    code = rows.labels["patient"].code
    sides = np.zeros((2, len(rows.labels["patient"].names)))
    for period, side in enumerate((~rows.after, rows.after)):
        use = side & change.model_rows
        sides[period, code[use]] = rows.outcome[use]
    gained, lost = int((sides[1] > sides[0]).sum()), int((sides[1] < sides[0]).sum())
    total = gained + lost
    p_value = min(1.0, 2.0 * float(bdtr(min(gained, lost), total, 0.5))) if total else 1.0
    return CheckResult(
        name="patients who changed",
        passed=None,
        verdict=f"{gained:,} went from 0 to 1 and {lost:,} from 1 to 0 (McNemar's exact p = "
        f"{p_value:.2g}, which takes patients as independent).",
        table=pd.DataFrame({"change": ["0 to 1", "1 to 0"], "patients": [gained, lost]}),
    )
