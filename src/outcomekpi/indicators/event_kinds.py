"""Kinds of encounters: the table that a goal on events needs, in the words that the goal uses."""

import warnings

import pandas as pd

from outcomekpi.declare.errors import CasesError, OutcomeKPIWarning, did_you_mean
from outcomekpi.tables.patient_records import PatientRecords

__all__ = ["encounters_of"]


def encounters_of(records: PatientRecords, name: str, kind: str, death_kind: str) -> pd.DataFrame:
    """Encounters for a goal, or an error where its words and those of the table do not agree.

    Parameters
    ----------
    records : tables
    name : of the goal, for messages
    kind, death_kind : kinds of encounters that the goal looks for

    Raises
    ------
    CasesError
        No table was given, or a kind is spelled otherwise in it.
    """
    table = records.encounters
    if table is None:
        raise CasesError(
            f"{name} needs encounters (patient, day, kind); no encounters were given. Where truly "
            "nothing happened, an empty table says so: "
            "encounters=pd.DataFrame(columns=['patient', 'day', 'kind'])."
        )
    kinds = [str(found) for found in pd.unique(table["kind"])]
    for wanted in (kind, death_kind):
        _check_spelling(table, kinds, name, wanted)
    others = [found for found in kinds if found != death_kind]
    if kind in kinds or not others:
        return table
    listed = ", ".join(sorted(others))
    hint = did_you_mean(kind, others)
    if hint:
        raise CasesError(
            f"{name} looks for {kind!r}; no row of encounters is of this kind, the table has "
            f"{listed}.{hint} If they are other events, leave their rows out."
        )
    warnings.warn(
        f"encounters have no {kind!r} that {name} looks for; the table has {listed}. The goal "
        "counts as reached by everybody who is followed up. If that is not so, name the kind.",
        OutcomeKPIWarning,
        stacklevel=3,
    )
    return table


def _check_spelling(table: pd.DataFrame, kinds: list[str], name: str, wanted: str) -> None:
    """Refuse kinds that differ from the wanted one by capitals or blanks alone."""
    plain = wanted.strip().casefold()
    for found in kinds:
        if found != wanted and found.strip().casefold() == plain:
            rows = table["kind"].astype(object) == found
            raise CasesError(
                f"{name} looks for {wanted!r}; {int(rows.sum())} of {len(table)} rows of "
                f"encounters have {found!r}, first of patient "
                f"{table['patient'][rows].tolist()[0]!r}. Write them alike."
            )
