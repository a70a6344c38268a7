"""Which reporting guideline or risk-of-bias tool asks each question of the checklist."""

__all__ = ["FRAMEWORKS", "TARGET_TRIALS", "USUAL_THREATS"]

FRAMEWORKS: dict[str, str] = {
    "estimand": "TREND 5; SQUIRE 2.0 6; TARGET 2025 causal contrast",
    "target_trial": "TARGET 2025 target trial specification; ROBINS-I target trial",
    "program_dates": "TREND 4, 13; SQUIRE 2.0 8, 13a",
    "ramp_up": "TREND 4; SQUIRE 2.0 13a; EPOC-ITS 2; ROBINS-I 3",
    "co_interventions": "SQUIRE 2.0 7, 13c; EPOC-ITS 1; ROBINS-I 1, 4",
    "assignment": "TREND 8; TARGET 2025 assignment; ROBINS-I 1, 2",
    "numerator": "TREND 6; SQUIRE 2.0 10; TARGET 2025 outcome",
    "denominator": "TREND 3, 16; SQUIRE 2.0 10; TARGET 2025 eligibility; ROBINS-I 2",
    "attribution": "TREND 10; SQUIRE 2.0 10; ROBINS-I 3",
    "entries_exits": "TREND 12; ROBINS-I 2, 5",
    "units": "TREND 10, 16",
    "clustering": "TREND 10, 11",
    "standard_error": "TREND 11; SQUIRE 2.0 11; TARGET 2025 analysis plan",
    "few_clusters": "TREND 10, 11",
    "points": "SQUIRE 2.0 9",
    "seasonality": "EPOC-ITS 7",
    "autocorrelation": "TREND 11; EPOC-ITS 7",
    "comparator": "TREND 4; SQUIRE 2.0 9; TARGET 2025 treatment strategies",
    "pre_trend": "TREND 15; ROBINS-I 1; TARGET 2025 identifying assumptions",
    "case_mix": "TREND 14, 15; ROBINS-I 1; TARGET 2025 identifying assumptions",
    "missing_outcomes": "TREND 12, 16; SQUIRE 2.0 13f; EPOC-ITS 5; ROBINS-I 5",
    "main_effect": "TREND 17; SQUIRE 2.0 13d",
    "naive_effect": "TREND 17",
    "threats": "TREND 20; SQUIRE 2.0 16; EPOC-ITS 1; ROBINS-I 1 to 7",
    "sensitivity": "TREND 18; SQUIRE 2.0 16; TARGET 2025 analysis plan",
    "other_outcomes": "TREND 6, 17; EPOC-ITS 6; ROBINS-I 7",
    "heterogeneity": "TREND 18; SQUIRE 2.0 13d",
    "harms": "TREND 19; SQUIRE 2.0 13e",
    "measurement": "TREND 6; EPOC-ITS 3; ROBINS-I 6",
    "power": "TREND 7",
    "software": "SQUIRE 2.0 11; TARGET 2025 analysis plan",
    "verdict": "TREND 20; SQUIRE 2.0 14 to 16",
}
"""Item -> guidelines and the item, domain or component of each that asks it.

TREND 2004 (22 items), SQUIRE 2.0 (18 items), the seven EPOC criteria for interrupted time series,
the seven domains of ROBINS-I (2016), and the components of the target trial in TARGET (2025),
which are named and not numbered.
"""

TARGET_TRIALS: dict[int, str] = {
    0: "Places or patients drawn by lot to have the program or not, counted at the same times. "
    "The figures have one arm, and the lot is missing",
    1: "Patients of the same doctors drawn by lot to have the program or not, at one time. The "
    "data have the arms one after the other, and the lot is missing",
    2: "The moment of the start drawn by lot within the series. It was not: the trend before "
    "stands in for the arm without the program",
    3: "The program drawn by lot among the units, which are followed over the same periods. The "
    "controls stand in for the arm without it",
    4: "The program, or the time of its start, drawn by lot among the units, which are followed "
    "over the same periods. Parallel trends stand in for the lot",
    5: "Doctors drawn by lot to have the program or not, with the same patients. The data before "
    "stand in for the arm without it",
    6: "This trial itself: clusters cross over at times that were drawn by lot. It is emulated "
    "only as far as the lot was kept",
}
"""Rung -> the randomized trial that would answer the question, and what stands in for it."""

USUAL_THREATS: dict[str, tuple[str, str]] = {
    "history": ("either", "something else that happened at the same time"),
    "regression to the mean": ("towards benefit", "an extreme baseline that falls back by itself"),
    "instrumentation": ("either", "a change of measurement, coding or counting"),
    "attrition": ("either", "patients who leave the count"),
    "co-intervention": ("either", "another program for the same patients"),
    "gaming": ("towards benefit", "choosing, exempting or recording patients to look better"),
    "spillover": ("towards no effect", "controls that got part of the program"),
}
"""Threat that every reader will ask about -> where it would push, and what it is."""
