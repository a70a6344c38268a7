"""Patients of two groups, one of them with a program: who is in which group, and clusters."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, FormulaError, SpecError, did_you_mean
from outcomekpi.model.formulas import parse_formula
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.pilots.designs.patient_change import Cluster, WhichPatients, cluster_rows
from outcomekpi.tables.columns import holds_numbers, list_values
from outcomekpi.tables.labels import find_label
from outcomekpi.tables.schema import Role, name_columns, read_names

__all__ = ["CELLS", "GroupRows", "cluster_groups", "keep_stayers", "read_group", "read_groups"]

CELLS = ("controls before", "controls after", "treated before", "treated after")
GROUP = Role(
    name="group",
    is_label=True,
    wanted="say for each row which group it is of",
    remedy="Complete or remove these rows.",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupRows:
    """Rows of patients of two groups.

    Attributes
    ----------
    rows : outcome, period, case mix, doctors and patients
    treated : (row,), whether the row is of the group with the program
    control_name, treated_name : labels of the groups
    """

    rows: PatientRows
    treated: NDArray[np.bool_]
    control_name: str
    treated_name: str

    @property
    def cell(self) -> NDArray[np.intp]:
        """(row,), position in ``CELLS``."""
        return np.asarray(2 * self.treated + self.rows.after, dtype=np.intp)

    def take(self, keep: NDArray[np.bool_]) -> "GroupRows":
        """Return some of the rows."""
        return replace(self, rows=self.rows.take(keep), treated=self.treated[keep])

    def sizes(self) -> NDArray[np.intp]:
        """(cell,), rows."""
        return np.bincount(self.cell, minlength=len(CELLS))


def read_groups(
    data: pd.DataFrame, rows: PatientRows, columns: PatientColumns, *, group: str, treated: object
) -> GroupRows:
    """Tell the rows of the group with the program from those of the other.

    Parameters
    ----------
    data : table that ``rows`` was read from
    rows, columns : of the patients
    group : column of two values
    treated : the one that is with the program

    Raises
    ------
    CasesError
        No such column or value, one group, or more than two; a patient in both.
    FormulaError
        The case mix adjusts for the group.
    """
    code, name, other = read_group(data, columns, group=group, treated=treated)
    found = GroupRows(rows=rows, treated=code, control_name=other, treated_name=name)
    _check_known(found)
    _check_patients(found)
    return found


def read_group(
    data: pd.DataFrame, columns: PatientColumns, *, group: str, treated: object
) -> tuple[NDArray[np.bool_], str, str]:
    """Read the column of groups: (row,) whether treated, and the names of treated and controls.

    Parameters
    ----------
    data, columns, group, treated : as for :func:`read_groups`
    """
    _check_column(data, columns, group)
    labels = read_names(data, group, GROUP)
    name = find_label(treated, labels.names, is_number=holds_numbers(data[group]))
    if name is None:
        raise CasesError(
            f"treated={treated!r} is not a value of the group column {group!r}. Values seen: "
            f"{list_values(labels.names)}.{did_you_mean(str(treated), labels.names)}"
        )
    if len(labels.names) != 2:
        raise CasesError(_not_two(group, name, labels.names))
    other = next(one for one in labels.names if one != name)
    return labels.code == labels.names.index(name), name, other


def _check_column(data: pd.DataFrame, columns: PatientColumns, group: str) -> None:
    name_columns(data, columns.named() | {"group": group})
    formula = parse_formula(columns.case_mix, list(data.columns), argument="case_mix")
    if group in formula.columns:
        raise FormulaError(
            f"case_mix must not adjust for {group!r}, the group column: its groups are what is "
            "compared. Leave it out of the formula."
        )


def _not_two(group: str, treated: str, names: list[str]) -> str:
    if len(names) == 1:
        return (
            f"Group column {group!r} holds {treated!r} only: there is no group without the "
            "program. Without one, BeforeAfter says how the outcome changed."
        )
    return (
        f"Group column {group!r} must hold two values, treated={treated!r} and one other; it "
        f"holds {len(names):,}: {list_values(names)}. With several groups on a side, "
        "DifferenceInDifferences(rows='patients') lets them say how much groups change by "
        "themselves; or keep two of them."
    )


def _check_known(found: GroupRows) -> None:
    known = found.take(found.rows.known).sizes()
    few = np.flatnonzero(known < 2)
    if few.size:
        raise CasesError(
            "Each group needs at least 2 known outcomes before and 2 after the start; "
            f"{CELLS[few[0]]} there {'is' if known[few[0]] == 1 else 'are'} {known[few[0]]:,} of "
            f"{found.sizes()[few[0]]:,} rows. Look at the columns of outcome, period and group."
        )


def _check_patients(found: GroupRows) -> None:
    patient = found.rows.labels.get("patient")
    if patient is None:
        return
    sides = np.zeros((len(patient.names), 2), dtype=np.bool_)
    sides[patient.code, found.treated.astype(np.intp)] = True
    both = np.flatnonzero(sides.all(axis=1))
    if both.size:
        raise CasesError(
            f"Each patient belongs to one group; {both.size:,} of {len(patient.names):,} have rows "
            f"in both, the first {patient.names[both[0]]!r}. Count each with the group that he was "
            "in before the start, or leave patient out if rows are separate episodes."
        )


def cluster_groups(
    found: GroupRows, wanted: Cluster | None
) -> tuple[Cluster, tuple[str, ...], NDArray[np.intp]]:
    """Choose the clusters that the interval allows for.

    Parameters
    ----------
    found : rows that are compared
    wanted : "doctor" or "patient"; None is the doctor where one is named, else the patient

    Returns
    -------
    role, names, cluster : names are empty where each row is its own cluster

    Raises
    ------
    CasesError
        One cluster holds all patients of a group in a period.
    SpecError
        Hospitals as clusters, or a column that was not named.
    """
    if wanted == "hospital":
        raise SpecError(
            "Two groups of patients have no hospitals as clusters: pass cluster='doctor' or "
            "'patient'."
        )
    role, names, cluster, _ = cluster_rows(found.rows, wanted)
    if role != "doctor":
        return role, names, cluster
    for number, cell in enumerate(CELLS):
        held = np.unique(cluster[found.cell == number])
        if held.size == 1:
            raise CasesError(
                f"All patients of {cell} belong to one doctor, {names[held[0]]!r}: no interval can "
                "carry the differences between doctors. Pass cluster='patient' for an interval "
                "about these patients alone."
            )
    return role, names, cluster


def keep_stayers(found: GroupRows, patients: WhichPatients) -> GroupRows:
    """Keep patients with outcomes in both periods, where they are known and asked for.

    Raises
    ------
    CasesError
        A group has fewer than 2 such patients.
    """
    stays = found.rows.stays
    if patients == "all" or not stays.any():
        return found
    counts = np.bincount(found.treated[stays].astype(np.intp), minlength=2) // 2
    if counts.min() < 2:
        side = ("controls", "treated")[int(counts.argmin())]
        raise CasesError(
            f"Comparing patients with themselves needs 2 in each group; of the {side} "
            f"{counts.min():,} have known outcomes before and after. Pass patients='all' to "
            "compare everybody in each period."
        )
    return found.take(stays)
