"""What happens to patients beside their readings: smoking, admissions, deaths, missed visits."""

from dataclasses import dataclass

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.fields import knob

__all__ = ["EventRates", "Missingness", "SmokingTraits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokingTraits:
    """How smokers quit and relapse without any program, and what a doctor adds."""

    quit_per_year: float = knob(
        0.06, meaning="share of smokers who stop within a year, for any time", unit="per year",
        low=0, high=0.95,
        source="assumption, order of 3 to 5 % of attempts that last (Hughes, Keely and Naud 2004, "
        "Addiction), some smokers trying more than once",
    )  # fmt: skip
    relapse_per_year: float = knob(
        0.35, meaning="share of those who stopped who smoke again within a year", unit="per year",
        low=0, high=0.95, source="assumption, most relapses come within the first year",
    )  # fmt: skip
    sd_doctor: float = knob(
        0.25, meaning="SD of doctors' effects on the log odds of stopping", unit="log odds", low=0,
        high=2, source="assumption, order of the other measures",
    )  # fmt: skip
    sd_hospital: float = knob(
        0.1, meaning="SD of hospitals' effects on the log odds of stopping", unit="log odds", low=0,
        high=2, source="assumption, less than between doctors",
    )  # fmt: skip
    per_severity: float = knob(
        0.0, meaning="change of the log odds of stopping per SD of severity", unit="log odds",
        low=-2, high=2, source="assumption, sickness both warns and discourages",
    )  # fmt: skip
    every_months: int = knob(
        3, meaning="months between questions about smoking", unit="months", low=1, high=12,
        source="assumption, with the quarterly visit",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRates:
    """Heart-failure admissions, and deaths that compete with them."""

    admissions_per_year: float = knob(
        0.20, meaning="HF admissions of an HF patient of mean age, comorbidity and severity",
        unit="per year", low=0, high=5,
        source="order of Crespo-Leiro et al. 2016, European Journal of Heart Failure: death or HF "
        "admission within a year 36 % after acute HF, 14.5 % in chronic HF",
    )  # fmt: skip
    hf_deaths_per_year: float = knob(
        0.10, meaning="deaths of such a patient", unit="per year", low=0, high=5,
        source="between 23.6 % after acute HF and 6.4 % in chronic HF within a year (Crespo-Leiro "
        "et al. 2016, European Journal of Heart Failure)",
    )  # fmt: skip
    deaths_per_year: float = knob(
        0.01, meaning="deaths of a patient without HF, of mean age, comorbidity and severity",
        unit="per year", low=0, high=1, source="assumption, about the mortality at 60 to 65 years",
    )  # fmt: skip
    admission_per_severity: float = knob(
        0.40, meaning="log hazard of admission per SD of severity", unit="log hazard", low=-2,
        high=2, source="assumption, a hazard ratio of 1.5",
    )  # fmt: skip
    admission_per_comorbidity: float = knob(
        0.10, meaning="log hazard of admission per Charlson point", unit="log hazard", low=-2,
        high=2, source="assumption, 10 % per point",
    )  # fmt: skip
    admission_per_decade: float = knob(
        0.15, meaning="log hazard of admission per ten years of age", unit="log hazard", low=-2,
        high=2, source="assumption, 16 % per decade",
    )  # fmt: skip
    admission_per_ses: float = knob(
        -0.05, meaning="log hazard of admission per quintile of status", unit="log hazard", low=-2,
        high=2, source="assumption, social gradient",
    )  # fmt: skip
    death_per_severity: float = knob(
        0.40, meaning="log hazard of death per SD of severity", unit="log hazard", low=-2, high=2,
        source="assumption, a hazard ratio of 1.5",
    )  # fmt: skip
    death_per_comorbidity: float = knob(
        0.15, meaning="log hazard of death per Charlson point", unit="log hazard", low=-2, high=2,
        source="assumption, 16 % per point",
    )  # fmt: skip
    death_per_decade: float = knob(
        0.70, meaning="log hazard of death per ten years of age", unit="log hazard", low=-2, high=2,
        source="assumption, mortality doubles in seven to ten years of age",
    )  # fmt: skip
    sd_doctor: float = knob(
        0.20, meaning="SD of doctors' effects on the log hazard of admission", unit="log hazard",
        low=0, high=2, source="assumption, small beside the patients' own risk",
    )  # fmt: skip
    sd_hospital: float = knob(
        0.10, meaning="SD of hospitals' effects on the log hazard of admission", unit="log hazard",
        low=0, high=2, source="assumption, less than between doctors",
    )  # fmt: skip
    trend: float = knob(
        0.0, meaning="secular trend of the log hazard of admission", unit="log hazard per year",
        low=-2, high=2, source="assumption, none unless a study asks for it",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missingness:
    """Which planned readings are not there: missed visits and drop-outs, both by severity.

    Month 0 is a condition of entry and always measured. A missed visit takes all readings planned
    for its month; nothing is measured after a drop-out or a death.
    """

    missed_visits: float = knob(
        0.10, meaning="share of planned visits missed at mean severity", unit="share", low=0,
        high=0.99, source="assumption, the sources are silent (ambiguity f)",
    )  # fmt: skip
    missed_odds_ratio: float = knob(
        1.5, meaning="odds ratio of a missed visit per SD of severity", unit="odds ratio",
        low=0.05, high=20, source="assumption, the sicker come less regularly",
    )  # fmt: skip
    dropouts_per_year: float = knob(
        0.05, meaning="patients of mean severity who stop coming", unit="per year", low=0, high=5,
        source="assumption, the sources are silent (ambiguity c)",
    )  # fmt: skip
    dropout_hazard_ratio: float = knob(
        1.3, meaning="hazard ratio of dropping out per SD of severity", unit="hazard ratio",
        low=0.05, high=20, source="assumption, the sicker are lost more often",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
