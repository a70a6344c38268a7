"""Why the interval of a series is wide, where other methods give a much narrower one."""

import numpy as np
import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.designs.series_answer import SeriesAnswer, spell_time
from outcomekpi.pilots.estimators.ar_errors import to_partial, whiten, whitening_bands
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["check_width"]

MUCH_WIDER = 2.0
LARGE_JUMP = 3.0


def check_width(answer: SeriesAnswer) -> CheckResult | None:
    """Explain an interval that is at least twice as wide as that of another method.

    Returns
    -------
    None where no other method was tried
    """
    if not answer.variants:
        return None
    own = _width(answer.main)
    widths = [(words, _width(one)) for words, one in answer.variants]
    words, least = min(widths, key=lambda pair: pair[1])
    times = own / least
    table = pd.DataFrame(
        [("as reported", own), *widths], columns=["method", "width"]
    )  # of the logarithm, for ratios
    verdict = f"The interval is {times:.1f} times as wide as the narrowest of the others ({words})."
    if times >= MUCH_WIDER:
        verdict = f"{verdict} {_explain(answer)}"
    return CheckResult(name="width of the interval", passed=None, verdict=verdict, table=table)


def _width(one: Estimate) -> float:
    lower, upper = one.interval(level=DEFAULT_LEVEL)
    return float(np.log(upper / lower) if one.scale == "log" else upper - lower)


def _explain(answer: SeriesAnswer) -> str:
    rho, count = answer.wandering.rho, int(answer.model.used.sum())
    parts = [
        f"Neighboring points are alike (autocorrelation {rho:.2f}): what looks like a change may "
        f"be the series moving on its own, and its {count:,} points tell far less than "
        "independent ones. The narrower intervals leave out that, or what is not known of it."
    ]
    jump = _largest_jump(answer)
    if jump is not None:
        parts.append(
            f"The largest jump that the model does not know of lies at {jump[0]} "
            f"({jump[1]:.1f} SDs of a step)."
        )
    parts.append(
        "Something that is not in the model makes points alike too: a second interruption (name "
        "it in other_interruptions), a season (seasonality), a bent trend."
    )
    return " ".join(parts)


def _largest_jump(answer: SeriesAnswer) -> tuple[str, float] | None:
    """Time and size of the largest step of the noise, in its own robust SDs; None for a small one.

    The SD is 1.48 times the median of the absolute steps, which the jump itself hardly moves.
    """
    rows, response = answer.weighed()
    left = response - rows @ answer.fit.coefficients
    white = whiten(whitening_bands(to_partial(answer.fit.autoregression), left.size), left)
    known = answer.model.used & (np.arange(left.size) > 0)
    sizes = np.where(known, np.abs(white), 0.0)
    spread = 1.4826 * float(np.median(sizes[known]))
    place = int(sizes.argmax())
    if spread <= 0 or sizes[place] < LARGE_JUMP * spread:
        return None
    return spell_time(answer.data.times.labels[place]), float(sizes[place] / spread)
