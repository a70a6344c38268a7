"""`outcomekpi assess`: from an indicator and raw records to a folder of verdicts."""

import argparse
import json

from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.folder_swap import PROVENANCE
from outcomekpi.lineage.origins import installed_versions
from outcomekpi.measures.assess import assess
from outcomekpi.measures.definition import read_indicator, write_indicator
from outcomekpi.measures.set_aside import set_aside
from outcomekpi.records.quality import quality_table
from outcomekpi.records.records import Records
from outcomekpi.tables.files import write_csv, write_text_atomic

__all__ = ["assess_records"]


def assess_records(options: argparse.Namespace) -> None:
    """Judge the records, write the folder and print how many got each verdict."""
    check_folder(options.out)
    indicator = read_indicator(options.data)
    records = Records.from_path(options.records, time_zone=options.time_zone)
    found = assess(records, indicator, start=options.start, end=options.end)
    with write_folder(options.out) as folder:
        write_csv(found.to_frame(), folder / "verdicts.csv")
        write_csv(found.case_table(), folder / "cases.csv")
        write_csv(quality_table(records), folder / "quality.csv")
        write_csv(set_aside(records, indicator), folder / "set_aside.csv")
        write_text_atomic(folder / "indicator.toml", write_indicator(indicator))
        write_text_atomic(folder / "indicator.sql", indicator.sql() + "\n")
        record = {
            "indicator": indicator.name,
            "period": [options.start, options.end],
            "time_zone": options.time_zone,
            "versions": installed_versions(),
        }
        (folder / PROVENANCE).write_text(json.dumps(record), encoding="utf-8")
    print(repr(found))
    print(f"Written to {options.out}.")
