"""Which pictures a report shows, and the words under each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from outcomekpi.draws.checks import CheckResult
from outcomekpi.model.spec import Family
from outcomekpi.pages.masking import Mask
from outcomekpi.pages.numbers import percent
from outcomekpi.pages.suppression import is_small
from outcomekpi.plots.calibration import plot_calibration
from outcomekpi.plots.caterpillar import plot_caterpillar
from outcomekpi.plots.funnel import plot_funnel
from outcomekpi.plots.predictive import plot_predictive
from outcomekpi.plots.rank_intervals import plot_rank_intervals
from outcomekpi.plots.reliability import plot_reliability
from outcomekpi.plots.rows import FEW, Labels, rows_height
from outcomekpi.plots.sds import plot_sd
from outcomekpi.plots.shrinkage import plot_shrinkage
from outcomekpi.plots.sides import rate_noun
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.funnel import FunnelLimits
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Sketch",
    "sketch_checks",
    "sketch_funnel",
    "sketch_reliability",
    "sketch_rows",
    "sketch_shrinkage",
    "sketch_spread",
]

NAMED_AT_MOST = 15  # doctors who stand out; more names than these hide each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A picture that is still to be drawn: what, how large, and its words."""

    name: str
    heading: str
    caption: str
    draw: "Callable[[Axes], Axes]"
    height: float
    n_marks: int = 0


def sketch_funnel(
    shown: StandardizedRates, flags: Classification, limits: FunnelLimits | None
) -> list[Sketch]:
    """Sketch the funnel of the doctors who are shown, where there is one."""
    if limits is None:
        return []
    n_flagged = int((flags.flag != "").sum())
    labels: Labels = "flagged" if n_flagged <= NAMED_AT_MOST else "none"
    levels = " and ".join(percent(level) for level in limits.levels)
    of_means = limits.rule.distribution == "normal"
    against = "his number of cases" if of_means else "how many events were expected"
    few = "cases" if of_means else "expected events"
    often = levels if of_means else f"at least {levels}"  # counts leave less outside than asked
    caption = (
        f"Each point is a doctor: what was observed, adjusted for case mix, against {against}. "
        "Between the curves lies what chance alone would do to a doctor who is just "
        f"average ({often} of the time). Doctors with few {few} scatter widely, which "
        "is why the curves open to the left. The point is before, the judgment after chance has "
        "been taken into account, so a doctor may stand out inside the curves, or not outside of "
        f"them.{_explain_beyond_all(limits)}{_explain_narrow(shown)}"
    )
    return [
        Sketch(
            name="funnel",
            heading="Funnel plot.",
            caption=caption,
            draw=lambda ax: plot_funnel(shown, flags=flags, limits=limits, labels=labels, ax=ax),
            height=4.6,
            n_marks=len(shown.cases),
        )
    ]


def _explain_beyond_all(limits: FunnelLimits) -> str:
    """Explain rates above 100%, which a ratio of few events can give."""
    if limits.rule.distribution != "binomial" or not (limits.value > 1).any():
        return ""
    return (
        " A point is observed over expected events, times the overall rate; with very few cases "
        "that can pass 100%."
    )


def _explain_narrow(rates: StandardizedRates) -> str:
    """Admit that limits of Poisson counts are too narrow where the model has a dispersion."""
    if rates.family != "negative_binomial":
        return ""
    return (
        " The curves are those of Poisson counts. The model found the counts of like cases more "
        "scattered than that, so that chance alone carries a doctor farther than they show."
    )


def sketch_rows(
    rates: StandardizedRates, ranks: Ranks, flags: Classification, *, level: float
) -> list[Sketch]:
    """Sketch standardized rates and ranks of the doctors who are shown, one row each."""
    n = len(rates.cases)
    n_flagged = int((flags.flag != "").sum())
    labels: Labels = "flagged" if n > FEW and n_flagged <= NAMED_AT_MOST else "auto"
    return [
        Sketch(
            name="caterpillar",
            heading="Standardized rates.",
            caption="Doctors from best (top) to worst, with the interval in which the standardized "
            f"{rate_noun(rates)} lies with {percent(level)} probability. Two doctors whose "
            "intervals overlap widely cannot be told apart.",
            draw=lambda ax: plot_caterpillar(rates, flags=flags, labels=labels, level=level, ax=ax),
            height=rows_height(n),
            n_marks=n,
        ),
        Sketch(
            name="ranks",
            heading="How certain the ranks are.",
            caption="The same doctors by expected rank. The longer the line, the less the data say "
            "about a doctor's place.",
            draw=lambda ax: plot_rank_intervals(
                ranks, flags=flags, labels=labels, level=level, ax=ax
            ),
            height=rows_height(n),
            n_marks=n,
        ),
    ]


def sketch_shrinkage(shown: StandardizedRates, *, level: float) -> list[Sketch]:
    """Sketch raw against standardized rates of the doctors who are shown."""
    n = len(shown.cases)
    if n < 2:
        return []
    noun = rate_noun(shown)
    return [
        Sketch(
            name="shrinkage",
            heading="What adjustment changes.",
            caption=f"From the raw {noun} to the standardized one. Doctors with few cases move "
            f"most: their raw {noun}s are mostly chance.",
            draw=lambda ax: plot_shrinkage(shown, level=level, ax=ax),
            height=rows_height(n) if n <= FEW else 5.2,
            n_marks=n,
        )
    ]


def sketch_reliability(shown: Reliability, *, level: float) -> list[Sketch]:
    """Sketch reliability against caseload of the doctors who are shown."""
    n = len(shown.cases)
    if not n:
        return []
    return [
        Sketch(
            name="reliability",
            heading="Reliability and caseload.",
            caption="How much of a doctor's result is real, by number of cases. The dashed lines "
            "are levels that are often asked for.",
            draw=lambda ax: plot_reliability(shown, level=level, ax=ax),
            height=4.2,
            n_marks=n,
        )
    ]


def sketch_spread(fit: Fit, *, level: float) -> list[Sketch]:
    """Sketch prior and posterior of the spread between doctors."""
    return [
        Sketch(
            name="sd",
            heading="How much doctors differ.",
            caption="The spread between doctors, before the data (dashed) and after (filled). If "
            "the two look alike, the data say little about how much doctors differ.",
            draw=lambda ax: plot_sd(fit, level=level, ax=ax),
            height=3.8,
        )
    ]


def sketch_checks(checks: Sequence[CheckResult], mask: Mask, family: Family) -> list[Sketch]:
    """Sketch the pictures of the checks that have one, without those withheld and small groups."""
    sketches = []
    for check in checks:
        columns = set(check.table.columns)
        if {"prediction", "group", "predicted", "observed"} <= columns:
            if not _has_small_groups(check, mask, family):
                sketches.append(_sketch_calibration(check))
        elif {"observed", "lower", "upper", "new_lower"} <= columns:
            shown = check.table[check.table.index.isin(mask.hidden.index[mask.shown])]
            if len(shown) > 1:
                sketches.append(_sketch_predictive(replace(check, table=shown)))
    return sketches


def _has_small_groups(check: CheckResult, mask: Mask, family: Family) -> bool:
    """Whether a small count could be read from a group of like risk."""
    if mask.below is None:
        return False
    cases = check.table["cases"].to_numpy(dtype=np.float64)
    events = check.table["observed"].to_numpy(dtype=np.float64) * cases
    counts = [cases] if family == "gaussian" else [cases, events]
    if family in ("bernoulli", "binomial"):
        counts.append(cases - events)
    return bool(is_small(np.rint(np.column_stack(counts)).astype(np.int64), mask.below).any())


def _sketch_calibration(check: CheckResult) -> Sketch:
    return Sketch(
        name="calibration",
        heading="Calibration.",
        caption="Cases in groups of rising risk: what was predicted against what happened. On the "
        "diagonal the risk model is right.",
        draw=lambda ax: plot_calibration(check, ax=ax),
        height=5.0,
    )


def _sketch_predictive(check: CheckResult) -> Sketch:
    n = len(check.table)
    return Sketch(
        name="predictive",
        heading="Would the model produce such results?",
        caption="Results replicated from the model against what was observed. Many doctors outside "
        "their interval would mean that the model does not fit.",
        draw=lambda ax: plot_predictive(check, ax=ax),
        height=rows_height(n) if n <= FEW else 4.2,
        n_marks=n,
    )
