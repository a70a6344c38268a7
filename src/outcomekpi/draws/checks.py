"""What a check of a model says: a verdict in words, and the table behind it."""

from dataclasses import dataclass

import pandas as pd
from scipy.special import bdtr, bdtrik

__all__ = ["CheckResult", "most_by_chance"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckResult:
    """Verdict of one check.

    Attributes
    ----------
    name : what was checked, in words a head of department can read
    passed : True, False, or None where the check informs and does not judge
    verdict : one sentence with the number that decided
    table : the numbers behind the verdict, one row per quantity, doctor or group
    """

    name: str
    passed: bool | None
    verdict: str
    table: pd.DataFrame

    @property
    def status(self) -> str:
        """``"passed"``, ``"failed"`` or ``"for information"``."""
        return {True: "passed", False: "failed", None: "for information"}[self.passed]

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table behind the verdict."""
        return self.table.copy()

    def __repr__(self) -> str:
        return f"CheckResult: {self.name}, {self.status}. {self.verdict}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><b>{escape(self.name)}: {self.status}.</b> {escape(self.verdict)}</p>"


def most_by_chance(n: int, probability: float, *, within: float) -> int:
    """Most of ``n`` independent events of one probability that chance explains.

    Parameters
    ----------
    n, probability : of the events
    within : probability that no more than the returned number happen

    Notes
    -----
    The quantile of the binomial distribution: the smallest k with P(K <= k) >= within.
    """
    least = max(int(bdtrik(within, n, probability)) - 1, 0)
    return next(k for k in range(least, n + 1) if bdtr(k, n, probability) >= within)
