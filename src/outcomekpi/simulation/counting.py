"""From the tables of a synthetic hospital to cases: who counts, and who reached the goal."""

from typing import Literal, get_args

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError, SpecError, check_choice, check_kind
from outcomekpi.indicators.simulated import (
    AdmissionFree,
    GoalIndicator,
    PressureControl,
    ReadingBelow,
)
from outcomekpi.simulation.chances import condition_of
from outcomekpi.simulation.happenings import DAYS_PER_MONTH
from outcomekpi.simulation.population import Population
from outcomekpi.tables.cases import Cases

__all__ = ["AttributionRule", "MissingReading", "check_window", "indicator_cases"]

AttributionRule = Literal["attending", "responsible", "team"]
MissingReading = Literal["fail", "exclude"]
COLUMNS = {"attending": "doctor", "responsible": "responsible", "team": "team"}
CASE_MIX = ["age", "sex", "comorbidity", "ses"]


def indicator_cases(
    population: Population,
    indicator: GoalIndicator,
    *,
    month: int = 12,
    attribution: AttributionRule = "attending",
    missing: MissingReading = "fail",
) -> Cases:
    """Count a goal in a synthetic hospital: one case per patient it is for, ready to be fitted.

    Parameters
    ----------
    population : as simulated
    indicator : ``ReadingBelow``, ``PressureControl`` or ``AdmissionFree``
    month : of the judgment; a window ends with it
    attribution : who is answerable: the attending doctor, the responsible one, or the team
    missing : a patient without the readings that the goal needs did not reach it ("fail") or does
        not count ("exclude")

    Returns
    -------
    Cases, higher is better. The frame holds ``patient, doctor, team, hospital, title, age, sex,
    comorbidity, ses, reached``, for readings ``baseline_*``, those of month 0.

    Raises
    ------
    SpecError
        The month or the window lies outside the study, or a choice is unknown.
    CasesError
        No patient counts.

    Notes
    -----
    Who died before the judgment does not count in a goal about readings, whatever ``missing``; in
    ``AdmissionFree`` the indicator says what a death means, and patients who died before the
    window do not count. Consecutive months need a reading in each of them.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> population = ok.simulate_population(ok.tertiary_hospital(), seed=20261)
    >>> cases = ok.indicator_cases(population, ok.ReadingBelow(measure="hba1c", below=7.0))
    >>> fit = ok.fit(cases, ok.ModelSpec(case_mix="age + sex + comorbidity + ses"), draws=200)
    """
    check_kind("population", population, Population, "ok.simulate_population(...)")
    check_choice("attribution", attribution, get_args(AttributionRule))
    check_choice("missing", missing, get_args(MissingReading))
    check_window(population, indicator, month)
    frame = _eligible(population, indicator, month)
    if isinstance(indicator, ReadingBelow):
        frame = _judge_reading(population, frame, indicator, month)
    elif isinstance(indicator, PressureControl):
        frame = _judge_pressure(population, frame, indicator, month)
    else:
        frame = _judge_admissions(population, frame, indicator, month)
    unknown = frame["reached"].isna()
    frame = frame[~unknown] if missing == "exclude" else frame.fillna({"reached": 0.0})
    if frame.empty:
        raise CasesError(
            f"No patient counts in '{indicator}' at month {month}: "
            f"{int(unknown.sum())} have no reading, nobody else has the condition."
        )
    frame = frame.astype({"reached": np.int8}).reset_index(drop=True)
    hospitals = frame["hospital"].nunique() > 1
    return Cases.from_frame(
        frame,
        outcome="reached",
        doctor=COLUMNS[attribution],
        hospital="hospital" if hospitals else None,
        patient="patient",
        direction="higher",
    )


def check_window(population: Population, indicator: GoalIndicator, month: int) -> None:
    """Raise a :class:`SpecError` unless the months that an indicator needs were simulated."""
    known = tuple(kind.__name__ for kind in get_args(GoalIndicator))
    check_choice("indicator", type(indicator).__name__, known)
    last = population.scenario.months
    if isinstance(month, bool) or not isinstance(month, int) or not 1 <= month <= last:
        raise SpecError(f"month must be a whole number from 1 to {last}; got {month!r}.")
    asked = indicator.window
    if isinstance(indicator, PressureControl) and indicator.consecutive > 1:
        asked = indicator.consecutive
        steps = {name: population.scenario.measure(name).every_months for name in ("sbp", "dbp")}
        if max(steps.values()) > 1:
            raise SpecError(
                "Consecutive months need a planned reading in each month; the scenario has one "
                f"every {max(steps.values())} months. Set every_months of sbp and dbp to 1."
            )
    if asked > month:
        raise SpecError(f"The indicator looks back {asked} months from month {month}: too far.")


def _deaths(population: Population) -> pd.Series:
    events = population.encounters
    died = events[events["kind"] == "death"]
    return died.set_index("patient")["day"].astype(np.float64)


def _eligible(population: Population, indicator: GoalIndicator, month: int) -> pd.DataFrame:
    patients, condition = population.patients, condition_of(indicator)
    if condition is not None:
        patients = patients[patients[condition]]
    known_until = month - indicator.window if isinstance(indicator, AdmissionFree) else month
    day = _deaths(population).reindex(patients["patient"]).fillna(np.inf).to_numpy()
    patients = patients[day > known_until * DAYS_PER_MONTH]
    titles = population.doctors.set_index("doctor")["title"]
    columns = ["patient", "doctor", "responsible", "team", "hospital"]
    frame = patients[columns].assign(title=titles.reindex(patients["doctor"]).to_numpy())
    return frame.join(patients[CASE_MIX])


def _readings(population: Population, first: int, last: int, names: list[str]) -> pd.DataFrame:
    rows = population.measurements
    rows = rows.loc[rows["month"].between(first, last), ["patient", "month", *names]]
    return rows.dropna()


def _add_baseline(population: Population, frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    first = _readings(population, 0, 0, names).drop(columns="month")
    first = first.rename(columns={name: f"baseline_{name}" for name in names})
    return frame.merge(first, on="patient", how="left")


def _judge_reading(
    population: Population, frame: pd.DataFrame, indicator: ReadingBelow, month: int
) -> pd.DataFrame:
    name = indicator.measure
    rows = _readings(population, month - indicator.window + 1, month, [name])
    last = rows.drop_duplicates("patient", keep="last").set_index("patient")[name]
    frame = _add_baseline(population, frame, [name])
    value = last.reindex(frame["patient"]).to_numpy()
    reached = value < indicator.below
    if indicator.drop is not None:
        # a fall of exactly the size asked must not fail by the last bit of a binary number
        reached &= frame[f"baseline_{name}"].to_numpy() - value >= indicator.drop - 1e-5
    return frame.assign(reached=np.where(np.isnan(value), np.nan, reached))


def _judge_pressure(
    population: Population, frame: pd.DataFrame, indicator: PressureControl, month: int
) -> pd.DataFrame:
    long = indicator.consecutive if indicator.consecutive > 1 else indicator.window
    rows = _readings(population, month - long + 1, month, ["sbp", "dbp"])
    below = (rows["sbp"] < indicator.sbp_below) & (rows["dbp"] < indicator.dbp_below)
    rows = rows.assign(below=below)
    frame = _add_baseline(population, frame, ["sbp", "dbp"])
    if indicator.consecutive == 1:
        judged = rows.drop_duplicates("patient", keep="last").set_index("patient")["below"]
    else:
        months = rows.groupby("patient")["below"].agg(["all", "size"])
        judged = months.loc[months["size"] == indicator.consecutive, "all"]
    return frame.assign(reached=judged.astype(float).reindex(frame["patient"]).to_numpy())


def _judge_admissions(
    population: Population, frame: pd.DataFrame, indicator: AdmissionFree, month: int
) -> pd.DataFrame:
    start, end = (m * DAYS_PER_MONTH for m in (month - indicator.window, month))
    events = population.encounters
    inside = events[events["day"].between(start, end)]
    admitted = inside.loc[inside["kind"] == "hf_admission", "patient"]
    died = inside.loc[inside["kind"] == "death", "patient"]
    reached = ~frame["patient"].isin(admitted).to_numpy()
    dead = frame["patient"].isin(died).to_numpy()
    if indicator.death == "fail":
        reached &= ~dead
    frame = frame.assign(reached=reached.astype(float))
    return frame[~dead] if indicator.death == "exclude" else frame
