"""Points: earned per goal reached, by resident and team; redeemed, never overdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import CasesError, SpecError, check_choice
from outcomekpi.declare.fields import Above, Count, NotNegative, Positive
from outcomekpi.declare.showing import show_html
from outcomekpi.indicators.coverage_goals import CoverageGoal
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.goal_verdicts import REACHED, Goal, check_goal, check_names
from outcomekpi.indicators.run_goals import RunGoal
from outcomekpi.tables.labels import read_labels
from outcomekpi.tables.patient_records import PatientRecords, require_columns

__all__ = ["PointLedger", "PointRule", "earn_points", "health_points", "redeem_points"]

Account = Literal["team", "resident"]
COLUMNS = ("month", "account", "holder", "entry", "points", "goal", "patient", "item")
SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRule:
    """Points for one goal: what the team earns and what the resident earns when he reaches it.

    Attributes
    ----------
    name : of the goal, as entries show it
    goal : judges the residents; each earns once in its window
    team, resident : points of each when the goal is reached

    Examples
    --------
    >>> from outcomekpi import PointRule, RunGoal
    >>> quit = RunGoal(bars=(("smokes", 1),), months=6, population=("smoker",))
    >>> PointRule(name="quit smoking", goal=quit, team=10, resident=10).team
    10
    """

    name: str
    goal: Goal
    team: NotNegative = 1.0
    resident: NotNegative = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_goal(type(self).__name__, self.goal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointLedger:
    """Every point earned and redeemed, with the resident, goal and month behind it.

    Attributes
    ----------
    entries : one row per entry, in the order of the months: ``month``; ``account`` ("team" or
        "resident"); ``holder``, the team or the resident; ``entry`` ("earned", "redeemed");
        ``points``, negative if redeemed; ``goal`` and ``patient`` that earned them; ``item``
        that they were redeemed for

    Raises
    ------
    CasesError
        Columns are missing, or some balance falls below zero in some month.
    """

    entries: pd.DataFrame

    def __post_init__(self) -> None:
        require_columns(self.entries, COLUMNS, "entries")
        running = _running_balance(self.entries)
        below = running < -SAME
        if below.any():
            at = int(np.argmax(below.to_numpy()))
            first = self.entries.iloc[at]
            raise CasesError(
                f"The balance of {first['account']} {first['holder']!r} would fall below zero in "
                f"month {first['month']:g}, to {running.iloc[at]:g} points."
            )

    def to_frame(self, *, month: int | None = None) -> pd.DataFrame:
        """One row per holder of an account, up to the end of a month.

        Returns
        -------
        DataFrame indexed by ``account`` and ``holder``: ``earned``, ``redeemed`` and ``balance``
        in points, ``patients`` whose goals earned them, ``goals_reached``.
        """
        entries = self.entries
        if month is not None:
            entries = entries[entries["month"] <= month]
        earned = entries[entries["entry"] == "earned"]
        by = ["account", "holder"]
        frame = pd.DataFrame(
            {
                "earned": earned.groupby(by)["points"].sum(),
                "redeemed": -entries[entries["entry"] == "redeemed"].groupby(by)["points"].sum(),
                "patients": earned.groupby(by)["patient"].nunique(),
                "goals_reached": earned.groupby(by).size(),
            }
        )
        frame = frame.fillna(0.0)
        frame.insert(2, "balance", frame["earned"] - frame["redeemed"])
        return frame.astype({"patients": np.int64, "goals_reached": np.int64})

    def balance(self, account: Account, *, month: int | None = None) -> pd.Series:
        """Points that each holder has at the end of a month: (holder,)."""
        check_choice("account", account, get_args(Account))
        frame = self.to_frame(month=month)
        own = frame[frame.index.get_level_values("account") == account]
        return own["balance"].droplevel("account")

    def trace(self, account: Account, holder: object) -> pd.DataFrame:
        """Return every entry of one holder, in the order of the months, and its ``balance``."""
        check_choice("account", account, get_args(Account))
        entries = self.entries
        own = entries[(entries["account"] == account) & (entries["holder"] == holder)]
        if not len(own):
            raise CasesError(f"No entry of {account} {holder!r} is in the ledger.")
        return own.assign(balance=own["points"].cumsum()).reset_index(drop=True)

    def __repr__(self) -> str:
        points = self.entries.groupby(["account", "entry"])["points"].sum().abs()
        parts = [
            f"{account}s earned {points.get((account, 'earned'), 0.0):,.6g} and redeemed "
            f"{points.get((account, 'redeemed'), 0.0):,.6g} points"
            for account in get_args(Account)
        ]
        return f"PointLedger: {len(self.entries):,} entries; {', '.join(parts)}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8), number="g")


def health_points(
    *,
    weight_loss: Positive,
    relative: bool = False,
    coverage: Above = 0.80,
    quit_months: Count = 6,
    team: NotNegative = 1.0,
    resident: NotNegative = 1.0,
    window: Count = 12,
) -> tuple[PointRule, PointRule, PointRule]:
    """Three goals that earn points for resident and team: no smoking, weight, medication (A-CASE2).

    Parameters
    ----------
    weight_loss : fall from baseline weight, in kg, or as a share of it
    relative : whether ``weight_loss`` is a share of the baseline weight
    coverage : proportion of days covered that counts as regular medication
    quit_months : consecutive months without smoking; a month without an answer counts as smoking
    team, resident : points of each goal reached
    window : months from month 0 in which goals are reached

    Returns
    -------
    three :class:`PointRule`; other readings are made with ``dataclasses.replace``

    Raises
    ------
    SpecError
        A number that no goal can have.

    Notes
    -----
    Eligible are patients flagged ``smoker``, ``obesity``, and any of ``diabetes``, ``hypertension``
    and ``heart_failure``. The source names the goals and 5 kg; everything else is an argument.

    Examples
    --------
    >>> from outcomekpi import health_points
    >>> [rule.name for rule in health_points(weight_loss=5.0)]
    ['quit smoking', 'weight loss', 'regular medication']
    """
    check_arguments(health_points, locals())
    chronic = ("diabetes", "hypertension", "heart_failure")
    goals: dict[str, Goal] = {
        "quit smoking": RunGoal(
            bars=(("smokes", 0.5),), months=quit_months, population=("smoker",), window=window
        ),
        "weight loss": DropGoal(
            measure="weight",
            drop=weight_loss,
            relative=relative,
            population=("obesity",),
            window=window,
        ),
        "regular medication": CoverageGoal(at_least=coverage, population=chronic, window=window),
    }
    one, two, three = (
        PointRule(name=name, goal=goal, team=team, resident=resident)
        for name, goal in goals.items()
    )
    return one, two, three


def earn_points(
    records: PatientRecords, rules: Sequence[PointRule], *, team: str = "team"
) -> PointLedger:
    """Enter points for every goal that a resident reached, for him and for his team.

    Parameters
    ----------
    records : patients and what was measured on them
    rules : goals and their points, with different names
    team : column of the patients that names the team

    Raises
    ------
    CasesError
        A column is missing, or an eligible patient who reached a goal has no team.
    SpecError
        Rules without a name of their own, or that look beyond the records.

    Notes
    -----
    One entry per goal, patient and account, in the month in which the goal was decided. Nothing
    is entered for a goal that is not reached or not assessable.

    Examples
    --------
    >>> import pandas as pd
    >>> import outcomekpi as ok
    >>> patients = pd.DataFrame({"patient": [1], "team": ["T"], "obesity": [True]})
    >>> weight = pd.DataFrame({"patient": [1, 1], "month": [0, 9], "weight": [92.0, 86.5]})
    >>> records = ok.PatientRecords(patients=patients, measurements=weight, months=12)
    >>> ok.earn_points(records, [ok.health_points(weight_loss=5)[1]]).balance("team")["T"]
    np.float64(1.0)
    """
    check_arguments(earn_points, locals())
    check_names("rules", rules, PointRule)
    require_columns(records.patients, (team,), "patients")
    read_labels(records.patients[team], "team")
    teams = records.patients.set_index("patient")[team]
    parts = [_earned(rule, rule.goal.judge(records), teams) for rule in rules]
    entries = pd.concat(parts, ignore_index=True)
    order = ["month", "account", "goal", "patient"]
    return PointLedger(entries=entries.sort_values(order, kind="stable", ignore_index=True))


def redeem_points(
    ledger: PointLedger,
    *,
    account: Account,
    holders: Sequence[object],
    points: Positive,
    month: int,
    item: str,
) -> PointLedger:
    """Return a ledger in which holders of an account have spent points, or refuse an overdraft.

    Parameters
    ----------
    ledger : entries so far; it stays as it is
    account : "team" or "resident"
    holders : teams or residents; each spends these points once
    points : what each spends
    month : when, after what was earned in the same month
    item : what for, such as "free check-up", "training", "equipment"

    Raises
    ------
    SpecError
        Points that are not positive, or a holder who has fewer, in this month or, counting what he
        has redeemed since, in a later one; says who, how many, and what he has.

    Examples
    --------
    >>> import pandas as pd
    >>> import outcomekpi as ok
    >>> patients = pd.DataFrame({"patient": [1], "team": ["T"], "obesity": [True]})
    >>> weight = pd.DataFrame({"patient": [1, 1], "month": [0, 9], "weight": [92.0, 86.5]})
    >>> records = ok.PatientRecords(patients=patients, measurements=weight, months=12)
    >>> ledger = ok.earn_points(records, [ok.health_points(weight_loss=5)[1]])
    >>> spent = dict(account="resident", holders=[1], points=1, month=12, item="free check-up")
    >>> ok.redeem_points(ledger, **spent).balance("resident")[1]
    np.float64(0.0)
    """
    check_arguments(redeem_points, locals())
    if isinstance(holders, str):
        raise SpecError(
            f"holders must be a list of {account}s; got the text {holders!r}, whose letters are "
            f"none. Write holders=[{holders!r}]."
        )
    wanted = pd.Index(list(holders))
    if wanted.has_duplicates:
        raise SpecError(
            f"holders names {wanted[wanted.duplicated()].tolist()[0]!r} more than once."
        )
    available = _available(ledger.entries, account, month).reindex(wanted).fillna(0.0)
    short = available[available < points - SAME]
    if len(short):
        raise SpecError(
            f"{len(short)} of {len(wanted)} {account}s have fewer than the {points:g} points of "
            f"{item!r} in month {month}, the first {short.index.tolist()[0]!r} with "
            f"{short.iloc[0]:g}. A balance is never below zero: leave them out, or wait until they "
            "have earned enough."
        )
    spent = pd.DataFrame({"month": float(month), "account": account, "holder": wanted.to_numpy()})
    spent["entry"], spent["points"], spent["goal"] = "redeemed", -float(points), ""
    spent["patient"] = spent["holder"].astype(object) if account == "resident" else None
    spent["item"] = item
    spent = spent.astype({"holder": object, "patient": object})
    entries = pd.concat([ledger.entries, spent], ignore_index=True)
    return PointLedger(entries=entries.sort_values("month", kind="stable", ignore_index=True))


def _earned(rule: PointRule, judged: pd.DataFrame, teams: pd.Series) -> pd.DataFrame:
    """Entries of one rule, for both accounts."""
    reached = judged[judged["verdict"] == REACHED]
    team = teams.reindex(reached.index)
    if team.isna().any():
        raise CasesError(
            f"{int(team.isna().sum())} of {len(team)} patients who reached {rule.name!r} have no "
            f"team, the first {team.index[team.isna()].tolist()[0]!r}."
        )
    holders = {"team": (team, rule.team), "resident": (reached.index, rule.resident)}
    parts = []
    for account, (holder, points) in holders.items():
        part = pd.DataFrame({"month": reached["month"].to_numpy(dtype=np.float64)})
        part["account"], part["holder"] = account, np.asarray(holder, dtype=object)
        part["entry"], part["points"], part["goal"] = "earned", float(points), rule.name
        part["patient"], part["item"] = np.asarray(reached.index, dtype=object), ""
        parts.append(part[part["points"] > 0])
    return pd.concat(parts, ignore_index=True)


def _running_balance(entries: pd.DataFrame) -> pd.Series:
    """Balance of each entry's account after it; what is earned in a month comes first."""
    is_spent = entries["points"] < 0
    ordered = entries.assign(spent=is_spent).sort_values(["month", "spent"], kind="stable")
    running = ordered.groupby(["account", "holder"], sort=False)["points"].cumsum()
    return running.reindex(entries.index)


def _available(entries: pd.DataFrame, account: Account, month: int) -> pd.Series:
    """Smallest balance of each holder from a month on: what he can spend then."""
    own = entries[entries["account"] == account]
    until = own[own["month"] <= month].groupby("holder")["points"].sum()
    later = own[own["month"] > month]
    lowest = _running_balance(later).groupby(later["holder"]).min().clip(upper=0.0)
    return until.add(lowest, fill_value=0.0)
