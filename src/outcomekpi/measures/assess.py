"""The verb `assess`: from records and an indicator to a verdict for every patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.measures.indicator import Indicator
from outcomekpi.measures.statement import write_statement
from outcomekpi.records.records import Records
from outcomekpi.tables.cases import Cases

if TYPE_CHECKING:
    import duckdb

__all__ = ["Assessment", "assess"]

VERDICTS = ("reached", "not reached", "not assessable", "excluded")
SHOWN = ("subject", "patient", "verdict", "reason", "record_ids", "index_day", "doctor")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assessment:
    """The verdict on every patient of an indicator's cohort.

    Attributes
    ----------
    indicator : the definition
    start, end : first and last day of the period
    facts : one row per patient or episode: the verdict and all that it was judged by
    people : the table of patients, for the case mix
    """

    indicator: Indicator
    start: date
    end: date
    facts: pd.DataFrame
    people: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row per patient or episode.

        Returns
        -------
        Columns ``subject, patient, verdict, reason, record_ids, index_day, doctor``: ``reason``
        says why one was excluded or could not be assessed; ``record_ids`` are the records that
        decided
        """
        return self.facts[list(SHOWN)].copy()

    def counts(self) -> pd.Series:
        """How many patients each verdict was given."""
        return self.facts["verdict"].value_counts().reindex(VERDICTS, fill_value=0)

    def to_cases(self) -> Cases:
        """Hand the patients who were judged on to the models.

        Returns
        -------
        One case per patient (or episode) who reached or did not reach; nobody else. The columns
        of the table of patients come along for the case mix

        Raises
        ------
        CasesError
            A patient without a doctor: attribute him first, or leave him out and say so.
        """
        return Cases.from_frame(
            self.case_table(),
            outcome="reached",
            doctor="doctor",
            patient="subject",
            direction=self.indicator.direction,
        )

    def case_table(self) -> pd.DataFrame:
        """One row per patient (or episode) who was judged, with ``reached`` 0 or 1."""
        judged = self.facts[self.facts["verdict"].isin(VERDICTS[:2])]
        table = judged[["subject", "patient", "doctor", "record_ids"]].copy()
        table.insert(3, "reached", (judged["verdict"] == "reached").astype(int))
        table["doctor"] = table["doctor"].replace("", None)
        people = self.people.drop(columns=["id", "doctor"], errors="ignore")
        return table.merge(people, on="patient", how="left")

    def explain(self, patient: str) -> str:
        """Tell why a patient got his verdict, in words that his doctor can check.

        Parameters
        ----------
        patient : as in the records

        Raises
        ------
        CasesError
            The patient is not in the cohort.
        """
        rows = self.facts[self.facts["patient"] == patient]
        if rows.empty:
            raise CasesError(
                f"Patient {patient!r} is not in the cohort of {self.indicator.name}: "
                f"{self.indicator.cohort}."
            )
        return "\n\n".join(self._story(row) for _, row in rows.iterrows())

    def _story(self, row: pd.Series) -> str:
        one = self.indicator
        because = f" ({row['reason']})" if row["reason"] else ""
        lines = [f"{row['subject']}: {row['verdict']}{because}."]
        if one.index:
            lines.append(
                f"The clock starts on {row['index_day']:%Y-%m-%d}, record {row['index_id']}."
            )
        for where, text in one.conditions.items():
            lines.append(f"{where}: {text}")
        for name in one.find:
            if name in one.mentioned:
                ids = ", ".join(row[f"ids_{name}"])
                lines.append(f"  {name}: {f'yes, record {ids}' if row[f'is_{name}'] else 'no'}")
        for name in one.value:
            number = row[f"v_{name}"]
            ids = ", ".join(row[f"ids_{name}"])
            found = "not measured" if pd.isna(number) else f"{number:g}, record {ids}"
            lines.append(f"  {name}: {found}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        said = ", ".join(f"{count:,} {name}" for name, count in self.counts().items())
        return f"Assessment of {self.indicator.name}, {self.start} to {self.end}: {said}"

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(repr(self))}</b></p>" + self.to_frame().head(8).to_html(index=False)


def assess(records: Records, indicator: Indicator, *, start: str, end: str) -> Assessment:
    """Judge every patient of an indicator's cohort from raw records.

    Parameters
    ----------
    records : what hospitals noted
    indicator : the definition
    start, end : first and last day of the period, "2026-01-01"; the last day counts whole

    Returns
    -------
    A verdict for each patient, with the records that decided it

    Raises
    ------
    SpecError
        Days that are none, or a period that ends before it begins.

    Notes
    -----
    One SQL statement in DuckDB, which ``indicator.sql()`` prints. Windows go by calendar day of
    the time zone of the records.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import Records, assess, read_indicator
    >>> tables = {
    ...     "patients": pd.DataFrame({"patient": ["a"], "birth_date": ["1960-05-01"]}),
    ...     "conditions": pd.DataFrame(
    ...         {"patient": ["a"], "concepts": ["diabetes"], "start": ["2020-01-01"]}
    ...     ),
    ...     "encounters": pd.DataFrame(
    ...         {"patient": ["a"], "start": ["2026-03-01"], "end": ["2026-03-01"]}
    ...     ),
    ...     "measurements": pd.DataFrame(
    ...         {"patient": ["a"], "concepts": ["hba1c"], "value": ["6.8"], "unit": ["%"],
    ...          "start": ["2026-03-01"]}
    ...     ),
    ... }
    >>> verdicts = assess(
    ...     Records.from_frames(tables), read_indicator("hba1c_on_target"),
    ...     start="2026-01-01", end="2026-12-31",
    ... )
    >>> verdicts.to_frame()["verdict"].tolist()
    ['reached']
    """
    check_arguments(assess, locals())
    first, last = _day("start", start), _day("end", end)
    if last < first:
        raise SpecError(f"The period must end after it starts; got {start} to {end}.")
    statement = write_statement(indicator)
    parameters: dict[str, object] = dict(statement.parameters)
    parameters |= {n: v for n, v in (("start", first), ("end", last)) if f"${n}" in statement.sql}
    with open_base(records.tables) as base:
        facts = base.execute(statement.sql, parameters).df()
    for column in facts.columns[facts.columns.str.startswith("ids_")]:
        facts[column] = facts[column].map(list)
    return Assessment(
        indicator=indicator, start=first, end=last, facts=facts, people=records.tables["patients"]
    )


def open_base(tables: Mapping[str, pd.DataFrame]) -> "duckdb.DuckDBPyConnection":
    """Open a base in memory with a view of every table; patients who died are in deaths too."""
    import duckdb

    base = duckdb.connect(":memory:", config={"threads": 2})
    patients = tables["patients"]
    died = patients.loc[patients["deceased"].notna(), ["patient", "deceased"]]
    known = tables["deaths"]["patient"]
    more = died[~died["patient"].isin(known)].rename(columns={"deceased": "start"})
    more = more.assign(id="death of " + more["patient"], concepts="", source="")
    deaths = pd.concat([tables["deaths"], more[list(tables["deaths"].columns)]], ignore_index=True)
    for name, table in {**tables, "deaths": deaths}.items():
        base.register(name, table)
    return base


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SpecError(f"{name} must be a day such as '2026-01-01'; got {text!r}.") from error
