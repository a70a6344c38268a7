"""Outcome-based evaluation of doctors: one posterior for rates, ranks, flags and reliability.

Every name below is imported when it is first used, so that ``import outcomekpi`` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from outcomekpi.public_names import HOME as _HOME

if TYPE_CHECKING:
    from outcomekpi import datasets
    from outcomekpi.adjustment.calibration import check_calibration
    from outcomekpi.adjustment.calibration_assessment import assess_calibration, assess_predictions
    from outcomekpi.adjustment.calibration_result import Calibration
    from outcomekpi.adjustment.diagnostics import check_sampling
    from outcomekpi.adjustment.fit import Fit, fit
    from outcomekpi.adjustment.likelihood import pointwise_log_likelihood
    from outcomekpi.adjustment.predictive import check_predictive
    from outcomekpi.adjustment.priors import (
        Exponential,
        Flat,
        GammaPrecision,
        HalfNormal,
        HalfStudentT,
        Normal,
        Priors,
        Uniform,
    )
    from outcomekpi.adjustment.sensitivity import check_prior_sensitivity
    from outcomekpi.adjustment.spec import ModelSpec
    from outcomekpi.adjustment.storage import load_fit, save_fit
    from outcomekpi.appraisal.chance import ReachedByChance, reached_by_chance
    from outcomekpi.appraisal.coverage_goals import CoverageGoal
    from outcomekpi.appraisal.drop_goals import DropGoal
    from outcomekpi.appraisal.event_goals import NoEventGoal
    from outcomekpi.appraisal.misallocation import Misallocation, misallocate
    from outcomekpi.appraisal.payout import Payout, pay
    from outcomekpi.appraisal.points import (
        PointLedger,
        PointRule,
        earn_points,
        health_points,
        redeem_points,
    )
    from outcomekpi.appraisal.rate_pay import RatePayout, RatePayRule, pay_rates
    from outcomekpi.appraisal.records import PatientRecords
    from outcomekpi.appraisal.run_goals import RunGoal
    from outcomekpi.appraisal.tiers import TierAssessment, TierRule, assess_tiers, reward_ladder
    from outcomekpi.cases import Cases
    from outcomekpi.checks import CheckResult
    from outcomekpi.citation import cite
    from outcomekpi.environment import Environment, provenance
    from outcomekpi.errors import (
        CasesError,
        EngineError,
        FormulaError,
        OutcomeKPIError,
        OutcomeKPIWarning,
        SpecError,
        StorageError,
    )
    from outcomekpi.intervals import DEFAULT_LEVEL
    from outcomekpi.origins import Provenance
    from outcomekpi.pilots.comparison import compare_pilot
    from outcomekpi.pilots.e_values import e_value, e_value_of_interval
    from outcomekpi.pilots.effect import PilotEffect
    from outcomekpi.pilots.panels.did import DifferenceInDifferences
    from outcomekpi.pilots.panels.event_study import EventStudy
    from outcomekpi.pilots.panels.parallel_bounds import ParallelBounds, bound_parallel_trends
    from outcomekpi.pilots.panels.pre_trend import PreTrendTest, assess_pre_trend
    from outcomekpi.pilots.panels.synthetic import SyntheticControl
    from outcomekpi.pilots.patients.before_after import BeforeAfter
    from outcomekpi.pilots.patients.doctor_effects import DoctorEffects
    from outcomekpi.pilots.program import Program
    from outcomekpi.pilots.published.aggregate_priors import AggregatePriors, PriorRange
    from outcomekpi.pilots.published.aggregates import PublishedAggregates
    from outcomekpi.pilots.published.published import PublishedFigures
    from outcomekpi.pilots.robustness.power import PilotPower, pilot_power
    from outcomekpi.pilots.robustness.power_clusters import DifferencePlan, WedgePlan
    from outcomekpi.pilots.robustness.power_patients import BeforeAfterPlan, DoctorPlan
    from outcomekpi.pilots.robustness.power_series import SeriesPlan
    from outcomekpi.pilots.robustness.sensitivity import Sensitivity, sensitivity
    from outcomekpi.pilots.selection.baseline_population import BaselinePopulation
    from outcomekpi.pilots.selection.earlier_windows import replay_selection
    from outcomekpi.pilots.selection.mean_sweep import MeanSweep, sweep_population_means
    from outcomekpi.pilots.selection.no_program_change import regression_to_mean
    from outcomekpi.pilots.selection.regression_result import RegressionToMean
    from outcomekpi.pilots.selection.regression_to_mean import correct_selection
    from outcomekpi.pilots.selection.selected_baseline import BaselineSelection
    from outcomekpi.pilots.selection.selected_doctors import UnitSelection
    from outcomekpi.pilots.selection.selected_units import (
        correct_unit_selection,
        expect_worst_units,
    )
    from outcomekpi.pilots.series.controlled import ControlledSeries
    from outcomekpi.pilots.series.interrupted import InterruptedSeries
    from outcomekpi.pilots.series.seasonality import Seasonality
    from outcomekpi.pilots.wedge.stepped_wedge import SteppedWedge
    from outcomekpi.plots.before_after import plot_before_after
    from outcomekpi.plots.calibration import plot_calibration
    from outcomekpi.plots.caterpillar import plot_caterpillar
    from outcomekpi.plots.decision_curve import plot_decision_curve
    from outcomekpi.plots.doctor_effects import plot_doctor_effects
    from outcomekpi.plots.event_study import plot_event_study
    from outcomekpi.plots.frontier import plot_frontier
    from outcomekpi.plots.funnel import plot_funnel
    from outcomekpi.plots.kitagawa import plot_kitagawa
    from outcomekpi.plots.misallocation import plot_misallocation
    from outcomekpi.plots.operating import plot_operating
    from outcomekpi.plots.pilot_series import plot_counterfactual
    from outcomekpi.plots.predictive import plot_predictive
    from outcomekpi.plots.rank_intervals import plot_rank_intervals
    from outcomekpi.plots.reliability import plot_reliability
    from outcomekpi.plots.review import plot_review
    from outcomekpi.plots.sds import plot_sd
    from outcomekpi.plots.shrinkage import plot_shrinkage
    from outcomekpi.profiling.caseload import CaseloadPlan, plan_caseload
    from outcomekpi.profiling.classification import Classification, FlagRule, classify
    from outcomekpi.profiling.divergence import Divergence, divergence_test
    from outcomekpi.profiling.doctor_table import doctor_table
    from outcomekpi.profiling.exact import ExactTest, exact_test
    from outcomekpi.profiling.funnel import FunnelLimits, count_limits, funnel_limits
    from outcomekpi.profiling.r_values import RValues, r_values
    from outcomekpi.profiling.ranking import Ranks, rank
    from outcomekpi.profiling.reliability import Reliability, reliability
    from outcomekpi.profiling.reliability_estimates import fit_beta_binomial
    from outcomekpi.profiling.report_cards import ReportCard, report_card
    from outcomekpi.profiling.standardization import StandardizedRates, standardize
    from outcomekpi.profiling.tiers import (
        TierMisclassification,
        median_cut_misclassification,
        misclassify_tiers,
    )
    from outcomekpi.profiling.variation import Variation, describe_variation, median_odds_ratio
    from outcomekpi.report.document import report
    from outcomekpi.report.pilot_document import report_pilot
    from outcomekpi.report.review_document import report_review
    from outcomekpi.simulation.codebook import scenario_codebook
    from outcomekpi.simulation.counting import indicator_cases
    from outcomekpi.simulation.improvement import Improvement
    from outcomekpi.simulation.indicators import AdmissionFree, PressureControl, ReadingBelow
    from outcomekpi.simulation.measures import MeasureTraits
    from outcomekpi.simulation.population import Population, simulate_population
    from outcomekpi.simulation.presets import community_centers, tertiary_hospital
    from outcomekpi.simulation.processes import EventRates, Missingness, SmokingTraits
    from outcomekpi.simulation.scenario import Scenario
    from outcomekpi.simulation.traits import DoctorTraits, PatientTraits
    from outcomekpi.simulation.true_values import true_rates
    from outcomekpi.simulation.truth import Truth
    from outcomekpi.thresholds import programs
    from outcomekpi.thresholds.awards.award_choice import ThresholdChoice, choose_threshold
    from outcomekpi.thresholds.awards.award_plan import AwardPlan, plan_awards
    from outcomekpi.thresholds.awards.award_scenarios import AwardScenarios, tabulate_awards
    from outcomekpi.thresholds.awards.awards import (
        AbsoluteRule,
        PercentileRule,
        PosteriorRule,
        ProportionalRule,
        RelativeRule,
    )
    from outcomekpi.thresholds.awards.count_cuts import caseload_misclassification
    from outcomekpi.thresholds.awards.misclassification import Misclassification, misclassify
    from outcomekpi.thresholds.awards.normal_cuts import CutMisclassification, cut_misclassification
    from outcomekpi.thresholds.criteria.criteria import (
        ConsecutiveCriterion,
        JointCriterion,
        TargetCriterion,
    )
    from outcomekpi.thresholds.criteria.criterion_performance import (
        CriterionPerformance,
        assess_criterion,
        normal_levels,
    )
    from outcomekpi.thresholds.criteria.drop_criteria import DropCriterion
    from outcomekpi.thresholds.gaming.cliffs import DensityTest, density_test
    from outcomekpi.thresholds.gaming.deselection import deselect
    from outcomekpi.thresholds.gaming.deselection_results import Deselection
    from outcomekpi.thresholds.gaming.exceptions import ExceptionJump, exception_jump
    from outcomekpi.thresholds.gaming.no_effect import (
        ChangeRule,
        UnearnedRewards,
        rewards_without_effect,
    )
    from outcomekpi.thresholds.gaming.regression import (
        expected_regression,
        improvement_by_chance,
        regression_share,
    )
    from outcomekpi.thresholds.operating.operating import (
        OperatingCharacteristics,
        operating_characteristics,
    )
    from outcomekpi.thresholds.operating.settings import Setting
    from outcomekpi.thresholds.review.history import CycleHistory
    from outcomekpi.thresholds.review.review import review_thresholds
    from outcomekpi.thresholds.review.review_result import ThresholdReview
    from outcomekpi.thresholds.review.review_rule import (
        PosteriorReviewRule,
        ReviewJudgment,
        ReviewRule,
    )
    from outcomekpi.thresholds.rules import CycleResults, Rule

    __version__: str

__all__ = [
    "DEFAULT_LEVEL",
    "AbsoluteRule",
    "AdmissionFree",
    "AggregatePriors",
    "AwardPlan",
    "AwardScenarios",
    "BaselinePopulation",
    "BaselineSelection",
    "BeforeAfter",
    "BeforeAfterPlan",
    "Calibration",
    "CaseloadPlan",
    "Cases",
    "CasesError",
    "ChangeRule",
    "CheckResult",
    "Classification",
    "ConsecutiveCriterion",
    "ControlledSeries",
    "CoverageGoal",
    "CriterionPerformance",
    "CutMisclassification",
    "CycleHistory",
    "CycleResults",
    "DensityTest",
    "Deselection",
    "DifferenceInDifferences",
    "DifferencePlan",
    "Divergence",
    "DoctorEffects",
    "DoctorPlan",
    "DoctorTraits",
    "DropCriterion",
    "DropGoal",
    "EngineError",
    "Environment",
    "EventRates",
    "EventStudy",
    "ExactTest",
    "ExceptionJump",
    "Exponential",
    "Fit",
    "FlagRule",
    "Flat",
    "FormulaError",
    "FunnelLimits",
    "GammaPrecision",
    "HalfNormal",
    "HalfStudentT",
    "Improvement",
    "InterruptedSeries",
    "JointCriterion",
    "MeanSweep",
    "MeasureTraits",
    "Misallocation",
    "Misclassification",
    "Missingness",
    "ModelSpec",
    "NoEventGoal",
    "Normal",
    "OperatingCharacteristics",
    "OutcomeKPIError",
    "OutcomeKPIWarning",
    "ParallelBounds",
    "PatientRecords",
    "PatientTraits",
    "Payout",
    "PercentileRule",
    "PilotEffect",
    "PilotPower",
    "PointLedger",
    "PointRule",
    "Population",
    "PosteriorReviewRule",
    "PosteriorRule",
    "PreTrendTest",
    "PressureControl",
    "PriorRange",
    "Priors",
    "Program",
    "ProportionalRule",
    "Provenance",
    "PublishedAggregates",
    "PublishedFigures",
    "RValues",
    "Ranks",
    "RatePayRule",
    "RatePayout",
    "ReachedByChance",
    "ReadingBelow",
    "RegressionToMean",
    "RelativeRule",
    "Reliability",
    "ReportCard",
    "ReviewJudgment",
    "ReviewRule",
    "Rule",
    "RunGoal",
    "Scenario",
    "Seasonality",
    "Sensitivity",
    "SeriesPlan",
    "Setting",
    "SmokingTraits",
    "SpecError",
    "StandardizedRates",
    "SteppedWedge",
    "StorageError",
    "SyntheticControl",
    "TargetCriterion",
    "ThresholdChoice",
    "ThresholdReview",
    "TierAssessment",
    "TierMisclassification",
    "TierRule",
    "Truth",
    "UnearnedRewards",
    "Uniform",
    "UnitSelection",
    "Variation",
    "WedgePlan",
    "__version__",
    "assess_calibration",
    "assess_criterion",
    "assess_pre_trend",
    "assess_predictions",
    "assess_tiers",
    "bound_parallel_trends",
    "caseload_misclassification",
    "check_calibration",
    "check_predictive",
    "check_prior_sensitivity",
    "check_sampling",
    "choose_threshold",
    "cite",
    "classify",
    "community_centers",
    "compare_pilot",
    "correct_selection",
    "correct_unit_selection",
    "count_limits",
    "cut_misclassification",
    "datasets",
    "density_test",
    "describe_variation",
    "deselect",
    "divergence_test",
    "doctor_table",
    "e_value",
    "e_value_of_interval",
    "earn_points",
    "exact_test",
    "exception_jump",
    "expect_worst_units",
    "expected_regression",
    "fit",
    "fit_beta_binomial",
    "funnel_limits",
    "health_points",
    "improvement_by_chance",
    "indicator_cases",
    "load_fit",
    "median_cut_misclassification",
    "median_odds_ratio",
    "misallocate",
    "misclassify",
    "misclassify_tiers",
    "normal_levels",
    "operating_characteristics",
    "pay",
    "pay_rates",
    "pilot_power",
    "plan_awards",
    "plan_caseload",
    "plot_before_after",
    "plot_calibration",
    "plot_caterpillar",
    "plot_counterfactual",
    "plot_decision_curve",
    "plot_doctor_effects",
    "plot_event_study",
    "plot_frontier",
    "plot_funnel",
    "plot_kitagawa",
    "plot_misallocation",
    "plot_operating",
    "plot_predictive",
    "plot_rank_intervals",
    "plot_reliability",
    "plot_review",
    "plot_sd",
    "plot_shrinkage",
    "pointwise_log_likelihood",
    "programs",
    "provenance",
    "r_values",
    "rank",
    "reached_by_chance",
    "redeem_points",
    "regression_share",
    "regression_to_mean",
    "reliability",
    "replay_selection",
    "report",
    "report_card",
    "report_pilot",
    "report_review",
    "review_thresholds",
    "reward_ladder",
    "rewards_without_effect",
    "save_fit",
    "scenario_codebook",
    "sensitivity",
    "simulate_population",
    "standardize",
    "sweep_population_means",
    "tabulate_awards",
    "tertiary_hospital",
    "true_rates",
]


class _Package(ModuleType):
    """Keeps ``outcomekpi.report`` the verb.

    The import system binds a room to its parent when it is first imported, and would put the
    room ``report`` where the public function of that name belongs.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "report" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("outcomekpi")
    elif name == "datasets":
        value = import_module("outcomekpi.datasets")
    elif name == "programs":
        value = import_module("outcomekpi.thresholds.programs")
    elif name in _HOME:
        value = getattr(import_module(f"outcomekpi.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
