"""Rung 6: clusters that start one after another, in an order that was drawn by chance."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.wedge_answer import (
    WedgeAnswer,
    WedgeCorrelation,
    WedgeInference,
    answer_wedge,
)
from outcomekpi.pilots.designs.wedge_data import WedgeFamily, WedgeRows, read_wedge
from outcomekpi.pilots.designs.wedge_facts import (
    check_wedge,
    list_wedge_facts,
    list_wedge_threats,
    state_wedge_assumptions,
    state_wedge_estimand,
    tabulate_wedge,
)
from outcomekpi.pilots.estimators.start_permutation import StartTest
from outcomekpi.pilots.estimators.wedge_terms import ExposureModel
from outcomekpi.pilots.ladder.findings import Answered, Findings, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["SteppedWedge", "check_start_order", "describe_wedge", "doubt_start_order"]


# Whether clusters started in the order of their baseline, as if the worst had come first
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


def describe_wedge(answer: WedgeAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    order = check_start_order(answer.rows, answer.test, program)
    return Findings(
        estimand=state_wedge_estimand(answer),
        estimates=answer.estimates,
        naive=answer.naive,
        assumptions=state_wedge_assumptions(answer),
        checks=(*check_wedge(answer, level=level), order),
        threats=list_wedge_threats(answer, program),
        tables=tabulate_wedge(answer, level=level),
        facts=list_wedge_facts(answer, level=level),
        direction=answer.design.direction,
        withheld=doubt_start_order(order, program),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedWedge:
    """Clusters that cross over to a program at randomized times (rung 6).

    Attributes
    ----------
    outcome : column of the outcome of each patient, of the events of each row, or of the mean of
        a cluster and period
    unit : column of the clusters
    time : column of numbers, dates, or text such as "2024-07" or "2024Q3"
    start : column of the first time with the program of the row's cluster; empty for never, or 0
        where 0 is no time
    trials : column of the denominators, where rows count events
    patients : column of the number of patients behind each mean, where rows are means
    event : value of the outcome that counts, where it is text
    family : "binomial" for events (effects in percentage points), "gaussian" for measurements
    effect : what the program does over the periods with it: free "by period", "linear", or
        "constant" (Hussey and Hughes); the first two are averaged over the exposure times, each
        counting alike. A constant effect is sharper, and misleads where the effect changes
    correlation : "nested exchangeable" makes patients of one cluster more alike in the same period
        than in others, "exchangeable" alike over time (Hussey and Hughes)
    inference : "kenward_roger", restricted likelihood with small-sample terms, or
        "randomization", the interval of effects that the randomization of the start times does not
        reject; for a constant effect
    missing : "error" refuses rows without an outcome, "drop" leaves them out and counts them
    measured_in : unit of a Gaussian outcome, in words; "%" checks that it lies in 0 to 100
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    Mean of cluster i in period j: beta_j + theta(s_ij) + a_i + g_ij + e_ij, with variances tau^2,
    gamma^2, sigma^2 / n_ij. From rows of patients (or events of trials) the likelihood is that of
    the mixed model of the patients; events enter by their means, on the scale of points. Each
    period has other patients: where the same patients come again, use one row for each cluster
    and period (their means), with the nested correlation. docs/methods/stepped_wedge.md has the
    formulas and what was measured.

    References
    ----------
    Hussey & Hughes (2007), Contemporary Clinical Trials 28, doi:10.1016/j.cct.2006.05.007.
    Kenny, Voldal, Xia, Heagerty & Hughes (2022), Statistics in Medicine 41, doi:10.1002/sim.9511.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from outcomekpi.pilots.ladder.comparison import compare_pilot
    >>> cells = pd.MultiIndex.from_product([range(12), range(5)], names=["site", "quarter"])
    >>> frame = cells.to_frame(index=False).assign(start=lambda f: f["site"] % 4 + 1)
    >>> frame["rate"] = 50 + 9 * (frame["quarter"] >= frame["start"]) + np.cos(frame.index**2)
    >>> design = SteppedWedge(outcome="rate", unit="site", time="quarter", start="start")
    >>> bool(compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 6

    outcome: str
    unit: str
    time: str
    start: str
    trials: str | None = None
    patients: str | None = None
    event: object = None
    family: WedgeFamily = "gaussian"
    effect: ExposureModel = "by period"
    correlation: WedgeCorrelation = "nested exchangeable"
    inference: WedgeInference = "kenward_roger"
    missing: Literal["error", "drop"] = "error"
    measured_in: str | None = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.trials is not None and (self.family != "binomial" or self.event is not None):
            raise SpecError(
                f"trials={self.trials!r} goes with family='binomial' and without event=...: the "
                "outcome column counts the events."
            )
        if self.event is not None and self.family != "binomial":
            raise SpecError("event=... picks the event of patients: it needs family='binomial'.")
        if self.patients is not None and self.family != "gaussian":
            raise SpecError(
                f"patients={self.patients!r} goes with means, family='gaussian'. Events out of a "
                "number of patients are named by trials=..."
            )
        if self.inference == "randomization" and self.effect != "constant":
            raise SpecError(
                "inference='randomization' inverts a test of one number: it needs "
                "effect='constant'. The test of no effect at all is in the checks of every result."
            )

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[WedgeAnswer]:
        """Estimate the effect of the program from the randomization of its start.

        Parameters
        ----------
        data : DataFrame of patients, or of clusters and periods
        program : facts about the program
        draws : random assignments of the start times, where there are more ways than this
        rng : of them

        Raises
        ------
        CasesError
            The data are no stepped wedge; the message names the design that would fit.
        """
        answer = answer_wedge(self.read(data), self, draws=draws, rng=rng)
        return Answered(numbers=answer, program=program, describe=describe_wedge)

    def read(self, data: object) -> WedgeRows:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError
            Every fault of the table at once.
        """
        return read_wedge(data, self)
