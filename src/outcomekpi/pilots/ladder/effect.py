"""The result of a comparison: effect, interval, checks, threats, checklist, wording."""

from dataclasses import dataclass, field
from html import escape
from math import isnan

import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.draws.memory import remembered
from outcomekpi.lineage.origins import Provenance
from outcomekpi.pilots.ladder.checklist import answer_checklist, name_software
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Answer, Design, Findings
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.pilots.ladder.verdicts import RUNGS, word_verdict

__all__ = ["PilotEffect"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class PilotEffect:
    """What a pilot did, as far as its data can tell.

    Words, tables and intervals are told at the level that is asked for; numbers that cost time were
    computed once.

    Attributes
    ----------
    design : the rung and its options
    program : what the user said about the program
    answer : what the design found; ``answer.tell(level=...)`` words it
    provenance : versions, seed, hashes
    """

    design: Design
    program: Program
    answer: Answer = field(metadata={"cited": False})  # fits that a design makes and may not use
    provenance: Provenance

    @remembered
    def findings_at(self, level: float = DEFAULT_LEVEL) -> Findings:
        """Estimand, estimates, naive estimate, assumptions, checks, threats, tables at a level.

        Parameters
        ----------
        level : probability of the intervals in words and tables
        """
        from threadpoolctl import threadpool_limits

        check_level(level)
        with threadpool_limits(1, user_api="blas"):  # many small products: threads only cost time
            return self.answer.tell(level=level)

    @remembered
    def checklist_at(self, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per question: ``item, question, status, answer, asked_by``.

        Parameters
        ----------
        level : probability of the intervals in the answers

        Returns
        -------
        DataFrame; ``status`` is "answered", "missing" or "not applicable"
        """
        return answer_checklist(
            self.design.rung,
            self.findings_at(level),
            self.program,
            level=level,
            software=name_software(self.provenance),
        )

    @property
    def findings(self) -> Findings:
        """Findings at the default level."""
        return self.findings_at()

    @property
    def checklist(self) -> pd.DataFrame:
        """Checklist at the default level."""
        return self.checklist_at()

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
        findings = self.findings_at(level)
        everything = (*findings.estimates, findings.naive)
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

    def threats_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per threat: ``direction``, ``tipping`` value in words, how it is ``handled``."""
        threats = self.findings_at(level).threats
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
        findings = self.findings_at(level)
        return word_verdict(
            self.design.rung,
            findings.estimates[0],
            direction=findings.direction,
            level=level,
            withheld=findings.withheld,
            others=findings.others,
            claim=findings.claim,
            caution=findings.caution,
        )

    def __repr__(self) -> str:
        return self._say()

    def _say(self, level: float = DEFAULT_LEVEL) -> str:
        lower, upper = self.main.interval(level=level)
        span = f"{level:.0%} interval {lower:.4g} to {upper:.4g}"
        return (
            f"PilotEffect ({RUNGS[self.design.rung]}): {self.main.name} {self.main.value:.4g} "
            f"{self.main.unit} ({'no interval' if isnan(lower) else span}); "
            f"naive {self.findings.naive.name} {self.findings.naive.value:.4g}"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(self.verdict())}</b></p>{table}"
