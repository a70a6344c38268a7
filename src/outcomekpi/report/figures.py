"""The pictures of a report, drawn off screen and put into the file as data."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.fit import Fit
from outcomekpi.checks import CheckResult
from outcomekpi.plots.calibration import plot_calibration
from outcomekpi.plots.caterpillar import plot_caterpillar
from outcomekpi.plots.funnel import plot_funnel
from outcomekpi.plots.predictive import plot_predictive
from outcomekpi.plots.rank_intervals import plot_rank_intervals
from outcomekpi.plots.reliability import plot_reliability
from outcomekpi.plots.rows import FEW, rows_height
from outcomekpi.plots.sds import plot_sd
from outcomekpi.plots.shrinkage import plot_shrinkage
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.funnel import FunnelLimits
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.standardization import StandardizedRates
from outcomekpi.report.masking import Mask
from outcomekpi.report.numbers import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picture", "draw_pictures", "keep_doctors"]

VECTOR_UP_TO = 150  # doctors; beyond, a bitmap is smaller than the drawing
DPI = 160
WIDTH = 5.6  # inches; narrower than a picture on paper, so that its words can be read on a phone
SHRUNK = 0.9
STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "svg.hashsalt": "outcomekpi",
    "svg.fonttype": "path",
    "figure.facecolor": "white",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: a data URI, its size in CSS pixels, and what it shows."""

    name: str
    heading: str
    caption: str
    alt: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A picture that is still to be drawn: what, how large, and its words."""

    name: str
    heading: str
    caption: str
    draw: "Callable[[Axes], Axes]"
    height: float
    n_marks: int = 0


def draw_pictures(
    fit: Fit,
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    *,
    limits: FunnelLimits | None,
    reliability: Reliability,
    checks: Sequence[CheckResult],
    mask: Mask,
    level: float,
) -> list[Picture]:
    """Draw every picture that the results allow, without touching the caller's settings.

    Doctors whose counts are withheld are left out of pictures in which counts could be read.
    """
    sketches = [
        *_sketch_rates(rates, ranks, flags, limits=limits, mask=mask, level=level),
        *_sketch_model(fit, reliability, checks, mask=mask, level=level),
    ]
    return [_draw(sketch) for sketch in sketches]


def keep_doctors(rates: StandardizedRates, keep: NDArray[np.bool_]) -> StandardizedRates:
    """Return the rates of some doctors, compared as before with the rate of all."""
    at = np.flatnonzero(keep)
    return replace(
        rates,
        draws=rates.draws.isel(doctor=at),
        expected=rates.expected.isel(doctor=at),
        predicted=rates.predicted.isel(doctor=at),
        observed=rates.observed.iloc[at],
        cases=rates.cases.iloc[at],
        exposure=rates.exposure.iloc[at],
    )


def _sketch_rates(
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    *,
    limits: FunnelLimits | None,
    mask: Mask,
    level: float,
) -> list[Sketch]:
    n = len(rates.cases)
    shown = rates if mask.shown.all() else keep_doctors(rates, mask.shown)
    n_shown = len(shown.cases)
    tall = rows_height(n)
    sketches = []
    if limits is not None:
        sketches.append(
            Sketch(
                name="funnel",
                heading="Funnel plot.",
                caption="Each point is a doctor: what was observed, adjusted for case mix, against "
                "how many events were expected. Between the curves lies what chance alone would "
                f"do to a doctor who is just average ({_levels(limits)}). Doctors with few "
                "expected events scatter widely, which is why the curves open to the left. The "
                "point is before, the judgment after chance has been taken into account, so a "
                f"doctor may stand out inside the curves, or not outside of them.{_beyond(limits)}",
                draw=lambda ax: plot_funnel(shown, flags=flags, limits=limits, ax=ax),
                height=4.6,
                n_marks=n_shown,
            )
        )
    sketches += [
        Sketch(
            name="caterpillar",
            heading="Standardized rates.",
            caption="Doctors from best (top) to worst, with the interval in which the standardized "
            f"rate lies with {percent(level)} probability. Two doctors whose intervals overlap "
            "widely cannot be told apart.",
            draw=lambda ax: plot_caterpillar(rates, flags=flags, level=level, ax=ax),
            height=tall,
            n_marks=n,
        ),
        Sketch(
            name="ranks",
            heading="How certain the ranks are.",
            caption="The same doctors by expected rank. The longer the line, the less the data say "
            "about a doctor's place.",
            draw=lambda ax: plot_rank_intervals(ranks, flags=flags, level=level, ax=ax),
            height=tall,
            n_marks=n,
        ),
    ]
    if n_shown >= 2:
        sketches.append(
            Sketch(
                name="shrinkage",
                heading="What adjustment changes.",
                caption="From the raw rate to the standardized one. Doctors with few cases move "
                "most: their raw rates are mostly chance.",
                draw=lambda ax: plot_shrinkage(shown, level=level, ax=ax),
                height=rows_height(n_shown) if n_shown <= FEW else 5.2,
                n_marks=n_shown,
            )
        )
    return sketches


def _beyond(limits: FunnelLimits) -> str:
    """Explain rates above 100%, which a ratio of few events can give."""
    if limits.rule.distribution != "binomial" or not (limits.value > 1).any():
        return ""
    return (
        " A point is observed over expected events, times the overall rate; with very few cases "
        "that can pass 100%."
    )


def _levels(limits: FunnelLimits) -> str:
    return " and ".join(percent(level) for level in limits.levels) + " of the time"


def _sketch_model(
    fit: Fit,
    reliability: Reliability,
    checks: Sequence[CheckResult],
    *,
    mask: Mask,
    level: float,
) -> list[Sketch]:
    keep = np.flatnonzero(~mask.cases.to_numpy())
    seen = replace(
        reliability,
        draws=reliability.draws.isel(doctor=keep),
        estimate=reliability.estimate.iloc[keep],
        cases=reliability.cases.iloc[keep],
    )
    sketches = []
    if keep.size:
        sketches.append(
            Sketch(
                name="reliability",
                heading="Reliability and caseload.",
                caption="How much of a doctor's result is real, by number of cases. The dashed "
                "lines are levels that are often asked for.",
                draw=lambda ax: plot_reliability(seen, level=level, ax=ax),
                height=4.2,
                n_marks=int(keep.size),
            )
        )
    sketches.append(
        Sketch(
            name="spread",
            heading="How much doctors differ.",
            caption="The spread between doctors, before the data (dashed) and after (filled). If "
            "the two look alike, the data say little about how much doctors differ.",
            draw=lambda ax: plot_sd(fit, level=level, ax=ax),
            height=3.8,
        )
    )
    for check in checks:
        sketches += _sketch_check(check, mask)
    return sketches


def _sketch_check(check: CheckResult, mask: Mask) -> list[Sketch]:
    """Return the picture of a check that has one; none where it would show withheld counts."""
    columns = set(check.table.columns)
    if {"prediction", "group", "predicted", "observed"} <= columns:
        return [
            Sketch(
                name="calibration",
                heading="Calibration.",
                caption="Cases in groups of rising risk: what was predicted against what happened. "
                "On the diagonal the risk model is right.",
                draw=lambda ax: plot_calibration(check, ax=ax),
                height=5.0,
            )
        ]
    if {"observed", "lower", "upper", "new_lower"} <= columns:
        shown = check.table[check.table.index.isin(mask.cases.index[mask.shown])]
        if len(shown) < 2:
            return []
        kept = replace(check, table=shown)
        return [
            Sketch(
                name="predictive",
                heading="Would the model produce such results?",
                caption="Results replicated from the model against what was observed. Many doctors "
                "outside their interval would mean that the model does not fit.",
                draw=lambda ax: plot_predictive(kept, ax=ax),
                height=rows_height(len(shown)) if len(shown) <= FEW else 4.2,
                n_marks=len(shown),
            )
        ]
    return []


def _draw(sketch: Sketch) -> Picture:
    """Draw one picture in matplotlib's own style, whatever the caller has set."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, SHRUNK * sketch.height), layout="constrained")
        FigureCanvasAgg(figure)
        sketch.draw(figure.add_subplot())
        content = BytesIO()
        if sketch.n_marks > VECTOR_UP_TO:
            kind = "png"
            figure.savefig(content, format=kind, dpi=DPI, metadata={"Software": None})
        else:
            kind = "svg+xml"
            figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    encoded = b64encode(content.getvalue()).decode("ascii")
    return Picture(
        name=f"figure-{sketch.name}",
        heading=sketch.heading,
        caption=sketch.caption,
        alt=f"{sketch.heading} {sketch.caption}",
        uri=f"data:image/{kind};base64,{encoded}",
        width=round(WIDTH * 96),
        height=round(SHRUNK * sketch.height * 96),
    )
