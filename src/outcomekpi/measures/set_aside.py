"""What an indicator set aside: records of the right kind that did not count, by reason."""

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.measures.assess import open_base
from outcomekpi.measures.find_sql import Parameters, counted_sql, kind_sql
from outcomekpi.measures.indicator import Indicator
from outcomekpi.records.records import Records

__all__ = ["set_aside"]


def set_aside(records: Records, indicator: Indicator) -> pd.DataFrame:
    """How many records of each find did not count, and why; windows play no part.

    Parameters
    ----------
    records, indicator : as for ``assess``

    Returns
    -------
    One row per find and reason with any: ``find, reason, records, of`` (records of the kind),
    ``first`` (the first of them by id). A record with several faults is counted at the first one

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import Records, read_indicator, set_aside
    >>> readings = pd.DataFrame({"patient": ["a"], "concepts": ["hba1c"], "value": ["6.8"],
    ...                          "start": ["2026-03-01"]})
    >>> records = Records.from_frames(
    ...     {"patients": pd.DataFrame({"patient": ["a"]}), "measurements": readings})
    >>> set_aside(records, read_indicator("hba1c_on_target"))["reason"].tolist()
    ['without a known unit']
    """
    check_arguments(set_aside, locals())
    found = []
    with open_base(records.tables) as base:
        for name, one in indicator.find.items():
            parameters = Parameters()
            kind = " AND ".join(kind_sql(one, parameters)) or "TRUE"
            needed = counted_sql(one, parameters)
            cases = " ".join(
                f"WHEN NOT coalesce({condition}, FALSE) THEN {place}"
                for place, condition in enumerate(needed.values())
            )
            sql = (
                f"SELECT CASE {cases} END AS reason, count(*) AS records, "
                f"sum(count(*)) OVER () AS of_kind, min(r.id) AS first FROM {one.table} r "
                f"WHERE {kind} GROUP BY 1 ORDER BY 1"
            )
            reasons = list(needed)
            for place, count, kinds, first in base.execute(sql, parameters.values).fetchall():
                if place is not None:
                    found.append((name, reasons[place], int(count), int(kinds), first))
    return pd.DataFrame(found, columns=["find", "reason", "records", "of", "first"])
