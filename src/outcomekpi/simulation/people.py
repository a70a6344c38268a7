"""Draw the patients: age, sex, comorbidity, status, severity, conditions, own levels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, pdtr

from outcomekpi.indicators.measures import MEASURES
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.traits import PatientTraits

__all__ = ["CONDITIONS", "NORMALS", "People", "form_people"]

CONDITIONS = ("diabetes", "hypertension", "heart_failure", "obesity", "depression", "smoker")
NORMALS = (
    "age", "sex", "comorbidity", "ses", "severity", *CONDITIONS,
    *(f"own_{name}" for name in MEASURES), *(f"slope_{name}" for name in MEASURES),
)  # fmt: skip
"""What each column of the independent standard normals that make a patient is for."""
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """Patients as arrays, all (patient,).

    Attributes
    ----------
    age : years
    male : booleans
    comorbidity : Charlson points
    ses : socio-economic quintile, 1 worst to 5 best
    severity : standard normal, known to nobody
    conditions : condition -> booleans
    level : measure -> level at month 0 without doctor and program, on the scale of the measure;
        NaN where the measure is not taken
    slope : measure -> own and secular change per year
    """

    age: NDArray[np.float32]
    male: NDArray[np.bool_]
    comorbidity: NDArray[np.int16]
    ses: NDArray[np.int8]
    severity: NDArray[np.float32]
    conditions: dict[str, NDArray[np.bool_]]
    level: dict[str, NDArray[np.float32]]
    slope: dict[str, NDArray[np.float32]]

    def measured(self, measure: str) -> NDArray[np.bool_]:
        """Patients that a measure is taken of."""
        facts = MEASURES[measure]
        if facts.everyone or facts.condition is None:
            return np.ones(self.age.size, bool)
        return self.conditions[facts.condition]

    @property
    def centered(self) -> Scores:
        """Case mix around its mean: decades of age, points, quintiles, severity."""
        return {
            "per_severity": self.severity.astype(np.float64),
            "per_ses": self.ses.astype(np.float64) - 3,
            "per_comorbidity": self.comorbidity.astype(np.float64),
            "per_decade": self.age.astype(np.float64) / 10,
        }


def form_people(scenario: Scenario, normals: NDArray[np.float64]) -> People:
    """Turn independent standard normals into patients.

    Parameters
    ----------
    scenario : with the knobs of patients and measures
    normals : (patient, len(NORMALS)), drawn, or points of a quadrature

    Returns
    -------
    People
    """
    traits = scenario.patients
    z = dict(zip(NORMALS, normals.T, strict=True))
    scores = _form_scores(traits, z)
    male = z["sex"] > ndtri(traits.female_share)
    plain = {
        "age": np.clip(traits.age_mean + traits.age_sd * scores["age"], 18, 95).astype(np.float32),
        "male": male,
        "comorbidity": _count_points(traits.comorbidity_mean, scores["comorbidity"]),
        "ses": (1 + np.searchsorted(ndtri([0.2, 0.4, 0.6, 0.8]), scores["ses"])).astype(np.int8),
        "severity": scores["severity"].astype(np.float32),
        "conditions": _form_conditions(traits, z, scores, male),
    }
    bare = People(**plain, level={}, slope={})
    level, slope = _form_courses(scenario, bare, z)
    return People(**plain, level=level, slope=slope)


def _form_scores(traits: PatientTraits, z: Scores) -> Scores:
    beyond = 1 - traits.comorbidity_age**2 - traits.comorbidity_ses**2
    comorbidity = traits.comorbidity_age * z["age"] + traits.comorbidity_ses * z["ses"]
    loads = (traits.severity_age, traits.severity_comorbidity, traits.severity_ses)
    severity = loads[0] * z["age"] + loads[1] * z["comorbidity"] + loads[2] * z["ses"]
    rest = np.sqrt(max(1 - sum(load**2 for load in loads), 0.0))
    return {
        "age": z["age"],
        "ses": z["ses"],
        "comorbidity": comorbidity + np.sqrt(max(beyond, 0.0)) * z["comorbidity"],
        "severity": severity + rest * z["severity"],
    }


def _count_points(mean: float, score: NDArray[np.float64]) -> NDArray[np.int16]:
    """Poisson counts with the given normal scores."""
    cuts = ndtri(pdtr(np.arange(60), mean))
    return np.searchsorted(cuts[np.isfinite(cuts)], score).astype(np.int16)


def _form_conditions(
    traits: PatientTraits, z: Scores, scores: Scores, male: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    a, c = traits.condition_age, traits.condition_comorbidity
    rest = np.sqrt(1 - a**2 - c**2)
    common = a * z["age"] + c * z["comorbidity"]
    found = {
        name: common + rest * z[name] > -ndtri(getattr(traits, name)) for name in CONDITIONS[:-2]
    }
    found["depression"] = z["depression"] > -ndtri(traits.depression)
    share = np.where(male, traits.smoker_men, traits.smoker_women)
    found["smoker"] = z["smoker"] > -ndtri(share)
    return found


def _form_courses(
    scenario: Scenario, people: People, z: Scores
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    mean = mean_case_mix(scenario.patients)
    case_mix = {name: x - mean[name] for name, x in people.centered.items()}
    r = scenario.pressure_correlation
    diastolic = r * z["own_sbp"] + np.sqrt(1 - r**2) * z["own_dbp"]
    level, slope = {}, {}
    for name, facts in MEASURES.items():
        knobs = scenario.measure(name)
        own = diastolic if name == "dbp" else z[f"own_{name}"]
        value = knobs.mean + knobs.sd_own * skew(own, knobs.skewness)
        value += knobs.per_male * (people.male - 0.0)
        for term, x in case_mix.items():
            value += getattr(knobs, term) * x
        if facts.condition is not None and facts.everyone:
            value += knobs.difference_without * ~people.conditions[facts.condition]
        value[~people.measured(name)] = np.nan
        level[name] = value.astype(np.float32)
        slope[name] = (knobs.trend + knobs.sd_slope * z[f"slope_{name}"]).astype(np.float32)
    return level, slope


def mean_case_mix(traits: PatientTraits) -> dict[str, float]:
    """Mean of each part of the case mix that levels are centered at."""
    return {
        "per_severity": 0.0,
        "per_ses": 0.0,
        "per_comorbidity": traits.comorbidity_mean,
        "per_decade": traits.age_mean / 10,
    }


def skew(z: NDArray[np.float64], skewness: float) -> NDArray[np.float64]:
    """Turn standard normals into values of mean 0, SD 1 and the given skewness.

    Notes
    -----
    A shifted lognormal, (exp(k z) - exp(k²/2)) / (exp(k²/2) √(w - 1)) with w = exp(k²), has
    skewness (w + 2) √(w - 1); w is the one real root of that cubic.
    """
    if skewness < 1e-6:
        return z + 0.0
    roots = np.roots([1.0, 3.0, 0.0, -4.0 - skewness**2])
    w = float(roots[np.isreal(roots) & (roots.real > 1)].real[0])
    k = np.sqrt(np.log(w))
    shifted: NDArray[np.float64] = np.expm1(k * z - k**2 / 2) / np.sqrt(w - 1.0)
    return shifted
