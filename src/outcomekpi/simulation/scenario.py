"""A scenario: everything that must be said before a synthetic hospital can be simulated."""

from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import check_knobs, knob
from outcomekpi.indicators.measures import MEASURES, MeasureTraits
from outcomekpi.simulation.improvement import Improvement
from outcomekpi.simulation.measure_defaults import MEASURE_SOURCES, default_traits
from outcomekpi.simulation.processes import EventRates, Missingness, SmokingTraits
from outcomekpi.simulation.traits import DoctorTraits, PatientTraits

__all__ = ["BUNDLES", "Scenario"]


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
        check_knobs(self)
        for one in fields(self):
            kind = BUNDLES.get(one.name)
            value = getattr(self, one.name)
            if kind is not None and not isinstance(value, kind):
                raise SpecError(
                    f"Scenario.{one.name} must be {kind.__name__}; got {type(value).__name__}."
                )
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


BUNDLES: dict[str, type] = {
    "doctors": DoctorTraits,
    "patients": PatientTraits,
    **dict.fromkeys(MEASURES, MeasureTraits),
    "smoking": SmokingTraits,
    "events": EventRates,
    "missingness": Missingness,
    "improvement": Improvement,
}
"""Field of a scenario -> the kind of bundle it holds."""
