"""Tables behind the pictures of a before/after comparison."""

import numpy as np
import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.designs.before_after_facts import ChangeAnswer
from outcomekpi.pilots.designs.change_estimates import main_estimate, part_estimates
from outcomekpi.pilots.estimators.kitagawa import PARTS

__all__ = ["tabulate"]


def tabulate(answer: ChangeAnswer) -> dict[str, pd.DataFrame]:
    """Return the tables: slope, leave_one_out, and kitagawa, missing_bounds, regression_to_mean.

    The last three are there where a case mix or entries split the change, where outcomes are
    missing, and where patients or units were chosen on their baseline.
    """
    change = answer.change
    tables = {"slope": _slope(answer)}
    if change.cluster_names and change.n_clusters <= len(change.cluster_names):
        tables["leave_one_out"] = _leave_one_out(answer)
    if change.is_adjusted or change.has_entries:
        tables["kitagawa"] = _kitagawa(answer)
    if answer.missing.table is not None:
        tables["missing_bounds"] = answer.missing.table
    if answer.corrected is not None:
        frame = answer.corrected.to_frame(level=DEFAULT_LEVEL).reset_index()
        tables["regression_to_mean"] = frame
    for table in tables.values():
        table.attrs.update(level=DEFAULT_LEVEL, unit=answer.unit)
    return tables


def _slope(answer: ChangeAnswer) -> pd.DataFrame:
    """Outcome of each doctor (or cluster, or of all patients) before and after."""
    change = answer.change
    rows, use = change.rows, change.model_rows
    role = "doctor" if "doctor" in rows.labels else change.cluster_role
    expected = np.nan
    if role in rows.labels and role != "patient":
        names = np.array(rows.labels[role].names, dtype=object)[rows.labels[role].code]
    else:
        names = np.full(use.size, "all patients", dtype=object)
    table = pd.DataFrame(
        {
            "unit": names[use],
            "after": rows.after[use],
            "value": change.scale * rows.outcome[use],
        }
    )
    means = table.pivot_table(index="unit", columns="after", values="value", aggfunc="mean")
    means = means.reindex(columns=[False, True])
    found = pd.DataFrame(
        {
            "unit": means.index.astype(str),
            "before": means[False].to_numpy(),
            "after": means[True].to_numpy(),
        }
    )
    if answer.corrected is not None:
        before = float(change.scale * rows.outcome[use & ~rows.after].mean())
        expected = before + answer.corrected.expected
        found = pd.concat(
            [
                found,
                pd.DataFrame(
                    {
                        "unit": ["all chosen patients"],
                        "before": [before],
                        "after": [float(change.scale * rows.outcome[use & rows.after].mean())],
                    }
                ),
            ],
            ignore_index=True,
        )
        found["expected_after"] = np.where(found["unit"] == "all chosen patients", expected, np.nan)
    else:
        found["expected_after"] = np.nan
    return found


def _leave_one_out(answer: ChangeAnswer) -> pd.DataFrame:
    change = answer.change
    if change.jackknife is None or len(change.jackknife.without) != change.n_clusters:
        return pd.DataFrame(columns=["cluster", "mean", "lower", "upper"])
    from scipy.special import stdtrit

    place = PARTS.index("within")
    values = change.jackknife.without[:, place]
    count = change.n_clusters
    error = change.jackknife.errors_without()[:, place]
    reach = float(stdtrit(count - 2, 0.5 + DEFAULT_LEVEL / 2)) if count > 2 else np.nan
    return pd.DataFrame(
        {
            "cluster": list(change.cluster_names),
            "mean": values,
            "lower": values - reach * error,
            "upper": values + reach * error,
        }
    )


def _kitagawa(answer: ChangeAnswer) -> pd.DataFrame:
    parts = part_estimates(answer.change, unit=answer.unit)
    main = main_estimate(answer.change, unit=answer.unit)
    order = [name for name in ("mix", "within", "entry", "exit", "total") if name in parts]
    rows = []
    for name in order:
        one = main if name == "within" else parts[name]
        lower, upper = one.interval(level=DEFAULT_LEVEL)
        rows.append((name, one.value, lower, upper))
    return pd.DataFrame(rows, columns=["part", "mean", "lower", "upper"])
