"""What each doctor's standardized rate truly is."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.indicators.simulated import (
    AdmissionFree,
    GoalIndicator,
    PressureControl,
    ReadingBelow,
)
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.simulation.chances import (
    Patients,
    condition_of,
    counting_weight,
    goal_chance,
    measures_of,
)
from outcomekpi.simulation.happenings import DAYS_PER_MONTH, admission_hazard, death_hazard
from outcomekpi.simulation.people import People
from outcomekpi.simulation.population import Population
from outcomekpi.tables.cases import Cases

__all__ = [
    "AttributionRule",
    "HospitalShare",
    "MissingReading",
    "check_window",
    "indicator_cases",
    "true_rates",
]

HospitalShare = Literal["within", "population"]
Array = NDArray[np.float64]
PRODUCTS = 1e6  # patients x doctors that are computed; beyond, every k-th patient is the reference
NODES = 12
AVERAGED = 7  # Gauss-Hermite nodes over the population of doctors
STEP = 0.1  # SDs of the doctors, for the derivative of what is expected


# From the tables of a synthetic hospital to cases: who counts, and who reached the goal
AttributionRule = Literal["attending", "responsible", "team"]
MissingReading = Literal["fail", "exclude"]
COLUMNS = {"attending": "doctor", "responsible": "responsible", "team": "team"}
CASE_MIX = ["age", "sex", "comorbidity", "ses"]


def indicator_cases(
    population: Population,
    indicator: GoalIndicator,
    *,
    month: Count = 12,
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
    check_arguments(indicator_cases, locals())
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
    last = population.scenario.months
    if month > last:
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


def true_rates(
    population: Population,
    indicator: GoalIndicator,
    *,
    month: Count = 12,
    average_doctor: AverageDoctor = "population",
    hospital: HospitalShare = "within",
) -> pd.DataFrame:
    """Each doctor's true standardized rate: what ``standardize`` estimates, without chance.

    Parameters
    ----------
    population : as simulated
    indicator : the goal
    month : of the judgment
    average_doctor : whose rates are expected, as in :func:`outcomekpi.standardize`: on average
        those of the doctors ("population"), or those of a doctor of quality 0 ("median")
    hospital : "within" compares with the average doctor in the same hospital, so that the
        hospital's own part is in the expected rate; "population" with doctors of all hospitals

    Returns
    -------
    DataFrame indexed by doctor, all those with patients who can count. ``patients``; ``expected``
    and ``predicted``, true rates of his own patients with the average doctor and with him;
    ``ratio``, predicted over expected; ``indirect``, that times the overall true rate, as P/E;
    ``direct``, the true rate if every patient in the population were his; ``quality``.
    ``attrs`` hold ``overall`` (the overall true rate), ``expected`` (with the average doctor)
    and ``reference_patients``.

    Raises
    ------
    SpecError
        The month or the window lies outside the study; the goal is a fall of a rounded measure.

    Notes
    -----
    With q_i(e) the probability that patient i, alive and measured at the month of judgment, has
    reached the goal when his doctor improves the outcome by e, given all that made his course
    (level, slope, severity; exact up to quadrature), weights w_i the probability to count (alive):

        expected = Σ_own w q(h + m) / Σ_own w,    predicted = Σ_own w q(h + d) / Σ_own w,
        direct = Σ_all w q(h + d) / Σ_all w,

    d the doctor's and h the hospital's effect (0 in "expected" with "population"). m is 0 for the
    median doctor; for the population q(h + m) is the mean over a normal distribution with the SD
    of the doctors' effects, centered so that expected and predicted patients add up to the same
    number. Measured means: at the month of judgment itself, also where the
    tables have no reading.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> population = ok.simulate_population(ok.tertiary_hospital(), seed=20261)
    >>> true_rates(population, ok.ReadingBelow()).columns.tolist()
    ['patients', 'expected', 'predicted', 'ratio', 'indirect', 'direct', 'quality']
    """
    check_arguments(true_rates, locals())
    check_window(population, indicator, month)
    scenario = population.scenario
    patients, doctor = _gather_patients(population, indicator)
    own, shared = _gains(population, indicator)
    weight = counting_weight(scenario, indicator, patients, month)

    def chances(who: Patients, gain: dict[str, Array]) -> Array:
        return goal_chance(scenario, indicator, who, gain, month)

    total = {name: own[name] + shared[name] for name in own}
    average = shared if hospital == "within" else {name: 0 * own[name] for name in own}
    predicted = chances(patients, {name: gain[doctor] for name, gain in total.items()})
    base = {name: gain[doctor] for name, gain in average.items()}
    if average_doctor == "median":
        expected = chances(patients, base)
    else:
        brought = {name: (total[name] - average[name])[doctor] for name in total}
        expected = _mean_over_doctors(
            lambda gain: chances(patients, gain), base, brought, weight, predicted
        )
    sums = {
        "patients": np.bincount(doctor, minlength=len(population.doctors)),
        "expected": np.bincount(doctor, weight * expected, len(population.doctors)),
        "predicted": np.bincount(doctor, weight * predicted, len(population.doctors)),
        "weight": np.bincount(doctor, weight, len(population.doctors)),
    }
    frame = pd.DataFrame(sums, index=pd.Index(population.doctors["doctor"], name="doctor"))
    frame["direct"], reference = _direct_rates(patients, weight, total, chances)
    frame["quality"] = population.truth.doctors[_outcome(indicator)]
    frame = frame[frame["patients"] > 0]
    overall, of_average = frame[["predicted", "expected"]].sum() / frame["weight"].sum()
    frame["ratio"] = frame["predicted"] / frame["expected"]
    frame["indirect"] = frame["ratio"] * overall
    for name in ("expected", "predicted"):
        frame[name] /= frame["weight"]
    order = ["patients", "expected", "predicted", "ratio", "indirect", "direct", "quality"]
    frame = frame[order]
    frame.attrs.update(
        overall=float(overall), expected=float(of_average), reference_patients=reference
    )
    return frame


def _mean_over_doctors(
    chances: Callable[[dict[str, Array]], Array],
    base: dict[str, Array],
    brought: dict[str, Array],
    weight: Array,
    predicted: Array,
) -> Array:
    """Mean chance of each patient over the doctors' effects, level with what is predicted.

    ``base`` and ``brought`` (patient,): effects without his doctor, and his doctor's.
    """
    center = {name: float(np.average(gain, weights=weight)) for name, gain in brought.items()}
    spread = {
        name: float(np.sqrt(np.average((gain - center[name]) ** 2, weights=weight)))
        for name, gain in brought.items()
    }

    def mean_at(shift: float) -> Array:
        mean = np.zeros(weight.size)
        for node, share in zip(*normal_nodes(AVERAGED), strict=True):
            moved = {n: base[n] + center[n] + (shift + node) * spread[n] for n in base}
            mean += share * chances(moved)
        return mean

    expected = mean_at(0.0)
    slope = (mean_at(STEP) - expected) / STEP
    if not weight @ slope:
        return expected
    return np.asarray(expected + (weight @ (predicted - expected)) / (weight @ slope) * slope)


def _outcome(indicator: GoalIndicator) -> str:
    if isinstance(indicator, AdmissionFree):
        return "heart_failure"
    return MEASURES[measures_of(indicator)[0]].outcome


def _gather_patients(
    population: Population, indicator: GoalIndicator
) -> tuple[Patients, NDArray[np.intp]]:
    """Patients with the condition, and the position of each one's doctor."""
    table, condition = population.patients, condition_of(indicator)
    keep = np.ones(len(table), bool) if condition is None else table[condition].to_numpy()
    truth, scenario = population.truth.patients[keep], population.scenario
    table = table[keep]
    everyone = _people_of(population)
    names = [] if isinstance(indicator, AdmissionFree) else list(measures_of(indicator))
    rows = np.flatnonzero(keep)
    patients = Patients(
        level={name: truth[f"level_{name}"].to_numpy(np.float64) for name in names},
        slope={name: truth[f"slope_{name}"].to_numpy(np.float64) for name in names},
        enrolled=table["enrolled"].to_numpy(),
        admission=admission_hazard(scenario, everyone, rows),
        death=death_hazard(scenario, everyone)[rows],
    )
    doctor = pd.Index(population.doctors["doctor"]).get_indexer(table["doctor"])
    return patients, doctor


def _people_of(population: Population) -> People:
    table = population.patients
    return People(
        age=table["age"].to_numpy(),
        male=(table["sex"] == "M").to_numpy(),
        comorbidity=table["comorbidity"].to_numpy(),
        ses=table["ses"].to_numpy(),
        severity=population.truth.patients["severity"].to_numpy(),
        conditions={"heart_failure": table["heart_failure"].to_numpy()},
        level={},
        slope={},
    )


def _gains(
    population: Population, indicator: GoalIndicator
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return what each doctor and his hospital improve, apart: measure -> (doctor,)."""
    outcome, scenario = _outcome(indicator), population.scenario
    quality = population.truth.doctors[outcome].to_numpy()
    hospital = population.truth.hospitals[outcome]
    of_hospital = hospital.reindex(population.doctors["hospital"]).to_numpy()
    own, shared = {}, {}
    for name in measures_of(indicator):
        knobs = scenario.events if name == "admission" else scenario.measure(name)
        own[name] = knobs.sd_doctor * quality
        shared[name] = knobs.sd_hospital * of_hospital
    return own, shared


def _direct_rates(
    patients: Patients,
    weight: Array,
    total: dict[str, Array],
    chances: Callable[[Patients, dict[str, Array]], Array],
) -> tuple[Array, int]:
    """Mean over everybody of the probability with each doctor: (doctor,), and over how many.

    Effects that are proportional over the measures make a curve in one number, which is read from
    Chebyshev nodes; others are summed doctor by doctor.
    """
    lead = max(total.values(), key=lambda gain: np.abs(gain).max())
    top = int(np.argmax(np.abs(lead)))
    scale = lead[top] if lead[top] != 0 else 1.0
    slopes = {name: gain[top] / scale for name, gain in total.items()}
    if all(np.allclose(gain, slopes[name] * lead, atol=1e-9) for name, gain in total.items()):
        at = _chebyshev_points(lead.min(), lead.max()) if lead.size > NODES else lead
        gains = [{name: slope * t for name, slope in slopes.items()} for t in at]
    else:
        at, gains = (
            lead,
            [{name: gain[j] for name, gain in total.items()} for j in range(lead.size)],
        )
    step = max(int(np.ceil(weight.size * len(gains) / PRODUCTS)), 1)
    who, weight = patients.every(step), weight[::step]
    rates = np.empty(len(gains))
    for k, gain in enumerate(gains):
        same = {name: np.full(weight.size, value) for name, value in gain.items()}
        rates[k] = np.average(chances(who, same), weights=weight)
    if at is not lead:
        curve = np.polynomial.Chebyshev.fit(at, rates, NODES - 1, domain=[at.min(), at.max()])
        rates = curve(lead)
    return rates, weight.size


def _chebyshev_points(low: float, high: float) -> Array:
    width = max(high - low, 1e-9)
    points: Array = low + width * (1 + np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2
    return points
