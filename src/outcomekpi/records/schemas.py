"""Tables of records: which there are, their columns, and what the cells of each hold."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["SCHEMAS", "Schema"]

Cells = Literal["label", "text", "time", "number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What one table of records holds.

    Attributes
    ----------
    key : column of the record's own name; made from the row where the table has none
    columns : column -> what its cells are; texts of several words are joined by "|"
    required : columns without which the table says nothing
    aliases : names that exports use -> column
    counted : values of the status that count unless an indicator says otherwise
    status : column of the status, where there is one
    """

    key: str
    columns: dict[str, Cells]
    required: tuple[str, ...]
    aliases: dict[str, str] = field(default_factory=dict)
    counted: tuple[str, ...] = ()
    status: str = "status"


def _texts(names: str) -> dict[str, Cells]:
    return dict.fromkeys(names.split(), "text")


TIMES: dict[str, Cells] = {"start": "time", "end": "time"}
FINAL = ("final", "amended", "corrected")

SCHEMAS = MappingProxyType(
    {
        "patients": Schema(
            key="patient",
            columns={
                "birth_date": "time",
                "deceased": "time",
                **_texts("sex doctor team hospital"),
            },
            required=("patient",),
            aliases={"gender": "sex"},
        ),
        "encounters": Schema(
            key="encounter",
            columns={
                **TIMES,
                **_texts("status class concepts diagnoses discharge_disposition doctor hospital"),
            },
            required=("patient", "start"),
            aliases={"types": "concepts"},
            counted=("finished",),
        ),
        "conditions": Schema(
            key="condition",
            columns={
                **TIMES,
                "recorded": "time",
                **_texts("concepts code clinical_status verification category encounter"),
            },
            required=("patient", "start"),
            aliases={"onset_start": "start", "onset": "start", "abatement": "end"},
            counted=("", "confirmed", "provisional", "differential", "unconfirmed"),
            status="verification",
        ),
        "measurements": Schema(
            key="measurement",
            columns={
                **TIMES,
                "issued": "time",
                **_texts("status category encounter code concepts value unit source doctor"),
            },
            required=("patient", "start", "value"),
            counted=FINAL,
        ),
        "medications": Schema(
            key="medication",
            columns={
                **TIMES,
                "days_supply": "number",
                "refills": "number",
                **_texts("kind status intent do_not_perform concepts code drug encounter"),
            },
            required=("patient", "start"),
            aliases={"date": "start", "days": "days_supply"},
            counted=("active", "completed"),
        ),
        "procedures": Schema(
            key="procedure",
            columns={
                **TIMES,
                "recorded": "time",
                **_texts("status concepts code encounter doctor"),
            },
            required=("patient", "start"),
            counted=("completed",),
        ),
        "orders": Schema(
            key="order",
            columns={**TIMES, **_texts("kind status intent do_not_perform concepts code")},
            required=("patient", "start"),
            aliases={"authored": "start"},
            counted=("active", "completed"),
        ),
        "deaths": Schema(
            key="death",
            columns={"start": "time", **_texts("concepts source")},
            required=("patient", "start"),
            aliases={"date": "start"},
        ),
        "surveys": Schema(
            key="survey",
            columns={**TIMES, **_texts("status code concepts value unit doctor source")},
            required=("patient", "start", "value"),
            counted=("completed",),
        ),
        "doctors": Schema(
            key="doctor", columns=_texts("team hospital specialty"), required=("doctor",)
        ),
        "teams": Schema(
            key="member",
            columns={"share": "number", **_texts("team doctor")},
            required=("team", "doctor", "share"),
        ),
        "activities": Schema(
            key="activity",
            columns={"start": "time", "amount": "number", **_texts("doctor indicator source")},
            required=("doctor", "indicator", "start", "amount"),
            aliases={"date": "start"},
        ),
    }
)
"""Every table of records by its name."""
