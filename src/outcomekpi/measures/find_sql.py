"""SQL of a find: records that pass its filters, the one that is picked, its test, its count."""

from dataclasses import dataclass, field

from outcomekpi.indicators.month_runs import SAME
from outcomekpi.measures.indicator import Find
from outcomekpi.measures.windows import read_moment
from outcomekpi.records.schemas import SCHEMAS
from outcomekpi.records.units import conversions

__all__ = ["BARS", "Parameters", "bar_sql", "counted_sql", "find_parts", "kind_sql", "quoted"]

NEVER_ENDED = "DATE '9999-12-31'"
ONGOING = "('', 'active', 'recurrence', 'relapse')"
BARS = {"below": "<", "at_most": "<=", "above": ">", "at_least": ">="}
MOMENT_SQL = {"start": 'r."start"', "end": "r.until"}


def quoted(name: str) -> str:
    """Quote a name for SQL: the one place where names become part of a statement."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(slots=True)
class Parameters:
    """Values of a statement, handed over beside it and never inside."""

    values: dict[str, object] = field(default_factory=dict)

    def add(self, value: object) -> str:
        """Keep a value and return what stands for it."""
        name = f"p{len(self.values) + 1}"
        self.values[name] = list(value) if isinstance(value, tuple) else value
        return f"${name}"


def bar_sql(bars: object, number: str) -> list[str]:
    """Write the bars that a record has, with the tolerance of the package."""
    written = []
    for name, sign in BARS.items():
        bar = getattr(bars, name)
        if bar is not None:
            slack = SAME * max(1.0, abs(bar))
            edge = bar - slack if sign in ("<", ">=") else bar + slack
            written.append(f"{number} {sign} {edge!r}")
    return written


def until_sql(table: str) -> str:
    """Write the moment at which a record ends; NULL where it is not known to."""
    if table == "encounters":
        return 'r."end"'
    if table == "conditions":
        return (
            f'coalesce(r."end", CASE WHEN r.clinical_status IN {ONGOING} '
            f"THEN CAST({NEVER_ENDED} AS TIMESTAMP) END)"
        )
    if table == "medications":
        return (
            'coalesce(r."end", r."start" + to_days(CAST(greatest(1, coalesce(r.days_supply, 1) '
            "* (1 + coalesce(r.refills, 0))) - 1 AS INTEGER)))"
        )
    return 'coalesce(r."end", r."start")' if "end" in SCHEMAS[table].columns else 'r."start"'


def number_sql(one: Find, parameters: Parameters) -> str:
    """Write the number of a record in the unit that was asked for, before anything is compared."""
    if "value" not in SCHEMAS[one.table].columns:
        return "CAST(NULL AS DOUBLE)"
    if not one.unit:
        return "r.number"
    unit = "r.unit"
    if one.unit_if_missing:
        unit = f"CASE WHEN r.unit = '' THEN {parameters.add(one.unit_if_missing)} ELSE r.unit END"
    ways = conversions(one.measure, one.unit)
    if one.unit_if_missing:
        conversions(one.measure, one.unit_if_missing)
    cases = " ".join(
        f"WHEN {parameters.add(name)} THEN r.number * {factor!r} + {shift!r}"
        if (factor, shift) != (1.0, 0.0)
        else f"WHEN {parameters.add(name)} THEN r.number"
        for name, (factor, shift) in ways.items()
    )
    return f"CASE {unit} {cases} END"


def window_sql(one: Find, anchors: dict[str, str]) -> list[str]:
    """Write where a record must lie, by calendar day."""
    first, last = 'CAST(r."start" AS DATE)', f"CAST({until_sql(one.table)} AS DATE)"
    low, high = {
        "start": (first, first),
        "end": (last, last),
        "inside": (first, last),
        "overlap": (last, first),
    }[one.by]
    if one.by == "overlap" and one.table == "encounters":
        low = 'CAST(coalesce(r."end", r."start") AS DATE)'

    def day(text: str) -> str:
        return read_moment(text, where="window").sql(anchors)

    written = []
    for text, sign, side in (
        (one.since, ">=", low),
        (one.after, ">", low),
        (one.until, "<=", high),
        (one.before, "<", high),
    ):
        if text:
            written.append(f"{side} {sign} {day(text)}")
    return written


def kind_sql(one: Find, parameters: Parameters) -> list[str]:
    """Write which records are of the kind that is looked for, whether they count or not."""
    written = []
    if one.concepts:
        split = "string_split(r.concepts, '|')"
        written.append(f"list_has_any({split}, {parameters.add(one.concepts)})")
    if one.codes:
        written.append(f"list_contains({parameters.add(one.codes)}, r.code)")
    for column, cells in one.where.items():
        split = f"string_split(r.{quoted(column)}, '|')"
        written.append(f"list_has_any({split}, {parameters.add(tuple(cells))})")
    return written


def counted_sql(one: Find, parameters: Parameters) -> dict[str, str]:
    """Write what a record needs to count: reason why one does not -> condition that it meets."""
    schema = SCHEMAS[one.table]
    needed = {"without a time": 'r."start" IS NOT NULL'}
    status = one.status or schema.counted
    if status:
        name = quoted(schema.status)
        needed["status"] = f"list_contains({parameters.add(tuple(status))}, r.{name})"
    if "do_not_perform" in schema.columns:
        needed["not to be done"] = "lower(r.do_not_perform) NOT IN ('true', '1')"
    if one.has:
        needed["without a result"] = "r.value <> ''"
    if one.has == "number":
        needed["without a number"] = "r.number IS NOT NULL"
    elif one.has == "result":
        needed["without a number or bound"] = "(r.number IS NOT NULL OR r.sign <> '')"
    if one.unit:
        number = number_sql(one, parameters)
        needed["without a known unit"] = f"(r.number IS NULL OR ({number}) IS NOT NULL)"
    return needed


def test_sql(one: Find, parameters: Parameters) -> str:
    """Write what the value of a record must be; "TRUE" where nothing is asked."""
    bars = bar_sql(one, "number")
    ways = []
    if one.number or bars:
        ways.append("(" + " AND ".join(["number IS NOT NULL", *bars]) + ")")
    if one.says:
        ways.append(f"list_has_any(string_split(value, '|'), {parameters.add(one.says)})")
    if one.signs:
        ways.append(f"list_contains({parameters.add(one.signs)}, sign)")
    return "(" + " OR ".join(ways) + ")" if ways else "TRUE"


def find_parts(
    name: str, one: Find, scope: str, keys: dict[str, str], parameters: Parameters
) -> dict[str, str]:
    """Write a find as named parts of a statement.

    Parameters
    ----------
    name, one : the find
    scope : part with the patients (or episodes) that are looked at
    keys : find -> "patient" or "subject": what its records belong to
    parameters : gains the values of the filters

    Returns
    -------
    part -> SQL: ``r_`` records that pass, ``t_`` those that stand the test, ``g_`` one row per key
    """
    anchors = {
        "start": "CAST($start AS DATE)",
        "end": "CAST($end AS DATE)",
        "index": "s.index_day",
        "birth": "s.birth_day",
    }
    number = number_sql(one, parameters)
    where = [*kind_sql(one, parameters), *counted_sql(one, parameters).values()]
    where += window_sql(one, anchors)
    for other, condition in (
        (one.during, 'CAST(r."start" AS DATE) BETWEEN o.day - {n} AND o.last_day'),
        (one.not_on_days_of, 'CAST(r."start" AS DATE) BETWEEN o.day AND o.last_day'),
    ):
        if other:
            word = "EXISTS" if other == one.during else "NOT EXISTS"
            key = keys[other] if keys[other] == keys[name] else "patient"
            where.append(
                f"{word} (SELECT 1 FROM {quoted('t_' + other)} o WHERE o.{key} = s.{key} "
                f"AND {condition.format(n=one.days_before)})"
            )
    has_value = "value" in SCHEMAS[one.table].columns
    value, sign = ("r.value", "r.sign") if has_value else ("''", "''")
    is_supply = one.table == "medications"
    supply = "r.days_supply, r.drug" if is_supply else "NULL AS days_supply, '' AS drug"
    doctor = "r.doctor" if "doctor" in SCHEMAS[one.table].columns else "'' AS doctor"
    moment = MOMENT_SQL["end" if one.by == "end" else "start"].replace(
        "r.until", until_sql(one.table)
    )
    records = (
        f"SELECT s.subject, s.patient, r.id, {moment} AS moment,\n"
        f'    CAST(r."start" AS DATE) AS day, '
        f'CAST(coalesce({until_sql(one.table)}, r."start") AS DATE) AS last_day,\n'
        f"    {number} AS number, {value} AS value, {sign} AS sign, {supply}, {doctor}\n"
        f"  FROM {scope} s JOIN {one.table} r ON r.patient = s.patient\n"
        f"  WHERE " + "\n    AND ".join(where)
    )
    if one.pick != "any":
        order = "DESC" if one.pick == "last" else "ASC"
        records += (
            f"\n  QUALIFY row_number() OVER (PARTITION BY s.subject "
            f"ORDER BY {moment} {order}, number, id) = 1"
        )
    tested = f"SELECT * FROM {quoted('r_' + name)} t WHERE {test_sql(one, parameters)}"
    if one.near:
        key = keys[one.near] if keys[one.near] == keys[name] else "patient"
        tested += (
            f" AND EXISTS (SELECT 1 FROM {quoted('t_' + one.near)} o WHERE o.{key} = t.{key} "
            f"AND abs(o.day - t.day) <= {one.near_days})"
        )
    grouped = (
        f"SELECT {keys[name]} AS key, list_sort(list(DISTINCT id)) AS ids "
        f"FROM {quoted('t_' + name)} GROUP BY 1 "
        f"HAVING count(DISTINCT id) >= {one.records} AND count(DISTINCT day) >= {one.days}"
    )
    return {f"r_{name}": records, f"t_{name}": tested, f"g_{name}": grouped}
