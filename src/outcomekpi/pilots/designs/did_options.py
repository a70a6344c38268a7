"""Settings of a difference in differences, and what of them fits together."""

from typing import TYPE_CHECKING, Literal

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.data.panel import PanelColumns

if TYPE_CHECKING:
    from outcomekpi.pilots.designs.did import DifferenceInDifferences

__all__ = ["DidEstimator", "DidFamily", "DidInference", "check_did_options"]

DidEstimator = Literal["2x2", "callaway_santanna", "etwfe", "event_study"]
DidFamily = Literal["gaussian", "logit", "poisson"]
DidInference = Literal["cluster", "wild_bootstrap", "randomization"]


def check_did_options(columns: PanelColumns, design: "DifferenceInDifferences") -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    SpecError
        A family or an inference that the estimator does not have.
    """
    check_panel_options(columns)
    if design.family != "gaussian" and design.estimator not in ("etwfe", "event_study"):
        raise SpecError(
            f"estimator={design.estimator!r} compares means; family={design.family!r} goes with "
            "estimator='etwfe' or 'event_study'."
        )
    if design.inference != "cluster" and design.estimator != "2x2":
        raise SpecError(
            f"inference={design.inference!r} goes with estimator='2x2' alone: for "
            f"{design.estimator!r} no few-cluster interval was checked. Use '2x2' for the units "
            "of one start, or inference='cluster'."
        )
    if design.inference == "randomization" and columns.covariates:
        raise SpecError(
            "inference='randomization' compares plain changes and takes no covariates; leave them "
            "out, or use inference='wild_bootstrap'."
        )
    if columns.weights == "patients":
        _check_weights(columns, design)
    if design.estimator == "event_study" and design.control != "never_treated":
        raise SpecError(
            "estimator='event_study' compares with units that were never treated; with "
            "control='not_yet_treated' use 'callaway_santanna' or 'etwfe'."
        )


def _check_weights(columns: PanelColumns, design: "DifferenceInDifferences") -> None:
    if not columns.counts_patients:
        raise SpecError(
            "weights='patients' needs the patients of each unit and period: name trials=, or pass "
            "rows='patients'."
        )
    if design.family != "gaussian" or design.inference == "wild_bootstrap":
        other = (
            f"family={design.family!r}"
            if design.family != "gaussian"
            else "inference='wild_bootstrap'"
        )
        raise SpecError(
            f"weights='patients' does not go with {other}, which counts units alike. Use "
            "family='gaussian' and another inference, or weights='units'."
        )


def check_panel_options(columns: PanelColumns) -> None:
    """Refuse columns that do not go with the rows of a panel."""
    if not isinstance(columns.covariates, tuple):  # a list would not be hashable
        raise SpecError(
            f"covariates must be a tuple of column names, such as ('age',); got "
            f"{columns.covariates!r}."
        )
    if columns.trials is not None and columns.rows == "patients":
        raise SpecError(
            f"trials={columns.trials!r} counts the patients of a unit and period; with "
            "rows='patients' a row is one patient. Leave one out."
        )
