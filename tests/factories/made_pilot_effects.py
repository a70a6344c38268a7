"""Pilots with findings made by hand, for tests of pictures and pages."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Threat

SCRIPT = "<script>alert(1)</script>"
NAMES = (SCRIPT, "王医生", "$x$ & y", "D4", "D5", "D6")


@dataclass(frozen=True)
class MadeDesign:
    """Any rung, with whatever it is told to find."""

    rung: int = 1
    outcome: str = "达标率"
    time: str = "month"
    value: float = 5.0
    se: float = 1.0
    direction: str | None = "higher"
    tables: tuple = ()
    facts: tuple = ()
    threats: tuple = (
        Threat(name="history", direction="either", tipping="a rise of 5 points"),
        Threat(name="attrition", direction="towards benefit", tipping="9 %", handled="bounds"),
    )
    checks: tuple = ()

    def estimate(self, data, *, program, draws, rng):
        main = Estimate(
            name="risk difference",
            unit="percentage points",
            value=self.value,
            se=self.se,
            origin="t, 12 clusters",
        )
        ratio = Estimate(name="risk ratio", unit="ratio", value=1.1, scale="log", se=0.02)
        naive = Estimate(name="naive difference", unit="percentage points", value=8.0, se=1.5)
        return Findings(
            estimand="effect of the program on " + self.outcome,
            estimates=(main, ratio),
            naive=naive,
            assumptions=("nothing else happened",),
            checks=self.checks,
            threats=self.threats,
            tables=dict(self.tables),
            facts=dict(self.facts),
            direction=self.direction,
        )


def made_effect(program=None, **options):
    """A comparison with a design made by hand; tables and facts are given as mappings."""
    for name in ("tables", "facts"):
        if name in options:
            options[name] = tuple(options[name].items())
    return compare_pilot(pd.DataFrame({"y": [1.0]}), MadeDesign(**options), program=program)


def with_unit(table, unit="percentage points"):
    table.attrs.update(level=0.95, unit=unit)
    return table


def counterfactual(points=20, start=10, dates=False):
    at = np.arange(points)
    times = pd.date_range("2023-01-01", periods=points, freq="MS") if dates else at + 1
    level = 40.0 + 0.2 * at
    frame = pd.DataFrame(
        {
            "time": times,
            "observed": level + np.sin(at**2) + 5 * (at >= start),
            "fitted": level + 5 * (at >= start),
            "counterfactual": level,
            "lower": level - 2,
            "upper": level + 2,
            "after": at >= start,
        }
    )
    return with_unit(frame, "%")


def event_study():
    time = np.arange(-3, 4)
    mean = np.where(time < 0, 0.2, 3.0) * (time != -1)
    frame = pd.DataFrame(
        {
            "time": time,
            "mean": mean,
            "lower": mean - (time != -1),
            "upper": mean + (time != -1),
            "is_reference": time == -1,
        }
    )
    return with_unit(frame)


def kitagawa(entry=0.5):
    mean = np.array([-1.0, 5.0, entry, -entry / 2, 4.0 + entry / 2])
    part = ["mix", "within", "entry", "exit", "total"]
    return with_unit(
        pd.DataFrame({"part": part, "mean": mean, "lower": mean - 1, "upper": mean + 1})
    )


def doctor_effects(names=NAMES):
    mean = np.linspace(-3, 8, len(names))
    return with_unit(
        pd.DataFrame(
            {
                "doctor": list(names),
                "cases_before": 30,
                "cases_after": 31,
                "before": 40.0,
                "after": 40.0 + mean,
                "mean": mean,
                "lower": mean - 2,
                "upper": mean + 2,
            }
        )
    )


def slope(names=NAMES, expected=True):
    before = np.linspace(30, 60, len(names))
    after = before + np.where(np.arange(len(names)) % 3 == 0, -4, 9)
    reach = 45 + 0.5 * (before - 45)
    return with_unit(
        pd.DataFrame(
            {
                "unit": list(names),
                "before": before,
                "after": after,
                "expected_after": reach if expected else np.nan,
            }
        )
    )


def failed_check():
    return CheckResult(
        name="missing outcomes",
        passed=False,
        verdict="more are missing after than before",
        table=pd.DataFrame({"n": [1]}),
    )


EVERY_TABLE = {
    "counterfactual": counterfactual(),
    "event_study": event_study(),
    "kitagawa": kitagawa(),
    "slope": slope(),
    "doctor_effects": doctor_effects(),
}
