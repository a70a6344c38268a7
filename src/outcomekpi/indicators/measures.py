"""The readings of a synthetic hospital: what each one is, and the knobs that all share."""

from dataclasses import dataclass
from types import MappingProxyType

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import knob

__all__ = ["MEASURES", "OUTCOMES", "MeasureFacts", "MeasureTraits"]

UNIT = "unit of the measure"
NGSP_PER_IFCC, NGSP_AT_0 = 0.09148, 2.152
"""HbA1c in % NGSP = 0.09148 × mmol/mol + 2.152, the master equation."""
HBA1C_BOUNDS = (4.0, 18.0)
"""Readings of HbA1c in % NGSP, unless a scenario says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureFacts:
    """What a measure is: nothing that a scenario could change.

    Attributes
    ----------
    label : in words
    unit : of a reading
    scale : unit that means, SDs and effects are in: that of a reading, or log odds
    outcome : the true quality of doctors that moves it
    condition : patients it is for; the others differ by ``difference_without``
    everyone : whether patients without the condition are measured as well
    sign : +1 where a higher value is better, -1 where a lower one is
    """

    label: str
    unit: str
    scale: str
    outcome: str
    condition: str | None
    everyone: bool
    sign: int


def _facts(
    label: str, unit: str, outcome: str, condition: str | None, everyone: bool
) -> MeasureFacts:
    return MeasureFacts(
        label=label, unit=unit, scale=unit, outcome=outcome, condition=condition, everyone=everyone,
        sign=-1,
    )  # fmt: skip


MEASURES = MappingProxyType(
    {
        "hba1c": _facts("HbA1c", "% NGSP", "hba1c", "diabetes", False),
        "sbp": _facts("systolic pressure", "mmHg", "blood_pressure", "hypertension", True),
        "dbp": _facts("diastolic pressure", "mmHg", "blood_pressure", "hypertension", True),
        "ldl": _facts("LDL cholesterol", "mmol/L", "ldl", None, True),
        "weight": _facts("body weight", "kg", "weight", "obesity", True),
        "phq9": _facts("PHQ-9", "points", "phq9", "depression", False),
        "covered": MeasureFacts(
            label="days with medication", unit="share of days", scale="log odds",
            outcome="adherence", condition=None, everyone=True, sign=1,
        ),
    }
)  # fmt: skip
"""Facts of each measure, in the order of the columns of the measurements."""

OUTCOMES = (
    "hba1c",
    "blood_pressure",
    "ldl",
    "weight",
    "phq9",
    "adherence",
    "smoking",
    "heart_failure",
)
"""What doctors have a true quality in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureTraits:
    """How one measure varies: between patients, over time, between doctors.

    A reading of patient i of doctor j at month t is

        mean + case mix + own + (trend + own slope) t/12 + doctor and hospital + program + within,

    on the scale of the measure (log odds for the share of days with medication). Everything
    random is normal, but the patient's own part, which may be skewed.
    """

    mean: float = knob(
        meaning="mean of patients with the condition, at mean case mix, month 0", unit=UNIT,
        source="assumption",
    )  # fmt: skip
    sd_own: float = knob(
        meaning="SD of patients' own levels beyond case mix", unit=UNIT, low=0, source="assumption"
    )
    sd_within: float = knob(
        meaning="SD of one reading around the patient's own course", unit=UNIT, low=0,
        source="assumption",
    )  # fmt: skip
    sd_doctor: float = knob(
        meaning="change by one SD of a doctor's true quality, for the better", unit=UNIT, low=0,
        source="assumption",
    )  # fmt: skip
    sd_hospital: float = knob(
        0.0, meaning="the same for hospitals", unit=UNIT, low=0,
        source="assumption, half of that between doctors",
    )  # fmt: skip
    skewness: float = knob(
        0.0, meaning="skewness of patients' own levels (shifted lognormal)", unit="ratio", low=0,
        high=4, source="assumption, symmetric",
    )  # fmt: skip
    per_decade: float = knob(
        0.0, meaning="change per ten years of age", unit=f"{UNIT} per ten years",
        source="assumption, no gradient",
    )  # fmt: skip
    per_male: float = knob(
        0.0, meaning="men less women", unit=UNIT, source="assumption, no difference"
    )
    per_comorbidity: float = knob(
        0.0, meaning="change per Charlson point", unit=f"{UNIT} per point",
        source="assumption, no gradient",
    )  # fmt: skip
    per_ses: float = knob(
        0.0, meaning="change per quintile of socio-economic status", unit=f"{UNIT} per quintile",
        source="assumption, no gradient",
    )  # fmt: skip
    per_severity: float = knob(
        0.0, meaning="change per SD of severity", unit=f"{UNIT} per SD",
        source="assumption, no gradient",
    )  # fmt: skip
    difference_without: float = knob(
        0.0, meaning="patients without the condition less those with it", unit=UNIT,
        source="assumption, not measured without the condition, or no condition",
    )  # fmt: skip
    trend: float = knob(
        0.0, meaning="secular trend of everybody", unit=f"{UNIT} per year",
        source="assumption, none unless a study asks for it",
    )  # fmt: skip
    sd_slope: float = knob(
        0.0, meaning="SD of patients' own yearly change", unit=f"{UNIT} per year", low=0,
        source="assumption, patients keep their level unless somebody acts",
    )  # fmt: skip
    every_months: int = knob(
        3, meaning="months between planned readings", unit="months", low=1, high=12,
        source="assumption, quarterly visits",
    )  # fmt: skip
    resolution: float = knob(
        0.0, meaning="readings are rounded to multiples of this; 0 leaves them as they are",
        unit=UNIT, low=0, source="assumption, kept as they are, so that no reading equals a target",
    )  # fmt: skip
    lowest: float = knob(
        meaning="smallest reading; lower ones are set to it", unit=UNIT,
        source="assumption, smallest value that a device or form reports",
    )  # fmt: skip
    highest: float = knob(
        meaning="largest reading; higher ones are set to it", unit=UNIT,
        source="assumption, largest value that a device or form reports",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.lowest < self.highest:
            raise SpecError(
                "MeasureTraits.lowest must be less than highest; "
                f"got {self.lowest:g} and {self.highest:g}."
            )
        if not self.lowest <= self.mean <= self.highest:
            raise SpecError(
                "MeasureTraits.mean must lie between lowest and highest, "
                f"{self.lowest:g} and {self.highest:g}; got {self.mean:g}, so that most readings "
                f"would be set to a bound.{self._unit_hint()}"
            )

    def _unit_hint(self) -> str:
        """HbA1c in IFCC units, where the bounds are those of a share in percent."""
        percent = NGSP_PER_IFCC * self.mean + NGSP_AT_0
        if self.mean < self.highest or (self.lowest, self.highest) != HBA1C_BOUNDS:
            return ""
        if not self.lowest <= percent <= self.highest:
            return ""
        return f" If that is HbA1c in mmol/mol, it is {percent:.1f} % NGSP."
