"""Settings of an interrupted series, and what of them fits together."""

from dataclasses import dataclass
from typing import Literal, get_args

from outcomekpi.declare.errors import SpecError, check_choice, check_kind
from outcomekpi.pilots.data.series import Family, GapPolicy, SeriesColumns
from outcomekpi.pilots.data.series_interruptions import Change, Interruption
from outcomekpi.pilots.designs.series_model import Method
from outcomekpi.pilots.estimators.bayesian_series import RHO_PRIORS, RhoPrior
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.time_columns import check_zone
from outcomekpi.tables.times import TIME_UNITS

__all__ = ["ControlUse", "SeriesOptions", "check_options"]

ControlUse = Literal["none", "difference", "covariate"]
LARGEST_ORDER = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions:
    """How a series is modeled."""

    method: Method
    order: int
    change: Change
    seasonality: Seasonality | None
    horizon: int | None
    rho_prior: RhoPrior
    direction: Direction | None
    control_as: ControlUse = "none"


def check_options(columns: SeriesColumns, options: SeriesOptions) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    SpecError
        An unknown choice, a family without its columns, a method that the family does not have.
    """
    check_choice("family", columns.family, get_args(Family))
    check_choice("method", options.method, get_args(Method))
    check_choice("change", options.change, get_args(Change))
    check_choice("gaps", columns.gaps, get_args(GapPolicy))
    check_choice("rho_prior", options.rho_prior, RHO_PRIORS)
    check_choice("control_as", options.control_as, get_args(ControlUse))
    if options.direction is not None:
        check_choice("direction", options.direction, get_args(Direction))
    if options.seasonality is not None:
        check_kind(
            "seasonality", options.seasonality, Seasonality, "Seasonality(period=12, harmonics=2)"
        )
    _check_whole("order", options.order, 1, LARGEST_ORDER)
    _check_whole("ramp_up", columns.ramp_up, 0, 10_000)
    if options.horizon is not None:
        _check_whole("horizon", options.horizon, 0, 10_000)
    if not isinstance(columns.covariates, tuple):
        raise SpecError(
            f"covariates must be a tuple of column names, such as ('age',); got "
            f"{columns.covariates!r}."
        )
    if columns.time_unit is not None:
        check_choice("time_unit", columns.time_unit, TIME_UNITS)
    check_zone(columns.time_zone)
    _check_others(columns)
    _check_range(columns)
    _check_family(columns)
    _check_method(columns.family, options)


def _check_others(columns: SeriesColumns) -> None:
    if not isinstance(columns.others, tuple):
        raise SpecError(
            "other_interruptions must be a tuple, such as (Interruption(start='2020-03'),); got "
            f"{columns.others!r}."
        )
    for other in columns.others:
        check_kind("other_interruptions", other, Interruption, "Interruption(start='2020-03')")
        check_choice("change", other.change, get_args(Change))


def _check_range(columns: SeriesColumns) -> None:
    if columns.outcome_range is None:
        return
    if columns.family != "gaussian":
        raise SpecError(
            f"outcome_range belongs to family='gaussian'; family={columns.family!r} has its own."
        )
    both = columns.outcome_range
    if len(both) != 2 or not both[0] < both[1]:
        raise SpecError(
            "outcome_range must be the lowest and the highest value that the outcome can have, "
            f"such as (0, 100); got {both!r}."
        )


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= int(str(value)) <= high:
        raise SpecError(f"{name} must be a whole number from {low} to {high:,}; got {value!r}.")


def _check_family(columns: SeriesColumns) -> None:
    sizes = {
        "trials": (columns.trials, "binomial"),
        "exposure": (columns.exposure, "poisson"),
        "control_trials": (columns.control_trials, "binomial"),
        "control_exposure": (columns.control_exposure, "poisson"),
    }
    for role, (column, family) in sizes.items():
        if column is not None and columns.family != family:
            raise SpecError(
                f"{role}={column!r} goes with family={family!r}; got family={columns.family!r}."
            )
    if columns.family == "binomial":
        needed = ["trials"] + (["control_trials"] if columns.control is not None else [])
        for role in needed:
            if getattr(columns, role) is None:
                raise SpecError(
                    f"family='binomial' counts events out of trials: name the column, {role}=... . "
                    "A column of percentages without their denominators goes with "
                    "family='gaussian', unit='%'."
                )
    lone = (columns.exposure is None) != (columns.control_exposure is None)
    if columns.control is not None and lone:
        raise SpecError("Name both exposure and control_exposure, or neither.")


def _check_method(family: Family, options: SeriesOptions) -> None:
    if options.method == "quasi" and family == "gaussian":
        raise SpecError(
            "method='quasi' is for counts; a Gaussian series has its variance estimated anyway: "
            "use 'reml', or 'independent' for ordinary least squares."
        )
    if options.method in ("bayes", "structural") and family != "gaussian":
        raise SpecError(
            f"method={options.method!r} is exact for family='gaussian' alone; use 'reml' for "
            "counts."
        )
    if options.method not in ("auto", "reml", "prais_winsten") and options.order != 1:
        raise SpecError(
            f"method={options.method!r} takes no order but 1; got order={options.order!r}. Use "
            "'auto', 'reml' or 'prais_winsten' for a higher one."
        )
