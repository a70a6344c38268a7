"""What else could have moved two groups apart, and how strong it would have to be."""

import numpy as np
import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.designs.before_after_threats import spell_tipping
from outcomekpi.pilots.designs.group_estimates import add_shocks, shock_at_nil
from outcomekpi.pilots.designs.group_facts import GroupAnswer
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program

__all__ = ["list_group_threats", "spell_shock", "tabulate_groups"]


def list_group_threats(answer: GroupAnswer, program: Program) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    amount, edge = spell_tipping(answer.main)
    groups = answer.effect.groups
    treated, controls = groups.treated_name, groups.control_name
    threats = [
        Threat(
            name="trends that were not parallel",
            direction="either",
            tipping=f"{treated} changing by {amount} more than {controls} without any program "
            f"leaves no effect; {edge}",
            handled="changes common to both groups cancel",
        ),
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that moved {treated} alone by {amount}, or {controls} alone "
            f"by as much the other way, leaves no effect; {spell_shock(answer.main)}"
            if answer.by_groups
            else f"something else that moved the treated alone by {amount} leaves no effect",
            handled="what happens to both groups alike cancels",
        ),
        Threat(
            name="regression to the mean",
            direction="towards benefit",
            tipping=f"if the treated came in because their baseline was extreme, a fall back of "
            f"{amount} on its own leaves no effect; a group not chosen so does not show it",
            handled="the treated were not selected on their baseline, as the user says"
            if program.selected_on_baseline is False
            else "",
        ),
        Threat(
            name="case mix",
            direction="either",
            tipping=f"a change of who the patients are in one group alone, not in the case mix and "
            f"worth {amount}, leaves no effect",
            handled=_handled_mix(answer),
        ),
        Threat(
            name="spillover",
            direction="either",
            tipping="a share of the effect that reaches the controls hides the same share of it",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement or coding in one group alone worth {amount} leaves "
            "no effect",
            handled=program.measurement_changes or "",
        ),
        Threat(
            name="co-intervention",
            direction="either",
            tipping=f"something else begun in {treated} at the same time that is worth {amount} "
            "leaves no effect of the program itself",
            handled=program.co_interventions or "",
        ),
    ]
    if answer.missing.any:
        threats.append(
            Threat(
                name="attrition",
                direction="either",
                tipping=answer.missing.spell(),
                handled="bounds that assume nothing of the missing outcomes"
                if answer.missing.bounds is not None
                else "",
            )
        )
    return tuple(threats)


def spell_shock(main: Estimate) -> str:
    """Write how much groups may move by themselves before the interval includes no effect."""
    if main.excludes_null(level=DEFAULT_LEVEL) is not True:
        return f"the {DEFAULT_LEVEL:.0%} interval includes no effect without any such shock"
    sd = shock_at_nil(main, level=DEFAULT_LEVEL)
    return (
        f"if each group moves by itself from period to period with an SD of {sd:.3g} {main.unit} "
        f"or more, the {DEFAULT_LEVEL:.0%} interval includes no effect"
    )


def tabulate_groups(answer: GroupAnswer) -> dict[str, pd.DataFrame]:
    """Return the tables: slope, and group_shocks, missing_bounds where they apply."""
    effect = answer.effect
    levels = effect.scale * effect.means
    groups = effect.groups
    slope = pd.DataFrame(
        {
            "unit": [f"{groups.treated_name} (program)", f"{groups.control_name} (none)"],
            "before": [levels[2], levels[0]],
            "after": [levels[3], levels[1]],
            "expected_after": [effect.scale * effect.counterfactual, np.nan],
        }
    )
    slope.attrs["expected"] = "had it changed as the other group"
    tables = {"slope": slope}
    lower, upper = answer.main.interval(level=DEFAULT_LEVEL)
    if answer.by_groups and np.isfinite(upper - lower):
        tables["group_shocks"] = _shocks(answer.main)
    if answer.missing.table is not None:
        tables["missing_bounds"] = answer.missing.table
    for table in tables.values():
        table.attrs.update(level=DEFAULT_LEVEL, unit=answer.unit)
    return tables


def _shocks(main: Estimate) -> pd.DataFrame:
    """Intervals of the effect if groups move by themselves, by the SD of that."""
    lower, upper = main.interval(level=DEFAULT_LEVEL)
    error = (upper - lower) / 3.92
    sds = np.array([0.0, 0.25, 0.5, 1.0, 2.0]) * error
    spans = np.array([add_shocks(main, sd=sd, level=DEFAULT_LEVEL) for sd in sds])
    return pd.DataFrame(
        {"sd_of_shocks": sds, "mean": main.value, "lower": spans[:, 0], "upper": spans[:, 1]}
    )


def _handled_mix(answer: GroupAnswer) -> str:
    parts = []
    if answer.effect.is_paired:
        parts.append("patients are compared with themselves")
    if answer.effect.is_adjusted:
        parts.append(f"at one case mix ({answer.columns.case_mix})")
    return ", ".join(parts)
