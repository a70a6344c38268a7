"""What else could have changed patients' outcomes, and how strong it would have to be."""

from outcomekpi.pilots.designs.before_after_facts import ChangeAnswer
from outcomekpi.pilots.estimators.baseline_edge import find_edge
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program

__all__ = ["list_threats", "spell_tipping"]


def list_threats(answer: ChangeAnswer, program: Program, *, level: float) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    amount, edge = spell_tipping(answer.main, level=level)
    threats = [
        Threat(
            name="history",
            direction="either",
            tipping=f"a change of {amount} from before to after that everybody had, program or "
            f"not, leaves no effect; {edge}",
            handled="",
        ),
        _regression(answer, program, amount),
        Threat(
            name="case mix",
            direction="either",
            tipping=f"differences between the patients of the periods that are not in the case mix "
            f"and worth {amount} leave no effect",
            handled=_handled_mix(answer),
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement, coding or definition at the start worth {amount} "
            "leaves no effect",
            handled=program.measurement_changes or "",
        ),
        Threat(
            name="co-intervention",
            direction="either",
            tipping=f"something else begun at the same time that is worth {amount} leaves no "
            "effect of the program itself",
            handled=program.co_interventions or "",
        ),
    ]
    if answer.missing.any:
        threats.append(
            Threat(
                name="attrition",
                direction="towards benefit" if answer.missing.more_after else "either",
                tipping=answer.missing.tipping,
                handled="bounds that assume nothing of the missing outcomes"
                if answer.missing.bounds is not None
                else "",
            )
        )
    return tuple(threats)


def spell_tipping(main: Estimate, *, level: float) -> tuple[str, str]:
    """Write the size that makes the effect nil, and the one that takes its clarity."""
    lower, upper = main.interval(level=level)
    amount = f"{main.value:.4g} {main.unit}"
    if not main.excludes_null(level=level):
        return amount, f"the {level:.0%} interval includes no effect as it is"
    near = lower if abs(lower) < abs(upper) else upper
    return amount, (
        f"{near:.4g} {main.unit} is enough for the {level:.0%} interval to include no effect"
    )


def _regression(answer: ChangeAnswer, program: Program, amount: str) -> Threat:
    corrected = answer.corrected
    if corrected is not None:
        return Threat(
            name="regression to the mean",
            direction="towards benefit",
            tipping=f"it is in the main effect; {amount} more of it than the "
            f"{corrected.expected:.4g} {corrected.unit} expected leaves no effect",
            handled=f"corrected: {corrected.method}",
        )
    if program.selected_on_baseline is False:
        return Threat(
            name="regression to the mean",
            direction="towards benefit",
            tipping=f"a fall back of {amount} leaves no effect",
            handled="patients were not selected on their baseline, as the user says",
        )
    rows, use = answer.change.rows, answer.change.model_rows
    edge = find_edge(rows.outcome[use & ~rows.after], rows.outcome[use & rows.after])
    if edge is not None:
        where = "or more" if edge.side == "above" else "or less"
        return Threat(
            name="regression to the mean",
            direction="towards benefit",
            tipping=f"every baseline is {edge.at:.6g} {where}, as if it had got patients in; a "
            f"fall back of {amount} on its own leaves no effect",
            handled="",
        )
    return Threat(
        name="regression to the mean",
        direction="towards benefit",
        tipping=f"if patients or units came in because their baseline was extreme, a fall back of "
        f"{amount} on its own leaves no effect; say so by Program(selected_on_baseline=...)",
        handled="",
    )


def _handled_mix(answer: ChangeAnswer) -> str:
    parts = []
    if answer.change.is_paired:
        parts.append("patients are compared with themselves")
    if answer.change.is_adjusted:
        parts.append(f"both periods at one case mix ({answer.columns.case_mix})")
    return ", ".join(parts)
