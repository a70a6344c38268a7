"""`outcomekpi check`: every fault of a table at once, before anything is computed from it."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from outcomekpi.cli.arguments import HISTORY_ROLES, ROLES, find_marks
from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.folder_swap import PROVENANCE
from outcomekpi.cli.wording import reword
from outcomekpi.declare.errors import CasesError, FormulaError, SpecError, check_choice
from outcomekpi.lineage.origins import installed_versions
from outcomekpi.model.covariates import read_covariates
from outcomekpi.model.design import build_design
from outcomekpi.model.encoding import check_used
from outcomekpi.model.formulas import parse_formula
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.information import check_doctors
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.columns import count_of
from outcomekpi.tables.faults import Fault, Faults, faults_of
from outcomekpi.tables.files import read_table, write_csv
from outcomekpi.tables.history import CycleHistory
from outcomekpi.tables.patient_records import PatientRecords, column_numbers

__all__ = ["check_file", "check_pilot_file"]

KINDS = ("cases", "history", "records")
COLUMNS = ("code", "column", "first_row", "count", "text")
MOSTLY = 0.5


def check_file(options: argparse.Namespace) -> int:
    """Check a table, print its faults or what it holds, and return how many faults there are."""
    if options.out is not None:
        check_folder(options.out)
    kind = _find_kind(options)
    known = {"history": HISTORY_ROLES, "records": ()}.get(str(kind), ROLES)
    roles = {role: getattr(options, role) for role in known if getattr(options, role) is not None}
    labels = [
        roles[role]
        for role in ("doctor", "hospital", "patient", "indicator", "unit")
        if role in roles
    ]
    table = read_table(
        options.data,
        text_columns=["patient"] if kind == "records" else labels,
        marks=find_marks(options),
    )
    read: Callable[[], str] = {
        None: lambda: f"{len(table):,} rows of {table.shape[1]:,} columns",
        "cases": lambda: _read_cases(table, roles, options),
        "history": lambda: _read_history(table, roles, options),
        "records": lambda: _read_records(table, options),
    }[kind]
    return _tell(read, options)


def check_pilot_file(options: argparse.Namespace) -> int:
    """Check the table of a pilot as its design would read it; return how many faults there are."""
    from outcomekpi.cli.pilot_choices import find_labels
    from outcomekpi.cli.pilot_designs import build_design as build_pilot
    from outcomekpi.cli.pilot_wording import reword_pilot, reworded

    if options.out is not None:
        check_folder(options.out)
    try:
        design: Any = build_pilot(options)
    except SpecError as error:
        raise reworded(error) from error
    table = read_table(options.data, text_columns=find_labels(options), marks=find_marks(options))

    def read() -> str:
        design.read(table)
        return f"{len(table):,} rows that --design {options.design} can read."

    return _tell(read, options, words=reword_pilot)


def _tell(
    read: Callable[[], str], options: argparse.Namespace, words: Callable[[str], str] | None = None
) -> int:
    """Print and write what reading a table refuses, or what the table holds."""
    faults: tuple[Fault, ...] = ()
    found = ""
    try:
        found = read()
    except (CasesError, FormulaError) as error:
        faults = faults_of(error)
    texts = [fault.text if words is None else words(fault.text) for fault in faults]
    said = [reword(text, data=options.data) for text in texts]
    _print(said, found)
    if options.out is not None:
        with write_folder(options.out) as folder:
            told = zip(faults, said, strict=True)
            rows = [asdict(fault) | {"text": text} for fault, text in told]
            write_csv(pd.DataFrame(rows, columns=list(COLUMNS)), folder / "faults.csv")
            record = {"table": options.data.name, "versions": installed_versions()}
            (folder / PROVENANCE).write_text(json.dumps(record), encoding="utf-8")
    return len(faults)


def _find_kind(options: argparse.Namespace) -> str | None:
    """Return what the table is to be: as it was said, or as the roles that were named tell."""
    if options.kind is not None:
        check_choice("as", options.kind, KINDS)
        return str(options.kind)
    is_history = options.indicator is not None or options.denominator is not None
    is_cases = options.outcome is not None or options.doctor is not None
    if is_history and is_cases:
        raise SpecError(
            "A table is checked as cases (--outcome, --doctor) or as a history (--indicator, "
            "--cycle, --denominator); got roles of both. Say which with --as."
        )
    return "history" if is_history else "cases" if is_cases else None


def _read_history(table: pd.DataFrame, roles: Mapping[str, Any], options: Any) -> str:
    named: dict[str, Any] = {"indicator": None, "cycle": None, "denominator": None, **roles}
    history = CycleHistory.from_frame(
        table,
        **named,
        counts=options.counts or "events",
        percent=options.percent,
        cycle_order=options.cycle_order,
        cycle_unit=options.cycle_unit,
        target=options.target if options.target in table.columns else None,
    )
    return repr(history)


def _read_cases(table: pd.DataFrame, roles: Mapping[str, Any], options: Any) -> str:
    named: dict[str, Any] = {"outcome": None, "doctor": None, **roles}
    faults = Faults()
    cases = faults.attempt(
        Cases.from_frame,
        table,
        **named,
        event=options.event,
        no_event=options.no_event,
        missing=options.missing,
        offset_scale=options.offset_scale,
        direction=options.direction,
    )
    if cases is not None and cases.trials is None and cases.exposure is None:
        faults.attempt(check_doctors, cases, "bernoulli")
    if options.adjust is not None and cases is not None:
        faults.attempt(build_design, cases, ModelSpec(case_mix=options.adjust))
    elif options.adjust is not None:
        faults.attempt(_check_case_mix, table, options.adjust, roles.get("trials"))
    faults.raise_all()
    return repr(cases)


def _check_case_mix(table: pd.DataFrame, formula: str, trials: str | None) -> None:
    """Check covariates of cases that cannot be used, in the rows where all are known."""
    parsed = parse_formula(formula, list(table.columns), argument="case_mix")
    covariates = read_covariates(table, parsed.columns)
    gaps = [
        one.is_missing()
        for one in covariates.values()
        if one.levels is not None or one.values.dtype.kind == "f"
    ]
    known = np.flatnonzero(~np.logical_or.reduce(gaps)) if gaps else np.arange(len(table))
    used = {name: one.take(known) for name, one in covariates.items()}
    weights = None if trials is None else np.ones(known.size)
    check_used(used, parsed, table.index[known], weights=weights)


def _read_records(table: pd.DataFrame, options: Any) -> str:
    marks = find_marks(options)

    def open_other(path: Path | None) -> pd.DataFrame | None:
        return None if path is None else read_table(path, text_columns=["patient"], marks=marks)

    patients, encounters = open_other(options.patients), open_other(options.encounters)
    if patients is None:
        patients = table[["patient"]].drop_duplicates() if "patient" in table else pd.DataFrame()
    months = options.months
    if months is None:
        last = pd.to_numeric(table["month"], errors="coerce").max() if "month" in table else 1
        months = int(last) if last >= 1 else 1
    faults = Faults()
    records = faults.attempt(
        PatientRecords,
        patients=patients,
        measurements=table,
        encounters=encounters,
        months=months,
    )
    if "patient" in table:
        for name in options.measures or _find_measures(table):
            faults.attempt(_check_measure, table, name)
    faults.raise_all()
    return repr(records)


def _find_measures(table: pd.DataFrame) -> list[str]:
    """Columns in which at least half of the cells that hold something are numbers."""
    others = table.columns.drop(["patient", "month"], errors="ignore")
    share = {
        name: pd.to_numeric(table[name].dropna(), errors="coerce").notna().mean() for name in others
    }
    return [name for name, part in share.items() if part >= MOSTLY]


def _check_measure(table: pd.DataFrame, name: str) -> None:
    if name not in table.columns:
        raise CasesError(f"Column {name!r} (measure) is not in the table.")
    column_numbers(table, name, "measurements", wanted="readings as numbers")


def _print(said: list[str], found: str) -> None:
    if not said:
        print(f"No fault found. {found}")
        return
    print(f"{count_of(len(said), 'fault')}:")
    for number, text in enumerate(said, start=1):
        print(f"{number}. {text}")
