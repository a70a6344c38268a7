"""Payouts: who is paid for the patients that reached a tier, and for which ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from outcomekpi.appraisal.tiers import TierAssessment, TierRule, Unit
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError, did_you_mean
from outcomekpi.declare.showing import show_html
from outcomekpi.indicators.goal_verdicts import NOT_ASSESSABLE, REACHED

__all__ = ["Payout", "pay"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Payout:
    """What each payee is paid for each tier, and the patients that earned it.

    Attributes
    ----------
    rules : the tiers
    per_patient : tier -> amount paid for a patient who reached it
    assessment : verdicts on the patients
    """

    rules: tuple[TierRule, ...]
    per_patient: Mapping[str, float]
    assessment: TierAssessment

    @property
    def entries(self) -> pd.DataFrame:
        """One row per amount paid: ``tier, payee, patient, month, amount``."""
        table = self.assessment.verdicts
        paid = table[table["verdict"] == REACHED][["tier", "payee", "patient", "month"]]
        return paid.assign(amount=paid["tier"].map(dict(self.per_patient))).reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """One row per tier and payee, those with nothing included.

        Returns
        -------
        DataFrame with ``tier``; ``paid_to``, the column that names the payee; ``payee``;
        ``eligible`` patients, ``assessable`` and ``reached`` of them; ``amount`` and its ``unit``.
        """
        table = self.assessment.verdicts
        grouped = table.assign(
            assessable=table["verdict"] != NOT_ASSESSABLE, reached=table["verdict"] == REACHED
        ).groupby(["tier", "payee"], sort=False)
        counts = grouped.agg(
            eligible=("patient", "size"),
            assessable=("assessable", "sum"),
            reached=("reached", "sum"),
        ).reset_index()
        rule = {rule.name: rule for rule in self.rules}
        counts.insert(1, "paid_to", [rule[name].payee for name in counts["tier"]])
        counts["amount"] = counts["reached"] * counts["tier"].map(dict(self.per_patient))
        counts["unit"] = [rule[name].unit for name in counts["tier"]]
        order = {name: place for place, name in enumerate(rule)}
        counts["place"] = counts["tier"].map(order)
        counts = counts.sort_values(["place", "payee"], kind="stable", ignore_index=True)
        return counts.drop(columns="place")

    def amounts(self, tier: str) -> pd.Series:
        """Return what each payee of one tier is paid: (payee,)."""
        self._require(tier)
        frame = self.to_frame()
        own = frame[frame["tier"] == tier].set_index("payee")["amount"]
        return own.rename_axis(self._rule(tier).payee)

    def totals(self, unit: Unit = "points") -> pd.DataFrame:
        """One row per payee, all tiers of one unit together: ``paid_to, payee, amount``."""
        frame = self.to_frame()
        own = frame[frame["unit"] == unit]
        return own.groupby(["paid_to", "payee"], sort=False)["amount"].sum().reset_index()

    def members_frame(self) -> pd.DataFrame:
        """One row per member of each team: ``tier, payee, member, share, amount, unit``.

        A tier without declared shares has none here: how a team divides its credit is a
        declaration, not something that could be computed.
        """
        parts = []
        frame = self.to_frame()
        for rule in self.rules:
            own = frame[frame["tier"] == rule.name][["tier", "payee", "amount", "unit"]]
            for member, share in rule.shares:
                part = own.assign(member=member, share=share, amount=own["amount"] * share)
                parts.append(part)
        columns = ["tier", "payee", "member", "share", "amount", "unit"]
        if not parts:
            return pd.DataFrame(columns=columns)
        together = pd.concat(parts, ignore_index=True)[columns]
        return together.sort_values(["tier", "payee"], kind="stable", ignore_index=True)

    def trace(self, tier: str, payee: object) -> pd.DataFrame:
        """Return every patient whom a payee had in a tier, with verdict, reason and amount."""
        self._require(tier)
        table = self.assessment.verdicts
        own = table[(table["tier"] == tier) & (table["payee"] == payee)]
        if not len(own):
            raise CasesError(f"{payee!r} has no eligible patient in {tier!r}.")
        amount = np.where(own["verdict"] == REACHED, self.per_patient[tier], 0.0)
        return own.assign(amount=amount).reset_index(drop=True)

    def _require(self, tier: str) -> None:
        if tier not in self.per_patient:
            raise SpecError(
                f"tier must be one of {', '.join(map(repr, self.per_patient))}; got {tier!r}."
                f"{did_you_mean(tier, self.per_patient)}"
            )

    def _rule(self, tier: str) -> TierRule:
        return next(rule for rule in self.rules if rule.name == tier)

    def __repr__(self) -> str:
        frame = self.to_frame()
        paid = frame.groupby("tier", sort=False)["amount"].sum()
        payees = frame.groupby("tier", sort=False).size()
        parts = [
            f"{rule.name}: {paid[rule.name]:,.6g} {rule.unit} to {payees[rule.name]} payees "
            f"({rule.payee})"
            for rule in self.rules
            if rule.name in paid.index
        ]
        return f"Payout: {'; '.join(parts)}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8), number="g", index=False)


def pay(assessment: TierAssessment, *, budget: Mapping[str, float] | None = None) -> Payout:
    """Add up who is paid for the patients who reached each tier.

    Parameters
    ----------
    assessment : verdicts on the patients
    budget : tier -> fixed sum that is divided by the patients who reached it, in place of the
        rule's amount per patient; tiers that are not named keep theirs

    Raises
    ------
    SpecError
        A budget for an unknown tier, that is negative, or that nobody has earned.

    Examples
    --------
    >>> import pandas as pd
    >>> import outcomekpi as ok
    >>> patients = pd.DataFrame({"patient": [1], "doctor": ["A"], "diabetes": [True]})
    >>> hba1c = pd.DataFrame({"patient": [1, 1], "month": [0, 12], "hba1c": [8.1, 6.9]})
    >>> records = ok.PatientRecords(patients=patients, measurements=hba1c, months=12)
    >>> goal = ok.DropGoal(measure="hba1c", drop=0.8, below=7)
    >>> tiers = ok.assess_tiers(records, [ok.TierRule(name="HbA1c", goal=goal, payee="doctor")])
    >>> ok.pay(tiers)
    Payout: HbA1c: 1 points to 1 payees (doctor)
    """
    check_arguments(pay, locals())
    per_patient = {rule.name: float(rule.amount) for rule in assessment.rules}
    reached = assessment.to_frame()["reached"]
    said: Any = {} if budget is None else budget
    if not isinstance(said, Mapping):
        names = ", ".join(f"{name!r}: ..." for name in per_patient)
        raise SpecError(
            f"budget must map tiers to sums, as {{{names}}}; got {budget!r}. Say which tier a sum "
            "belongs to."
        )
    for tier, sum_ in said.items():
        if tier not in per_patient:
            raise SpecError(
                f"budget names {tier!r}, which is no tier of this assessment."
                f"{did_you_mean(tier, per_patient)}"
            )
        if not (isinstance(sum_, Real) and np.isfinite(float(sum_)) and float(sum_) >= 0):
            raise SpecError(f"The budget of {tier!r} must be 0 or more; got {sum_!r}.")
        if reached[tier] == 0:
            raise SpecError(f"No patient reached {tier!r}: its budget of {sum_:g} has no payee.")
        per_patient[tier] = float(sum_) / float(reached[tier])
    return Payout(rules=assessment.rules, per_patient=per_patient, assessment=assessment)
