"""The door of records: what is read, and what is refused with all faults at once."""

import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, StorageError
from outcomekpi.records.reading import split_values
from outcomekpi.records.records import Records

PATIENTS = pd.DataFrame({"patient": ["a", "b"]})


def reading(**changes):
    row = {"patient": "a", "value": "7", "start": "2026-01-01"} | changes
    return pd.DataFrame({name: [cell] for name, cell in row.items()})


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"measurments": reading()}, "Did you mean 'measurements'"),
        ({"measurements": reading(patient="c")}, "'c'"),
        ({"measurements": reading(start="31.12.2026")}, "'31.12.2026'"),
        ({"measurements": reading(start="2026-13-01")}, "year, month and day"),
        ({"measurements": reading().drop(columns="value")}, "'value'"),
        ({"measurements": pd.concat([reading(measurement="m")] * 2)}, "each record once"),
        ({"teams": pd.DataFrame({"team": "t", "doctor": ["x", "y"], "share": ["0.5", "0.4"]})},
         "add to 1"),
        ({"doctors": pd.DataFrame({"doctor": ["x"]}), "measurements": reading(doctor="z")}, "'z'"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_refused(tables, said):
    with pytest.raises(CasesError, match=said):
        Records.from_frames({"patients": PATIENTS, **tables})


def test_all_faults_are_told_at_once():
    wrong = {"measurements": reading(start="x"), "procedures": pd.DataFrame({"patient": [""]})}
    with pytest.raises(CasesError, match=r"faults(.|\n)*'x'(.|\n)*'start'"):
        Records.from_frames({"patients": PATIENTS, **wrong})


def test_values_are_split_into_numbers_bounds_and_words():
    numbers, signs = split_values(pd.Series(["7", " 7.5 ", "<20", ">= 9", "1e3", "high", ""]))
    assert numbers.fillna(-1).tolist() == [7, 7.5, -1, -1, 1000, -1, -1]
    assert signs.tolist() == ["", "", "<", ">", "", "", ""]


def test_a_folder_of_csv_or_parquet_and_a_duckdb_file_hold_the_same_records(tmp_path):
    import duckdb

    tables = {"patients": PATIENTS, "measurements": reading(code="007", value="7.50")}
    for suffix in ("csv", "parquet"):
        (tmp_path / suffix).mkdir()
    with duckdb.connect(str(tmp_path / "x.duckdb")) as base:
        for name, table in tables.items():
            table.to_csv(tmp_path / "csv" / f"{name}.csv", index=False)
            table.to_parquet(tmp_path / "parquet" / f"{name}.parquet")
            base.register("given", table)
            base.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    read = [Records.from_path(tmp_path / name) for name in ("csv", "parquet", "x.duckdb")]
    for other in read[1:]:
        for name in tables:
            pd.testing.assert_frame_equal(read[0].tables[name], other.tables[name])
    assert read[0].tables["measurements"]["code"].tolist() == ["007"]


def test_a_folder_without_tables_of_records_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a\n1\n")
    with pytest.raises(StorageError, match="patients"):
        Records.from_path(tmp_path)
