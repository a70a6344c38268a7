"""Layout of a saved fit: which number of a Fit stands where in the file, and back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model, assemble_model
from outcomekpi.model.priors import Flat, Normal, Priors, SDPrior
from outcomekpi.model.spec import DoctorEffects, Family, ModelSpec
from outcomekpi.posterior.fit import Engine, Fit
from outcomekpi.tables.cases import Cases, Direction, MissingPolicy
from outcomekpi.tables.offsets import check_offset_scale, published

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "check_cases",
    "check_design",
    "check_diagnostics",
    "check_draws",
    "check_outcome",
    "fit_to_tree",
    "tree_to_fit",
]

FORMAT = "outcomekpi fit"
FORMAT_VERSION = 2
"""2 is sealed by a checksum; nothing in version 1 was ever released."""


# What must hold in a saved fit, whoever wrote it: shapes, ranges, and numbers that are numbers
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


KEPT_ROLES = ("outcome", "doctor", "hospital", "trials", "exposure", "offset")
DOCUMENTS = ("spec", "model", "cases", "diagnostics", "provenance")
_PRIORS = {kind.__name__: kind for kind in (Normal, Flat, *get_args(SDPrior))}


def fit_to_tree(fit: Fit) -> xr.DataTree:
    """Lay a fit out in groups, draws with the unit first, and in JSON attributes."""
    groups = {
        name: node.to_dataset().transpose(..., "chain", "draw", missing_dims="ignore")
        for name, node in fit.draws.children.items()
    }
    design = fit.design
    groups["design"] = xr.Dataset(
        {
            "matrix": (("term", "case"), design.matrix.T),
            "center": ("term", design.center),
            "scale": ("term", design.scale),
            "doctor_level": ("term", design.doctor_level.astype(np.int8)),
        },
        coords={"term": _text(design.terms)},
    )
    groups["labels"] = _labels(fit.cases)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"format": FORMAT, "format_version": FORMAT_VERSION, "engine": fit.engine}
    for name, document in _documents(fit).items():
        tree.attrs[name] = json.dumps(document, ensure_ascii=False)
    return tree


def _labels(cases: Cases) -> xr.Dataset:
    """Texts of any length and number, which attributes cannot hold."""
    labels = {"doctors": ("doctor", _text(cases.doctors)), "log": ("entry", _text(cases.log))}
    if cases.hospitals is not None:
        labels["hospitals"] = ("hospital", _text(cases.hospitals))
    return xr.Dataset(labels)


def _text(labels: Any) -> NDArray[np.object_]:
    return np.array([str(label) for label in labels], dtype=object)


def _documents(fit: Fit) -> dict[str, dict[str, Any]]:
    spec, model, cases = fit.spec, fit.model, fit.cases
    return {
        "spec": _record(spec) | {"priors": _priors_to_json(spec.priors)},
        "model": {
            "family": model.family,
            "doctor_effects": model.doctor_effects,
            "priors": _priors_to_json(model.priors),
        },
        "cases": {
            "roles": {role: cases.roles[role] for role in KEPT_ROLES if role in cases.roles},
            "direction": cases.direction,
            "event": None if cases.event is None else str(cases.event),
            "missing": cases.missing,
            "offset_scale": cases.offset_scale,
        },
        "diagnostics": {
            name: value if isinstance(value, str) else float(value)
            for name, value in fit.diagnostics.items()
        },
        "provenance": _record(fit.provenance),
    }


def _record(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _priors_to_json(priors: Priors) -> dict[str, dict[str, Any]]:
    return {
        name: {"kind": type(prior).__name__, **_record(prior)}
        for name, prior in _record(priors).items()
    }


def tree_to_fit(tree: xr.DataTree) -> Fit:
    """Rebuild a fit from its layout, checking that its parts agree.

    Raises
    ------
    KeyError, TypeError, ValueError, OutcomeKPIError
        A part is missing, or parts disagree.
    """
    parts = {name: json.loads(tree.attrs[name]) for name in DOCUMENTS}
    spec = ModelSpec(**parts["spec"] | {"priors": _priors_from_json(parts["spec"]["priors"])})
    design = _read_design(tree["design"].to_dataset())
    cases = _read_cases(tree, parts["cases"])
    groups = {
        name: node.to_dataset().transpose("chain", "draw", ..., missing_dims="ignore")
        for name, node in tree.children.items()
        if name not in ("design", "labels")
    }
    _check_rows(cases, design)
    model = _read_model(cases, design, parts["model"])
    check_design(design)
    check_cases(cases)
    check_outcome(model)
    check_draws(groups["posterior"], cases, design, model)
    check_diagnostics(parts["diagnostics"])
    if spec.family not in (None, model.family) or spec.doctor_effects != model.doctor_effects:
        raise ValueError("the specification and the model disagree")
    return Fit(
        draws=xr.DataTree.from_dict(groups),
        cases=cases,
        spec=spec,
        design=design,
        model=model,
        engine=_choice(tree.attrs["engine"], Engine),
        diagnostics=parts["diagnostics"],
        provenance=Provenance(**parts["provenance"]),
    )


def _priors_from_json(document: Mapping[str, Mapping[str, Any]]) -> Priors:
    """Rebuild priors by name from the known kinds; no other name is ever looked up."""
    wanted = {field.name for field in fields(Priors)}
    if set(document) != wanted:
        raise ValueError(f"priors of {sorted(document)}, not of {sorted(wanted)}")
    found: dict[str, Any] = {}
    for name, entry in document.items():
        numbers = dict(entry)
        found[name] = _PRIORS[numbers.pop("kind")](**numbers)
    return Priors(**found)


def _choice(value: Any, options: Any) -> Any:
    if value not in get_args(options):
        raise ValueError(f"{value!r} is none of {get_args(options)}")
    return value


def _read_design(group: xr.Dataset) -> Design:
    return Design(
        matrix=group["matrix"].to_numpy().T,
        terms=tuple(str(term) for term in group["term"].to_numpy()),
        center=group["center"].to_numpy(),
        scale=group["scale"].to_numpy(),
        doctor_level=group["doctor_level"].to_numpy().astype(bool),
        recipe=None,
    )


def _read_cases(tree: xr.DataTree, document: Mapping[str, Any]) -> Cases:
    constants, labels = tree["constant_data"].to_dataset(), tree["labels"].to_dataset()
    doctors = pd.Index(labels["doctors"].to_numpy(), dtype="str")
    doctor_code = _codes(constants["doctor_code"], doctors)
    hospitals = hospital_code = None
    if "hospitals" in labels:
        hospitals = pd.Index(labels["hospitals"].to_numpy(), dtype="str")
        hospital_code = _codes(constants["hospital_code"], hospitals)
    outcome = tree["observed_data"]["outcome"].to_numpy()
    if outcome.ndim != 1 or not outcome.size:
        raise ValueError("there are no outcomes")
    trials, exposure, offset = (
        constants[name].to_numpy() if name in constants else None
        for name in ("trials", "exposure", "offset")
    )
    scale = document.get("offset_scale")
    check_offset_scale(document["roles"].get("offset"), scale)
    columns: dict[str, Any] = {"outcome": outcome, "trials": trials, "exposure": exposure}
    if offset is not None and scale is not None:
        columns["offset"] = published(offset, scale, exposure)
    columns["doctor"] = pd.Categorical.from_codes(doctor_code, categories=doctors)
    if hospitals is not None and hospital_code is not None:
        columns["hospital"] = pd.Categorical.from_codes(
            hospital_code[doctor_code], categories=hospitals
        )
    roles = {role: str(name) for role, name in document["roles"].items() if role in KEPT_ROLES}
    return Cases(
        frame=pd.DataFrame({name: columns[role] for role, name in roles.items()}),
        roles=roles,
        outcome=outcome,
        trials=trials,
        exposure=exposure,
        doctors=doctors,
        doctor_code=doctor_code,
        hospitals=hospitals,
        hospital_code=hospital_code,
        direction=document["direction"],
        event=document["event"],
        log=tuple(str(entry) for entry in labels["log"].to_numpy()),
        missing=document["missing"],
        offset=offset,
        offset_scale=scale,
    )


def _codes(values: xr.DataArray, labels: pd.Index) -> NDArray[np.intp]:
    found = values.to_numpy()
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise ValueError(f"{values.name} holds no codes")
    code = found.astype(np.intp)
    if code.size and (code.min() < 0 or code.max() >= len(labels)):
        raise ValueError(f"{values.name} points to labels that are not listed")
    return code


def _check_rows(cases: Cases, design: Design) -> None:
    n_cases = {cases.outcome.size, cases.doctor_code.size, len(design.matrix)}
    if len(n_cases) > 1:
        raise ValueError(f"outcome, doctors and design hold {sorted(n_cases)} cases")


def _read_model(cases: Cases, design: Design, document: Mapping[str, Any]) -> Model:
    return assemble_model(
        cases,
        design,
        family=_choice(document["family"], Family),
        priors=_priors_from_json(document["priors"]),
        doctor_effects=_choice(document["doctor_effects"], DoctorEffects),
    )
