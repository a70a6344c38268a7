"""Speed and memory of indicators on ten million measurements out of Parquet.

Run: python benchmarks/records_speed.py [MEASUREMENTS] > benchmarks/records_speed.md
"""

import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from outcomekpi.measures.definition import read_indicator
from outcomekpi.measures.statement import write_statement
from outcomekpi.records.schemas import SCHEMAS

INDICATORS = (
    "hba1c_on_target",
    "hba1c_drop",
    "pressure_controlled",
    "pressure_mean",
    "pressure_six_months",
)
PERIOD = {"start": date(2026, 1, 1), "end": date(2026, 12, 31)}
PER_PATIENT = 20
MEMORY = "2GB"
KINDS = {"number": "DOUBLE", "time": "TIMESTAMP"}


def write_measurements(base, n, file):
    """Readings of two years in four concepts, in the columns that Records have."""
    given = {
        "patient": f"'p' || (i % {n // PER_PATIENT})",
        "id": "'m' || i",
        "start": "TIMESTAMP '2025-01-01' + to_minutes(CAST(hash(i) % 1051200 AS INTEGER))",
        "status": "CASE WHEN i % 50 = 0 THEN 'entered-in-error' ELSE 'final' END",
        "concepts": "['hba1c', 'systolic pressure', 'diastolic pressure', 'body weight'][1 + k]",
        "unit": "['%', 'mmHg', 'mmHg', 'kg'][1 + k]",
        "number": "[4 + u * 6, 100 + u * 70, 60 + u * 50, 50 + u * 60][1 + k]",
        "value": "'7'",
    }
    kinds = {c: KINDS.get(k, "VARCHAR") for c, k in SCHEMAS["measurements"].columns.items()}
    empty = {
        name: "''" if kind == "VARCHAR" else f"CAST(NULL AS {kind})" for name, kind in kinds.items()
    }
    columns = {**empty, **given, "sign": "''"}
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    base.execute(
        f"COPY (SELECT {listed} FROM (SELECT i, CAST(hash(i * 7 + 1) % 4 AS INTEGER) AS k, "
        f"(hash(i * 13 + 5) % 10000) / 10000.0 AS u FROM range({n}) t(i))) TO '{file}' "
        "(FORMAT parquet)"
    )


def write_others(base, people):
    """A view of every other table: everybody has both diagnoses and a visit; no other record."""
    rows = {
        "patients": {"birth_date": "TIMESTAMP '1966-01-01'", "doctor": "'d' || (i % 500)"},
        "conditions": {
            "start": "TIMESTAMP '2020-01-01'",
            "concepts": "'diabetes|hypertension'",
            "clinical_status": "'active'",
        },
        "encounters": {
            "start": "TIMESTAMP '2026-03-01'",
            "end": "TIMESTAMP '2026-03-01'",
            "status": "'finished'",
            "class": "'AMB'",
        },
    }
    for name, schema in SCHEMAS.items():
        if name == "measurements":
            continue
        given = {"patient": "'p' || i", "id": f"'{name}' || i", **rows.get(name, {})}
        kinds = {c: KINDS.get(kind, "VARCHAR") for c, kind in schema.columns.items()}
        empty = {
            c: "''" if kind == "VARCHAR" else f"CAST(NULL AS {kind})" for c, kind in kinds.items()
        }
        listed = ", ".join(f'{sql} AS "{c}"' for c, sql in {**empty, **given}.items())
        n = people if name in rows else 0
        base.execute(f'CREATE TABLE "{name}" AS SELECT {listed} FROM range({n}) t(i)')


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measurements.parquet"
        with duckdb.connect() as base:
            write_measurements(base, n, file)
        with duckdb.connect(config={"threads": 2, "memory_limit": MEMORY}) as base:
            base.execute(f"SET temp_directory = '{folder}'")
            write_others(base, n // PER_PATIENT)
            base.execute(f"CREATE VIEW measurements AS SELECT * FROM read_parquet('{file}')")
            print("# Indicators on measurements out of Parquet\n")
            print(f"`python benchmarks/records_speed.py {n}`: {n:,} measurements of")
            print(f"{n // PER_PATIENT:,} patients, 2 threads, memory limit {MEMORY}; the statement")
            print("and its verdicts as a table of pandas, without the checks at the door.\n")
            print("| indicator | seconds | processor seconds | patients | reached |")
            print("|---|---|---|---|---|")
            for name in INDICATORS:
                statement = write_statement(read_indicator(name))
                wall, cpu = time.perf_counter(), time.process_time()
                facts = base.execute(
                    f"SELECT patient, doctor, verdict, reason, record_ids FROM ({statement.sql})",
                    {**statement.parameters, **PERIOD},
                ).df()
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                reached = (facts["verdict"] == "reached").mean()
                print(f"| {name} | {wall:.1f} | {cpu:.1f} | {len(facts):,} | {reached:.3f} |")
                sys.stdout.flush()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\nLargest memory of the process: {peak:.2f} GB.")


if __name__ == "__main__":
    main()
