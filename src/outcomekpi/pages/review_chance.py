"""What the rule of a review does by chance, in words and in a small table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.operating.operating import OperatingCharacteristics
from outcomekpi.pages.cells import PlainTable
from outcomekpi.pages.figures import Picture
from outcomekpi.pages.numbers import plural, probability
from outcomekpi.pages.review_trial import true_completion
from outcomekpi.review.review import ThresholdReview

__all__ = [
    "ChanceSection",
    "explain_trial",
    "median_caseload",
    "tabulate_trial",
    "tell_chance",
    "trial_table",
]

AWAY = 0.05  # points of completion from a bar at which the rule is quoted
NEAR = 0.021
SHOWN_LEVELS = np.arange(0.05, 1.0001, 0.05)
TRIAL_COLUMNS = (
    *("true_completion", "level", "caseload", "deserved", "fires", "mc_error", "lower", "upper"),
    *("fires_up", "fires_down", "false_fires", "missed", "family_wise"),
)
ROUNDING = 1e-12
RIGHT = {1.0: "too easy", -1.0: "too hard", 0.0: "leave alone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceSection:
    """The section on chance: paragraphs, the picture, the table and its note."""

    paragraphs: tuple[str, ...]
    figures: tuple[Picture, ...]
    table: PlainTable
    note: str


def trial_table(operating: OperatingCharacteristics, *, level: float) -> pd.DataFrame:
    """Operating characteristics with the true completion that each level stands for.

    Parameters
    ----------
    operating : of the rule, at the caseloads of a history
    level : probability of the intervals

    Returns
    -------
    DataFrame, ``true_completion``, then columns of ``OperatingCharacteristics.to_frame`` that are
    about decisions on indicators, then ``units`` and ``method``
    """
    frame = operating.to_frame(level=level)
    frame.insert(0, "true_completion", frame["level"].map(true_completion(operating)))
    frame = frame[list(TRIAL_COLUMNS)]
    frame = frame.mask(frame.abs() < ROUNDING, 0.0)
    return frame.assign(units=operating.setting.n_units, method=operating.method)


def median_caseload(operating: OperatingCharacteristics) -> int:
    """Return the middle one of the caseloads that were tried."""
    caseloads = sorted(operating.setting.caseloads)
    return caseloads[(len(caseloads) - 1) // 2]


def tell_chance(
    review: ThresholdReview, operating: OperatingCharacteristics, *, level: float
) -> tuple[str, ...]:
    """Say how often the rule fires by luck, how often it misses, and what caseload changes.

    Parameters
    ----------
    review : review of the thresholds
    operating : of its rule, at the caseloads of its history
    level : probability of the intervals
    """
    trial = trial_table(operating, level=level)
    caseload = median_caseload(operating)
    at = trial[trial["caseload"] == caseload]
    cases = _cases(review, operating, caseload)
    false = _quote(at, "fires", (review.rule.upper - AWAY, review.rule.lower + AWAY), due=False)
    missed = _quote(at, "missed", (review.rule.upper + AWAY, review.rule.lower - AWAY), due=True)
    paragraphs = []
    if false:
        paragraphs.append(
            f"With {cases} (the median here), the rule changes an indicator that needs no change "
            f"with probability {false}."
        )
    if missed:
        paragraphs.append(
            f"{'It' if false else f'With {cases} (the median here), the rule'} misses one that "
            f"needs a change with probability {missed}."
        )
    paragraphs = [" ".join(paragraphs)] if paragraphs else []
    extremes = _quote_extremes(trial, review, operating)
    if extremes:
        paragraphs.append(extremes)
    family = _quote_family(at, review)
    if family:
        paragraphs.append(family)
    return tuple(paragraphs)


def explain_trial(operating: OperatingCharacteristics) -> str:
    """Say what the trial took for granted, and how exact its numbers are."""
    setting = operating.setting
    if operating.method == "exact":
        how = "The numbers are exact."
    else:
        error = float(operating.to_frame()["mc_error"].max())
        how = (
            f"The numbers are simulated ({setting.replicates:,} replicates each; the largest Monte "
            f"Carlo standard error is {100 * error:.2g} percentage points)."
        )
    if setting.n_units == 1:
        taken = (
            "Cases were taken to be independent and the true completion to be the same in every "
            f"cycle. {how} True completion that moves from cycle to cycle makes the rule less "
            "predictable than this."
        )
    else:
        taken = (
            f"{setting.n_units:,} units were drawn again and again from many whose true rates "
            f"differ as much as those of this history (ICC {setting.icc:.3f}); a unit's rate stays "
            f"what it is from cycle to cycle. True completion is that of the many. {how}"
        )
    return taken


def tabulate_trial(operating: OperatingCharacteristics, *, level: float) -> PlainTable:
    """Lay out what the rule says at round true completions, for the median caseload."""
    trial = trial_table(operating, level=level)
    at = trial[trial["caseload"] == median_caseload(operating)].reset_index(drop=True)
    wanted = [int((at["true_completion"] - share).abs().argmin()) for share in SHOWN_LEVELS]
    rows = at.iloc[sorted(set(wanted))].sort_values("true_completion")
    rows = rows[rows["true_completion"] >= SHOWN_LEVELS[0] / 2]
    several = operating.setting.n_indicators > 1
    pooled = operating.setting.n_units == 1
    headings = ["true completion", "right would be", "says too easy", "says too hard"]
    if not pooled:
        headings.insert(1, "mean true rate")
    if several:
        headings.append(f"any of {operating.setting.n_indicators:,} changed by luck")
    cells = []
    for _, row in rows.iterrows():
        cell = [_share(row["true_completion"])]
        if not pooled:
            cell.append(_share(row["level"]))
        cell.append(RIGHT[float(np.sign(row["deserved"]))])
        cell += [probability(float(row[name])) for name in ("fires_up", "fires_down")]
        if several:
            luck = row["deserved"] == 0
            cell.append(probability(float(row["family_wise"])) if luck else "")
        cells.append(tuple(cell))
    is_text = [heading == "right would be" for heading in headings]
    return PlainTable(headings=tuple(headings), rows=tuple(cells), is_text=tuple(is_text))


def _quote(at: pd.DataFrame, what: str, shares: tuple[float, ...], *, due: bool) -> str:
    """Quote a probability at true completions near ``shares`` where a change is due, or is not."""
    said: list[str] = []
    for row in (_near(at, share) for share in shares):
        if row is not None and (row["deserved"] != 0) == due:
            stands = _share(row["true_completion"])
            said.append(
                f"{probability(float(row[what]))} {'if it truly stands ' if not said else ''}"
                f"at {stands}"
            )
    return " and ".join(said)


def _quote_extremes(
    trial: pd.DataFrame, review: ThresholdReview, operating: OperatingCharacteristics
) -> str:
    caseloads = sorted(operating.setting.caseloads)
    if len(caseloads) < 2:
        return ""
    said, stands = [], ""
    for caseload in (caseloads[0], caseloads[-1]):
        at = trial[trial["caseload"] == caseload]
        row = _near(at, review.rule.upper + AWAY)
        row = _near(at, review.rule.lower - AWAY) if row is None else row
        if row is None or row["deserved"] == 0:
            return ""
        stands = _share(row["true_completion"])
        said.append(
            f"{probability(float(row['missed']))} with {_cases(review, operating, caseload)}"
        )
    return (
        f"How much is missed depends on the caseload: at a true completion of "
        f"{stands}, {said[0]} (the smallest here) and {said[1]} "
        "(the largest)."
    )


def _quote_family(at: pd.DataFrame, review: ThresholdReview) -> str:
    n = len(review.indicators)
    row = _near(at, review.rule.upper - AWAY)
    if n < 2 or row is None or row["deserved"] != 0:
        return ""
    return (
        f"If all {plural(n, 'indicator')} truly stood at {_share(row['true_completion'])}, at "
        "least one would be changed by luck with probability "
        f"{probability(float(row['family_wise']))}."
    )


def _near(at: pd.DataFrame, share: float) -> pd.Series | None:
    """Row whose true completion is closest to a share, None if that is not close."""
    away = (at["true_completion"] - share).abs()
    return at.iloc[int(away.argmin())] if len(at) and float(away.min()) <= NEAR else None


def _cases(review: ThresholdReview, operating: OperatingCharacteristics, caseload: int) -> str:
    noun = "case" if review.history.numerator_counts == "events" else "doctor"
    if operating.setting.n_units > 1:
        return f"{operating.setting.n_units:,} units of {plural(caseload, noun)} in a cycle"
    return f"{plural(caseload, noun)} in a cycle"


def _share(value: float) -> str:
    return f"{100 * float(value):.3g}%"
