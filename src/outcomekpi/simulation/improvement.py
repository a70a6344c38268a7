"""A program with a known effect: what it changes, from when, and for whom."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.declare.fields import knob
from outcomekpi.indicators.measures import MEASURES

__all__ = ["Improvement", "effect_course"]

NONE = "assumption, no program unless a study asks for one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """The true effect of a program on the patients who are in it, and who they are.

    All effects are those of the full program; before ``start_month`` there is none, and over
    ``ramp_months`` it grows in a straight line. With ``enroll_on`` only patients whose month 0
    reading is at least ``enroll_from`` are in the program: a group that regresses to the mean.
    """

    hba1c: float = knob(0.0, meaning="change of HbA1c", unit="% NGSP", source=NONE)
    sbp: float = knob(0.0, meaning="change of systolic pressure", unit="mmHg", source=NONE)
    dbp: float = knob(0.0, meaning="change of diastolic pressure", unit="mmHg", source=NONE)
    ldl: float = knob(0.0, meaning="change of LDL cholesterol", unit="mmol/L", source=NONE)
    weight: float = knob(0.0, meaning="change of body weight", unit="kg", source=NONE)
    phq9: float = knob(0.0, meaning="change of PHQ-9", unit="points", source=NONE)
    covered: float = knob(
        0.0, meaning="change of days with medication", unit="log odds", source=NONE
    )
    quit_odds_ratio: float = knob(
        1.0, meaning="odds ratio of stopping to smoke", unit="odds ratio", low=0.01, high=100,
        source=NONE,
    )  # fmt: skip
    admission_hazard_ratio: float = knob(
        1.0, meaning="hazard ratio of HF admission", unit="hazard ratio", low=0.01, high=100,
        source=NONE,
    )  # fmt: skip
    death_hazard_ratio: float = knob(
        1.0, meaning="hazard ratio of death", unit="hazard ratio", low=0.01, high=100, source=NONE
    )
    start_month: float = knob(
        0.0, meaning="month at whose end the program starts", unit="months", low=0,
        source="month 0 is the baseline before the program acts",
    )  # fmt: skip
    ramp_months: float = knob(
        6.0, meaning="months until the effect is full", unit="months", low=0,
        source="assumption, two cycles of HbA1c",
    )  # fmt: skip
    enroll_from: float = knob(
        0.0, meaning="smallest month 0 reading of those who are enrolled", unit="of the measure",
        source="used with enroll_on only; assumption, everybody is enrolled",
    )  # fmt: skip
    enroll_on: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.enroll_on is not None:
            check_choice("Improvement.enroll_on", self.enroll_on, MEASURES)
        elif self.enroll_from != 0:
            raise SpecError(
                f"Improvement.enroll_from is {self.enroll_from:g}, but enroll_on names no measure. "
                "Name the measure, or leave enroll_from out."
            )


def effect_course(improvement: Improvement, months: int) -> NDArray[np.float64]:
    """Share of the full effect at the end of each month: (months + 1,), from month 0."""
    since = np.arange(months + 1) - improvement.start_month
    if improvement.ramp_months == 0:
        return (since > 0).astype(np.float64)
    return np.clip(since / improvement.ramp_months, 0.0, 1.0)
