"""From draws to the change of every doctor's patients, on average and one by one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.pilots.estimators.doctor_change_draws import ChangeData, ChangeDraws

__all__ = ["DoctorChanges", "divide_variance", "standardize_changes", "tabulate_doctors"]

Floats = NDArray[np.float64]
NODES = 15
MOST_CASES = 400
"""Cases over which the change at a new doctor is averaged; evenly spaced ones of more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorChanges:
    """Standardized outcomes before and after, from the same draws.

    Attributes
    ----------
    before, after : (doctor, draw), mean outcome of the doctor's patients of both periods, if all
        were seen before and if all were seen after
    cases : (doctor,), patients of both periods
    new_before, new_after : (draw,), of a doctor who is not in the data, over everybody's case mix
    """

    before: Floats
    after: Floats
    cases: Floats
    new_before: Floats
    new_after: Floats

    @property
    def by_doctor(self) -> Floats:
        """(doctor, draw), change of each doctor's patients."""
        return self.after - self.before

    def average(self, side: Floats) -> Floats:
        """(draw,), mean over patients of what is known of each doctor's."""
        return np.asarray(self.cases @ side / self.cases.sum())


def standardize_changes(data: ChangeData, draws: ChangeDraws) -> DoctorChanges:
    """Average the model's outcome over patients, as if all were before and as if all were after.

    Parameters
    ----------
    data : patients of doctors
    draws : of the model

    Notes
    -----
    Doctor j in one draw: mean over his patients i of both periods of g(a + x_i'c + l_j0) and of
    g(a + b + x_i'c + l_j1): his own case mix, the same before and after. A new doctor: the mean
    over everybody's case mix and over doctors of normal effects, by 15 Gauss-Hermite nodes, with
    the hospitals' variance among them.
    """
    count = len(data.doctors)
    size = draws.program.size
    before, after = np.empty((count, size)), np.empty((count, size))
    order = np.argsort(data.doctor, kind="stable")
    edges = np.searchsorted(data.doctor[order], np.arange(count + 1))
    for number in range(count):
        rows = order[edges[number] : edges[number + 1]]
        eta = data.matrix[rows] @ draws.coefficient + draws.intercept
        for period, out in enumerate((before, after)):
            moved = eta + draws.level[period, number] + period * draws.program
            out[number] = (expit(moved) if data.binary else moved).mean(axis=0)
    new = _at_new_doctors(data, draws)
    return DoctorChanges(
        before=before,
        after=after,
        cases=np.bincount(data.doctor, minlength=count).astype(np.float64),
        new_before=new[0],
        new_after=new[1],
    )


def _at_new_doctors(data: ChangeData, draws: ChangeDraws) -> tuple[Floats, Floats]:
    """Mean outcome before and after at doctors of the same population."""
    some = np.linspace(0, len(data.outcome) - 1, min(MOST_CASES, len(data.outcome)))
    eta = data.matrix[some.round().astype(np.intp)] @ draws.coefficient + draws.intercept
    spread = draws.shared + draws.moved
    if draws.hospital is not None:
        spread = spread + draws.hospital
        # hospitals are measured from the first one: put their mean into the intercept
        eta = eta + _hospital_mean(data, draws)
    if not data.binary:
        plain = eta.mean(axis=0)
        return plain, plain + draws.program
    nodes, weights = normal_nodes(NODES)
    found = [np.zeros(draws.program.size), np.zeros(draws.program.size)]
    for node, weight in zip(nodes, weights, strict=True):
        at = eta + np.sqrt(spread) * node
        found[0] += weight * expit(at).mean(axis=0)
        found[1] += weight * expit(at + draws.program).mean(axis=0)
    return found[0], found[1]


def _hospital_mean(data: ChangeData, draws: ChangeDraws) -> Floats:
    if draws.engine == "nuts":
        return np.zeros(draws.program.size)
    levels = draws.level.mean(axis=0)
    cases = np.bincount(data.doctor, minlength=len(data.doctors))
    return np.asarray(cases @ levels / cases.sum())


def divide_variance(data: ChangeData, draws: ChangeDraws, *, level: float) -> pd.DataFrame:
    """Share of the variance of the outcome, on the scale of the link, by where it lies.

    Returns
    -------
    DataFrame with ``source`` ("case mix", "hospital", "doctor, both periods alike", "doctor, his
    change", "program", "patient") and its share in percent, ``mean, lower, upper``

    Notes
    -----
    Case mix: variance over patients of x'c. Program: b² q (1 - q), q the share of patients after.
    Doctor: variance of what doctors add in both periods alike, and half that of their changes.
    Patient: pi²/3 for log odds, the residual variance of measurements.
    """
    share = float(data.after.mean())
    parts = {
        "case mix": (data.matrix @ draws.coefficient).var(axis=0) if data.matrix.size else None,
        "hospital": draws.hospital,
        "doctor, both periods alike": draws.shared,
        "doctor, his change": draws.moved,
        "program": draws.program**2 * share * (1.0 - share),
        "patient": draws.residual,
    }
    known = {name: part for name, part in parts.items() if part is not None}
    total = np.sum(list(known.values()), axis=0)
    shares = {name: 100.0 * part / total for name, part in known.items()}
    tail = (1.0 - level) / 2.0
    return pd.DataFrame(
        {
            "source": list(shares),
            "mean": [float(one.mean()) for one in shares.values()],
            "lower": [float(np.quantile(one, tail)) for one in shares.values()],
            "upper": [float(np.quantile(one, 1.0 - tail)) for one in shares.values()],
        }
    )


def tabulate_doctors(
    data: ChangeData, changes: DoctorChanges, *, scale: float, level: float
) -> pd.DataFrame:
    """One row per doctor: patients, plain outcomes, and the change at one case mix.

    Returns
    -------
    DataFrame with ``doctor, cases_before, cases_after``; ``before, after``, plain means, nan in a
    period without patients; ``mean, lower, upper`` of the change
    """
    count = len(data.doctors)
    columns: dict[str, object] = {"doctor": list(data.doctors)}
    plain = {}
    for name, side in (("before", ~data.after), ("after", data.after)):
        size = np.bincount(data.doctor[side], minlength=count)
        total = np.bincount(data.doctor[side], weights=data.outcome[side], minlength=count)
        columns[f"cases_{name}"] = size
        plain[name] = np.divide(scale * total, size, out=np.full(count, np.nan), where=size > 0)
    change = scale * changes.by_doctor
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(change, [tail, 1.0 - tail], axis=1)
    return pd.DataFrame(
        {**columns, **plain, "mean": change.mean(axis=1), "lower": lower, "upper": upper}
    )
