"""The effect of a program on patients who were selected for an extreme baseline."""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["RegressionToMean"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegressionToMean:
    """Change to be expected with no program, and what is left of the observed change.

    Attributes
    ----------
    expected : mean change from baseline to follow-up with no program, in ``unit``
    unit : of every number: that of the readings, or "percentage points"
    method : how it was found, in words
    expected_draws : (draw,), where the expected change is uncertain
    expected_after : (patient or unit,), expected follow-up of each with no program, in ``unit``
    naive : the observed change, without any correction; None where nothing was observed
    corrected : (draw,), the observed change less the expected one; None where nothing was observed
    assumptions : each in one sentence
    checks : of the assumptions that the data can speak to
    """

    expected: float
    unit: str
    method: str
    assumptions: tuple[str, ...]
    expected_draws: Array | None = None
    expected_after: Array | None = None
    naive: Estimate | None = None
    corrected: Array | None = None
    checks: tuple[CheckResult, ...] = ()

    @property
    def effect(self) -> Estimate | None:
        """The change less what regression to the mean explains; None without a follow-up."""
        if self.corrected is None:
            return None
        return Estimate(
            name="change beyond regression to the mean",
            unit=self.unit,
            value=float(self.corrected.mean()),
            draws=self.corrected,
            origin=f"draws, {self.method}",
        )

    @property
    def explained(self) -> float | None:
        """Share of the observed change that was to be expected; None without a follow-up.

        Above 1 where the change was smaller than the one expected, below 0 where the two go in
        opposite directions; infinite or nan where nothing changed.
        """
        if self.naive is None:
            return None
        return float(np.divide(self.expected, self.naive.value))

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Observed change, expected change, and the difference.

        Returns
        -------
        DataFrame indexed by ``quantity`` ("observed change", "expected with no program",
        "corrected change"; only the second without a follow-up) with ``mean, lower, upper``
        """
        expected = Estimate(
            name="expected with no program",
            unit=self.unit,
            value=self.expected,
            draws=self.expected_draws,
            limits=(lambda _: (self.expected, self.expected)) if self._is_known else None,
        )
        rows = [("expected with no program", expected)]
        if self.naive is not None and self.effect is not None:
            rows = [("observed change", self.naive), *rows, ("corrected change", self.effect)]
        spans = [one.interval(level=level) for _, one in rows]
        frame = pd.DataFrame(
            {
                "mean": [one.value for _, one in rows],
                "lower": [lower for lower, _ in spans],
                "upper": [upper for _, upper in spans],
            },
            index=pd.Index([name for name, _ in rows], name="quantity"),
        )
        frame.attrs.update(level=level, unit=self.unit)
        return frame

    @property
    def _is_known(self) -> bool:
        return self.expected_draws is None

    def __repr__(self) -> str:
        return self._say()

    def _say(self, level: float = DEFAULT_LEVEL) -> str:
        said = f"expected change with no program {self.expected:.4g} {self.unit}"
        if self.naive is not None and self.effect is not None:
            lower, upper = self.effect.interval(level=level)
            said = (
                f"observed change {self.naive.value:.4g} {self.unit}, of which {self.expected:.4g} "
                f"with no program; corrected {self.effect.value:.4g} ({level:.0%} interval "
                f"{lower:.4g} to {upper:.4g})"
            )
        return f"RegressionToMean ({self.method}): {said}"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"
