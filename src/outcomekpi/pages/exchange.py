"""Cases whose withheld doctors have exchanged their patients: all of them count, nobody's own."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from outcomekpi.declare.errors import SpecError
from outcomekpi.model.spec import Family
from outcomekpi.tables.cases import Cases

__all__ = ["WITHHELD", "deal_out", "put_together"]

SEED = 20261
MOST_PATIENTS = 10**9
"""Patients who can be divided by the hypergeometric law."""
MOST_PARTS = 100_000
"""Rows into which aggregated rows are divided; beyond, rows over an exposure change hands whole."""
FINE_ROWS = 10
"""Rows of a doctor from which rows over an exposure that are all unlike are taken for patients."""
WITHHELD = "withheld"
COUNTED = ("outcome", "doctor", "hospital", "trials", "exposure")

Floats = NDArray[np.float64]
Rows = tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats, Floats]
"""Row of origin, number of the withheld doctor, outcome, trials and exposure of each new row."""


def put_together(
    cases: Cases, hidden: NDArray[np.bool_], *, covariates: tuple[str, ...]
) -> tuple[Cases, NDArray[np.uint64]]:
    """Put the patients of the withheld doctors together as those of one.

    Parameters
    ----------
    cases : checked cases
    hidden : (doctor,), True where the doctor is withheld
    covariates : columns that the model reads; the others are left out

    Returns
    -------
    cases, keys : cases of the doctors shown, unchanged, then those of all others as cases of the
        doctor "withheld" in the hospital "withheld", sorted by what they are; and one number for
        each of the latter, the same where the covariates are

    Notes
    -----
    The result is a function of the patients of the withheld doctors together: it is the same
    whichever of them each patient came from.
    """
    pooled = hidden[cases.doctor_code]
    kept, pool = np.flatnonzero(~pooled), np.flatnonzero(pooled)
    roles = {role: name for role, name in cases.roles.items() if role not in ("patient", "period")}
    # whatever else a row has a role for belongs to the patient, and moves with him
    others = {name for role, name in roles.items() if role not in COUNTED}
    keys = _keys(cases.frame.take(pool), (*covariates, *sorted(others - set(covariates))))
    none = np.zeros(pool.size)
    trials = none if cases.trials is None else cases.trials[pool]
    exposure = none if cases.exposure is None else cases.exposure[pool]
    order = np.lexsort((exposure, trials, cases.outcome[pool], keys))
    everything = np.r_[kept, pool[order]]
    shown = np.flatnonzero(~hidden)
    place = np.full(hidden.size, shown.size)
    place[shown] = np.arange(shown.size)
    names = [*map(str, cases.doctors[shown]), _new_name(WITHHELD, cases.doctors)]
    used = {*roles.values(), *covariates}
    hospitals, hospital_code = cases.hospitals, cases.hospital_code
    if hospitals is not None and hospital_code is not None:
        where = [*hospitals[hospital_code[shown]], _new_name(WITHHELD, hospitals)]
        hospitals, hospital_code = _coded(where)
    together = replace(
        cases,
        frame=cases.frame[[name for name in cases.frame if name in used]],
        roles=roles,
        doctors=pd.Index(names, name="doctor"),
        doctor_code=place[cases.doctor_code],
        hospitals=hospitals,
        hospital_code=hospital_code,
        log=(),
    )
    return _written(_take(together, everything)), keys[order]


def deal_out(
    together: Cases,
    keys: NDArray[np.uint64],
    doctors: pd.Index,
    hidden: NDArray[np.bool_],
    *,
    expected: Floats,
    spread: float,
    family: Family,
) -> Cases:
    """Deal the patients of the withheld doctors out among these doctors.

    Parameters
    ----------
    together, keys : of :func:`put_together`
    doctors, hidden : (doctor,), all doctors, and who is withheld
    expected : (withheld case,), mean outcome of each (of one patient, with trials) under an
        average doctor
    spread : SD of the doctors' effects on the link scale
    family : of the outcome

    Returns
    -------
    Cases of all doctors. The withheld have as many patients as one another, drawn by a generator
    of fixed seed.

    Notes
    -----
    Doctors without differences would make the spread between all of them too small. So each of
    the m withheld gets an effect, the normal score of i - 1/2 over m times ``spread``, in an order
    drawn at random. Patients change hands whole, in blocks of the order of r z + sqrt(1 - r^2) e,
    with z the standardized distance of outcome and expectation, e standard normal and r = spread
    (d mean / d eta) / SD(distance): the means of the blocks are that far apart. Rows with trials,
    or over an exposure, that are alike in their covariates are put together and divided: patients
    and exposure evenly, events by the binomial law with the doctors' chances and then by the
    hypergeometric one to their total (trials), or by the multinomial law (exposure).

    References
    ----------
    Dalenius & Reiss (1982), Journal of Statistical Planning and Inference 6, 73-85 (data swapping).
    """
    rng = np.random.default_rng(SEED)
    n = int(hidden.sum())
    effect = spread * rng.permutation(ndtri((np.arange(n) + 0.5) / n))
    pool = np.flatnonzero(together.doctor_code == len(together.doctors) - 1)
    if together.trials is not None:
        dealt = _divide_patients(together, pool, keys, effect, rng)
    elif together.exposure is not None and not _are_fine(pool.size, np.unique(keys).size, n):
        dealt = _divide_exposure(together, pool, keys, effect, rng)
    else:
        dealt = _hand_over(together, pool, expected, effect, spread, family, rng)
    rows, who, outcome, trials, exposure = dealt
    kept = np.arange(pool[0])
    everything = _take(together, np.r_[kept, rows])
    shown, own = np.flatnonzero(~hidden), np.flatnonzero(hidden)
    hospital_code = together.hospital_code
    if hospital_code is not None:
        of_all = np.empty(hidden.size, dtype=np.intp)
        of_all[shown], of_all[own] = hospital_code[:-1], hospital_code[-1]
        hospital_code = of_all
    return _written(
        replace(
            everything,
            outcome=np.r_[together.outcome[kept], outcome],
            trials=None if together.trials is None else np.r_[together.trials[kept], trials],
            exposure=None
            if together.exposure is None
            else np.r_[together.exposure[kept], exposure],
            doctors=doctors,
            doctor_code=np.r_[shown[together.doctor_code[kept]], own[who]],
            hospital_code=hospital_code,
        )
    )


def _hand_over(
    together: Cases,
    pool: NDArray[np.intp],
    expected: Floats,
    effect: Floats,
    spread: float,
    family: Family,
    rng: np.random.Generator,
) -> Rows:
    """Let rows change hands whole, in blocks of an order that leans on their outcomes."""
    outcome = together.outcome[pool]
    away = outcome - expected
    sd = float(away.std())
    logistic = family in ("bernoulli", "binomial")
    slope = 1.0 if family == "gaussian" else expected * (1 - expected * logistic)
    lean = min(spread * float(np.mean(slope)) / sd, 0.99) if sd > 0 else 0.0
    noise = rng.standard_normal(pool.size)
    standard = (away - away.mean()) / sd if sd > 0 else away
    order = np.argsort(lean * standard + np.sqrt(1 - lean**2) * noise, kind="stable")
    block = np.arange(pool.size) * effect.size // pool.size
    who = np.argsort(effect, kind="stable")[block]
    exposure = np.zeros(pool.size) if together.exposure is None else together.exposure[pool]
    return pool[order], who, outcome[order], np.zeros(pool.size), exposure[order]


def _divide_patients(
    together: Cases,
    pool: NDArray[np.intp],
    keys: NDArray[np.uint64],
    effect: Floats,
    rng: np.random.Generator,
) -> Rows:
    """Divide patients who are alike evenly, and their events by the doctors' chances."""
    first, kind, counts = _kinds(keys)
    trials = np.ones(together.outcome.size) if together.trials is None else together.trials
    patients = np.bincount(kind, weights=trials[pool]).astype(np.int64)
    events = np.bincount(kind, weights=together.outcome[pool]).astype(np.int64)
    if patients.sum() > MOST_PATIENTS:
        raise SpecError(
            f"suppress_below can divide {MOST_PATIENTS:,} patients among those who are withheld; "
            f"they have {patients.sum():,}. Leave out the doctors with most trials and few events."
        )
    parts = []
    for k in range(counts.size):
        sizes = _evenly(int(patients[k]), effect.size, start=k)
        share = events[k] / patients[k]
        drawn = rng.binomial(sizes, expit(logit(share) + effect) if 0 < share < 1 else share)
        missing = int(events[k] - drawn.sum())
        pick = sizes - drawn if missing > 0 else drawn
        moved = rng.multivariate_hypergeometric(pick, abs(missing), method="marginals")
        has = np.flatnonzero(sizes)
        shares = (drawn + np.sign(missing) * moved)[has]
        parts.append((np.full(has.size, pool[first[k]]), has, shares, sizes[has]))
    rows, who, shares, sizes = (np.concatenate(part) for part in zip(*parts, strict=True))
    nothing = np.zeros(rows.size)
    return rows, who, shares.astype(np.float64), sizes.astype(np.float64), nothing


def _divide_exposure(
    together: Cases,
    pool: NDArray[np.intp],
    keys: NDArray[np.uint64],
    effect: Floats,
    rng: np.random.Generator,
) -> Rows:
    """Divide exposure that is alike evenly, and its events by the doctors' rates."""
    first, kind, counts = _kinds(keys)
    exposure = np.ones(together.outcome.size) if together.exposure is None else together.exposure
    at_risk = np.bincount(kind, weights=exposure[pool])
    events = np.bincount(kind, weights=together.outcome[pool]).astype(np.int64)
    parts = []
    for k in range(counts.size):
        who = np.arange(max(effect.size, int(counts[k]))) % effect.size
        chance = np.exp(effect)[who]
        shares = rng.multinomial(int(events[k]), chance / chance.sum())
        rows, time = np.full(who.size, pool[first[k]]), np.full(who.size, at_risk[k] / who.size)
        parts.append((rows, who, shares, time))
    rows, who, shares, time = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, who, shares.astype(np.float64), np.zeros(rows.size), time


def _are_fine(n_rows: int, n_kinds: int, n_doctors: int) -> bool:
    """Whether rows over an exposure are many and unlike, so that they change hands whole."""
    unlike = n_kinds > n_rows / 2 and n_rows >= FINE_ROWS * n_doctors
    return unlike or n_kinds * n_doctors > MOST_PARTS


def _kinds(
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the first row, the kind of each row, and the number of rows of each kind."""
    _, first, kind, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return first, kind, counts


def _evenly(total: int, parts: int, *, start: int) -> NDArray[np.int64]:
    """Divide a number into whole parts as even as can be; the larger ones go round."""
    sizes = np.full(parts, total // parts, dtype=np.int64)
    sizes[(start + np.arange(total % parts)) % parts] += 1
    return sizes


def _keys(frame: pd.DataFrame, covariates: tuple[str, ...]) -> NDArray[np.uint64]:
    """Return one number per row that is the same where its covariates are."""
    if not covariates:
        return np.zeros(len(frame), dtype=np.uint64)
    # an object column may hold what has no hash of its own
    plain = frame[list(covariates)].apply(
        lambda column: column.map(repr) if column.dtype == object else column
    )
    return np.asarray(pd.util.hash_pandas_object(plain, index=False), dtype=np.uint64)


def _take(cases: Cases, rows: NDArray[np.intp]) -> Cases:
    """Return some rows, in this order, with whatever is known of each."""
    n = cases.outcome.size
    of_doctors = ("hospital_code",)
    found: dict[str, Any] = {
        field.name: getattr(cases, field.name)[rows]
        for field in fields(cases)
        if field.name not in of_doctors
        and isinstance(getattr(cases, field.name), np.ndarray)
        and len(getattr(cases, field.name)) == n
    }
    return replace(cases, frame=cases.frame.take(rows).reset_index(drop=True), **found)


def _new_name(name: str, known: pd.Index) -> str:
    while name in set(map(str, known)):
        name += "*"
    return name


def _coded(names: list[str]) -> tuple[pd.Index, NDArray[np.intp]]:
    found, code = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    return pd.Index(found.astype(object), name="hospital"), code.astype(np.intp)


def _written(cases: Cases) -> Cases:
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
    return replace(cases, frame=frame)
