"""`outcomekpi check`: every fault of a table at once, before anything is computed from it."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from outcomekpi.cli.arguments import HISTORY_ROLES, ROLES, find_marks
from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.folder_swap import PROVENANCE
from outcomekpi.cli.wording import reword
from outcomekpi.declare.errors import CasesError, FormulaError, SpecError, check_choice
from outcomekpi.lineage.origins import installed_versions
from outcomekpi.model.design import build_design
from outcomekpi.model.spec import ModelSpec
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.faults import Fault, faults_of
from outcomekpi.tables.files import read_table, write_csv
from outcomekpi.tables.history import CycleHistory

__all__ = ["check_file"]

KINDS = ("cases", "history")
COLUMNS = ("code", "column", "first_row", "count", "text")


def check_file(options: argparse.Namespace) -> int:
    """Check a table, print its faults or what it holds, and return how many faults there are."""
    if options.out is not None:
        check_folder(options.out)
    kind = _find_kind(options)
    roles = {
        role: getattr(options, role)
        for role in (HISTORY_ROLES if kind == "history" else ROLES)
        if getattr(options, role) is not None
    }
    labels = [
        roles[role]
        for role in ("doctor", "hospital", "patient", "indicator", "unit")
        if role in roles
    ]
    table = read_table(options.data, text_columns=labels, marks=find_marks(options))
    faults: tuple[Fault, ...] = ()
    found = f"{len(table):,} rows of {table.shape[1]:,} columns"
    try:
        if kind is not None:
            found = _read(table, kind, roles, options)
    except CasesError as error:
        faults = faults_of(error)
    except FormulaError as error:
        faults = (Fault(code="covariate", text=str(error)),)
    said = [reword(fault.text, data=options.data) for fault in faults]
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


def _read(table: pd.DataFrame, kind: str, roles: Mapping[str, Any], options: Any) -> str:
    """Read the table as the verbs do; what it holds, in one line."""
    if kind == "history":
        named: dict[str, Any] = {"indicator": None, "cycle": None, "denominator": None, **roles}
        history = CycleHistory.from_frame(
            table,
            **named,
            counts=options.counts or "events",
            percent=options.percent,
            cycle_order=options.cycle_order,
            cycle_unit=options.cycle_unit,
            target=_target(table, options.target),
        )
        return repr(history)
    named = {"outcome": None, "doctor": None, **roles}
    cases = Cases.from_frame(
        table,
        **named,
        event=options.event,
        no_event=options.no_event,
        missing=options.missing,
        offset_scale=options.offset_scale,
        direction=options.direction,
    )
    if options.adjust is not None:
        build_design(cases, ModelSpec(case_mix=options.adjust))
    return repr(cases)


def _target(table: pd.DataFrame, target: str | None) -> str | None:
    return target if target in table.columns else None


def _print(said: list[str], found: str) -> None:
    if not said:
        print(f"No fault found. {found}")
        return
    print(f"{len(said):,} fault{'' if len(said) == 1 else 's'}:")
    for number, text in enumerate(said, start=1):
        print(f"{number}. {text}")
