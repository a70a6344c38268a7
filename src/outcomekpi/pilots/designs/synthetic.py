"""Rung 3: a synthetic control, a weighted average of units that the program did not reach."""

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np

from outcomekpi.declare.errors import CasesError, check_choice
from outcomekpi.pilots.data.panel import (
    PanelColumns,
    PanelData,
    PanelGaps,
    Rows,
    read_panel,
)
from outcomekpi.pilots.data.selected_periods import check_selected_in
from outcomekpi.pilots.designs.did_options import check_panel_options
from outcomekpi.pilots.designs.synthetic_findings import (
    SyntheticAnswer,
    describe_synthetic,
    state_effect,
)
from outcomekpi.pilots.estimators.synthetic_fit import SyntheticMethod, fit_synthetic, run_placebos
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import count_of, list_values

__all__ = ["SyntheticControl"]

FEWEST_BEFORE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticControl:
    """One or few treated units beside a weighted average of controls (rung 3).

    Attributes
    ----------
    outcome, unit, time, start, trials, rows, gaps, selected_in, outcome_unit, direction : as in
        :class:`DifferenceInDifferences`; one start for all treated units
    method : "sdid", synthetic difference in differences: controls and times before are weighed,
        and a constant distance is allowed; "sc", synthetic control: controls are weighed to lie on
        the treated before the start; "did", all controls and times alike

    Notes
    -----
    The standard error is that of placebos: controls, as many as there are treated units, stand in
    for them. With one treated unit each control does so once; with more, 200 random choices. It
    takes treated and controls to vary alike, and is refused where there are not more controls
    than treated units. docs/methods/did.md has formulas and check values. Needs the extra ``did``.

    References
    ----------
    Arkhangelsky, Athey, Hirshberg, Imbens & Wager (2021), American Economic Review 111. Abadie,
    Diamond & Hainmueller (2010), Journal of the American Statistical Association 105.

    Examples
    --------
    >>> import numpy as np, pandas as pd, outcomekpi as ok
    >>> frame = pd.DataFrame({"site": np.repeat(range(12), 8), "year": np.tile(range(1, 9), 12)})
    >>> frame["start"] = np.where(frame["site"] == 0, 6, 0)
    >>> frame["rate"] = np.random.default_rng(1).normal(size=96) + 9 * frame.eval("0<start<=year")
    >>> design = ok.SyntheticControl(outcome="rate", unit="site", time="year", start="start")
    >>> bool(ok.compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 3

    outcome: str
    unit: str
    time: str
    start: str
    method: SyntheticMethod = "sdid"
    trials: str | None = None
    rows: Rows = "unit_periods"
    gaps: PanelGaps = "error"
    selected_in: tuple[object, ...] = ()
    outcome_unit: str | None = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(SyntheticMethod))
        check_panel_options(self._columns(), self.direction)

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Findings:
        """Estimate the departure of the treated from the weighted controls.

        Parameters
        ----------
        data : DataFrame, one row for each unit and time, or for each patient
        program : facts about the program
        draws : not used: placebos are counted by controls
        rng : of the choice of placebos where there are several treated units

        Raises
        ------
        CasesError
            The data are no panel with controls, or not more controls than treated units.
        SpecError
            The extra ``did`` is not installed; the program chose its units by their baseline, and
            the periods that did so are not named.
        """
        check_selected_in(self.selected_in, program)
        return describe_synthetic(self._answer(data, rng), program)

    def main_effect(self, data: object, *, draws: int, rng: np.random.Generator) -> Estimate:
        """Estimate the main effect alone: for placebos and left-out units.

        Parameters
        ----------
        data, draws, rng : as for :meth:`estimate`
        """
        return state_effect(self._answer(data, rng))

    def _answer(self, data: object, rng: np.random.Generator) -> SyntheticAnswer:
        panel = read_panel(data, self._columns())
        _check_panel(panel)
        wide = panel.scaled().pivot(index="time", columns="unit", values="outcome")
        treated = sorted(panel.frame.query("treated == 1")["unit"].unique())
        controls = [int(one) for one in wide.columns if one not in set(treated)]
        outcomes = wide[controls].to_numpy(dtype=np.float64)
        mean = wide[treated].mean(axis=1).to_numpy(dtype=np.float64)
        before = panel.starts[0] - 1
        placebos = run_placebos(
            outcomes, before, method=self.method, n_treated=len(treated), rng=rng
        )
        return SyntheticAnswer(
            panel=panel,
            columns=self._columns(),
            method=self.method,
            direction=self.direction,
            fit=fit_synthetic(outcomes, mean, before, method=self.method, n_treated=len(treated)),
            placebos=placebos,
            controls=outcomes,
            treated=mean,
            names=[panel.units[one] for one in controls],
        )

    def _columns(self) -> PanelColumns:
        return PanelColumns(
            outcome=self.outcome,
            unit=self.unit,
            time=self.time,
            start=self.start,
            trials=self.trials,
            rows=self.rows,
            gaps=self.gaps,
            outcome_unit=self.outcome_unit,
            selected_in=self.selected_in,
        )


def _check_panel(panel: PanelData) -> None:
    starts = [panel.times[one - 1] for one in panel.starts]
    if len(starts) > 1:
        raise CasesError(
            f"A synthetic control needs one start; {count_of(len(starts), 'start')} found: "
            f"{list_values(starts)}. Compare one of them at a time, or use "
            "DifferenceInDifferences with estimator='callaway_santanna'."
        )
    if panel.n_controls < 2:
        raise CasesError(
            f"A synthetic control weighs several controls; {count_of(panel.n_controls, 'control')} "
            "found. With one use ControlledSeries, with none InterruptedSeries."
        )
    before = panel.starts[0] - 1
    if before < FEWEST_BEFORE:
        raise CasesError(
            f"A synthetic control needs {FEWEST_BEFORE} times or more before the start to find its "
            f"weights; {before:,} found. Use DifferenceInDifferences with estimator='2x2'."
        )
