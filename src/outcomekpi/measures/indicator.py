"""`Indicator`: who counts, what is looked for, and when it is reached, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError, did_you_mean
from outcomekpi.declare.fields import Count, Range
from outcomekpi.measures.expressions import names_in
from outcomekpi.measures.windows import read_moment
from outcomekpi.records.schemas import SCHEMAS

__all__ = ["Attribution", "Coverage", "Find", "Index", "Indicator", "Value"]

Days = Annotated[int, Range(low=0)]
Missing = Literal["fail", "exclude"]
Pick = Literal["first", "last", "mean", "min", "max", "count", "share", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """Records that are looked for.

    Attributes
    ----------
    table : of the records
    concepts, codes : any of these; none is every record
    where : column of the table -> cells that are accepted
    status : accepted ones; none takes what the table counts (final, finished, completed)
    since, after, until, before : first and last day, each included (since, until) or not
    by : what of a record lies in the window: its "start", "end", all of it ("inside"), any day
        of it ("overlap": it started by the last day and lasted to the first)
    has : only records with a "value", a "number", or a number or bound ("result")
    pick : the "first" or "last" record by instant, on which alone the test is made; or "any"
    below, at_most, above, at_least : what the number must do
    number : whether any number will do
    says : words of which the value may be one instead
    signs : "<" or ">" that the value may begin with instead
    unit : that numbers are converted to; records whose unit has no way to it are set aside
    measure : whose units are known (hba1c, glucose, cholesterol, pressure, weight); without it
        only the unit itself is accepted
    unit_if_missing : unit of numbers that name none; without it they are set aside
    near, near_days : a record of this other find lies within so many days
    during, days_before : it starts in a record of this other find, or so many days before
    not_on_days_of : it starts on no day of a record of this other find
    records, days : how many records, on how many different days, are needed
    """

    table: str
    concepts: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    status: tuple[str, ...] = ()
    since: str = ""
    after: str = ""
    until: str = ""
    before: str = ""
    by: Literal["start", "end", "inside", "overlap"] = "start"
    has: Literal["", "value", "number", "result"] = ""
    pick: Literal["any", "first", "last"] = "any"
    below: float | None = None
    at_most: float | None = None
    above: float | None = None
    at_least: float | None = None
    number: bool = False
    says: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    unit: str = ""
    measure: str = ""
    unit_if_missing: str = ""
    near: str = ""
    near_days: Days = 0
    during: str = ""
    days_before: Days = 0
    not_on_days_of: str = ""
    records: Count = 1
    days: Count = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.table not in SCHEMAS or "patient" not in SCHEMAS[self.table].required:
            hint = did_you_mean(self.table, SCHEMAS)
            raise SpecError(f"Find.table must be a table of records; got {self.table!r}.{hint}")
        if (self.since and self.after) or (self.until and self.before):
            raise SpecError("Find takes since or after, and until or before; not both.")
        for name in ("since", "after", "until", "before"):
            if getattr(self, name):
                read_moment(getattr(self, name), where=f"Find.{name}")
        self._check_order()
        has_value = "value" in SCHEMAS[self.table].columns
        if not has_value and (self.tests or self.has or self.unit):
            raise SpecError(f"Records of {self.table} have no value; none can be asked for.")
        for column in self.where:
            known = SCHEMAS[self.table].columns
            if column not in known:
                raise SpecError(
                    f"Find.where names {column!r}; {self.table} have {', '.join(known)}."
                    f"{did_you_mean(column, known)}"
                )

    def _check_order(self) -> None:
        """Refuse a window that closes before it opens, where both ends hang on one day."""
        opens, closes = self.since or self.after, self.until or self.before
        # what overlaps started by the one and lasted to the other: it may have to last across both
        if not opens or not closes or self.by == "overlap":
            return
        first, last = (read_moment(text, where="window") for text in (opens, closes))
        backwards = (first.anchor, last.anchor) == ("end", "start") and not first.steps
        if first.anchor == last.anchor:
            backwards = first.days > last.days
        if backwards:
            raise SpecError(f"Find's window closes before it opens: {opens!r} to {closes!r}.")

    @property
    def tests(self) -> bool:
        """Whether the value of a record must do anything."""
        bars = (self.below, self.at_most, self.above, self.at_least)
        return bool(self.number or self.says or self.signs or any(b is not None for b in bars))

    @property
    def moments(self) -> tuple[str, ...]:
        """The ends of the window that were named."""
        return tuple(m for m in (self.since, self.after, self.until, self.before) if m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number of each patient, made from the records of a find.

    Attributes
    ----------
    find : whose numbers
    per_day : number of a day with several readings; "each" leaves them
    pick : of the days: the first, last, mean, min, max one, how many ("count"), the "share" that
        meets the bar, or the longest "run" of calendar months whose mean meets it
    below, at_most, above, at_least : bar of a share or a run
    missing_month : what a month of the window without reading does to a run
    also : another run, whose bar the same months must meet
    """

    find: str
    per_day: Literal["each", "min", "max", "mean", "first", "last"] = "last"
    pick: Pick = "last"
    below: float | None = None
    at_most: float | None = None
    above: float | None = None
    at_least: float | None = None
    missing_month: Literal["fail", "skip", "pass"] = "fail"
    also: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        bars = (self.below, self.at_most, self.above, self.at_least)
        if (self.pick in ("share", "run")) != any(bar is not None for bar in bars):
            raise SpecError("Value takes a bar with pick 'share' or 'run', and only then.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The record that the clock of a patient starts at.

    Attributes
    ----------
    find : its records
    pick : "first" or "last" of a patient, or "each" for one row per episode
    at : day that counts: the "start" or "end" of the record
    clean_days : an index needs more than so many days
    clean_of : since the last "record" of the find, or since the last "index" (those between are
        none, and do not restart the clock)
    """

    find: str
    pick: Literal["first", "last", "each"] = "first"
    at: Literal["start", "end"] = "start"
    clean_days: Days = 0
    clean_of: Literal["record", "index"] = "record"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Days covered by medication, from the first fill in the period to its end.

    Attributes
    ----------
    find : fills, each with ``days_supply``
    shift : early refills move forward within the same "drug", within "all", or not ("none")
    hospital : find of stays whose days leave the period and push the supply on; "" for none
    """

    find: str
    shift: Literal["drug", "all", "none"] = "drug"
    hospital: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who is answerable for a patient.

    Attributes
    ----------
    find : visits (or other records) with a doctor
    rule : the doctor of most days with a visit ("plurality"), of the "last" visit, or the one of
        the table of patients ("responsible")
    tie : of a plurality: the doctor seen "last", or "first"; on one moment the first by name
    """

    find: str
    rule: Literal["plurality", "last", "responsible"] = "plurality"
    tie: Literal["last", "first"] = "last"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """The definition of an indicator, all of it.

    Attributes
    ----------
    name, title, source, version : what it is, whose it is
    direction : whether reaching it is good ("higher") or bad ("lower", an inverse indicator)
    find : name -> records that are looked for
    value : name -> number of each patient
    index : where the clock of a patient starts; None where only the period counts
    coverage : names ``covered_days``, ``treatment_days``, ``share_covered``, ``fill_days`` then
    attribution : who is answerable; None takes the doctor of the table of patients. Whom nobody
        saw has the doctor ""
    cohort : condition on who counts
    exclusions : name -> condition on who leaves before anything is judged
    exceptions : name -> condition on who leaves only if the success was not met
    success : condition on what is reached
    missing : what a success that cannot be told does: it is as if not done ("fail"; an inverse
        indicator then counts it), or not assessable ("exclude")
    event, competes, horizon : find of the event within so many days of the index, finds of what
        competes with it; 0 where the success is a condition. On one day the event counts first
    milestones : stage -> condition, in their order, for outcomes that take years
    """

    name: str
    title: str = ""
    source: str = ""
    version: str = ""
    direction: Literal["higher", "lower"] = "higher"
    find: Mapping[str, Find]
    value: Mapping[str, Value] = field(default_factory=dict)
    index: Index | None = None
    coverage: Coverage | None = None
    attribution: Attribution | None = None
    cohort: str = "True"
    exclusions: Mapping[str, str] = field(default_factory=dict)
    exceptions: Mapping[str, str] = field(default_factory=dict)
    success: str = ""
    missing: Missing = "fail"
    event: str = ""
    competes: tuple[str, ...] = ()
    horizon: Days = 0
    milestones: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        if bool(self.success) == bool(self.event):
            raise SpecError("Indicator takes a success or an event, one of them.")
        if self.event and not (self.horizon and self.index):
            raise SpecError("Indicator.event needs an index and a horizon in days.")
        for used, where in self._used():
            if used and used not in self.find:
                raise SpecError(
                    f"{where} names the find {used!r}, which is not defined."
                    f"{did_you_mean(used, self.find)}"
                )
        self._check_index()

    def _used(self) -> list[tuple[str, str]]:
        used = [(v.find, f"value.{n}.find") for n, v in self.value.items()]
        for name, one in self.find.items():
            if one.near == name or one.during == name or one.not_on_days_of == name:
                raise SpecError(f"find.{name} names itself.")
            used += [(one.near, f"find.{name}.near"), (one.during, f"find.{name}.during")]
            used += [(one.not_on_days_of, f"find.{name}.not_on_days_of")]
        used += [(self.event, "event"), *((n, "competes") for n in self.competes)]
        if self.index:
            used.append((self.index.find, "index.find"))
        if self.attribution:
            used.append((self.attribution.find, "attribution.find"))
            table = self.find[self.attribution.find].table if used[-1][0] in self.find else ""
            if table and "doctor" not in SCHEMAS[table].columns:
                raise SpecError(f"attribution.find: {table} have no doctor.")
        if self.coverage:
            used += [(self.coverage.find, "coverage.find"), (self.coverage.hospital, "coverage")]
        return used

    def _check_index(self) -> None:
        before = before_index(self)
        for name, one in self.find.items():
            anchored = [m for m in one.moments if read_moment(m, where=name).anchor == "index"]
            if anchored and (self.index is None or name in before):
                raise SpecError(
                    f"find.{name} counts days from the index, which "
                    f"{'it makes itself' if self.index else 'is not defined'}."
                )

    @property
    def conditions(self) -> dict[str, str]:
        """Every condition by the field that holds it."""
        return {
            "cohort": self.cohort,
            **{f"exclusions.{n}": text for n, text in self.exclusions.items()},
            **{f"exceptions.{n}": text for n, text in self.exceptions.items()},
            **{f"milestones.{n}": text for n, text in self.milestones.items()},
            **({"success": self.success} if self.success else {}),
        }

    @property
    def mentioned(self) -> set[str]:
        """Names that the conditions mention."""
        return {n for where, text in self.conditions.items() for n in names_in(text, where=where)}

    def sql(self) -> str:
        """Return the SQL statement that judges the records in DuckDB, with its parameters.

        ``$start`` and ``$end`` are the first and last day of the period.
        """
        from outcomekpi.measures.statement import write_statement

        statement = write_statement(self)
        listed = [f"-- ${name} = {value!r}" for name, value in statement.parameters.items()]
        return "\n".join([*listed, statement.sql])


def before_index(indicator: Indicator) -> set[str]:
    """Return the finds that the index stands on: they know only the period."""
    pending = [indicator.index.find] if indicator.index else []
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name and name not in found:
            found.add(name)
            one = indicator.find[name]
            pending += [one.near, one.during, one.not_on_days_of]
    return found
