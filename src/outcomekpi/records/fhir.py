"""Records out of FHIR R4: bundles in JSON, or NDJSON as servers export it in bulk."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import StorageError
from outcomekpi.records.records import Records

__all__ = ["from_fhir"]

Row = dict[str, Any]
Resource = Mapping[str, Any]


def from_fhir(
    path: str | os.PathLike[str],
    *,
    concepts: Mapping[str, str] | None = None,
    time_zone: str = "UTC",
) -> Records:
    """Read records out of FHIR R4 resources.

    Parameters
    ----------
    path : file ``.json`` (a bundle or one resource) or ``.ndjson``, or a folder of such files
    concepts : code -> name of the concept that indicators look for; several are joined by "|".
        A code without a name is a concept by itself, and so is its displayed text
    time_zone : whose calendar days count

    Returns
    -------
    Records; the components of a panel are measurements of their own. Resources of other kinds are
    left alone

    Raises
    ------
    StorageError
        There is no such file, or a line that is no JSON: which and where.
    CasesError
        The resources do not fit together.

    References
    ----------
    HL7 FHIR R4 (v4.0.1): Patient, Encounter, Condition, Observation, MedicationRequest, Procedure,
    ServiceRequest, DeviceRequest.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from outcomekpi import from_fhir
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "Patient.ndjson"
    ...     _ = file.write_text(json.dumps({"resourceType": "Patient", "id": "a"}))
    ...     from_fhir(file)
    Records: 1 patient, time zone UTC
    """
    check_arguments(from_fhir, locals())
    names = {} if concepts is None else dict(concepts)
    rows: dict[str, list[Row]] = {"patients": []}
    for resource in _resources(Path(path).expanduser()):
        kind = str(resource.get("resourceType", ""))
        if kind in READERS:
            table, read = READERS[kind]
            rows.setdefault(table, []).extend(read(resource, names))
    frames = {table: pd.DataFrame(found) for table, found in rows.items() if found}
    return Records.from_frames(frames, time_zone=time_zone)


def _resources(path: Path) -> Iterator[Resource]:
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in (".json", ".ndjson"))
    else:
        files = [path]
    if not files or not all(file.is_file() for file in files):
        raise StorageError(f"{str(path)!r} must be a .json or .ndjson file, or a folder of them.")
    for file in files:
        text = file.read_text(encoding="utf-8-sig")
        lines = text.splitlines() if file.suffix.lower() == ".ndjson" else [text]
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield from _unbundled(_parsed(line, file, number))


def _parsed(line: str, file: Path, number: int) -> Resource:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise StorageError(
            f"{str(file)!r} is no JSON in line {number + error.lineno - 1}: {error.msg}."
        ) from error
    if not isinstance(found, dict):
        raise StorageError(f"{str(file)!r} must hold resources; line {number} holds none.")
    return found


def _unbundled(resource: Resource) -> Iterator[Resource]:
    if resource.get("resourceType") == "Bundle":
        for entry in resource.get("entry", ()):
            yield from _unbundled(entry.get("resource", {}))
    else:
        yield resource


def _words(concept: Any, names: Mapping[str, str]) -> str:
    """Names of a CodeableConcept, or of several: of its codes, else codes and texts themselves."""
    found: dict[str, None] = {}
    for one in concept if isinstance(concept, list) else [concept or {}]:
        for coding in one.get("coding", ()):
            code = str(coding.get("code", ""))
            named = [*names.get(code, code).split("|"), coding.get("display", "")]
            found |= dict.fromkeys(word for word in named if word)
        if one.get("text"):
            found[one["text"]] = None
    return "|".join(found)


def _code(concept: Any) -> str:
    codings = (concept or {}).get("coding", ())
    return str(codings[0].get("code", "")) if codings else ""


def _codes(concepts: Any) -> str:
    many = concepts if isinstance(concepts, list) else [concepts or {}]
    return "|".join(code for code in map(_code, many) if code)


def _who(reference: Any) -> str:
    return str((reference or {}).get("reference", "")).rpartition("/")[2].removeprefix("urn:uuid:")


def _span(resource: Resource, name: str) -> tuple[Any, Any]:
    """Start and end of ``nameDateTime`` or ``namePeriod``."""
    period = resource.get(f"{name}Period") or {}
    moment = resource.get(f"{name}DateTime") or resource.get(f"{name}Instant")
    return moment or period.get("start"), moment or period.get("end")


def _patient(one: Resource, names: Mapping[str, str]) -> list[Row]:
    died = one.get("deceasedDateTime")
    doctors = one.get("generalPractitioner") or [{}]
    row = {"patient": one["id"], "birth_date": one.get("birthDate"), "sex": one.get("gender")}
    return [{**row, "deceased": died, "doctor": _who(doctors[0])}]


def _encounter(one: Resource, names: Mapping[str, str]) -> list[Row]:
    period = one.get("period") or {}
    stay = one.get("hospitalization") or {}
    doctors = one.get("participant") or [{}]
    return [
        {
            "patient": _who(one.get("subject")),
            "encounter": one["id"],
            "status": one.get("status"),
            "class": (one.get("class") or {}).get("code"),
            "concepts": _words(one.get("type"), names),
            "start": period.get("start"),
            "end": period.get("end"),
            "diagnoses": _words(one.get("reasonCode"), names),
            "discharge_disposition": _words(stay.get("dischargeDisposition"), names),
            "doctor": _who(doctors[0].get("individual")),
        }
    ]


def _condition(one: Resource, names: Mapping[str, str]) -> list[Row]:
    onset, abatement = _span(one, "onset")[0], _span(one, "abatement")[1]
    return [
        {
            "patient": _who(one.get("subject")),
            "condition": one["id"],
            "code": _code(one.get("code")),
            "concepts": _words(one.get("code"), names),
            "clinical_status": _code(one.get("clinicalStatus")),
            "verification": _code(one.get("verificationStatus")),
            "category": _codes(one.get("category")),
            "start": onset,
            "end": abatement,
            "recorded": one.get("recordedDate"),
            "encounter": _who(one.get("encounter")),
        }
    ]


def _observation(one: Resource, names: Mapping[str, str]) -> list[Row]:
    start, end = _span(one, "effective")
    shared = {
        "patient": _who(one.get("subject")),
        "status": one.get("status"),
        "category": _codes(one.get("category")),
        "start": start,
        "end": end,
        "issued": one.get("issued"),
        "encounter": _who(one.get("encounter")),
        "source": _who(one.get("device")) and "device",
    }
    parts = one.get("component", ())
    rows = [] if parts and _value(one, names) == ("", "") else [(one, one["id"])]
    rows += [(part, f"{one['id']}>{number}") for number, part in enumerate(parts, start=1)]
    found = []
    for part, name in rows:
        value, unit = _value(part, names)
        words, code = _words(part.get("code"), names), _code(part.get("code"))
        found.append(
            {**shared, "measurement": name, "code": code, "concepts": words}
            | {"value": value, "unit": unit}
        )
    return found


def _value(part: Resource, names: Mapping[str, str]) -> tuple[str, str]:
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        number = quantity.get("value", "")
        return f"{quantity.get('comparator', '')}{number}", quantity.get("unit", "")
    if "valueCodeableConcept" in part:
        return _words(part["valueCodeableConcept"], names), "concept"
    for kind in ("valueInteger", "valueString", "valueBoolean", "valueDateTime"):
        if kind in part:
            return str(part[kind]), ""
    return "", ""


def _medication(one: Resource, names: Mapping[str, str]) -> list[Row]:
    dispensing = one.get("dispenseRequest") or {}
    return [
        {
            "patient": _who(one.get("subject")),
            "medication": one["id"],
            "kind": one["resourceType"],
            "status": one.get("status"),
            "intent": one.get("intent"),
            "do_not_perform": str(one.get("doNotPerform", "")),
            "code": _code(one.get("medicationCodeableConcept")),
            "drug": _code(one.get("medicationCodeableConcept")),
            "concepts": _words(one.get("medicationCodeableConcept"), names),
            "start": one.get("whenHandedOver") or one.get("authoredOn"),
            "days_supply": (
                one.get("daysSupply") or dispensing.get("expectedSupplyDuration") or {}
            ).get("value"),
            "refills": dispensing.get("numberOfRepeatsAllowed"),
        }
    ]


def _procedure(one: Resource, names: Mapping[str, str]) -> list[Row]:
    start, end = _span(one, "performed")
    return [
        {
            "patient": _who(one.get("subject")),
            "procedure": one["id"],
            "status": one.get("status"),
            "code": _code(one.get("code")),
            "concepts": _words(one.get("code"), names),
            "start": start,
            "end": end,
            "encounter": _who(one.get("encounter")),
        }
    ]


def _order(one: Resource, names: Mapping[str, str]) -> list[Row]:
    ordered = one.get("code") or one.get("codeCodeableConcept")
    return [
        {
            "patient": _who(one.get("subject")),
            "order": one["id"],
            "kind": one["resourceType"],
            "status": one.get("status"),
            "intent": one.get("intent"),
            "do_not_perform": str(one.get("doNotPerform", "")),
            "code": _code(ordered),
            "concepts": _words(ordered, names),
            "start": one.get("authoredOn"),
        }
    ]


READERS: dict[str, tuple[str, Callable[[Resource, Mapping[str, str]], list[Row]]]] = {
    "Patient": ("patients", _patient),
    "Encounter": ("encounters", _encounter),
    "Condition": ("conditions", _condition),
    "Observation": ("measurements", _observation),
    "MedicationRequest": ("medications", _medication),
    "MedicationDispense": ("medications", _medication),
    "Procedure": ("procedures", _procedure),
    "ServiceRequest": ("orders", _order),
    "DeviceRequest": ("orders", _order),
}
