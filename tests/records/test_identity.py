"""Tables that name patients are refused, and identifiers replaced with a key."""

import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.records.identity import is_resident_id, pseudonymize
from outcomekpi.records.records import Records

# the example that GB 11643-1999 prints; its last digit is the checksum
PRINTED = "11010519491231002X"
KEY = b"sixteen bytes or"


def test_a_resident_id_is_known_by_its_checksum():
    assert is_resident_id(PRINTED)
    assert not is_resident_id(PRINTED[:-1] + "1")
    assert not is_resident_id("110105194912310")


@pytest.mark.parametrize(
    ("column", "cell", "refused"),
    [("姓名", "x", True), ("patient_name", "x", True), ("phone", "", True), ("note", PRINTED, True),
     ("note", "13812345678", True), ("note", "110105194912310021", False), ("ward", "3", False)],
)  # fmt: skip
def test_a_table_that_names_patients_is_refused_with_the_columns(column, cell, refused):
    table = pd.DataFrame({"patient": ["a"], column: [cell]})
    if not refused:
        assert Records.from_frames({"patients": table})
        return
    with pytest.raises(CasesError, match=column):
        Records.from_frames({"patients": table})


def test_a_pseudonym_is_the_same_in_every_table_and_another_with_another_key():
    table = pd.DataFrame({"patient": [PRINTED, None, 7]})
    hidden = pseudonymize(table, ("patient",), key=KEY)["patient"]
    assert (
        pseudonymize(pd.DataFrame({"patient": ["7"]}), ("patient",), key=KEY)["patient"][0]
        == (hidden[2])
    )
    assert hidden[0] != pseudonymize(table, ("patient",), key=KEY[::-1])["patient"][0]
    assert pd.isna(hidden[1])
    assert Records.from_frames({"patients": pd.DataFrame({"patient": hidden[[0, 2]]})})
    with pytest.raises(SpecError, match="16 bytes"):
        pseudonymize(table, ("patient",), key=b"short")
