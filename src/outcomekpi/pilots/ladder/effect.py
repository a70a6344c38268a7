"""The result of a comparison: effect, interval, checks, threats, checklist, wording."""

from dataclasses import dataclass
from html import escape
from math import isnan

import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.lineage.origins import Provenance
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Design, Findings
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.pilots.ladder.verdicts import RUNGS, word_verdict

__all__ = ["PilotEffect"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotEffect:
    """What a pilot did, as far as its data can tell.

    Attributes
    ----------
    design : the rung and its options
    program : what the user said about the program
    findings : estimand, estimates, naive estimate, assumptions, checks, threats, tables
    checklist : DataFrame with ``item, question, status`` ("answered", "missing", "not
        applicable") and ``answer``
    provenance : versions, seed, hashes
    """

    design: Design
    program: Program
    findings: Findings
    checklist: pd.DataFrame
    provenance: Provenance

    @property
    def main(self) -> Estimate:
        """The main effect."""
        return self.findings.estimates[0]

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per estimate, the main effect first and the naive estimate last.

        Returns
        -------
        DataFrame indexed by ``estimate``: ``unit``; ``mean``, the posterior mean or the point
        estimate; ``lower, upper``, nan where the design allows no interval; ``null``, the value
        that means no effect; ``origin`` of the interval.
        """
        everything = (*self.findings.estimates, self.findings.naive)
        spans = [one.interval(level=level) for one in everything]
        frame = pd.DataFrame(
            {
                "unit": [one.unit for one in everything],
                "mean": [one.value for one in everything],
                "lower": [lower for lower, _ in spans],
                "upper": [upper for _, upper in spans],
                "null": [one.null for one in everything],
                "origin": [one.origin for one in everything],
            },
            index=pd.Index([one.name for one in everything], name="estimate"),
        )
        frame.attrs.update(level=level, rung=self.design.rung)
        return frame

    def threats_frame(self) -> pd.DataFrame:
        """One row per threat: ``direction``, ``tipping`` value in words, how it is ``handled``."""
        threats = self.findings.threats
        return pd.DataFrame(
            {
                "direction": [one.direction for one in threats],
                "tipping": [one.tipping for one in threats],
                "handled": [one.handled for one in threats],
            },
            index=pd.Index([one.name for one in threats], name="threat"),
        )

    def verdict(self, *, level: float = DEFAULT_LEVEL) -> str:
        """Say the strongest thing that this rung of evidence allows."""
        return word_verdict(
            self.design.rung,
            self.main,
            direction=self.findings.direction,
            level=level,
            withheld=self.findings.withheld,
            others=self.findings.others,
            claim=self.findings.claim,
            caution=self.findings.caution,
        )

    def __repr__(self) -> str:
        lower, upper = self.main.interval(level=DEFAULT_LEVEL)
        span = f"{DEFAULT_LEVEL:.0%} interval {lower:.4g} to {upper:.4g}"
        return (
            f"PilotEffect ({RUNGS[self.design.rung]}): {self.main.name} {self.main.value:.4g} "
            f"{self.main.unit} ({'no interval' if isnan(lower) else span}); "
            f"naive {self.findings.naive.name} {self.findings.naive.value:.4g}"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(self.verdict())}</b></p>{table}"
