"""Rung 3: a synthetic control, a weighted average of units that the program did not reach."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.memory import remembered
from outcomekpi.pilots.data.panel import (
    PanelColumns,
    PanelData,
    read_panel,
)
from outcomekpi.pilots.data.selected_periods import check_selected_in
from outcomekpi.pilots.designs.did_estimation import relate_to_mean
from outcomekpi.pilots.designs.did_options import check_panel_options
from outcomekpi.pilots.designs.panel_bounds import (
    bound_effects,
    check_levels,
    clip_levels,
    holds_percentages,
)
from outcomekpi.pilots.designs.panel_facts import (
    join_words,
    list_panel_facts,
    measure_naive,
    spell_interval,
)
from outcomekpi.pilots.designs.selection_signs import (
    SelectionSigns,
    check_selection_signs,
    doubt_selection,
    fear_return,
    find_selection_signs,
)
from outcomekpi.pilots.estimators.synthetic_fit import (
    Placebos,
    SyntheticFit,
    SyntheticMethod,
    fit_synthetic,
    run_placebos,
)
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Answered, Fact, Findings, Rung, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import count_of, list_values

__all__ = ["SyntheticAnswer", "SyntheticControl", "describe_synthetic", "state_effect"]

FEWEST_BEFORE = 3


# What a synthetic control says: estimates, placebos, leave-one-out, facts and threats
Floats = NDArray[np.float64]
METHODS: dict[SyntheticMethod, str] = {
    "sdid": "synthetic difference in differences",
    "sc": "synthetic control",
    "did": "difference in differences, all controls alike",
}
POWER = 0.8
FIT_LEVEL = 0.95
"""1 minus the size of the test of the fit before the start, which no level of an effect moves."""
WEIGHT_THAT_COUNTS = 0.01
MOST_LEFT_OUT = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class SyntheticAnswer:
    """Everything that estimates, tables and facts are made from.

    Attributes
    ----------
    panel, columns, method, direction : what was estimated from, and how
    fit, placebos : the estimate, and those without a program
    controls : (time, control), outcomes
    treated : (time,), mean outcome of the treated
    names : of the controls
    """

    panel: PanelData
    columns: PanelColumns
    method: SyntheticMethod
    direction: Direction | None
    fit: SyntheticFit
    placebos: Placebos
    controls: Floats
    treated: Floats
    names: list[str]

    @property
    def before(self) -> int:
        """Times before the start."""
        return self.panel.starts[0] - 1

    def again(self, controls: Floats, start: int, stop: int | None = None) -> SyntheticFit:
        """Fit the same with other controls, another start or an earlier end."""
        return fit_synthetic(
            controls[:stop],
            self.treated[:stop],
            start,
            method=self.method,
            n_treated=self.panel.n_treated,
        )


def describe_synthetic(answer: SyntheticAnswer, program: Program, level: float) -> Findings:
    """Put together everything that was found, with intervals of a level."""
    panel = answer.panel
    main = state_effect(answer)
    signs = find_selection_signs(panel)
    percent = holds_percentages(panel, answer.columns)
    estimates = (main, *relate_to_mean(panel, main))
    naive = measure_naive(panel)
    left_out = _leave_one_out(answer)
    backdated = _backdate(answer)
    tables = _tables(answer, left_out, backdated, level)
    levels: tuple[CheckResult, ...] = ()
    if percent:
        remedy = "Compare log odds of the shares, as an outcome of their own."
        levels = check_levels(tables["counterfactual"], remedy=remedy)
        tables["counterfactual"] = clip_levels(tables["counterfactual"])
    return Findings(
        estimand=(
            f"effect of {program.name} on {answer.columns.outcome} of the treated "
            f"{count_of(panel.n_treated, 'unit')}, from {panel.times[answer.before]} to "
            f"{panel.times[-1]}{', each treated unit counting alike' * _is_counted(answer)}"
        ),
        estimates=bound_effects(estimates, panel) if percent else estimates,
        naive=naive,
        assumptions=(
            "Without the program the treated would have moved as the weighted controls did.",
            "Nobody changed before the start because the start was known (no anticipation).",
            "The program did not reach the controls (no spillover).",
            "The noise of treated and controls is alike (placebo error).",
        ),
        checks=(_check_fit(answer), check_selection_signs(signs, panel, program), *levels),
        threats=_threats(main, signs, answer.columns, program),
        tables=tables,
        facts=_facts(answer, main, naive, left_out, backdated, level),
        direction=answer.direction,
        withheld=doubt_selection(signs, panel, program),
    )


def _is_counted(answer: SyntheticAnswer) -> bool:
    """Whether patients could be counted alike instead of the treated units."""
    return answer.columns.counts_patients and answer.panel.n_treated > 1


def state_effect(answer: SyntheticAnswer) -> Estimate:
    """Put the average departure into an estimate."""
    kind = "each control" if answer.placebos.is_exhaustive else "random choices of controls"
    return Estimate(
        name="average departure from the weighted controls",
        unit=answer.panel.word,
        value=answer.fit.effect,
        se=answer.placebos.error,
        origin=f"normal, placebo error of {kind} ({len(answer.placebos.fits):,})",
    )


@remembered
def _leave_one_out(answer: SyntheticAnswer) -> pd.DataFrame:
    """Effect without each control that has a weight; none where that leaves fewer than two."""
    rows = []
    heavy = np.argsort(-answer.fit.units)
    heavy = heavy[answer.fit.units[heavy] > WEIGHT_THAT_COUNTS]
    if len(answer.names) > 2:
        for one in heavy[:MOST_LEFT_OUT]:
            fit = answer.again(np.delete(answer.controls, one, axis=1), answer.before)
            rows.append((answer.names[one], fit.effect, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["cluster", "mean", "lower", "upper"])


@remembered
def _backdate(answer: SyntheticAnswer) -> tuple[str, float] | None:
    """Effect of a start that was none, two thirds into the time before the real one."""
    start = 2 * answer.before // 3
    if start < 3 or start >= answer.before:
        return None
    fit = answer.again(answer.controls, start, answer.before)
    return answer.panel.times[start], fit.effect


def _check_fit(answer: SyntheticAnswer) -> CheckResult:
    others = np.array([one.misfit for one in answer.placebos.fits])
    share = float(np.mean(others >= answer.fit.misfit))
    return CheckResult(
        name="fit before the start",
        passed=share >= 1 - FIT_LEVEL,
        verdict=f"The weighted controls miss the treated before the start by "
        f"{answer.fit.misfit:.3g} {answer.panel.word} (root mean square); {share:.0%} of the "
        "placebos fit as badly or worse.",
        table=pd.DataFrame({"misfit": [answer.fit.misfit, *others]}),
    )


def _tables(
    answer: SyntheticAnswer,
    left_out: pd.DataFrame,
    backdated: tuple[str, float] | None,
    level: float,
) -> dict[str, pd.DataFrame]:
    panel, fit = answer.panel, answer.fit
    spread = np.std([one.gap for one in answer.placebos.fits], axis=0)
    half = float(ndtri(0.5 + level / 2)) * spread
    without = answer.treated - fit.gap
    counterfactual = pd.DataFrame(
        {
            "time": list(panel.times),
            "observed": answer.treated,
            "fitted": without,
            "counterfactual": without,
            "lower": without - half,
            "upper": without + half,
            "after": np.arange(len(panel.times)) >= answer.before,
        }
    )
    counterfactual.attrs.update(level=level, unit=panel.word)
    placebo = pd.DataFrame(
        {
            "where": [
                join_words([answer.names[one] for one in chosen], shown=3)
                for chosen in answer.placebos.chosen
            ],
            "mean": answer.placebos.effects,
            "lower": np.nan,
            "upper": np.nan,
        }
    )
    if backdated is not None:
        row = {"where": f"start at {backdated[0]}", "mean": backdated[1]}
        placebo = pd.concat([placebo, pd.DataFrame([row])], ignore_index=True)
    weights = pd.DataFrame({"unit": answer.names, "weight": fit.units})
    return {
        "counterfactual": counterfactual,
        "weights": weights.sort_values("weight", ascending=False, ignore_index=True),
        "time_weights": pd.DataFrame(
            {"time": list(panel.times[: answer.before]), "weight": fit.times}
        ),
        "placebo": placebo,
        "leave_one_out": left_out,
    }


def _facts(
    answer: SyntheticAnswer,
    main: Estimate,
    naive: Estimate,
    left_out: pd.DataFrame,
    backdated: tuple[str, float] | None,
    level: float,
) -> dict[str, Fact]:
    panel, placebos = answer.panel, answer.placebos
    heavy = [
        f"{answer.names[one]} {answer.fit.units[one]:.2f}"
        for one in np.argsort(-answer.fit.units)
        if answer.fit.units[one] > WEIGHT_THAT_COUNTS
    ]
    chance = placebos.p_value(answer.fit.effect)
    told = [f"placebo rank: p = {chance:.3g} of at best {1 / (1 + len(placebos.fits)):.3g}"]
    if len(left_out):
        told.append(
            f"without one control at a time {left_out['mean'].min():.4g} to "
            f"{left_out['mean'].max():.4g} {panel.word}"
        )
    if backdated is not None:
        told.append(f"a start at {backdated[0]} that was none: {backdated[1]:.4g} {panel.word}")
    common = list_panel_facts(panel, answer.columns, naive, level=level)
    reach = float(ndtri(0.5 + level / 2) + ndtri(POWER)) * placebos.error
    return common | {
        "standard_error": main.origin,
        "few_clusters": f"{count_of(panel.n_treated, 'treated unit')}: no cluster-robust error; "
        f"{len(placebos.fits):,} placebos among {len(answer.names):,} controls",
        "comparator": f"{METHODS[answer.method]}; weights: {join_words(heavy)}",
        "pre_trend": _check_fit(answer).verdict,
        "main_effect": f"{main.name} {main.value:.4g} {main.unit} "
        f"({spell_interval(main, level=level)})",
        "sensitivity": "; ".join(told),
        "power": f"an effect of {reach:.4g} {main.unit} or more, up or down, would be shown with "
        f"a probability of {POWER:.0%}",
    }


def _threats(
    main: Estimate, signs: SelectionSigns, columns: PanelColumns, program: Program
) -> tuple[Threat, ...]:
    amount = f"{main.value:.4g} {main.unit}"
    threats = [
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that changed the treated alone by {amount} leaves no effect",
            handled="what moves treated and weighted controls alike cancels",
        ),
        Threat(
            name="spillover",
            direction="either",
            tipping="a share of the effect that reaches the controls hides the same share of it",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement among the treated alone worth {amount} leaves no "
            "effect",
            handled=program.measurement_changes or "",
        ),
    ]
    return (*threats, *fear_return(main, signs, columns, program))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticControl(PanelColumns):
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

    method: SyntheticMethod = "sdid"
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_panel_options(self)

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[SyntheticAnswer]:
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
        return Answered(
            numbers=self._answer(data, rng), program=program, describe=describe_synthetic
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
        panel = read_panel(data, self)
        _check_panel(panel)
        return panel

    def main_effect(self, data: object, *, draws: int, rng: np.random.Generator) -> Estimate:
        """Estimate the main effect alone: for placebos and left-out units.

        Parameters
        ----------
        data, draws, rng : as for :meth:`estimate`
        """
        return state_effect(self._answer(data, rng))

    def _answer(self, data: object, rng: np.random.Generator) -> SyntheticAnswer:
        panel = self.read(data)
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
            columns=self,
            method=self.method,
            direction=self.direction,
            fit=fit_synthetic(outcomes, mean, before, method=self.method, n_treated=len(treated)),
            placebos=placebos,
            controls=outcomes,
            treated=mean,
            names=[panel.units[one] for one in controls],
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
