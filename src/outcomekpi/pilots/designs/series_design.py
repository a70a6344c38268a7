"""What the designs of a series share: columns, settings, and what of them fits together."""

from dataclasses import dataclass
from typing import Annotated, Literal

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Range
from outcomekpi.pilots.data.series import SeriesColumns
from outcomekpi.pilots.data.series_interruptions import Change, Interruption
from outcomekpi.pilots.designs.series_model import Method
from outcomekpi.pilots.estimators.bayesian_series import RhoPrior
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.time_columns import check_zone

__all__ = ["ControlUse", "SeriesDesign"]

ControlUse = Literal["none", "difference", "covariate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDesign(SeriesColumns):
    """Columns of a series and how it is modeled: what its designs share and hand down."""

    method: Method = "auto"
    order: Annotated[int, Range(low=1, high=6)] = 1
    change: Change = "level and slope"
    seasonality: Seasonality | None = None
    horizon: Annotated[int, Range(low=0)] | None = None
    rho_prior: RhoPrior = "uniform"
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_design(self)

    @property
    def control_as(self) -> ControlUse:
        """What the control is used for; nothing without one."""
        return "none"


def _check_design(design: SeriesDesign) -> None:
    if not isinstance(design.covariates, tuple):
        raise SpecError(
            f"covariates must be a tuple of column names, such as ('age',); got "
            f"{design.covariates!r}."
        )
    check_zone(design.time_zone)
    _check_others(design)
    _check_range(design)
    _check_family(design)
    _check_method(design)


def _check_others(design: SeriesDesign) -> None:
    if not isinstance(design.other_interruptions, tuple):
        raise SpecError(
            "other_interruptions must be a tuple, such as (Interruption(start='2020-03'),); got "
            f"{design.other_interruptions!r}."
        )
    for other in design.other_interruptions:
        check_kind("other_interruptions", other, Interruption, "Interruption(start='2020-03')")


def _check_range(design: SeriesDesign) -> None:
    if design.outcome_range is None:
        return
    if design.family != "gaussian":
        raise SpecError(
            f"outcome_range belongs to family='gaussian'; family={design.family!r} has its own."
        )
    both = design.outcome_range
    if len(both) != 2 or not both[0] < both[1]:
        raise SpecError(
            "outcome_range must be the lowest and the highest value that the outcome can have, "
            f"such as (0, 100); got {both!r}."
        )


def _check_family(design: SeriesDesign) -> None:
    sizes = {
        "trials": (design.trials, "binomial"),
        "exposure": (design.exposure, "poisson"),
        "control_trials": (design.control_trials, "binomial"),
        "control_exposure": (design.control_exposure, "poisson"),
    }
    for role, (column, family) in sizes.items():
        if column is not None and design.family != family:
            raise SpecError(
                f"{role}={column!r} goes with family={family!r}; got family={design.family!r}."
            )
    if design.family == "binomial":
        needed = ["trials"] + (["control_trials"] if design.control is not None else [])
        for role in needed:
            if getattr(design, role) is None:
                raise SpecError(
                    f"family='binomial' counts events out of trials: name the column, {role}=... . "
                    "A column of percentages without their denominators goes with "
                    "family='gaussian', unit='%'."
                )
    lone = (design.exposure is None) != (design.control_exposure is None)
    if design.control is not None and lone:
        raise SpecError("Name both exposure and control_exposure, or neither.")


def _check_method(design: SeriesDesign) -> None:
    if design.method == "quasi" and design.family == "gaussian":
        raise SpecError(
            "method='quasi' is for counts; a Gaussian series has its variance estimated anyway: "
            "use 'reml', or 'independent' for ordinary least squares."
        )
    if design.method in ("bayes", "structural") and design.family != "gaussian":
        raise SpecError(
            f"method={design.method!r} is exact for family='gaussian' alone; use 'reml' for counts."
        )
    if design.method not in ("auto", "reml", "prais_winsten") and design.order != 1:
        raise SpecError(
            f"method={design.method!r} takes no order but 1; got order={design.order!r}. Use "
            "'auto', 'reml' or 'prais_winsten' for a higher one."
        )
