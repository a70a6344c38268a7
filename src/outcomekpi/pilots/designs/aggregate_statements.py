"""What published figures say, what they cannot say, and where they say nothing: sentences."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.draws.intervals import interval
from outcomekpi.pilots.estimators.aggregate_posterior import AggregateDraws, change_side
from outcomekpi.pilots.estimators.aggregate_sampling import (
    independent_interval,
    patients_to_exclude_nil,
)
from outcomekpi.pilots.estimators.frontier import attrition_at_nil, attrition_for_rest
from outcomekpi.pilots.estimators.published import PublishedFigures, base_limit, describe_change
from outcomekpi.pilots.ladder.e_values import e_value
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["Evidence", "list_threats", "state", "tipping_words"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Everything that the sentences are made from.

    Attributes
    ----------
    figures : as published
    program : what the user said
    direction : whether higher or lower is better, or None
    pair : before and after as fractions, at face value; None with an unknown base
    drawn : posterior draws, or None where there is none
    tables : of the findings, as far as they exist
    level : probability of the intervals
    """

    figures: PublishedFigures
    program: Program
    direction: Direction | None
    pair: tuple[float, float] | None
    drawn: AggregateDraws | None
    tables: dict[str, pd.DataFrame]
    level: float

    @property
    def has_effect(self) -> bool:
        """Whether there is a posterior of the program's effect."""
        return self.drawn is not None and self.figures.years is not None


def state(evidence: Evidence) -> pd.DataFrame:
    """Say in sentences what the figures say and what they do not.

    Returns
    -------
    DataFrame: ``kind`` ("says", "cannot say", "says nothing", "ask for"), ``text``. "says nothing"
    rows are the frontier: any of them alone, or the last one together, leaves nothing.
    """
    rows = [("says", text) for text in _says(evidence)]
    rows += [("cannot say", text) for text in _cannot_say(evidence)]
    rows += [("says nothing", text) for text in _says_nothing(evidence)]
    rows += [("ask for", text) for text in _asks(evidence)]
    return pd.DataFrame(rows, columns=["kind", "text"])


def tipping_words(evidence: Evidence) -> dict[str, str]:
    """Return each explanation that could make the whole change alone, with its strength."""
    if change_size(evidence) == 0:
        return {}
    rising = change_side(evidence.figures) == "higher"
    drift = f"a {'rise' if rising else 'fall'} of {_size_words(evidence)}"
    years = evidence.figures.years
    pace = "" if years is None or years == 1 else f" in {years:g} years"
    if evidence.pair is not None and years is not None:
        pace = f" ({change_size(evidence) / years:.4g} a year)"
    found = {
        "history": f"{drift}{pace} without the program",
        "regression to the mean": f"{drift} because the baseline was extreme",
    }
    leaving = _attrition_words(evidence, rising)
    if leaving:
        found["attrition"] = leaving
    ratio = _ratio(evidence)
    if ratio is not None and ratio > 0:
        found["confounding"] = (
            "a hidden difference between the periods tied to period and outcome by risk ratios of "
            f"{e_value(ratio):.3g} each (E-value)"
        )
    return found


def change_size(evidence: Evidence) -> float:
    """Return the published change without its sign: points, or percent of an unknown base."""
    figures = evidence.figures
    if evidence.pair is not None:
        return abs(100 * (evidence.pair[1] - evidence.pair[0]))
    return abs(100 * (figures.change or 0.0) / figures.whole)


def _size_words(evidence: Evidence) -> str:
    relative = evidence.pair is None and evidence.figures.reading == "relative"
    return f"{change_size(evidence):.4g} {'% of the level before' if relative else 'points'}"


def _ratio(evidence: Evidence) -> float | None:
    if evidence.pair is not None:
        before, after = evidence.pair
        return after / before if before > 0 else None
    figures = evidence.figures
    return 1 + (figures.change or 0.0) / figures.whole if figures.reading == "relative" else None


def _attrition_words(evidence: Evidence, rising: bool) -> str:
    who = "without" if rising else "with"
    if evidence.pair is not None:
        uncounted, panel = attrition_at_nil(*evidence.pair)
        return (
            f"{_percent(uncounted)} of the patients {who} the outcome ({_percent(panel)} of all) "
            "leaving the count"
        )
    ratio = _ratio(evidence)
    if rising and ratio is not None:
        return (
            f"{_percent(1 - 1 / ratio)} of all patients, all without the outcome, leaving the count"
        )
    return ""


def list_threats(evidence: Evidence) -> tuple[Threat, ...]:
    """Return the ledger of other explanations, each with the strength at which nothing is left."""
    side = _threat_side(evidence)
    handled = _handled(evidence)
    known = [
        Threat(name=name, direction=side, tipping=words, handled=handled.get(name, ""))
        for name, words in tipping_words(evidence).items()
    ]
    return (
        *known,
        Threat(
            name="instrumentation",
            direction="either",
            tipping="any change of the test, of the target or of the count that shifts the "
            "proportion by as much as was published",
        ),
        Threat(
            name="selective publication",
            direction=side,
            tipping="one place or outcome shown out of several that were tried: nothing in the "
            "figures tells",
        ),
    )


def _threat_side(evidence: Evidence) -> str:
    if evidence.direction is None:
        return "either"
    towards = change_side(evidence.figures) == evidence.direction
    return "towards benefit" if towards else "towards harm"


def _handled(evidence: Evidence) -> dict[str, str]:
    if not evidence.has_effect or evidence.drawn is None:
        return {}
    ranges = evidence.drawn.ranges
    return {
        "history": f"prior: {ranges['trend']} points a year for the better",
        "regression to the mean": f"prior: {ranges['regression to the mean']} points",
        "attrition": f"prior: {ranges['attrition']} of the patients concerned",
    }


def _says(evidence: Evidence) -> list[str]:
    figures, pair = evidence.figures, evidence.pair
    span = "" if figures.years is None else f" in {figures.years:g} year{_s(figures.years)}"
    ranges = evidence.tables["possible"]
    if pair is None:
        return _says_of_change(evidence, span) + _posterior_words(evidence)
    before, after = pair
    low, high = ranges.loc["risk difference", ["lower", "upper"]]
    text = (
        f"The published proportion went from {_percent(before)} to {_percent(after)}{span}: "
        f"{100 * (after - before):+.4g} percentage points ({low:+.4g} to {high:+.4g} with rounding)"
    )
    if before > 0:
        text += f", risk ratio {after / before:.3g}"
    said = [text + "."]
    if before != after:
        n = patients_to_exclude_nil(before, after, level=evidence.level)
        said.append(
            f"With at least {n} independent patients per period a {evidence.level:.0%} interval of "
            "the change leaves out 0."
        )
    if figures.n_before is not None and figures.n_after is not None:
        low, high = independent_interval(
            before, after, figures.n_before, figures.n_after, level=evidence.level
        )
        said.append(
            f"With the {figures.n_before} and {figures.n_after} published patients, taken "
            f"as independent, the {evidence.level:.0%} interval of the change is {low:+.3g} to "
            f"{high:+.3g} points."
        )
    return said + _posterior_words(evidence)


def _says_of_change(evidence: Evidence, span: str) -> list[str]:
    figures, ranges = evidence.figures, evidence.tables["possible"]
    if figures.reading == "relative":
        text = f"changed by {describe_change(figures)} of the level before{span}"
        low, high = ranges.loc["risk ratio", ["lower", "upper"]]
        alone = "the ratio after / before"
    else:
        text = f"changed by {describe_change(figures).removesuffix(' %')} percentage points{span}"
        low, high = ranges.loc["risk difference", ["lower", "upper"]]
        alone = "the difference in points"
    said = [
        f"The proportion {text}: this identifies {alone} alone ({low:.4g} to {high:.4g} with "
        "rounding)."
    ]
    limit = base_limit(figures)
    return said if limit is None else [*said, f"{limit}."]


def _posterior_words(evidence: Evidence) -> list[str]:
    drawn = evidence.drawn
    if drawn is None:
        return []
    change = _interval_words(100 * (drawn.after - drawn.before), evidence.level)
    said = [f"With the priors for what was not published, the change is {change}."]
    if evidence.has_effect:
        better = drawn.effect > 0 if drawn.direction == "higher" else drawn.effect < 0
        effect = _interval_words(drawn.effect, evidence.level)
        said.append(
            "Under the stated priors for trend, regression to the mean and attrition, the "
            f"program's effect is {effect}; the probability that it is for "
            f"the better ({'up' if drawn.direction == 'higher' else 'down'}) is "
            f"{better.mean():.2g}. The priors made this number as much as the figures did."
        )
    return said


def _interval_words(values: np.ndarray, level: float) -> str:
    lower, upper = interval(values[None, :], level=level)
    return f"{values.mean():+.1f} points ({level:.0%} interval {lower[0]:+.1f} to {upper[0]:+.1f})"


def _cannot_say(evidence: Evidence) -> list[str]:
    figures = evidence.figures
    widest = evidence.tables["bounds"].iloc[-1] if "bounds" in evidence.tables else None
    text = "Whether the program made the change: nothing shows what would have happened without it."
    if widest is not None:
        text += (
            " Whatever that was, its effect on those counted lies between "
            f"{widest['lower']:+.4g} and {widest['upper']:+.4g} points."
        )
    said = [text]
    if evidence.pair is None:
        said.append("How many patients in a hundred are better off: the level before is missing.")
    missing = [name for name, absent in _missing(evidence) if absent]
    if missing:
        said.append("Not published: " + ", ".join(missing) + ".")
    if evidence.program.selected_on_baseline and evidence.drawn is None:
        said.append(
            "How much is regression to the mean, although patients were selected on their baseline."
        )
    if evidence.drawn is not None and figures.years is None:
        said.append("The effect under the priors: the years between the figures are missing.")
    said.append("Which patients and whose patients changed, and whether anyone was harmed.")
    return said


def _missing(evidence: Evidence) -> list[tuple[str, bool]]:
    figures, program = evidence.figures, evidence.program
    return [
        ("the number of patients before", figures.n_before is None),
        ("the number of patients after", figures.n_after is None),
        ("the years between the figures", figures.years is None),
        ("whether patients were selected on their baseline", program.selected_on_baseline is None),
        ("who is in the denominator", program.denominator is None),
        ("what happened in the years before", True),
        ("what happened where the program was not", True),
    ]


def _says_nothing(evidence: Evidence) -> list[str]:
    texts = [f"Nothing is left with {text}." for text in tipping_words(evidence).values()]
    if not texts or evidence.pair is None:
        return texts
    before, after = evidence.pair
    third = abs(100 * (after - before)) / 3
    rest = attrition_for_rest(before, after, drift=2 * third)
    years = evidence.figures.years
    pace = f"{third:.2g} points in total" if years is None else f"{third / years:.2g} points a year"
    who = "without" if after > before else "with"
    return [
        *texts,
        f"Nothing is left either with smaller ones together, for instance a trend of {pace}, "
        f"regression to the mean of {third:.2g} points, and {_percent(rest)} of the patients {who} "
        "the outcome leaving the count.",
    ]


def _asks(evidence: Evidence) -> list[str]:
    if "unknowns" not in evidence.tables:
        return []
    moving = evidence.tables["unknowns"].query("variance_share >= 0.005")
    texts = zip(moving["ask_for"], moving["unknown"], moving["variance_share"], strict=True)
    return [
        f"{ask[0].upper()}{ask[1:]} ({unknown}: {share:.0%} of the variance of the effect)."
        for ask, unknown, share in texts
    ]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def _s(number: float) -> str:
    return "" if number == 1 else "s"
