"""What else could have changed doctors' results, and how strong it would have to be."""

from outcomekpi.pilots.designs.before_after_threats import list_threats as list_change_threats
from outcomekpi.pilots.designs.before_after_threats import spell_tipping
from outcomekpi.pilots.designs.doctor_effects_facts import DoctorAnswer
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program

__all__ = ["list_threats"]


def list_threats(answer: DoctorAnswer, program: Program) -> tuple[Threat, ...]:
    """List other explanations: those of any before/after, and patients moving between doctors."""
    amount, _ = spell_tipping(answer.plain.main)
    found = list_change_threats(answer.plain, program)
    spread = next(one for one in answer.plain.estimates if one.name == "SD of the doctors' changes")
    return (
        *found,
        Threat(
            name="few doctors carry it",
            direction="either",
            tipping=f"the average of {amount} hides changes that differ between doctors by an SD "
            f"of {spread.value:.4g} {spread.unit}",
            handled="the change of each doctor is in the table of doctors",
        ),
    )
