"""Cases whose withheld doctors have exchanged their patients: all of them count, nobody's own."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.cases import Cases
from outcomekpi.errors import SpecError

__all__ = ["WITHHELD_HOSPITAL", "exchange_patients"]

SEED = 20261
MOST_PATIENTS = 10**9
"""Patients who can be divided by the hypergeometric law."""
MOST_PARTS = 100_000
"""Rows into which aggregated rows are divided; beyond, rows over an exposure change hands whole."""
FINE_ROWS = 10
"""Rows of a doctor from which rows over an exposure that are all unlike are taken for patients."""
WITHHELD_HOSPITAL = "withheld"
COUNTED = ("outcome", "doctor", "hospital", "trials", "exposure")


def exchange_patients(
    cases: Cases, hidden: NDArray[np.bool_], *, covariates: tuple[str, ...]
) -> Cases:
    """Deal the patients of the withheld doctors out among these doctors.

    Parameters
    ----------
    cases : checked cases
    hidden : (doctor,), True where the doctor is withheld
    covariates : columns that the model reads; the others are left out

    Returns
    -------
    Cases of the same doctors. Those of the doctors shown are unchanged; those of the others come
    after them, sorted by what they are and dealt out evenly by a generator of fixed seed, so that
    the result is a function of the patients of these doctors together: it is the same whichever
    of them each patient came from. Their hospital is "withheld".

    Notes
    -----
    Rows with trials, or over an exposure, are put together where their covariates are alike; the
    patients are divided evenly and the events by the hypergeometric law (trials), the exposure
    evenly and the events by the multinomial law (exposure). This is record swapping within a
    group, carried to the end. It keeps every total of the group, its case mix and the number of
    doctors; differences between its doctors are lost, so that the spread between doctors is
    estimated from the others, if anything too small.

    References
    ----------
    Dalenius & Reiss (1982), Journal of Statistical Planning and Inference 6, 73-85 (data swapping).
    """
    pooled = hidden[cases.doctor_code]
    kept, pool = np.flatnonzero(~pooled), np.flatnonzero(pooled)
    rng = np.random.default_rng(SEED)
    roles = {role: name for role, name in cases.roles.items() if role not in ("patient", "period")}
    # whatever else a row has a role for belongs to the patient, and moves with him
    others = {name for role, name in roles.items() if role not in COUNTED}
    keys = _keys(cases, pool, (*covariates, *sorted(others - set(covariates))))
    rows, who, outcome, trials, exposure = _deal(cases, pool, keys, int(hidden.sum()), rng)
    code = np.flatnonzero(hidden)[who]
    everything = np.r_[kept, rows]
    frame = cases.frame.take(everything).reset_index(drop=True)
    frame = frame[[name for name in frame.columns if name in {*roles.values(), *covariates}]]
    hospitals, hospital_code = _hide_hospitals(cases, hidden)
    exchanged = replace(
        cases,
        frame=frame,
        roles=roles,
        outcome=np.r_[cases.outcome[kept], outcome],
        trials=None if cases.trials is None else np.r_[cases.trials[kept], trials],
        exposure=None if cases.exposure is None else np.r_[cases.exposure[kept], exposure],
        doctor_code=np.r_[cases.doctor_code[kept], code],
        hospitals=hospitals,
        hospital_code=hospital_code,
        log=(),
        **_carried(cases, everything),
    )
    return replace(exchanged, frame=_written(exchanged))


def _keys(cases: Cases, pool: NDArray[np.intp], covariates: tuple[str, ...]) -> NDArray[np.uint64]:
    """Return one number per pooled row that is the same where its covariates are."""
    frame = cases.frame.take(pool)[list(covariates)]
    if not covariates:
        return np.zeros(pool.size, dtype=np.uint64)
    # an object column may hold what has no hash of its own
    plain = frame.apply(lambda column: column.map(repr) if column.dtype == object else column)
    return np.asarray(pd.util.hash_pandas_object(plain, index=False), dtype=np.uint64)


def _deal(
    cases: Cases,
    pool: NDArray[np.intp],
    keys: NDArray[np.uint64],
    n_doctors: int,
    rng: np.random.Generator,
) -> tuple[
    NDArray[np.intp],
    NDArray[np.intp],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Return row of origin, number of the doctor, outcome, trials and exposure of each new row."""
    none = np.zeros(pool.size)
    trials = none if cases.trials is None else cases.trials[pool]
    exposure = none if cases.exposure is None else cases.exposure[pool]
    order = np.lexsort((exposure, trials, cases.outcome[pool], keys))
    pool, keys, trials, exposure = pool[order], keys[order], trials[order], exposure[order]
    outcome = cases.outcome[pool]
    if trials.sum() > MOST_PATIENTS:
        raise SpecError(
            f"suppress_below can divide {MOST_PATIENTS:,} patients among those who are withheld; "
            f"they have {trials.sum():,.0f}. Leave out the doctors with most trials and few events."
        )
    kinds, kind = np.unique(keys, return_inverse=True)
    if cases.trials is None and (
        cases.exposure is None or _are_fine(pool.size, kinds.size, n_doctors)
    ):
        mixed = rng.permutation(pool.size)
        who = np.arange(pool.size) % n_doctors
        return pool[mixed], who, outcome[mixed], trials[mixed], exposure[mixed]
    first, rows = np.unique(kind, return_index=True, return_counts=True)[1:]
    events, patients, at_risk = (
        np.bincount(kind, weights=values) for values in (outcome, trials, exposure)
    )
    parts = []
    for k in range(kinds.size):
        n = n_doctors if cases.trials is not None else max(n_doctors, int(rows[k]))
        if cases.trials is not None:
            sizes = _evenly(int(patients[k]), n, start=k)
            shares = rng.multivariate_hypergeometric(sizes, int(events[k]), method="marginals")
        else:
            sizes = np.zeros(n, dtype=np.int64)
            shares = rng.multinomial(int(events[k]), np.full(n, 1 / n))
        has = np.flatnonzero(sizes) if cases.trials is not None else np.arange(n)
        origin, time = np.full(has.size, pool[first[k]]), np.full(has.size, at_risk[k] / n)
        parts.append((origin, has % n_doctors, shares[has], sizes[has], time))
    origin, who, shares, sizes, time = (np.concatenate(part) for part in zip(*parts, strict=True))
    return origin, who, shares.astype(np.float64), sizes.astype(np.float64), time


def _are_fine(n_rows: int, n_kinds: int, n_doctors: int) -> bool:
    """Whether rows over an exposure are many and unlike, so that they change hands whole."""
    unlike = n_kinds > n_rows / 2 and n_rows >= FINE_ROWS * n_doctors
    return unlike or n_kinds * n_doctors > MOST_PARTS


def _evenly(total: int, parts: int, *, start: int) -> NDArray[np.int64]:
    """Divide a number into whole parts as even as can be; the larger ones go round."""
    sizes = np.full(parts, total // parts, dtype=np.int64)
    sizes[(start + np.arange(total % parts)) % parts] += 1
    return sizes


def _carried(cases: Cases, rows: NDArray[np.intp]) -> dict[str, Any]:
    """Return what else is known of each row, in the new order."""
    known = {*COUNTED, "doctor_code", "hospital_code"}
    found = {
        field.name: getattr(cases, field.name) for field in fields(cases) if field.name not in known
    }
    return {
        name: values[rows]
        for name, values in found.items()
        if isinstance(values, np.ndarray) and len(values) == cases.outcome.size
    }


def _hide_hospitals(
    cases: Cases, hidden: NDArray[np.bool_]
) -> tuple[pd.Index | None, NDArray[np.intp] | None]:
    if cases.hospitals is None or cases.hospital_code is None:
        return None, None
    names = cases.hospitals.to_numpy(dtype=object)[cases.hospital_code]
    names[hidden] = WITHHELD_HOSPITAL
    found, code = np.unique(names.astype(str), return_inverse=True)
    return pd.Index(found.astype(object), name="hospital"), code.astype(np.intp)


def _written(cases: Cases) -> pd.DataFrame:
    """Write doctors, hospitals and counts of the arrays into the columns that they came from."""
    frame, roles = cases.frame.copy(), cases.roles
    frame[roles["doctor"]] = cases.doctors.to_numpy(dtype=object)[cases.doctor_code]
    if "hospital" in roles and cases.hospitals is not None and cases.hospital_code is not None:
        names = cases.hospitals.to_numpy(dtype=object)[cases.hospital_code]
        frame[roles["hospital"]] = names[cases.doctor_code]
    for role in ("trials", "exposure"):
        if role in roles:
            frame[roles["outcome"]] = cases.outcome
            frame[roles[role]] = getattr(cases, role)
    return frame
