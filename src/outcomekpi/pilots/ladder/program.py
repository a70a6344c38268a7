"""What the user knows about a pilot that no table says: the facts a checklist asks for."""

from dataclasses import dataclass

from outcomekpi.declare.checking import check_fields

__all__ = ["Program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Facts about a pilot program; None means that nobody said, and the report says so.

    Attributes
    ----------
    name : of the program
    selected_on_baseline : whether patients, doctors or hospitals entered because their baseline
        was extreme; True makes the correction for regression to the mean compulsory
    assignment : how units came into the program (volunteered, chosen by managers, randomized)
    ramp_up : how long the program took to take hold
    co_interventions : what else changed at the same time
    attribution : which doctor or hospital a patient counts for
    numerator, denominator : definition of both, in words
    other_outcomes : every other outcome that was looked at
    harms : what was watched for harm, and what was seen
    measurement_changes : changes of laboratory, device or coding during the study
    """

    name: str = "the program"
    selected_on_baseline: bool | None = None
    assignment: str | None = None
    ramp_up: str | None = None
    co_interventions: str | None = None
    attribution: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    other_outcomes: tuple[str, ...] | None = None
    harms: str | None = None
    measurement_changes: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
