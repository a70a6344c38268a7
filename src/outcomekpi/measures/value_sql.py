"""SQL of numbers per patient: picked readings, shares, runs of months, covered days."""

from outcomekpi.declare.errors import SpecError
from outcomekpi.measures.find_sql import bar_sql, quoted
from outcomekpi.measures.indicator import Coverage, Find, Value
from outcomekpi.measures.windows import read_moment

__all__ = ["COVERED", "coverage_parts", "value_parts"]

# ties of a moment are broken by value, then by record, so that the order of rows never matters
FIRST = "first({} ORDER BY moment, number, id)"
LAST = "last({} ORDER BY moment, number DESC, id DESC)"
PER_DAY = {"min": "min({})", "max": "max({})", "mean": "avg({})", "first": FIRST, "last": LAST}
COVERED = ("covered_days", "treatment_days", "share_covered", "fill_days")
"""Names that a coverage adds to the conditions."""
EPOCH = "DATE '1970-01-01'"


def value_parts(
    name: str, one: Value, find: Find, keys: dict[str, str], values: dict[str, Value]
) -> dict[str, str]:
    """Write a number of each patient as parts of a statement.

    Parameters
    ----------
    name, one, find : the value, and the find whose numbers it takes
    keys : find -> "patient" or "subject"
    values : all of them, for runs that go together

    Returns
    -------
    part -> SQL; the last, ``v_``, has one row per key: key, number, ids
    """
    key, tested = keys[one.find], quoted(f"t_{one.find}")
    if one.per_day == "each":
        daily = f"SELECT {key} AS key, day, moment, number, [id] AS ids FROM {tested}"
    else:
        of_day = PER_DAY[one.per_day].format("number")
        ids = f"[{PER_DAY[one.per_day].format('id')}]"
        if one.per_day in ("min", "max", "mean"):
            ids = "list_sort(list(id))"
        daily = (
            f"SELECT {key} AS key, day, min(moment) AS moment, {of_day} AS number, {ids} AS ids "
            f"FROM {tested} WHERE number IS NOT NULL GROUP BY 1, 2"
        )
    parts = {f"d_{name}": f"SELECT * FROM ({daily}) WHERE number IS NOT NULL"}
    days = quoted(f"d_{name}")
    if one.pick == "run":
        parts |= _month_parts(name, one, find, key)
        return parts | {f"v_{name}": _run_sql(name, one, values)}
    order = "ORDER BY moment, number, ids"
    everything = "list_sort(flatten(list(ids)))"
    bars = " AND ".join(bar_sql(one, "number"))
    number, ids = {
        "first": (f"first(number {order})", f"first(ids {order})"),
        "last": (f"last(number {order})", f"last(ids {order})"),
        "mean": ("avg(number)", everything),
        "min": ("min(number)", "first(ids ORDER BY number, moment, ids)"),
        "max": ("max(number)", "first(ids ORDER BY number DESC, moment, ids)"),
        "count": ("count(*)", everything),
        "share": (f"avg(CASE WHEN {bars} THEN 1.0 ELSE 0.0 END)", everything),
    }[one.pick]
    parts[f"v_{name}"] = f"SELECT key, {number} AS number, {ids} AS ids FROM {days} GROUP BY 1"
    return parts


def _month_parts(name: str, one: Value, find: Find, key: str) -> dict[str, str]:
    """Write whether each calendar month of the window passes; NULL where it has no reading."""
    low, high = find.since or find.after, find.until or find.before
    if not low or not high:
        raise SpecError(f"value.{name} is a run: its find needs both ends of a window.")
    anchors = {
        "start": "CAST($start AS DATE)",
        "end": "CAST($end AS DATE)",
        "index": "s.index_day",
        "birth": "s.birth_day",
    }
    first, last = (read_moment(text, where=f"value.{name}").sql(anchors) for text in (low, high))
    first = f"{first} + 1" if find.after else first
    last = f"{last} - 1" if find.before else last
    bars = " AND ".join(bar_sql(one, "avg(number)"))
    return {
        f"m_{name}": (
            f"SELECT s.{key} AS key, unnest(generate_series(date_trunc('month', {first}), "
            f"date_trunc('month', {last}), INTERVAL 1 MONTH)) AS month FROM subject s"
        ),
        f"p_{name}": (
            f"SELECT m.key, m.month, d.passes, d.ids FROM {quoted('m_' + name)} m LEFT JOIN ("
            f"SELECT key, date_trunc('month', day) AS month, {bars} AS passes, "
            f"flatten(list(ids)) AS ids FROM {quoted('d_' + name)} GROUP BY 1, 2) d "
            f"ON d.key = m.key AND d.month = m.month"
        ),
    }


def _run_sql(name: str, one: Value, values: dict[str, Value]) -> str:
    """Write the longest run of months; months without reading fail, are skipped, or pass."""
    months = f"SELECT key, month, passes, ids FROM {quoted('p_' + name)}"
    if one.also:
        if one.also not in values or values[one.also].pick != "run":
            raise SpecError(f"value.{name}.also must name another run; got {one.also!r}.")
        # a month counts as measured only if both are: NULL where either is missing
        months = (
            "SELECT a.key, a.month, CASE WHEN a.passes IS NULL OR b.passes IS NULL THEN NULL "
            "ELSE a.passes AND b.passes END AS passes, list_concat(a.ids, b.ids) AS ids "
            f"FROM {quoted('p_' + name)} a JOIN {quoted('p_' + one.also)} b "
            "ON b.key = a.key AND b.month = a.month"
        )
    passes = {"fail": "coalesce(passes, FALSE)", "skip": "passes", "pass": "coalesce(passes, TRUE)"}
    kept = "WHERE passes IS NOT NULL" if one.missing_month == "skip" else ""
    return (
        f"SELECT key, max(n) AS number, list_sort(list_distinct(flatten(list(ids)))) AS ids FROM ("
        f"SELECT key, CASE WHEN ok THEN count(*) FILTER (ok) OVER (PARTITION BY key, ok, island) "
        f"ELSE 0 END AS n, ids, bool_or(measured) OVER (PARTITION BY key) AS ever FROM ("
        f"SELECT *, row_number() OVER (PARTITION BY key ORDER BY month) - row_number() OVER "
        f"(PARTITION BY key, ok ORDER BY month) AS island FROM ("
        f"SELECT key, month, {passes[one.missing_month]} AS ok, passes IS NOT NULL AS measured, "
        f"coalesce(ids, []) AS ids FROM ({months}) {kept}))) WHERE ever GROUP BY 1"
    )


def coverage_parts(one: Coverage, keys: dict[str, str]) -> dict[str, str]:
    """Write covered days as parts of a statement.

    Notes
    -----
    No loop over fills: with cum the running sum of supply, an early refill ends at cum + the
    running maximum of (day - (cum - supply)). Days in hospital are taken out of the calendar, so
    that supply moves on past them and the denominator loses them.
    """
    key, fills = keys[one.find], quoted(f"t_{one.find}")
    grouped = {"drug": "drug", "all": "''", "none": "id"}[one.shift]
    if one.hospital:
        stays = (
            f"SELECT DISTINCT {keys[one.hospital]} AS key, CAST(unnest(generate_series(day, "
            f"last_day, INTERVAL 1 DAY)) AS DATE) AS day FROM {quoted('t_' + one.hospital)}"
        )
    else:
        stays = "SELECT '' AS key, CAST(NULL AS DATE) AS day WHERE FALSE"

    def moved(day: str, of: str) -> str:
        return (
            f"(({day}) - {EPOCH} - (SELECT count(*) FROM cover_stays h WHERE h.key = {of}.key "
            f"AND h.day < ({day})))"
        )

    window = "ROWS UNBOUNDED PRECEDING"
    return {
        "cover_stays": stays,
        "cover_period": (
            f"SELECT {key} AS key, min(day) AS first_day, CAST($end AS DATE) + 1 AS end_day, "
            f"count(DISTINCT day) AS fill_days FROM {fills} "
            "WHERE day BETWEEN CAST($start AS DATE) AND CAST($end AS DATE) GROUP BY 1"
        ),
        "cover_fills": (
            f"SELECT f.key, f.id, f.grp, f.supply, {moved('f.day', 'f')} AS d FROM (SELECT {key} "
            f"AS key, id, {grouped} AS grp, days_supply AS supply, day FROM {fills}) f"
        ),
        "cover_cum": (
            "SELECT *, sum(supply) OVER (PARTITION BY key, grp ORDER BY d, id "
            f"{window}) AS cum FROM cover_fills WHERE supply > 0"
        ),
        "cover_ends": (
            "SELECT key, id, supply, cum + max(d - (cum - supply)) OVER (PARTITION BY key, grp "
            f"ORDER BY d, id {window}) AS b FROM cover_cum"
        ),
        "cover_spans": (
            f"SELECT e.key, e.id, greatest(e.b - e.supply, {moved('p.first_day', 'p')}) AS a, "
            f"least(e.b, {moved('p.end_day', 'p')}) AS b FROM cover_ends e "
            "JOIN cover_period p ON p.key = e.key"
        ),
        "cover_new": (
            "SELECT key, id, greatest(0, b - greatest(a, coalesce(max(b) OVER (PARTITION BY key "
            "ORDER BY a, b, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), a))) AS days "
            "FROM cover_spans WHERE b > a"
        ),
        "v_coverage": (
            "SELECT p.key, coalesce(c.days, 0) AS covered_days, p.end_day - p.first_day AS "
            "treatment_days, p.fill_days, coalesce(c.days, 0) / nullif("
            f"{moved('p.end_day', 'p')} - {moved('p.first_day', 'p')}, 0) AS share_covered, c.ids "
            "FROM cover_period p LEFT JOIN (SELECT key, sum(days) AS days, list_sort(list(id)) "
            "AS ids FROM cover_new GROUP BY 1) c ON c.key = p.key"
        ),
    }
