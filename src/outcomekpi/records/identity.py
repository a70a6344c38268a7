"""Tables that name patients: refused until they are pseudonymized with a key kept elsewhere."""

import hashlib
import hmac
import re

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.tables.columns import label_text
from outcomekpi.tables.faults import fault_error

__all__ = ["pseudonymize", "refuse_names"]

NAMING = re.compile(
    r"^(?:(?:patient_?|full_?|first_?|last_?|given_?|family_?|sur)name|name|phone|mobile|telephone|"
    r"address|id_?card|national_?id|ssn|.*姓名|.*电话|.*手机号?|.*身份证号?码?|.*住址|.*地址)$",
    re.IGNORECASE,
)
RESIDENT = re.compile(r"^\d{17}[\dXx]$")
MOBILE = re.compile(r"^(?:\+?86)?1[3-9]\d{9}$")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
SHORTEST_KEY = 16
KEPT = 20
"""Hexadecimal digits of a pseudonym: 80 bits, no two alike among a billion patients."""


def is_resident_id(text: str) -> bool:
    """Whether a text is a resident ID by its checksum (GB 11643-1999, ISO 7064 MOD 11-2)."""
    if not RESIDENT.match(text):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, text, strict=False))
    return CHECK_DIGITS[total % 11] == text[-1].upper()


def refuse_names(table: pd.DataFrame, name: str) -> None:
    """Refuse a table whose columns or cells name people.

    Raises
    ------
    CasesError
        Columns that are called names, phones or addresses, or hold resident IDs or mobile numbers.
    """
    found = []
    for column in table.columns:
        cells = table[column].dropna()
        unlike = cells.drop_duplicates().astype(str).str.strip()
        if NAMING.match(str(column)):
            found.append(f"{column!r} (by its name)")
        elif unlike[unlike.str.match(RESIDENT)].map(is_resident_id).any():
            found.append(f"{column!r} (resident IDs)")
        elif unlike.str.match(MOBILE).any():
            found.append(f"{column!r} (mobile numbers)")
    if found:
        raise fault_error(
            "names-people",
            f"The table {name} names people in {', '.join(found)}. Drop the columns, or replace "
            "identifiers by pseudonymize(table, columns, key=...) with a key kept outside the "
            "data.",
            column=str(found[0]),
            count=len(found),
        )


def pseudonymize(table: pd.DataFrame, columns: tuple[str, ...], *, key: bytes) -> pd.DataFrame:
    """Replace identifiers by pseudonyms that only the holder of the key can make again.

    Parameters
    ----------
    table : with identifiers; it is not changed
    columns : that hold them; the same identifier gets the same pseudonym in every table
    key : at least 16 bytes, kept outside the data

    Returns
    -------
    The table with HMAC-SHA256 of the identifiers, 20 hexadecimal digits each

    Raises
    ------
    SpecError
        A key that is too short to keep a secret.
    CasesError
        A column that is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import pseudonymize
    >>> table = pd.DataFrame({"patient": ["7", "8", "7"]})
    >>> hidden = pseudonymize(table, ("patient",), key=bytes(range(16)))["patient"]
    >>> bool(hidden[0] == hidden[2]), bool(hidden[0] == hidden[1])
    (True, False)
    """
    check_arguments(pseudonymize, locals())
    if len(key) < SHORTEST_KEY:
        raise SpecError(f"key must have {SHORTEST_KEY} bytes or more; it has {len(key)}.")
    missing = [column for column in columns if column not in table]
    if missing:
        raise CasesError(f"The table has no column {missing[0]!r}.")

    def hidden(cell: object) -> object:
        if pd.isna(cell) or cell == "":  # type: ignore[call-overload]
            return cell
        return hmac.new(key, label_text(cell).encode(), hashlib.sha256).hexdigest()[:KEPT]

    return table.assign(**{column: table[column].astype(object).map(hidden) for column in columns})
