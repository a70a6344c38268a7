"""The one SQL statement of an indicator, put together from its parts."""

from dataclasses import dataclass

from outcomekpi.declare.errors import SpecError
from outcomekpi.measures.expressions import expression_sql, names_in
from outcomekpi.measures.find_sql import Parameters, find_parts, quoted
from outcomekpi.measures.indicator import Attribution, Indicator, before_index
from outcomekpi.measures.value_sql import COVERED, coverage_parts, value_parts

__all__ = ["Statement", "write_statement"]

AGES = ("start", "end", "index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL and the values of its parameters, besides ``$start`` and ``$end``."""

    sql: str
    parameters: dict[str, object]


def write_statement(indicator: Indicator) -> Statement:
    """Write an indicator as one statement for DuckDB.

    Raises
    ------
    SpecError
        Finds that stand on each other in a circle, or a condition that names what is not defined.
    """
    parameters = Parameters()
    early = before_index(indicator)
    keys = {name: "patient" if name in early else "subject" for name in indicator.find}
    parts = {
        "people": (
            "SELECT patient AS subject, patient, CAST(birth_date AS DATE) AS birth_day, "
            "CAST(NULL AS DATE) AS index_day, '' AS index_id FROM patients"
        )
    }
    ordered = _in_order(indicator)
    for name in (n for n in ordered if n in early):
        parts |= find_parts(name, indicator.find[name], "people", keys, parameters)
    parts |= _subject_parts(indicator)
    for name in (n for n in ordered if n not in early):
        parts |= find_parts(name, indicator.find[name], "subject", keys, parameters)
    # a run may go together with one that is written later
    values = dict(sorted(indicator.value.items(), key=lambda item: bool(item[1].also)))
    for name, one in values.items():
        parts |= value_parts(name, one, indicator.find[one.find], keys, values)
    if indicator.coverage:
        parts |= coverage_parts(indicator.coverage, keys)
    if indicator.event:
        parts["event_days"] = _event_sql(indicator, keys)
    if indicator.attribution and indicator.attribution.rule != "responsible":
        parts["attributed"] = _attributed_sql(indicator.attribution, keys)
    parts = {n: sql for n, sql in parts.items() if n[:2] != "g_" or n[2:] in _judging(indicator)}
    parts["joined"] = _joined_sql(indicator, keys)
    parts["judged"] = _judged_sql(indicator)
    body = ",\n".join(f"{quoted(name)} AS (\n  {sql}\n)" for name, sql in parts.items())
    return Statement(
        sql=f"WITH RECURSIVE {body}\n{_verdict_sql(indicator)}", parameters=parameters.values
    )


def _judging(indicator: Indicator) -> list[str]:
    """Name the finds that judge by being there; records of readings alone are not gathered."""
    return [n for n in indicator.find if n in indicator.mentioned or n == indicator.event]


def _in_order(indicator: Indicator) -> list[str]:
    ordered: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            raise SpecError(
                f"Finds stand on each other in a circle: {' -> '.join([*trail, name])}."
            )
        if name in ordered:
            return
        one = indicator.find[name]
        for other in (one.near, one.during, one.not_on_days_of):
            if other:
                visit(other, (*trail, name))
        ordered.append(name)

    for name in indicator.find:
        visit(name, ())
    return ordered


def _subject_parts(indicator: Indicator) -> dict[str, str]:
    index = indicator.index
    if index is None:
        return {"subject": "SELECT * FROM people"}
    day = "day" if index.at == "start" else "last_day"
    parts = {
        "index_records": (
            f"SELECT patient, {day} AS day, first(id ORDER BY moment, number, id) AS id "
            f"FROM {quoted('t_' + index.find)} GROUP BY 1, 2"
        )
    }
    if index.clean_days and index.clean_of == "index":
        parts["index_chain"] = (
            "SELECT patient, min(day) AS day FROM index_records GROUP BY 1 UNION ALL "
            "SELECT c.patient, min(i.day) FROM index_chain c JOIN index_records i "
            f"ON i.patient = c.patient AND i.day > c.day + {index.clean_days} GROUP BY 1"
        )
        parts["index_clean"] = (
            "SELECT * FROM index_records SEMI JOIN index_chain USING (patient, day)"
        )
    else:
        parts["index_clean"] = (
            "SELECT * FROM index_records QUALIFY coalesce(day - lag(day) OVER (PARTITION BY "
            f"patient ORDER BY day) > {index.clean_days}, TRUE)"
        )
    subject, kept = "p.patient", ""
    if index.pick == "each":
        subject = "p.patient || '#' || row_number() OVER (PARTITION BY p.patient ORDER BY i.day)"
    else:
        order = "" if index.pick == "first" else " DESC"
        kept = f" QUALIFY row_number() OVER (PARTITION BY p.patient ORDER BY i.day{order}) = 1"
    parts["subject"] = (
        f"SELECT {subject} AS subject, p.patient, p.birth_day, i.day AS index_day, "
        f"i.id AS index_id FROM people p JOIN index_clean i ON i.patient = p.patient{kept}"
    )
    return parts


def _event_sql(indicator: Indicator, keys: dict[str, str]) -> str:
    """Write days from index to event, competing event and end of records."""

    def first(name: str) -> str:
        key = keys[name]
        return (
            f"(SELECT min(t.day) FROM {quoted('t_' + name)} t WHERE t.{key} = s.{key} "
            "AND t.day >= s.index_day)"
        )

    event = first(indicator.event)
    # least passes over what is NULL
    rivals = [first(name) for name in indicator.competes]
    competes = f"least({', '.join(rivals)})" if rivals else "CAST(NULL AS DATE)"
    return (
        f"SELECT s.subject AS key, {event} - s.index_day AS event_days, "
        f"{competes} - s.index_day AS competing_days, "
        "CAST($end AS DATE) - s.index_day AS followed_days FROM subject s"
    )


def _attributed_sql(rule: Attribution, keys: dict[str, str]) -> str:
    """Write the doctor of each patient: one alone, whatever the order of the rows."""
    key, moment = keys[rule.find], "max(moment) DESC" if rule.tie == "last" else "min(moment)"
    order = (
        f"count(DISTINCT day) DESC, {moment}" if rule.rule == "plurality" else "max(moment) DESC"
    )
    return (
        f"SELECT {key} AS key, doctor FROM {quoted('t_' + rule.find)} WHERE doctor <> '' "
        f"GROUP BY 1, 2 QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}, doctor) = 1"
    )


def _joined_sql(indicator: Indicator, keys: dict[str, str]) -> str:
    anchors = {"start": "CAST($start AS DATE)", "end": "CAST($end AS DATE)", "index": "s.index_day"}
    rule = indicator.attribution
    seen = rule is not None and rule.rule != "responsible"
    doctor = "coalesce(attributed.doctor, '') AS doctor" if seen else "p.doctor"
    columns = ["s.subject", "s.patient", "s.index_day", "s.index_id", "p.sex", doctor]
    columns += [f"{_age('s.birth_day', anchors[at])} AS age_{at}" for at in AGES]
    joins = ["JOIN patients p ON p.patient = s.patient"]
    if rule is not None and seen:
        joins.append(f"LEFT JOIN attributed ON attributed.key = s.{keys[rule.find]}")
    for name in _judging(indicator):
        part = quoted(f"g_{name}")
        columns += [
            f"{part}.key IS NOT NULL AS {quoted('is_' + name)}",
            f"coalesce({part}.ids, []) AS {quoted('ids_' + name)}",
        ]
        joins.append(f"LEFT JOIN {part} ON {part}.key = s.{keys[name]}")
    for name, one in indicator.value.items():
        part = quoted(f"v_{name}")
        columns += [
            f"{part}.number AS {part}",
            f"coalesce({part}.ids, []) AS {quoted('ids_' + name)}",
        ]
        joins.append(f"LEFT JOIN {part} ON {part}.key = s.{keys[one.find]}")
    if indicator.coverage:
        columns += [f"v_coverage.{name}" for name in COVERED]
        columns.append("coalesce(v_coverage.ids, []) AS ids_coverage")
        joins.append(f"LEFT JOIN v_coverage ON v_coverage.key = s.{keys[indicator.coverage.find]}")
    if indicator.event:
        columns += [f"event_days.{n}" for n in ("event_days", "competing_days", "followed_days")]
        joins.append("LEFT JOIN event_days ON event_days.key = s.subject")
    return f"SELECT {', '.join(columns)}\n  FROM subject s {' '.join(joins)}"


def _age(born: str, day: str) -> str:
    """Completed years: whoever was born on 29 February turns a year older on 1 March."""
    later = f"(month({day}) * 100 + day({day}) < month({born}) * 100 + day({born}))"
    return f"(year({day}) - year({born}) - CAST({later} AS INTEGER))"


def _columns(indicator: Indicator) -> dict[str, str]:
    names = {name: quoted(f"is_{name}") for name in indicator.find}
    twice = set(names) & set(indicator.value)
    if twice:
        raise SpecError(f"{sorted(twice)[0]!r} names a find and a value; take two names.")
    names |= {name: quoted(f"v_{name}") for name in indicator.value}
    names |= {f"age_{at}": f"age_{at}" for at in AGES} | {"sex": "sex"}
    if indicator.coverage:
        names |= {name: name for name in COVERED}
    return names


def _judged_sql(indicator: Indicator) -> str:
    names = _columns(indicator)

    def write(text: str, where: str) -> str:
        return expression_sql(text, names, where=where)

    success = "CAST(NULL AS BOOLEAN)"
    if indicator.success:
        success = write(indicator.success, "success")
    else:
        n = indicator.horizon
        success = (
            f"CASE WHEN event_days <= {n} AND event_days <= coalesce(competing_days, event_days) "
            f"THEN TRUE WHEN competing_days <= {n} OR followed_days >= {n} THEN FALSE END"
        )

    def first_of(conditions: dict[str, str], field: str) -> str:
        cases = " ".join(
            f"WHEN {write(text, f'{field}.{name}')} THEN {position}"
            for position, (name, text) in enumerate(conditions.items())
        )
        return f"CASE {cases} END" if cases else "CAST(NULL AS INTEGER)"

    stages = ""
    for name, text in indicator.milestones.items():
        met = write(text, f"milestones.{name}")
        stages += f"    coalesce({met}, FALSE) AS {quoted('milestone_' + name)},\n"
    return (
        f"SELECT *, {success} AS success,\n{stages}"
        f"    {first_of(dict(indicator.exclusions), 'exclusions')} AS excluded_by,\n"
        f"    {first_of(dict(indicator.exceptions), 'exceptions')} AS excepted_by\n"
        f"  FROM joined WHERE {write(indicator.cohort, 'cohort')}"
    )


def _ids(indicator: Indicator, text: str, where: str) -> str:
    known = [
        n for n in sorted(names_in(text, where=where)) if n in {*indicator.find, *indicator.value}
    ]
    lists = [quoted(f"ids_{name}") for name in known]
    if indicator.coverage and names_in(text, where=where) & set(COVERED):
        lists.append("ids_coverage")
    return f"flatten([{', '.join(lists)}])" if lists else "[]"


def _verdict_sql(indicator: Indicator) -> str:
    unknown = "'not assessable'"
    if indicator.missing == "fail" and not indicator.event:
        # what was not measured counts against the doctor: also where reaching it is bad
        unknown = "'reached'" if indicator.direction == "lower" else "'not reached'"
    cases, reasons, ids = [], [], []
    for position, (name, text) in enumerate(indicator.exclusions.items()):
        reasons.append(f"WHEN excluded_by = {position} THEN {_text(name)}")
        ids.append(f"WHEN excluded_by = {position} THEN {_ids(indicator, text, name)}")
    excepted = "excepted_by IS NOT NULL AND NOT coalesce(success, FALSE)"
    for position, (name, text) in enumerate(indicator.exceptions.items()):
        met = f"WHEN {excepted} AND excepted_by = {position} THEN"
        reasons.append(f"{met} {_text(f'exception: {name}')}")
        ids.append(f"{met} {_ids(indicator, text, name)}")
    cases.append("WHEN excluded_by IS NOT NULL THEN 'excluded'")
    cases.append(f"WHEN {excepted} THEN 'excluded'")
    cases.append(f"WHEN success IS NULL THEN {unknown}")
    cases.append("WHEN success THEN 'reached'")
    too_short = "follow-up too short" if indicator.event else "not measured"
    reasons.append(f"WHEN success IS NULL THEN {_text(too_short)}")
    if indicator.success:
        deciding = _ids(indicator, indicator.success, "success")
    else:
        deciding = f"flatten([{quoted('ids_' + indicator.event)}, [index_id]])"
    picked = f"CASE {' '.join(ids)} ELSE {deciding} END" if ids else deciding
    return (
        f"SELECT *, CASE {' '.join(cases)} ELSE 'not reached' END AS verdict,\n"
        f"  CASE {' '.join(reasons)} ELSE '' END AS reason,\n"
        f"  array_to_string(list_sort(list_distinct({picked})), ' ') AS record_ids\n"
        "FROM judged ORDER BY subject"
    )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
