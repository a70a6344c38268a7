"""What else could have moved a series, and how strong it would have to be."""

import numpy as np

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.designs.series_answer import SeriesAnswer
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program

__all__ = ["list_threats"]


def list_threats(answer: SeriesAnswer, program: Program) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    amount, edge = _tipping(answer.main)
    controlled = answer.options.control_as != "none"
    where = "in the treated series alone" if controlled else "at the same time"
    steps = float(answer.data.since[answer.model.counted].mean())
    threats = [
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that changed the outcome by {amount} {where} leaves no "
            f"effect; {edge}",
            handled="what moves treated and control alike cancels" if controlled else "",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement, coding or coverage at the start worth {amount} "
            "leaves no effect",
            handled=program.measurement_changes or "",
        ),
    ]
    bend = _bend(answer, steps)
    if bend:
        threats.append(
            Threat(
                name="bent trend",
                direction="either",
                tipping=bend,
                handled="a straight trend before the start is in the model",
            )
        )
    if program.selected_on_baseline:
        threats.append(
            Threat(
                name="regression to the mean",
                direction="towards benefit",
                tipping=f"a fall back of {amount} on its own, because the start followed extreme "
                "values, leaves no effect",
                handled="points before the extreme ones carry the trend; leave the extreme ones "
                "out and compare",
            )
        )
    return tuple(threats)


def _tipping(main: Estimate) -> tuple[str, str]:
    """Write the size that makes the effect nil, and the one that takes its clarity."""
    lower, upper = main.interval(level=DEFAULT_LEVEL)
    ratio = main.scale == "log"
    amount = f"a factor of {main.value:.4g}" if ratio else f"{main.value:.4g} {main.unit}"
    if not main.excludes_null(level=DEFAULT_LEVEL):
        return amount, f"the {DEFAULT_LEVEL:.0%} interval includes no effect as it is"
    near = lower if abs(lower - main.null) < abs(upper - main.null) else upper
    small = f"a factor of {near:.4g}" if ratio else f"{near:.4g} {main.unit}"
    return amount, f"{small} is enough for the {DEFAULT_LEVEL:.0%} interval to include no effect"


def _bend(answer: SeriesAnswer, steps: float) -> str:
    """Change of the trend at the start, without a program, that makes the effect nil."""
    if steps <= 0 or answer.options.method == "structural":
        return ""
    step = answer.data.times.step
    if answer.main.scale == "log":
        each = np.exp(np.log(answer.main.value) / steps)
        return (
            f"a trend that by itself turned by a factor of {each:.4g} a {step} at the start "
            "leaves no effect"
        )
    return (
        f"a trend that by itself turned by {answer.main.value / steps:.4g} {answer.main.unit} a "
        f"{step} at the start leaves no effect"
    )
