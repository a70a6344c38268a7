"""Effects by time since the start, with their joint covariance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, t_reach
from outcomekpi.tables.columns import list_values

__all__ = ["EventStudy", "joint_p_value"]

Floats = NDArray[np.float64]
SMALLEST_EIGENVALUE = 1e-10


def joint_p_value(statistic: float, count: int, degrees_of_freedom: float) -> float:
    """P value of the quadratic form of several coefficients and their covariance.

    Parameters
    ----------
    statistic : b' S^-1 b
    count : coefficients in b
    degrees_of_freedom : of S, clusters less one; infinite where S is taken as known

    Notes
    -----
    Chi-square; with clusters, Hotelling's F of count and degrees - count + 1 degrees of freedom.
    A covariance from fewer clusters than coefficients gives nan.
    """
    if not np.isfinite(degrees_of_freedom):
        return float(chdtrc(count, statistic))
    rest = degrees_of_freedom - count + 1
    if rest <= 0:
        return float("nan")
    return float(fdtrc(count, rest, statistic * rest / (count * degrees_of_freedom)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventStudy:
    """Difference of treated and controls by time since the start, against the last time before.

    Attributes
    ----------
    times : (coefficient,), time since the start: negative before, 0 the first time with the
        program; -1 is the reference and left out
    coefficients : (coefficient,), differences on the scale of the model
    covariance : (coefficient, coefficient)
    degrees_of_freedom : of the t distribution of single coefficients; infinite for the normal
    unit : of the coefficients, in words
    """

    times: NDArray[np.intp]
    coefficients: Floats
    covariance: Floats
    degrees_of_freedom: float = np.inf
    unit: str = ""

    def __post_init__(self) -> None:
        count = self.times.size
        if self.coefficients.shape != (count,) or self.covariance.shape != (count, count):
            raise SpecError(
                f"An event study of {count:,} times needs as many coefficients and a covariance "
                f"of {count:,} x {count:,}; got {self.coefficients.shape} and "
                f"{self.covariance.shape}."
            )
        if -1 in self.times or (np.diff(self.times) <= 0).any():
            raise SpecError(
                f"Times of an event study must ascend and leave out the reference, -1; got "
                f"{self.times.tolist()}."
            )

    @classmethod
    def from_tables(cls, tables: Mapping[str, pd.DataFrame]) -> "EventStudy":
        """Put an event study together again, for bounds and tests, from the tables of a result.

        Parameters
        ----------
        tables : ``effect.findings.tables``: "event_study" (``time, mean, is_reference``) and
            "event_study_covariance" (``time`` and a column for each time), also as read from the
            files of these names; then the degrees of freedom, which a CSV file does not hold, are
            infinite

        Raises
        ------
        SpecError
            One of the two tables is missing, or they hold different times.
        """
        missing = [n for n in ("event_study", "event_study_covariance") if n not in tables]
        if missing:
            raise SpecError(
                f"An event study needs the tables 'event_study' and 'event_study_covariance'; "
                f"{missing[0]!r} is not among {list_values(tables)}."
            )
        means, covariance = tables["event_study"], tables["event_study_covariance"]
        means = means[~means["is_reference"].astype(bool)]
        times = means["time"].to_numpy(dtype=np.intp)
        matrix = covariance.drop(columns="time")
        if covariance["time"].tolist() != times.tolist() or list(matrix) != [str(t) for t in times]:
            raise SpecError(
                f"The covariance must have a row and a column for each time of the event study, "
                f"{times.tolist()}; got rows {covariance['time'].tolist()} and columns "
                f"{list(matrix)}."
            )
        return cls(
            times=times,
            coefficients=means["mean"].to_numpy(dtype=np.float64),
            covariance=matrix.to_numpy(dtype=np.float64),
            degrees_of_freedom=float(covariance.attrs.get("degrees_of_freedom", np.inf)),
            unit=str(tables["event_study"].attrs.get("unit", "")),
        )

    @property
    def n_before(self) -> int:
        """Coefficients before the start."""
        return int((self.times < 0).sum())

    @property
    def n_after(self) -> int:
        """Coefficients from the start on."""
        return int((self.times >= 0).sum())

    @property
    def flaw(self) -> str:
        """Why bounds cannot be had from it; empty where they can."""
        if not self.n_before:
            return "there is no period before the start but the reference"
        if not self.n_after:
            return "there is no period after the start"
        wanted = [t for t in range(int(self.times[0]), int(self.times[-1]) + 1) if t != -1]
        if wanted != self.times.tolist():
            return f"the times since the start have holes: {self.times.tolist()}"
        sd = np.sqrt(np.diag(self.covariance))
        if not np.isfinite(sd).all():
            return "a coefficient has no standard error"
        if (sd <= 0).any():
            when = int(self.times[int((sd <= 0).argmax())])
            return f"the change at {when} from the start is the same for every unit: no error"
        values = np.linalg.eigvalsh(self.covariance / np.outer(sd, sd))
        if values[0] < SMALLEST_EIGENVALUE:
            return "there are too few clusters for a joint covariance of all coefficients"
        return ""

    def average(self) -> Floats:
        """Weights that make the average effect after the start."""
        return np.where(self.times >= 0, 1.0 / max(self.n_after, 1), 0.0)

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per time since the start: ``time, mean, lower, upper, is_reference``."""
        check_level(level)
        reach = t_reach(self.degrees_of_freedom, level=level) * np.sqrt(np.diag(self.covariance))
        frame = pd.DataFrame(
            {
                "time": self.times,
                "mean": self.coefficients,
                "lower": self.coefficients - reach,
                "upper": self.coefficients + reach,
                "is_reference": False,
            }
        )
        reference = pd.DataFrame(
            {"time": [-1], "mean": [0.0], "lower": [0.0], "upper": [0.0], "is_reference": [True]}
        )
        frame = pd.concat([frame, reference]).sort_values("time", ignore_index=True)
        frame.attrs.update(level=level, unit=self.unit, degrees_of_freedom=self.degrees_of_freedom)
        return frame

    def covariance_frame(self) -> pd.DataFrame:
        """Covariance of every two times since the start; rows ``time``, a column for each time."""
        columns = [str(one) for one in self.times]
        frame = pd.DataFrame(self.covariance, columns=columns)
        frame.insert(0, "time", self.times)
        frame.attrs.update(unit=f"{self.unit}, squared", degrees_of_freedom=self.degrees_of_freedom)
        return frame

    def __repr__(self) -> str:
        return (
            f"EventStudy: {self.n_before} times before and {self.n_after} after the start, average "
            f"after {float(self.average() @ self.coefficients):.4g} {self.unit}".rstrip()
        )

    def _repr_html_(self) -> str:
        from html import escape

        table = self.to_frame().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"
