"""Whether clusters started in the order of their baseline, as if the worst had come first."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.wedge_data import WedgeRows
from outcomekpi.pilots.estimators.start_permutation import StartTest
from outcomekpi.pilots.ladder.program import Program

__all__ = ["check_start_order", "doubt_start_order"]

Floats = NDArray[np.float64]
SIZE = 0.05
TIE = 1e-9


def check_start_order(rows: WedgeRows, test: StartTest, program: Program) -> CheckResult:
    """Compare the start times with the means before the first of them.

    Parameters
    ----------
    rows : cells
    test : its ways to hand out the start times
    program : what was said of it

    Notes
    -----
    Covariance of a cluster's start and its mean over the periods before the first start, over all
    ways to hand out the start times: exact if they were drawn by chance. Clusters chosen to start
    early because a period was bad return with no program at all; what all clusters have in common
    cancels with the periods.
    """
    found = _baseline(rows)
    if found is None:
        return CheckResult(
            name="start times against the baseline",
            passed=None,
            verdict="no period lies before the first start, in every cluster: whether the start "
            "times follow the baseline cannot be told.",
            table=pd.DataFrame({"covariance": [np.nan], "p_value": [np.nan]}),
        )
    centered = found - found.mean()
    covariances = test.assignments @ centered / centered.size
    real = float(covariances[0])
    p_value = float(np.mean(np.abs(covariances) >= abs(real) * (1 - TIE)))
    fails = p_value < SIZE
    which = "highest" if real < 0 else "lowest"
    verdict = f"p = {p_value:.3g} that start times drawn by chance follow the baseline so closely"
    verdict += f": clusters with the {which} outcomes came first." if fails else "."
    if fails and program.selected_on_baseline is False:
        verdict += " The program says that nothing was selected on the baseline."
    return CheckResult(
        name="start times against the baseline",
        passed=not fails,
        verdict=verdict,
        table=pd.DataFrame({"covariance": [real], "p_value": [p_value]}),
    )


def doubt_start_order(check: CheckResult, program: Program) -> str:
    """Say why the effect must not be claimed: units were selected, it was said, and it is seen.

    Parameters
    ----------
    check : of :func:`check_start_order`
    program : what was said of it

    Notes
    -----
    The baseline is in the model, which takes most of a return out (docs/methods/stepped_wedge.md);
    a failed check alone leaves the effect, and stands before it.
    """
    if check.passed is not False or not program.selected_on_baseline:
        return ""
    return (
        f"the start times were not drawn by chance ({check.verdict.rstrip('.')}), and the program "
        "says that it selected on the baseline."
    )


def _baseline(rows: WedgeRows) -> Floats | None:
    """(cluster,), mean over the patients before the first start of all; None where one has none."""
    early = np.arange(len(rows.times)) < int(rows.first.min())
    size = rows.size[:, early]
    if not early.any() or (size.sum(axis=1) <= 0).any():
        return None
    mean = (size * rows.sample.mean[:, early]).sum(axis=1) / size.sum(axis=1)
    return np.asarray(mean, dtype=np.float64)
