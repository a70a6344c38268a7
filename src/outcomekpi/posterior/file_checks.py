"""What must hold in a saved fit, whoever wrote it: shapes, ranges, and numbers that are numbers."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model
from outcomekpi.tables.cases import Cases, Direction, MissingPolicy

__all__ = ["check_cases", "check_design", "check_diagnostics", "check_draws", "check_outcome"]

UNITS = {
    "intercept": None,
    "intercept_standardized": None,
    "coefficient": "term",
    "coefficient_standardized": "term",
    "doctor_effect": "doctor",
    "sd_doctor": None,
}
"""Draws that every fit has, and the unit that each is of."""
NOT_NEGATIVE = ("sd_doctor", "sd_hospital", "sd_residual", "dispersion")
COUNTED = ("bernoulli", "binomial", "poisson", "negative_binomial")


def check_draws(posterior: xr.Dataset, cases: Cases, design: Design, model: Model) -> None:
    """Refuse draws that do not belong to these cases, this design and this family.

    Raises
    ------
    ValueError
        Says which draws, and what is wrong with them.
    """
    units = _expected_draws(cases, model)
    absent = [name for name in units if name not in posterior.data_vars]
    if absent:
        raise ValueError(f"the draws lack {', '.join(absent)}")
    _check_labels(posterior, cases, design)
    if min(posterior.sizes[name] for name in ("chain", "draw")) < 1:
        raise ValueError("there are no draws")
    for name, unit in units.items():
        dims = ("chain", "draw") if unit is None else ("chain", "draw", unit)
        if posterior[name].dims != dims:
            raise ValueError(f"{name} has the dimensions {posterior[name].dims}, not {dims}")
    for key, values in posterior.data_vars.items():
        _require_finite(str(key), values.to_numpy())
        if key in NOT_NEGATIVE and (values < 0).any():
            raise ValueError(f"{key} has draws below 0")


def _expected_draws(cases: Cases, model: Model) -> dict[str, str | None]:
    units: dict[str, str | None] = dict(UNITS)
    if cases.hospitals is not None:
        units |= {"hospital_effect": "hospital", "sd_hospital": None}
    scale = {"gaussian": "sd_residual", "negative_binomial": "dispersion"}.get(model.family)
    return units if scale is None else {**units, scale: None}


def _check_labels(posterior: xr.Dataset, cases: Cases, design: Design) -> None:
    wanted: dict[str, Iterable[str]] = {"doctor": cases.doctors, "term": design.terms}
    if cases.hospitals is not None:
        wanted["hospital"] = cases.hospitals
    for unit, labels in wanted.items():
        if [str(label) for label in posterior[unit].to_numpy()] != list(labels):
            raise ValueError(f"the {unit}s of the draws are not those of the cases and the design")


def check_design(design: Design) -> None:
    """Refuse a design whose parts do not fit each other or are no numbers.

    Raises
    ------
    ValueError
        Says which part.
    """
    shapes = {
        "design/matrix": design.matrix.shape[1:],
        "design/center": design.center.shape,
        "design/scale": design.scale.shape,
        "design/doctor_level": design.doctor_level.shape,
    }
    for name, shape in shapes.items():
        if shape != (len(design.terms),):
            raise ValueError(f"{name} is not of the {len(design.terms)} terms")
    if len(set(design.terms)) < len(design.terms):
        raise ValueError("a term comes twice")
    for name in ("matrix", "center", "scale"):
        _require_finite(f"design/{name}", getattr(design, name))
    if (design.scale <= 0).any():
        raise ValueError("design/scale is not above 0")


def check_cases(cases: Cases) -> None:
    """Refuse cases with labels that are lost or double, or words that are not known.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    _check_codes("doctor", cases.doctors, cases.doctor_code)
    if cases.hospitals is not None and cases.hospital_code is not None:
        _check_codes("hospital", cases.hospitals, cases.hospital_code)
        if cases.hospital_code.size != len(cases.doctors):
            raise ValueError("the hospitals are not those of the doctors")
    for role, values in (
        ("hospital", cases.hospitals),
        ("trials", cases.trials),
        ("exposure", cases.exposure),
        ("offset", cases.offset),
    ):
        if (role in cases.roles) != (values is not None):
            raise ValueError(f"{role} and the roles of the columns disagree")
    for role in ("outcome", "doctor"):
        if role not in cases.roles:
            raise ValueError(f"no column has the role {role}")
    _require_word("direction", cases.direction, (None, *get_args(Direction)))
    _require_word("missing", cases.missing, get_args(MissingPolicy))
    if cases.event is not None and not isinstance(cases.event, str):
        raise ValueError(f"event is {cases.event!r}, not a text")


def _check_codes(name: str, labels: pd.Index, code: NDArray[np.intp]) -> None:
    if not labels.is_unique:
        raise ValueError(f"a {name} is listed twice")
    if np.unique(code).size != len(labels):
        raise ValueError(f"a {name} has no rows")


def check_outcome(model: Model) -> None:
    """Refuse outcomes, trials and exposures that the family cannot have.

    Raises
    ------
    ValueError
        Says which, and what it must be.
    """
    outcome, trials, exposure = model.outcome, model.trials, model.exposure
    _require_finite("observed_data/outcome", outcome)
    most: NDArray[np.float64] | float = np.inf
    if model.family == "bernoulli":
        most = 1.0
    if (model.family == "binomial") != (trials is not None):
        raise ValueError(f"trials do not belong to the family {model.family}")
    if trials is not None:
        _require_rows("trials", trials, outcome)
        if (trials < 1).any() or (trials % 1 != 0).any():
            raise ValueError("trials are not whole numbers from 1")
        most = trials
    if model.family in COUNTED and (
        (outcome < 0).any() or (outcome % 1 != 0).any() or (outcome > most).any()
    ):
        raise ValueError(f"the outcome holds values that the family {model.family} cannot have")
    if exposure is not None:
        _require_rows("exposure", exposure, outcome)
        if (exposure <= 0).any():
            raise ValueError("exposure is not above 0")


def check_diagnostics(found: Any) -> None:
    """Refuse diagnostics that are no list of names with numbers and words.

    Raises
    ------
    ValueError
        Says what was found.
    """
    if not isinstance(found, Mapping) or not all(
        isinstance(value, str | float) and not isinstance(value, bool) for value in found.values()
    ):
        raise ValueError(f"diagnostics are not numbers and words: {found!r:.80}")


def _require_finite(name: str, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {values.dtype}, not numbers")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are missing or infinite")


def _require_rows(name: str, values: NDArray[Any], outcome: NDArray[Any]) -> None:
    _require_finite(name, values)
    if values.shape != outcome.shape:
        raise ValueError(f"{name} has {values.size} values for {outcome.size} rows")


def _require_word(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}, none of {known}")
