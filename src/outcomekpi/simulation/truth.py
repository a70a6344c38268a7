"""The truth behind a synthetic hospital: what no hospital knows."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from outcomekpi.indicators.measures import MEASURES, OUTCOMES
from outcomekpi.simulation.improvement import Improvement
from outcomekpi.simulation.people import People
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import Staff

__all__ = ["Truth", "gather_truth"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What made the tables and stands in none of them.

    Attributes
    ----------
    doctors : indexed by doctor, one column per outcome: true quality of the doctor alone, SD 1,
        higher is better
    hospitals : indexed by hospital, the same for hospitals
    patients : indexed by patient: ``severity`` (standard normal), and for each measure
        ``level_*``, at month 0 without doctor and program, and ``slope_*``, change per year
        without both, on the scale of the measure
    program : indexed by what it changes: ``effect`` of the full program, ``unit``, ``null`` (the
        value of no effect)
    """

    doctors: pd.DataFrame
    hospitals: pd.DataFrame
    patients: pd.DataFrame
    program: pd.DataFrame

    def __repr__(self) -> str:
        changed = self.program.index[self.program["effect"] != self.program["null"]]
        program = f"program changes {', '.join(changed)}" if len(changed) else "no program"
        return (
            f"Truth: quality of {len(self.doctors):,} doctors in {len(OUTCOMES)} outcomes, "
            f"severity of {len(self.patients):,} patients, {program}"
        )


def gather_truth(scenario: Scenario, staff: Staff, people: People, doctors: pd.DataFrame) -> Truth:
    """Write down what was drawn."""
    names = list(OUTCOMES)
    hospitals = pd.Index(doctors["hospital"].unique(), name="hospital")
    patients = {"severity": people.severity}
    for measure in MEASURES:
        patients[f"level_{measure}"] = people.level[measure]
        patients[f"slope_{measure}"] = people.slope[measure]
    size = people.severity.size
    return Truth(
        doctors=pd.DataFrame(staff.quality, index=pd.Index(doctors["doctor"]), columns=names),
        hospitals=pd.DataFrame(staff.hospital_quality, index=hospitals, columns=names),
        patients=pd.DataFrame(patients, index=pd.RangeIndex(1, size + 1, name="patient")),
        program=describe_program(scenario.improvement),
    )


def describe_program(improvement: Improvement) -> pd.DataFrame:
    """One row per quantity that a program can change."""
    rows = []
    for one in fields(Improvement):
        unit = one.metadata.get("unit")
        if one.name in MEASURES or unit in ("odds ratio", "hazard ratio"):
            null = 0.0 if one.name in MEASURES else 1.0
            rows.append((one.name, float(getattr(improvement, one.name)), unit, null))
    frame = pd.DataFrame(rows, columns=["quantity", "effect", "unit", "null"])
    return frame.set_index("quantity").astype({"effect": np.float64})
