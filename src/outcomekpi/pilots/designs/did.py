"""Rung 4: difference in differences, with what a break of parallel trends would do to it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from outcomekpi.declare.checking import check_fields
from outcomekpi.pilots.data.panel import (
    Control,
    PanelColumns,
    PanelData,
    Weights,
    read_panel,
)
from outcomekpi.pilots.data.selected_periods import check_selected_in
from outcomekpi.pilots.designs.did_controls import check_covariates, limit_controls
from outcomekpi.pilots.designs.did_estimation import DidAnswer, estimate_effect
from outcomekpi.pilots.designs.did_findings import describe_effect
from outcomekpi.pilots.designs.did_options import (
    DidEstimator,
    DidFamily,
    DidInference,
    check_did_options,
)
from outcomekpi.pilots.designs.did_weights import estimate_other_weights
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Answered, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["DifferenceInDifferences", "bound_missing"]


# What missing outcomes of the treated could have done to the effect, at worst and at best
def bound_missing(
    data: object,
    panel: PanelData,
    design: "DifferenceInDifferences",
    *,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Effect if every missing outcome of the treated after the start had been 0, and if 1.

    Returns
    -------
    effects with 0 and with 1, in percentage points; None unless outcomes of patients are 0 or 1
    and more of the treated are missing after the start than before
    """
    before, after = panel.missing["treated"]
    if design.rows != "patients" or not panel.is_share or after <= before:
        return None
    found = []
    for value in (0.0, 1.0):
        full = limit_controls(read_panel(data, design, fill=value), design)
        answer = estimate_effect(full, design, design, draws=draws, rng=rng)
        found.append(answer.main.value)
    return found[0], found[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceInDifferences(PanelColumns):
    """Treated and control units over time: effect if trends would have been parallel (rung 4).

    Attributes
    ----------
    outcome : column of the mean, rate or count of a unit and period, or of a patient's outcome
    unit, time : columns; a row is a unit at a time, or a patient of it
    start : column of the first time with the program, the same in all rows of a unit; empty or
        "never" where it never came, or 0 where 0 is no time
    estimator : "callaway_santanna" compares each start with units not (yet) treated; "2x2" takes
        before and after of one start; "etwfe", extended two-way fixed effects, has families;
        "event_study" averages effects over times since the start (Sun and Abraham)
    family : scale on which trends are parallel: "gaussian" means, "logit" log odds of shares,
        "poisson" log rates
    trials : column of patients in a unit and period; the outcome then counts events
    rows : "unit_periods", or "patients", which are averaged by unit and time
    weights : "units" counts each unit alike; "patients" each patient, by a unit's patients over all
        times (needs ``trials`` or rows of patients). The result names it, and the other one
    cluster : column whose rows are not independent; None is the unit. The program must be chosen
        by clusters at least as large as units
    inference : "cluster", t with clusters - 1 degrees of freedom; for few clusters (2x2)
        "wild_bootstrap" or "randomization"
    control : "never_treated" or "not_yet_treated"
    covariates : columns of numbers known before the program
    gaps : "error" refuses units without a row or outcome at some time, "drop_units" leaves them out
    selected_in : times by which units were chosen for the program because they were extreme; they
        are left out, so that nothing is compared with them
    outcome_unit : in words; "%" checks that outcomes lie in 0 to 100
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    The event study, the test of the trends before with its power, and bounds under breaks of
    parallel trends are on the scale of ``family`` and of the average over the times since the
    start. docs/methods/did.md has formulas, references and check values. Needs the extra ``did``.

    References
    ----------
    Callaway & Sant'Anna (2021), Journal of Econometrics 225. Sun & Abraham (2021), Journal of
    Econometrics 225. Wooldridge (2023), Econometrics Journal 26. Rambachan & Roth (2023), Review
    of Economic Studies 90. Roth (2022), American Economic Review: Insights 4.

    Examples
    --------
    >>> import numpy as np, pandas as pd, outcomekpi as ok
    >>> frame = pd.DataFrame({"ward": np.repeat(range(20), 4), "year": np.tile(range(1, 5), 20)})
    >>> frame["start"] = np.where(frame["ward"] < 10, 3, 0)
    >>> frame["rate"] = np.random.default_rng(1).normal(size=80) + 9 * (frame.eval("0<start<=year"))
    >>> design = ok.DifferenceInDifferences(outcome="rate", unit="ward", time="year", start="start")
    >>> bool(ok.compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 4

    estimator: DidEstimator = "callaway_santanna"
    family: DidFamily = "gaussian"
    weights: Weights = "units"
    cluster: str | None = None
    inference: DidInference = "cluster"
    control: Control = "never_treated"
    covariates: tuple[str, ...] = ()
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_did_options(self, self)

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[DidAnswer]:
        """Estimate the effect on the treated.

        Parameters
        ----------
        data : DataFrame, one row for each unit and time, or for each patient
        program : facts about the program
        draws : of the wild bootstrap, or of sampled choices in a randomization
        rng : of both

        Raises
        ------
        CasesError
            The data are no panel with controls; the message names the design that would fit.
        SpecError
            The extra ``did`` is not installed; the program chose its units by their baseline, and
            the periods that did so are not named.
        """
        check_selected_in(self.selected_in, program)
        answer = self._answer(data, draws, rng)
        missing = bound_missing(data, answer.panel, self, draws=draws, rng=rng)
        other = estimate_other_weights(answer, draws=draws, rng=rng)
        return Answered(
            numbers=replace(answer, missing=missing, other=other),
            program=program,
            describe=describe_effect,
        )

    def read(self, data: object) -> PanelData:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError
            Every fault of the table at once.
        """
        panel = limit_controls(read_panel(data, self), self)
        check_covariates(panel, self.covariates)
        return panel

    def main_effect(self, data: object, *, draws: int, rng: np.random.Generator) -> Estimate:
        """Estimate the main effect alone, without its bounds: for placebos and left-out units.

        Parameters
        ----------
        data, draws, rng : as for :meth:`estimate`
        """
        return self._answer(data, draws, rng).estimates[0]

    def _answer(self, data: object, draws: int, rng: np.random.Generator) -> DidAnswer:
        return estimate_effect(self.read(data), self, self, draws=draws, rng=rng)
