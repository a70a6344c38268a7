"""Draws of the model in which each doctor has his own level and his own change, by either engine.

The fast engine knows one effect for each doctor, nested in hospitals. Taking doctor x period for
its doctors and the doctors for its hospitals gives every doctor a level and two departures.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.model.priors import HalfNormal, Priors
from outcomekpi.model.spec import ModelSpec
from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.posterior.fit import fit
from outcomekpi.tables.cases import Cases

__all__ = ["ChangeData", "ChangeDraws", "collect_change_data", "sample_by_quadrature"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangeData:
    """Patients of doctors before and after, as both engines want them.

    Attributes
    ----------
    outcome, after : (row,)
    matrix : (row, term), case mix without an intercept
    doctor : (row,), number of the doctor
    doctors : (doctor,), labels
    hospital : (doctor,), number of the hospital of each doctor, or None
    hospitals : labels, or empty
    binary : events, else measurements
    """

    outcome: Floats
    after: NDArray[np.bool_]
    matrix: Floats
    doctor: Places
    doctors: tuple[str, ...]
    hospital: Places | None
    hospitals: tuple[str, ...]
    binary: bool

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(2, doctor), whether a doctor has patients before and after."""
        counts = [
            np.bincount(self.doctor[side], minlength=len(self.doctors))
            for side in (~self.after, self.after)
        ]
        return np.array(counts) > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangeDraws:
    """Joint posterior draws, on the scale of the link.

    Attributes
    ----------
    intercept : (draw,), before, with a case mix of 0, at an average doctor
    program : (draw,), mean change over doctors
    coefficient : (term, draw), of the case mix
    level : (2, doctor, draw), what each doctor adds before and after, with his hospital
    shared : (draw,), variance between doctors of what they add in both periods alike
    moved : (draw,), half the variance between doctors of their changes
    hospital : (draw,), variance between hospitals, or None
    correlation : (draw,), of a doctor's level before and his change
    residual : (draw,), variance of a patient around his expectation; pi²/3 for log odds
    engine : that drew them
    diagnostics : what the engine says of its accuracy
    """

    intercept: Floats
    program: Floats
    coefficient: Floats
    level: Floats
    shared: Floats
    moved: Floats
    hospital: Floats | None
    correlation: Floats
    residual: Floats
    engine: str
    diagnostics: dict[str, float | str]

    @property
    def sd_change(self) -> Floats:
        """(draw,), SD between doctors of their changes."""
        return np.asarray(np.sqrt(2.0 * self.moved))


def collect_change_data(rows: PatientRows, *, binary: bool) -> ChangeData:
    """Take what the model needs from rows whose outcome is known.

    Raises
    ------
    CasesError
        Fewer than 3 doctors with patients in both periods, or a doctor in two hospitals.
    """
    doctor = rows.labels["doctor"]
    hospital: Places | None = None
    hospitals: tuple[str, ...] = ()
    if "hospital" in rows.labels and len(rows.labels["hospital"].names) > 1:
        hospitals = tuple(rows.labels["hospital"].names)
        pairs = np.unique(np.column_stack([doctor.code, rows.labels["hospital"].code]), axis=0)
        twice = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
        if twice.size:
            raise CasesError(
                f"Each doctor must belong to one hospital; {twice.size:,} have patients in "
                f"several, the first {doctor.names[int(twice[0])]!r}. Combine the two columns "
                "into one of doctors in hospitals, or leave hospital out."
            )
        hospital = pairs[:, 1]
    data = ChangeData(
        outcome=rows.outcome,
        after=rows.after,
        matrix=rows.matrix[:, 1:],
        doctor=doctor.code,
        doctors=tuple(doctor.names),
        hospital=hospital,
        hospitals=hospitals,
        binary=binary,
    )
    both = int(data.seen.all(axis=0).sum())
    if both < 3:
        raise CasesError(
            "How doctors differ in their change is learned from doctors with patients before and "
            f"after; there are {both} of {len(data.doctors):,}, and 3 are needed. Use BeforeAfter."
        )
    return data


def sample_by_quadrature(data: ChangeData, *, draws: int, rng: np.random.Generator) -> ChangeDraws:
    """Posterior by the fast engine, in which level and change of a doctor share two variances.

    Parameters
    ----------
    data : patients of doctors
    draws : joint draws
    rng : of the engine, and of the departures of doctors in a period without patients

    Notes
    -----
    g(E y) = a + b after + x'c + w_h + u_j + v_jt with u_j ~ N(0, s_u²) and v_j0, v_j1 ~ N(0, s_v²)
    independent. A doctor's change is b + v_j1 - v_j0: SD s_v sqrt(2), covariance with his level
    before -s_v². Doctors therefore differ as much after as before, and their levels correlate by
    s_u² / (s_u² + s_v²), which cannot be negative: one free number less than with a free
    covariance of intercept and slope. Hospitals w_h are indicators with the priors of the case mix.
    """
    cell = 2 * data.doctor + data.after
    columns: dict[str, object] = {
        "outcome": data.outcome,
        "cell": cell.astype(str),
        "doctor": data.doctor.astype(str),
        "program": data.after.astype(np.float64),
    }
    columns |= {f"x{k}": column for k, column in enumerate(data.matrix.T)}
    n_terms = data.matrix.shape[1]
    if data.hospital is not None:
        at = data.hospital[data.doctor]
        columns |= {f"h{k}": (at == k) * 1.0 for k in range(1, len(data.hospitals))}
    terms = [name for name in columns if name not in ("outcome", "cell", "doctor")]
    cases = Cases.from_frame(pd.DataFrame(columns), outcome="outcome", doctor="cell",
                             hospital="doctor")  # fmt: skip
    # a standard deviation of departures of .5 is one of changes of .7 log odds
    spec = ModelSpec(
        case_mix=" + ".join(terms),
        family="bernoulli" if data.binary else "gaussian",
        priors=Priors(sd_doctor=HalfNormal(0.5), sd_hospital=HalfNormal(1.0)),
    )
    fitted = fit(cases, spec, draws=draws, seed=int(rng.integers(2**31)))
    posterior = fitted.draws["posterior"].to_dataset()

    def rows(name: str) -> Floats:
        return flatten_draws(posterior[name]).astype(np.float64)

    slopes = rows("coefficient")
    sd_shared, sd_moved = rows("sd_hospital")[0], rows("sd_doctor")[0]
    level = np.empty((2, len(data.doctors), sd_moved.size))
    place = {name: row for row, name in enumerate(cases.doctors)}
    held = () if cases.hospitals is None else cases.hospitals
    own = {name: row for row, name in enumerate(held)}
    departures, shared = rows("doctor_effect"), rows("hospital_effect")
    for number in range(len(data.doctors)):
        for period in (0, 1):
            row = place.get(str(2 * number + period))
            unseen = sd_moved * rng.normal(size=sd_moved.size) if row is None else departures[row]
            level[period, number] = shared[own[str(number)]] + unseen
    between = None
    if data.hospital is not None:
        added = np.vstack([np.zeros(sd_moved.size), slopes[1 + n_terms :]])
        level += added[data.hospital][None]
        between = added[data.hospital[data.doctor]].var(axis=0)
    residual = (
        np.full(sd_moved.size, np.pi**2 / 3.0) if data.binary else rows("sd_residual")[0] ** 2
    )
    return ChangeDraws(
        intercept=rows("intercept")[0],
        program=slopes[0],
        coefficient=slopes[1 : 1 + n_terms],
        level=level,
        shared=sd_shared**2,
        moved=sd_moved**2,
        hospital=between,
        correlation=-(sd_moved**2) / np.sqrt(2.0 * sd_moved**2 * (sd_moved**2 + sd_shared**2)),
        residual=residual,
        engine="quadrature",
        diagnostics=dict(fitted.diagnostics),
    )
