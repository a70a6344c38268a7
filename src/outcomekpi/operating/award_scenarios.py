"""Awards tried on made-up doctors: the table by caseload and reliability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from scipy.special import ndtri

from outcomekpi.awards.beta_posteriors import known_prior
from outcomekpi.awards.rules import Rule, rule_cycles
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Range, Seed, Share
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.operating.operating import (
    OperatingCharacteristics,
    operating_characteristics,
)
from outcomekpi.operating.settings import Setting

__all__ = ["AwardScenarios", "tabulate_awards"]

SHARES = ("sensitivity", "specificity", "ppv", "npv", "misclassified")
COLUMNS = ("awarded", *SHARES, "overpaid", "withheld")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AwardScenarios:
    """Operating characteristics of a rule about doctors, one set for each spread between them.

    Attributes
    ----------
    rule : as tried
    mean : of the doctors' true rates, events per case
    runs : SD between doctors -> operating characteristics over the caseloads
    """

    rule: Rule
    mean: float
    runs: dict[float, OperatingCharacteristics]

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per SD between doctors and caseload.

        Returns
        -------
        DataFrame indexed by ``sd`` and ``cases`` (per doctor, in all cycles that the rule looks
        at): ``reliability`` of the results; ``awarded``, mean award; ``sensitivity``,
        ``specificity``, ``ppv``, ``npv``, ``misclassified`` (of graded awards, shares of the
        money); ``overpaid``, ``withheld``, money per round of awards to the wrong doctors and
        kept from the right ones.
        """
        long = self.long_frame(level=level)
        frame = long.pivot(
            index=["sd", "cases", "reliability"], columns="measure", values="mean"
        ).reset_index("reliability")
        frame.columns.name = None
        frame = frame[["reliability", *COLUMNS]]
        frame.attrs.update(level=level, rule=str(self.rule))
        return frame

    def long_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per SD, caseload and measure, with its Monte Carlo error.

        Returns
        -------
        DataFrame: ``sd, cases, reliability, measure, mean, mc_error, lower, upper``; error and
        interval are those of the simulation (0 and no width where it is exact; for graded
        awards the error of a share is an upper bound).
        """
        parts = []
        for sd, run in self.runs.items():
            part = _measures(run, level)
            cases = part["caseload"].to_numpy() * _cycles(self.rule, run.setting)
            size = sum(known_prior(self.mean, sd))
            parts.append(part.assign(sd=sd, cases=cases, reliability=cases / (cases + size)))
        names = ["sd", "cases", "reliability", "measure", "mean", "mc_error", "lower", "upper"]
        frame = pd.concat(parts, ignore_index=True)[names]
        frame.attrs.update(level=level, rule=str(self.rule))
        return frame

    def __repr__(self) -> str:
        frame = self.to_frame()
        first, last = frame["misclassified"].iloc[[0, -1]]
        low, high = frame["reliability"].iloc[[0, -1]]
        n_doctors = next(iter(self.runs.values())).setting.n_units
        return (
            f"AwardScenarios ({self.rule}; {n_doctors} doctors, mean {self.mean:g}): "
            f"{first:.1%} misclassified at reliability {low:.2f}, {last:.1%} at {high:.2f}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8))


def tabulate_awards(
    rule: Rule,
    *,
    mean: Share,
    sd: NotNegative | Sequence[NotNegative],
    cases: Count | Sequence[Count],
    n_doctors: Count = 50,
    amount: NotNegative = 1.0,
    replicates: Annotated[int, Range(low=2)] = 2000,
    seed: Seed = 20261,
) -> AwardScenarios:
    """Misclassified doctors and misallocated money of a rule, by caseload and reliability.

    Parameters
    ----------
    rule : decides about doctors
    mean : of the doctors' true rates, events per case
    sd : SD of the doctors' true rates; one or several
    cases : of each doctor in each cycle; one caseload or several
    n_doctors : who are judged together
    amount : money of an award
    replicates, seed : of the simulation

    Raises
    ------
    SpecError
        An SD that no rates with this mean have, or a rule or setting that cannot be used.

    Notes
    -----
    Runs :func:`operating_characteristics` at one level with icc = sd² / (p(1 - p)), so that true
    rates are beta with this mean and SD, the same in every cycle. A doctor deserves what the
    rule would give him if all true rates were known. Reliability is n / (n + a + b), n the cases
    in the cycles that the rule looks at. For one of infinitely many doctors and a fixed, a
    percentile or a posterior cut :func:`caseload_misclassification` needs no simulation.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> rule = ok.PercentileRule(share=0.1, direction="higher")
    >>> found = ok.tabulate_awards(rule, mean=0.68, sd=0.08, cases=(25, 100), replicates=200)
    >>> found.to_frame()["ppv"].is_monotonic_increasing
    True
    """
    check_arguments(tabulate_awards, locals())
    spreads = (sd,) if isinstance(sd, int | float) else tuple(sd)
    caseloads = (cases,) if isinstance(cases, int) else tuple(cases)
    if not spreads:
        raise SpecError("tabulate_awards needs at least one SD between doctors.")
    runs = {}
    for spread in spreads:
        known_prior(mean, spread)
        setting = Setting(
            levels=(mean,),
            caseloads=caseloads,
            n_units=n_doctors,
            n_cycles=rule_cycles(rule) or 1,
            icc=spread**2 / (mean * (1 - mean)),
            amount=amount,
            replicates=replicates,
            seed=seed,
        )
        found = operating_characteristics(rule, setting)
        if found.about != "doctor":
            raise SpecError(
                f"{type(rule).__name__} decides about the indicator, not about each doctor. Use "
                "operating_characteristics for it."
            )
        runs[float(spread)] = found
    return AwardScenarios(rule=rule, mean=float(mean), runs=runs)


def _measures(run: OperatingCharacteristics, level: float) -> pd.DataFrame:
    """One row per caseload and measure, shares of graded awards weighted by money."""
    long = run.quantities_frame(level=level).rename(columns={"quantity": "measure"})
    mean, error = (
        long.pivot(index="caseload", columns="measure", values=name)
        for name in ("mean", "mc_error")
    )
    long["measure"] = long["measure"].replace({"award": "awarded"})
    long = long[long["measure"].isin(COLUMNS)]
    if np.allclose(mean["award"], mean["fires"], rtol=0, atol=1e-9):
        return long
    graded = _graded_shares(mean, error, run.setting.amount * run.setting.n_units, level)
    return pd.concat([long[~long["measure"].isin(SHARES)], graded], ignore_index=True)


def _graded_shares(
    mean: pd.DataFrame, error: pd.DataFrame, money: float, level: float
) -> pd.DataFrame:
    """Shares of right decisions for graded awards: 1 less the money gone wrong over the whole."""
    paid, due = mean["award"], mean["deserved"]
    both = ("overpaid", "withheld")
    # what went wrong, the whole that it is a share of, and the Monte Carlo error of the whole
    wholes = {
        "sensitivity": (both[1:], due, error["deserved"]),
        "specificity": (both[:1], 1 - due, error["deserved"]),
        "ppv": (both[:1], paid, error["award"]),
        "npv": (both[1:], 1 - paid, error["award"]),
        "misclassified": (both, paid * 0 + 1, paid * 0),
    }
    rows = []
    for measure, (parts, whole, whole_error) in wholes.items():
        lost = mean[list(parts)].sum(axis=1) / money / whole
        # sd(u - q v) <= sd(u) + q sd(v): a bound that needs no covariance
        spread = error[list(parts)].sum(axis=1) / money / whole + lost * whole_error / whole
        share = lost if measure == "misclassified" else 1 - lost
        half = float(ndtri((1 + level) / 2)) * spread
        found = {"mean": share, "mc_error": spread, "lower": share - half, "upper": share + half}
        rows.append(pd.DataFrame(found).assign(measure=measure).reset_index())
    frame = pd.concat(rows, ignore_index=True)
    frame[["lower", "upper"]] = frame[["lower", "upper"]].clip(0, 1)
    return frame


def _cycles(rule: Rule, setting: Setting) -> int:
    return int(np.minimum(rule_cycles(rule) or setting.n_cycles, setting.n_cycles))
