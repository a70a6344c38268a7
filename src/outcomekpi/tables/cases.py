"""Cases: a checked table of patients with a named role for each column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, check_choice
from outcomekpi.declare.showing import show_html
from outcomekpi.tables.columns import count_of, list_values
from outcomekpi.tables.faults import Faults
from outcomekpi.tables.integrity import check_table, check_variation, find_hospitals
from outcomekpi.tables.labels import Labels, compact_labels
from outcomekpi.tables.offsets import OffsetScale, check_offset_scale, describe_offset, read_offset
from outcomekpi.tables.roles import check_roles, open_table, read_roles

__all__ = ["Cases", "Direction", "MissingPolicy", "keep_cases"]

Direction = Literal["higher", "lower"]
MissingPolicy = Literal["error", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """A checked table of cases.

    Attributes
    ----------
    frame : the rows that count, with every column of the input table
    roles : role -> column name, for the roles that were named
    outcome : (case,), events (or the measurement, for a Gaussian outcome)
    trials : (case,) patients in an aggregated row, or None where a row is one patient
    exposure : (case,) time or volume at risk, > 0, or None
    doctors : labels of the doctors, as text, sorted
    doctor_code : (case,), position of each case's doctor in ``doctors``
    hospitals : labels of the hospitals, as text, sorted; None without hospitals
    hospital_code : (doctor,), position of each *doctor's* hospital in ``hospitals``; None without
    direction : whether a "higher" or "lower" outcome is better; None where it was not said
    event : the value of the outcome column that was counted as the event, or None
    log : what was excluded or converted, and why, one sentence each
    missing : "error" refuses missing values, "drop" excludes their rows and logs it; rules over
        the covariates too, which are known when the design is built
    offset : (case,), a published risk on the scale of the linear predictor, where it enters with
        slope 1, or None
    offset_scale : what the column of the offset held, or None
    """

    frame: pd.DataFrame
    roles: Mapping[str, str]
    outcome: NDArray[np.float64]
    trials: NDArray[np.float64] | None
    exposure: NDArray[np.float64] | None
    doctors: pd.Index
    doctor_code: NDArray[np.intp]
    hospitals: pd.Index | None
    hospital_code: NDArray[np.intp] | None
    direction: Direction | None
    event: str | None
    log: tuple[str, ...]
    missing: MissingPolicy = "error"
    offset: NDArray[np.float64] | None = None
    offset_scale: OffsetScale | None = None

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        outcome: str,
        doctor: str,
        hospital: str | None = None,
        period: str | None = None,
        trials: str | None = None,
        exposure: str | None = None,
        patient: str | None = None,
        offset: str | None = None,
        offset_scale: OffsetScale | None = None,
        direction: Direction | None = None,
        event: object = None,
        no_event: object = None,
        missing: MissingPolicy = "error",
    ) -> Self:
        """Check a table of cases once, so that nothing later has to.

        Parameters
        ----------
        frame : pandas, Polars or PyArrow table, one row per case; it is not changed
        outcome : column of events: 0/1 or booleans; counts up to ``trials``; counts over an
            ``exposure``; measurements (Gaussian family); or any values with ``event`` named
        doctor : column of the unit that is judged; identifiers are kept as text
        hospital : column of the hospital that each doctor belongs to
        period : column of time labels
        trials : column of patients per aggregated row, whole numbers from 1
        exposure : column of time or volume at risk, positive
        patient : column of patient identifiers; a patient may appear once per doctor and period
        offset : column of a published risk of each case (EuroSCORE, the expected probability of
            CMS), which enters the linear predictor with slope 1: doctors are then judged relative
            to that risk, and the intercept says how far it is off overall
        offset_scale : what that column holds; needed with ``offset``, never guessed.
            "probability" of the event (Bernoulli, binomial; its log odds enter);
            "expected_count" of the whole row (Poisson, negative binomial; its logarithm enters,
            and an ``exposure`` then only sets the unit of the rates); "expected_value"
            (Gaussian); "linear_predictor" enters as it is: log odds, the log of a count, or with
            ``exposure`` of a rate per unit of it, a measurement
        direction : whether a "higher" or a "lower" outcome is better
        event : the value of the outcome column that counts as the event
        no_event : the other value, or a list of the others; needed where there are several, since
            a patient who was transferred is not one without the event
        missing : "error" refuses rows with missing values, "drop" excludes and logs them

        Returns
        -------
        Cases

        Raises
        ------
        CasesError
            The table cannot be used; the message says what was wanted and found, how many rows
            are concerned, which comes first, and what to do.
        SpecError
            ``direction``, ``missing`` or ``offset_scale`` is none of the known words, or an
            offset comes without its scale.

        Examples
        --------
        >>> import pandas as pd
        >>> table = pd.DataFrame({"died": [0, 1, 0, 1], "surgeon": ["007", "007", "B", "B"]})
        >>> Cases.from_frame(table, outcome="died", doctor="surgeon", direction="lower")
        Cases: 4 patients of 2 doctors, 2 events of 'died' (50.0%), lower is better
        """
        check_choice("missing", missing, get_args(MissingPolicy))
        if direction is not None:
            check_choice("direction", direction, get_args(Direction))
        named = {
            "outcome": outcome,
            "doctor": doctor,
            "hospital": hospital,
            "period": period,
            "trials": trials,
            "exposure": exposure,
            "patient": patient,
            "offset": offset,
        }
        check_offset_scale(offset, offset_scale)
        table, log = open_table(frame)
        roles = check_roles(table, named)
        faults = Faults()
        read, unread = read_roles(table, roles, event, no_event, faults=faults)
        table, read, excluded = check_table(table, roles, read, missing, unread, faults)
        risk = faults.attempt(read_offset, table, roles, read, offset_scale)
        faults.raise_all()
        doctors, without_cases = compact_labels(read.doctor)
        hospitals, hospital_code = find_hospitals(table, roles, read)
        return cls(
            frame=table,
            roles=roles,
            outcome=read.outcome,
            trials=read.trials,
            exposure=read.exposure,
            doctors=pd.Index(doctors.names, name="doctor"),
            doctor_code=doctors.code,
            hospitals=hospitals,
            hospital_code=hospital_code,
            direction=direction,
            event=read.event,
            log=(
                *log,
                *read.log,
                *excluded,
                *_say_lost(without_cases),
                *describe_offset(roles, offset_scale),
            ),
            missing=missing,
            offset=risk,
            offset_scale=offset_scale,
        )

    @property
    def n_cases(self) -> int:
        """Number of patients: the sum of ``trials`` where given, else of rows."""
        return int(self.outcome.size if self.trials is None else self.trials.sum())

    @property
    def caseload(self) -> pd.Series:
        """Number of patients of each doctor, indexed by doctor."""
        counts = np.bincount(self.doctor_code, weights=self.trials, minlength=len(self.doctors))
        return pd.Series(counts.astype(np.int64), index=self.doctors, name="cases")

    @property
    def observed(self) -> pd.Series:
        """Number of events of each doctor (sum of the outcome), indexed by doctor."""
        sums = np.bincount(self.doctor_code, weights=self.outcome, minlength=len(self.doctors))
        return pd.Series(sums, index=self.doctors, name="observed")

    def __repr__(self) -> str:
        # a row over an exposure is a stretch of time or volume, and seldom one patient
        counted = "patients" if self.exposure is None else "cases"
        parts = [f"{self.n_cases:,} {counted} of {len(self.doctors):,} doctors"]
        if self.hospitals is not None:
            parts[0] += f" in {count_of(len(self.hospitals), 'hospital')}"
        parts.append(self._describe_outcome())
        if self.offset is not None:
            parts.append(f"relative to {self.roles['offset']!r}")
        if self.direction is not None:
            parts.append(f"{self.direction} is better")
        return "Cases: " + ", ".join(parts)

    def _describe_outcome(self) -> str:
        name, total = self.roles["outcome"], self.outcome.sum()
        events = count_of(round(total), "event")
        if self.exposure is not None:
            rate = total / self.exposure.sum()
            return f"{events} of {name!r} ({rate:.3g} per unit of exposure)"
        if self.trials is None and not np.isin(self.outcome[:1000], (0.0, 1.0)).all():
            return f"mean {self.outcome.mean():.4g} of {name!r}"
        return f"{events} of {name!r} ({total / self.n_cases:.1%})"

    def _repr_html_(self) -> str:
        return show_html(self, sentences=self.log)


def _say_lost(doctors: list[str]) -> list[str]:
    if not doctors:
        return []
    have = "has" if len(doctors) == 1 else "have"
    return [f"{count_of(len(doctors), 'doctor')} {have} no cases left: {list_values(doctors)}."]


def keep_cases(cases: Cases, keep: NDArray[np.bool_], *, because: str) -> Cases:
    """Return the cases that are kept, with the reason and the doctors lost in the log.

    Parameters
    ----------
    cases : the cases to reduce; they are not changed
    keep : (case,), True for the rows that stay
    because : sentence for the log that says what was excluded and why

    Raises
    ------
    CasesError
        What is left has no rows, one doctor only, or no variation in the outcome.
    """
    if not keep.any():
        raise CasesError(f"No case is left. {because}")
    code = np.flatnonzero(keep)
    labels = Labels(names=cases.doctors.tolist(), code=cases.doctor_code[code])
    doctors, lost = compact_labels(labels)
    hospitals, hospital_code = cases.hospitals, cases.hospital_code
    if hospitals is not None and hospital_code is not None:
        stays = ~cases.doctors.isin(lost)
        left, _ = compact_labels(Labels(names=hospitals.tolist(), code=hospital_code[stays]))
        hospitals, hospital_code = pd.Index(left.names, name="hospital"), left.code
    trials = None if cases.trials is None else cases.trials[code]
    exposure = None if cases.exposure is None else cases.exposure[code]
    reduced = Cases(
        frame=cases.frame.iloc[code],
        roles=cases.roles,
        outcome=cases.outcome[code],
        trials=trials,
        exposure=exposure,
        doctors=pd.Index(doctors.names, name="doctor"),
        doctor_code=doctors.code,
        hospitals=hospitals,
        hospital_code=hospital_code,
        direction=cases.direction,
        event=cases.event,
        log=(*cases.log, because, *_say_lost(lost)),
        missing=cases.missing,
        offset=None if cases.offset is None else cases.offset[code],
        offset_scale=cases.offset_scale,
    )
    check_variation(cases.roles, reduced, doctors)
    return reduced
