"""Layout of a saved fit: which number of a Fit stands where in the file, and back."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import Flat, Normal, Priors, SDPrior
from outcomekpi.model.spec import DoctorEffects, Family, ModelSpec
from outcomekpi.posterior.file_checks import (
    check_cases,
    check_design,
    check_diagnostics,
    check_draws,
    check_outcome,
)
from outcomekpi.posterior.fit import Engine, Fit
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.offsets import check_offset_scale, published

__all__ = ["FORMAT", "FORMAT_VERSION", "fit_to_tree", "tree_to_fit"]

FORMAT = "outcomekpi fit"
FORMAT_VERSION = 2
"""2 is sealed by a checksum; nothing in version 1 was ever released."""
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
    return Model(
        family=_choice(document["family"], Family),
        outcome=cases.outcome,
        trials=cases.trials,
        exposure=cases.exposure,
        matrix=design.matrix,
        doctor_code=cases.doctor_code,
        n_doctors=len(cases.doctors),
        hospital_code=cases.hospital_code,
        n_hospitals=0 if cases.hospitals is None else len(cases.hospitals),
        priors=_priors_from_json(document["priors"]),
        doctor_effects=_choice(document["doctor_effects"], DoctorEffects),
        offset=cases.offset,
    )
