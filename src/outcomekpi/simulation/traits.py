"""Who works and who is treated in a synthetic hospital: the knobs of doctors and patients."""

from dataclasses import dataclass
from typing import Literal

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import knob

__all__ = ["DoctorTraits", "PatientTraits", "Sorting"]

Sorting = Literal["severity", "comorbidity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorTraits:
    """How many doctors there are, how they differ, and who sees the sicker patients.

    True quality is standard normal over the doctors of a title, correlated over outcomes; what one
    SD of it does to an outcome is a knob of that outcome. ``sorted_by`` names what the sicker
    patients are sorted by.
    """

    hospitals: int = knob(
        1, meaning="hospitals or health centers", unit="count", low=1,
        source="assumption, one hospital unless a preset says otherwise",
    )  # fmt: skip
    doctors: int = knob(
        40, meaning="doctors in all hospitals together", unit="count", low=1,
        source="assumption, a chronic disease center of some departments",
    )  # fmt: skip
    patients_per_doctor: float = knob(
        150.0, meaning="mean number of patients in a doctor's care", unit="patients", low=1,
        source="assumption, a panel in continuous care",
    )  # fmt: skip
    caseload_cv: float = knob(
        0.5, meaning="coefficient of variation of caseloads (gamma)", unit="ratio", low=0, high=2,
        source="assumption, caseloads are skewed: few doctors with many patients",
    )  # fmt: skip
    junior_share: float = knob(
        0.35, meaning="share of doctors with a junior title", unit="share", low=0, high=1,
        source="assumption, order of the title pyramid of public hospitals",
    )  # fmt: skip
    senior_share: float = knob(
        0.25, meaning="share of doctors with a senior title; the rest is middle", unit="share",
        low=0, high=1, source="assumption, order of the title pyramid of public hospitals",
    )  # fmt: skip
    doctors_per_team: int = knob(
        4, meaning="doctors in a team", unit="count", low=1,
        source="assumption, a ward or family-doctor team",
    )  # fmt: skip
    quality_correlation: float = knob(
        0.3, meaning="correlation of a doctor's true qualities over outcomes", unit="correlation",
        low=0, high=1, source="assumption, measures of one doctor agree weakly to moderately",
    )  # fmt: skip
    title_advantage: float = knob(
        0.0, meaning="true quality gained per step of title", unit="SD of quality", low=-2, high=2,
        source="assumption, titles do not differ in outcomes at equal case mix",
    )  # fmt: skip
    sorting: float = knob(
        0.3, meaning="correlation of the patient's need with the seniority of his doctor",
        unit="correlation", low=0, high=1,
        source="assumption, difficult patients go to senior doctors, with exceptions",
    )  # fmt: skip
    sorted_by: Sorting = "comorbidity"
    other_responsible: float = knob(
        0.1, meaning="share of patients whose responsible doctor of record is a teammate",
        unit="share", low=0, high=1,
        source="assumption, between 17 and 61 % of doctors change category with the attribution "
        "rule (Mehrotra et al. 2010), so records must differ for some",
    )  # fmt: skip
    present_at_baseline: float = knob(
        0.5, meaning="share of a doctor's effect that his patients show at month 0", unit="share",
        low=0, high=1, source="assumption, half of the patients were in his care before",
    )  # fmt: skip
    months_to_full: float = knob(
        6.0, meaning="months until the whole effect of the doctor is there", unit="months",
        low=0.01, source="assumption, two cycles of HbA1c",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        if self.junior_share + self.senior_share > 1:
            raise SpecError(
                "DoctorTraits.junior_share and senior_share must add up to at most 1; "
                f"got {self.junior_share:g} + {self.senior_share:g}."
            )
        if self.hospitals > self.doctors:
            raise SpecError(
                "DoctorTraits.doctors must be at least as many as the hospitals; got "
                f"{self.doctors} doctors in {self.hospitals} hospitals."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientTraits:
    """Who the patients are: age, sex, comorbidity, socio-economic status, severity, conditions.

    Severity is standard normal, and known to nobody. Prevalences are those of the patients in
    care, exact in expectation.
    """

    age_mean: float = knob(
        62.0, meaning="mean age", unit="years", low=18, high=100,
        source="diabetics in community care in Changshu and Huai'an, Jiangsu, 2013-14 (20,053 "
        "patients): 62.8 years, SD 9.9; rounded",
    )  # fmt: skip
    age_sd: float = knob(
        10.0, meaning="SD of age before ages are kept within 18 to 95", unit="years", low=0,
        high=30, source="diabetics in community care in Changshu and Huai'an, Jiangsu, 2013-14: SD "
        "9.9; rounded",
    )  # fmt: skip
    female_share: float = knob(
        0.5, meaning="share of women", unit="share", low=0, high=1,
        source="assumption, both sexes alike",
    )  # fmt: skip
    comorbidity_mean: float = knob(
        1.5, meaning="mean of Charlson points (Poisson)", unit="points", low=0, high=10,
        source="assumption, chronic disease at about 60 years",
    )  # fmt: skip
    comorbidity_age: float = knob(
        0.4, meaning="correlation of comorbidity with age (normal scores)", unit="correlation",
        low=-0.99, high=0.99, source="assumption, comorbidity grows with age",
    )  # fmt: skip
    comorbidity_ses: float = knob(
        -0.15, meaning="correlation of comorbidity with status (normal scores)",
        unit="correlation", low=-0.9, high=0.9,
        source="assumption, social gradient; less than with age",
    )  # fmt: skip
    severity_age: float = knob(
        0.2, meaning="correlation of severity with age", unit="correlation", low=-0.9, high=0.9,
        source="assumption, severity is mostly something else than age",
    )  # fmt: skip
    severity_comorbidity: float = knob(
        0.4, meaning="loading of severity on comorbidity beyond age and status",
        unit="correlation", low=-0.9, high=0.9,
        source="assumption, the recorded points tell part of severity",
    )  # fmt: skip
    severity_ses: float = knob(
        -0.2, meaning="correlation of severity with status", unit="correlation", low=-0.9,
        high=0.9, source="assumption, social gradient",
    )  # fmt: skip
    diabetes: float = knob(
        0.5, meaning="share with diabetes", unit="share", low=0, high=1,
        source="assumption, center for diabetes, hypertension and coronary disease (A-CASE1)",
    )  # fmt: skip
    hypertension: float = knob(
        0.6, meaning="share with hypertension", unit="share", low=0, high=1,
        source="assumption, center for diabetes, hypertension and coronary disease (A-CASE1)",
    )  # fmt: skip
    heart_failure: float = knob(
        0.15, meaning="share with heart failure", unit="share", low=0, high=1,
        source="assumption, a part of the patients with coronary disease (ambiguity d)",
    )  # fmt: skip
    obesity: float = knob(
        0.16, meaning="share with obesity (BMI of 28 or more)", unit="share", low=0, high=1,
        source="Pan, Wang and Pan 2021, Lancet Diabetes & Endocrinology: 16.4 % of adults in China",
    )  # fmt: skip
    depression: float = knob(
        0.1, meaning="share in follow-up for depression", unit="share", low=0,
        high=1, source="assumption, about twice the general population",
    )  # fmt: skip
    smoker_men: float = knob(
        0.505, meaning="share of smokers among men", unit="share", low=0, high=1,
        source="China adult tobacco survey 2018 (China CDC): 50.5 % of men",
    )  # fmt: skip
    smoker_women: float = knob(
        0.021, meaning="share of smokers among women", unit="share", low=0, high=1,
        source="China adult tobacco survey 2018 (China CDC): 2.1 % of women",
    )  # fmt: skip
    condition_age: float = knob(
        0.3, meaning="correlation of each disease (normal score) with age", unit="correlation",
        low=-0.7, high=0.7, source="assumption, diseases are commoner in the old",
    )  # fmt: skip
    condition_comorbidity: float = knob(
        0.3, meaning="loading of each disease (normal score) on comorbidity beyond age",
        unit="correlation", low=-0.7, high=0.7, source="assumption, diseases come together",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
        explained = self.severity_age**2 + self.severity_comorbidity**2 + self.severity_ses**2
        if explained > 1:
            raise SpecError(
                "PatientTraits: the squares of severity_age, severity_comorbidity and "
                f"severity_ses must add up to at most 1; they add up to {explained:.2f}."
            )
        if self.comorbidity_age**2 + self.comorbidity_ses**2 > 1:
            raise SpecError(
                "PatientTraits: the squares of comorbidity_age and comorbidity_ses must add up to "
                f"at most 1; got {self.comorbidity_age:g} and {self.comorbidity_ses:g}."
            )
