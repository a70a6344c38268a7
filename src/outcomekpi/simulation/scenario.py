"""A scenario: everything that must be said before a synthetic hospital can be simulated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import knob
from outcomekpi.indicators.measures import MEASURES, MeasureTraits
from outcomekpi.simulation.improvement import Improvement
from outcomekpi.simulation.processes import EventRates, Missingness, SmokingTraits
from outcomekpi.simulation.traits import DoctorTraits, PatientTraits

__all__ = ["MEASURE_SOURCES", "Scenario", "default_traits"]


# Default knobs of each measure, every number with its source
SMALL = (
    "about 3 % of the variance, as in O'Connor et al. 2008, Preventing Chronic Disease (more than "
    "95 % of the variance of HbA1c lies between patients of one physician)"
)
GRADIENT = "assumption, a small gradient of the recorded case mix"
HIDDEN = "assumption, severity that no record holds matters more than the record"
HALF = "assumption, half of that between doctors"
KROENKE = "Kroenke, Spitzer and Williams 2001, Journal of General Internal Medicine"

_VALUES: dict[str, dict[str, tuple[float, str]]] = {
    "hba1c": {
        "mean": (7.6, "assumption, 40 to 45 % below 7 with the spread below"),
        "sd_own": (1.2, "assumption, total SD of 1.4 in treated type 2 diabetes"),
        "sd_within": (
            0.4,
            "assumption, middle of .3 to .5, where a drop of .8 without any change has "
            "probability .03 to .13",
        ),
        "sd_doctor": (0.22, SMALL),
        "sd_hospital": (0.11, HALF),
        "skewness": (1.0, "assumption, a tail of very high values"),
        "per_decade": (-0.10, "assumption, the old are a little better controlled"),
        "per_comorbidity": (0.08, GRADIENT),
        "per_ses": (-0.10, GRADIENT),
        "per_severity": (0.30, HIDDEN),
        "sd_slope": (0.20, "assumption, some patients deteriorate and others improve"),
        "lowest": (4.0, "assumption, the range of common assays"),
        "highest": (18.0, "assumption, the range of common assays"),
    },
    "sbp": {
        "mean": (142.0, "assumption, 35 to 40 % of treated patients below 140/90"),
        "sd_own": (10.0, "assumption, total SD of 15 in treated hypertension"),
        "sd_within": (
            10.0,
            "assumption, order of the visit-to-visit SD in treated patients (Rothwell et al. 2010, "
            "Lancet)",
        ),
        "sd_doctor": (2.4, SMALL),
        "sd_hospital": (1.2, HALF),
        "per_decade": (2.0, "assumption, systolic pressure grows with age"),
        "per_comorbidity": (0.5, GRADIENT),
        "per_ses": (-0.6, GRADIENT),
        "per_severity": (2.5, HIDDEN),
        "difference_without": (-16.0, "assumption, patients without hypertension"),
        "sd_slope": (2.0, "assumption, some patients deteriorate and others improve"),
        "every_months": (1, "A-C1R2 needs a reading in each month"),
        "lowest": (70.0, "assumption, what a cuff reports"),
        "highest": (260.0, "assumption, what a cuff reports"),
    },
    "dbp": {
        "mean": (83.0, "assumption, with the systolic pressure"),
        "sd_own": (7.0, "assumption, total SD of 10 in treated hypertension"),
        "sd_within": (6.0, "assumption, smaller than the systolic one"),
        "sd_doctor": (1.4, SMALL),
        "sd_hospital": (0.7, HALF),
        "per_decade": (-2.5, "assumption, diastolic pressure falls after 60"),
        "per_comorbidity": (0.2, GRADIENT),
        "per_ses": (-0.3, GRADIENT),
        "per_severity": (1.2, HIDDEN),
        "difference_without": (-9.0, "assumption, patients without hypertension"),
        "sd_slope": (1.0, "assumption, some patients deteriorate and others improve"),
        "every_months": (1, "A-C1R2 needs a reading in each month"),
        "lowest": (35.0, "assumption, what a cuff reports"),
        "highest": (160.0, "assumption, what a cuff reports"),
    },
    "ldl": {
        "mean": (2.9, "assumption, about a third below 2.6 mmol/L (A-E1)"),
        "sd_own": (0.75, "assumption, total SD of .8 to .9"),
        "sd_within": (
            0.23,
            "biological coefficient of variation 7.8 % (Kafonek, Derby and Bachorik 1992, Clinical "
            "Chemistry) at 2.9 mmol/L",
        ),
        "sd_doctor": (0.14, SMALL),
        "sd_hospital": (0.07, HALF),
        "per_decade": (-0.05, GRADIENT),
        "per_comorbidity": (-0.05, "assumption, the sicker are treated more"),
        "per_ses": (-0.03, GRADIENT),
        "per_severity": (0.08, HIDDEN),
        "sd_slope": (0.10, "assumption, some patients deteriorate and others improve"),
        "lowest": (0.3, "assumption, the range of common assays"),
        "highest": (10.0, "assumption, the range of common assays"),
    },
    "weight": {
        "mean": (75.0, "assumption, women with a BMI of about 30 at 1.58 m"),
        "sd_own": (8.0, "assumption, height and BMI together"),
        "sd_within": (0.8, "assumption, about 1 % from day to day"),
        "sd_doctor": (1.3, SMALL),
        "sd_hospital": (0.6, HALF),
        "skewness": (0.8, "assumption, a tail of very heavy patients"),
        "per_decade": (-1.5, "assumption, the old are lighter"),
        "per_male": (11.0, "assumption, the difference in height at equal BMI"),
        "per_severity": (0.5, HIDDEN),
        "difference_without": (-14.0, "assumption, a BMI of 24 in the others"),
        "sd_slope": (2.5, "assumption, one adult in six gains or loses 2.5 kg in a year"),
        "every_months": (1, "assumption, weighed at each visit"),
        "lowest": (30.0, "assumption, the range of a scale"),
        "highest": (200.0, "assumption, the range of a scale"),
    },
    "phq9": {
        "mean": (13.0, "assumption, moderate depression (10 to 14) at entry"),
        "sd_own": (4.0, "assumption, total SD of 5 points"),
        "sd_within": (
            2.0,
            f"{KROENKE}: test-retest correlation .84, at a total SD of 5 points",
        ),
        "sd_doctor": (0.8, SMALL),
        "sd_hospital": (0.4, HALF),
        "skewness": (0.3, "assumption, somewhat skewed"),
        "per_ses": (-0.3, GRADIENT),
        "per_severity": (1.0, HIDDEN),
        "sd_slope": (2.5, "assumption, courses differ widely"),
        "trend": (-2.0, "assumption, some recover by themselves"),
        "resolution": (1.0, f"sum of nine answers from 0 to 3 ({KROENKE})"),
        "lowest": (0.0, f"sum of nine answers from 0 to 3 ({KROENKE})"),
        "highest": (27.0, f"sum of nine answers from 0 to 3 ({KROENKE})"),
    },
    "covered": {
        "mean": (1.2, "assumption, three quarters of the days (77 %) at the median"),
        "sd_own": (1.1, "assumption, about half of the patients above .80"),
        "sd_within": (0.5, "assumption, months differ"),
        "sd_doctor": (0.22, SMALL),
        "sd_hospital": (0.11, HALF),
        "per_ses": (0.10, GRADIENT),
        "per_severity": (-0.15, "assumption, the sicker have more to take"),
        "sd_slope": (0.2, "assumption, habits change slowly"),
        "every_months": (1, "assumption, from dispensing records"),
        "lowest": (-12.0, "assumption, no bound but 0"),
        "highest": (12.0, "assumption, no bound but 1"),
    },
}

MEASURE_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {name: MappingProxyType({k: v[1] for k, v in _VALUES[name].items()}) for name in MEASURES}
)
"""measure -> knob -> source, for every knob that is not the common default."""


def default_traits(measure: str) -> MeasureTraits:
    """Return the default knobs of one measure."""
    values: dict[str, Any] = {name: value for name, (value, _) in _VALUES[measure].items()}
    return MeasureTraits(**values)


def _told(name: str) -> dict[str, Any]:
    """Say what the codebook needs about a measure beside its knobs."""
    return {"sources": MEASURE_SOURCES[name], "unit": MEASURES[name].scale}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A synthetic hospital before anything is drawn: all knobs, in bundles.

    Attributes
    ----------
    name : of the scenario
    months : months of follow-up after month 0
    pressure_correlation : correlation of systolic and diastolic pressure, between the patients'
        own levels and between the readings of a month
    doctors, patients : who works and who is treated
    hba1c, sbp, dbp, ldl, weight, phq9, covered : how each measure varies
    smoking : how smokers stop and relapse
    events : heart-failure admissions and deaths
    missingness : which planned readings are not there
    improvement : the program and its true effect; by default none

    Notes
    -----
    Every number carries its meaning, unit, range and source; ``ok.scenario_codebook()`` lists
    them. ``dataclasses.replace`` makes a changed scenario; nothing is changed in place.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from outcomekpi import Scenario
    >>> scenario = Scenario(months=12)
    >>> replace(scenario, doctors=replace(scenario.doctors, doctors=20))
    Scenario 'hospital': 20 doctors in 1 hospital, 150 patients each, 12 months
    """

    name: str = "hospital"
    months: int = knob(
        24, meaning="months of follow-up after month 0", unit="months", low=1, high=240,
        source="two years, as in A-CASE1",
    )  # fmt: skip
    pressure_correlation: float = knob(
        0.6, meaning="correlation of systolic and diastolic pressure, own levels and readings",
        unit="correlation", low=0, high=0.99, source="assumption, they rise and fall together",
    )  # fmt: skip
    doctors: DoctorTraits = field(default_factory=DoctorTraits)
    patients: PatientTraits = field(default_factory=PatientTraits)
    hba1c: MeasureTraits = field(
        default_factory=partial(default_traits, "hba1c"), metadata=_told("hba1c")
    )
    sbp: MeasureTraits = field(
        default_factory=partial(default_traits, "sbp"), metadata=_told("sbp")
    )
    dbp: MeasureTraits = field(
        default_factory=partial(default_traits, "dbp"), metadata=_told("dbp")
    )
    ldl: MeasureTraits = field(
        default_factory=partial(default_traits, "ldl"), metadata=_told("ldl")
    )
    weight: MeasureTraits = field(
        default_factory=partial(default_traits, "weight"), metadata=_told("weight")
    )
    phq9: MeasureTraits = field(
        default_factory=partial(default_traits, "phq9"), metadata=_told("phq9")
    )
    covered: MeasureTraits = field(
        default_factory=partial(default_traits, "covered"), metadata=_told("covered")
    )
    smoking: SmokingTraits = field(default_factory=SmokingTraits)
    events: EventRates = field(default_factory=EventRates)
    missingness: Missingness = field(default_factory=Missingness)
    improvement: Improvement = field(default_factory=Improvement)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.improvement.start_month >= self.months:
            raise SpecError(
                f"Improvement.start_month must be less than the {self.months} months of the "
                f"scenario; got {self.improvement.start_month:g}. The program would never act: "
                "start it earlier, or give Scenario.months more."
            )

    def measure(self, name: str) -> MeasureTraits:
        """Return the knobs of one measure."""
        traits: MeasureTraits = getattr(self, name)
        return traits

    def __repr__(self) -> str:
        n = self.doctors.hospitals
        return (
            f"Scenario {self.name!r}: {self.doctors.doctors:,} doctors in {n:,} "
            f"hospital{'s' if n > 1 else ''}, {self.doctors.patients_per_doctor:g} patients each, "
            f"{self.months} months"
        )
