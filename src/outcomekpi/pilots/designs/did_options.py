"""Settings of a difference in differences, and what of them fits together."""

from dataclasses import dataclass
from typing import Literal, get_args

from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.pilots.data.panel import Control, PanelColumns, PanelGaps, Rows, Weights
from outcomekpi.tables.cases import Direction

__all__ = ["DidEstimator", "DidFamily", "DidInference", "DidOptions", "check_did_options"]

DidEstimator = Literal["2x2", "callaway_santanna", "etwfe", "event_study"]
DidFamily = Literal["gaussian", "logit", "poisson"]
DidInference = Literal["cluster", "wild_bootstrap", "randomization"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DidOptions:
    """How an effect is estimated from a panel."""

    estimator: DidEstimator
    family: DidFamily
    inference: DidInference
    control: Control
    direction: Direction | None


def check_did_options(columns: PanelColumns, options: DidOptions) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    SpecError
        An unknown choice, a family or an inference that the estimator does not have.
    """
    check_choice("estimator", options.estimator, get_args(DidEstimator))
    check_choice("family", options.family, get_args(DidFamily))
    check_choice("inference", options.inference, get_args(DidInference))
    check_choice("control", options.control, get_args(Control))
    check_panel_options(columns, options.direction)
    if options.family != "gaussian" and options.estimator not in ("etwfe", "event_study"):
        raise SpecError(
            f"estimator={options.estimator!r} compares means; family={options.family!r} goes with "
            "estimator='etwfe' or 'event_study'."
        )
    if options.inference != "cluster" and options.estimator != "2x2":
        raise SpecError(
            f"inference={options.inference!r} goes with estimator='2x2' alone: for "
            f"{options.estimator!r} no few-cluster interval was checked. Use '2x2' for the units "
            "of one start, or inference='cluster'."
        )
    if options.inference == "randomization" and columns.covariates:
        raise SpecError(
            "inference='randomization' compares plain changes and takes no covariates; leave them "
            "out, or use inference='wild_bootstrap'."
        )
    if columns.weights == "patients":
        _check_weights(columns, options)
    if options.estimator == "event_study" and options.control != "never_treated":
        raise SpecError(
            "estimator='event_study' compares with units that were never treated; with "
            "control='not_yet_treated' use 'callaway_santanna' or 'etwfe'."
        )


def _check_weights(columns: PanelColumns, options: DidOptions) -> None:
    if not columns.counts_patients:
        raise SpecError(
            "weights='patients' needs the patients of each unit and period: name trials=, or pass "
            "rows='patients'."
        )
    if options.family != "gaussian" or options.inference == "wild_bootstrap":
        other = (
            f"family={options.family!r}"
            if options.family != "gaussian"
            else "inference='wild_bootstrap'"
        )
        raise SpecError(
            f"weights='patients' does not go with {other}, which counts units alike. Use "
            "family='gaussian' and another inference, or weights='units'."
        )


def check_panel_options(columns: PanelColumns, direction: Direction | None) -> None:
    """Refuse unknown choices about the rows of a panel."""
    check_choice("rows", columns.rows, get_args(Rows))
    check_choice("gaps", columns.gaps, get_args(PanelGaps))
    check_choice("weights", columns.weights, get_args(Weights))
    if direction is not None:
        check_choice("direction", direction, get_args(Direction))
    if not isinstance(columns.covariates, tuple):
        raise SpecError(
            f"covariates must be a tuple of column names, such as ('age',); got "
            f"{columns.covariates!r}."
        )
    if columns.trials is not None and columns.rows == "patients":
        raise SpecError(
            f"trials={columns.trials!r} counts the patients of a unit and period; with "
            "rows='patients' a row is one patient. Leave one out."
        )
