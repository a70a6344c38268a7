"""What moved the units that were not chosen in the same time, program or not."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, expit, logit, ndtr

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.estimators.unit_prediction import UnitResults

__all__ = ["SharedShift", "check_shift", "follow_others"]

Array = NDArray[np.float64]
FEWEST = 2
"""Units not chosen that are needed to see what moved them."""
RARE = 0.05
"""Chance below which a check says that something moved."""
EDGE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedShift:
    """The change that units not chosen made, and what it makes of everybody's prediction.

    Attributes
    ----------
    prediction : (draw, unit), follow-up with no program, the shift and the chance in it
    expected : (draw, unit), true result moved by the shift
    wander : (draw,), what units that move by themselves add to the mean of the chosen less that
        of the others
    change : (draw,), mean change that the shift makes in the others
    seen : (unit,), the others whose follow-up is known
    excess : chi-square of their follow-ups about the prediction, on ``seen`` less one degrees
    sd_wander : of a unit by itself from before to after, beyond chance
    """

    prediction: Array
    expected: Array
    wander: Array
    change: Array
    seen: NDArray[np.bool_]
    excess: float
    sd_wander: float


def follow_others(
    units: UnitResults, prediction: Array, truth: Array, *, rng: np.random.Generator
) -> SharedShift | None:
    """Learn from the units that were not chosen what moved everybody.

    Parameters
    ----------
    units : results
    prediction, truth : (draw, unit), follow-up and true result if nothing moved
    rng : of chance

    Returns
    -------
    the shift, or None with fewer than two others whose follow-up is known

    Notes
    -----
    In each draw the shift (of log odds for rates, of the mean for means) makes the mean of the
    others' true results their observed follow-up less a draw of its chance. Follow-ups of the
    others about their shifted expectation have variance v_j by chance; Q = sum r_j² / v_j above its
    m - 1 degrees says that units also move one by one, with variance tau² = (q - 1)(m - 1) / C,
    q = Q over a draw of chi-square, C = sum w - sum w² / sum w, w = 1 / v (DerSimonian and Laird);
    it enters with tau² (1 / k + 1 / m).

    References
    ----------
    DerSimonian & Laird (1986), Controlled Clinical Trials 7:177-188.
    """
    seen = ~units.chosen & np.isfinite(units.after)
    if seen.sum() < FEWEST:
        return None
    size = np.where(np.isfinite(units.after_size), units.after_size, 1.0)
    moved, chance = truth, prediction - truth
    for _ in range(2 if units.is_counts else 1):  # chance belongs to the rates that were moved
        target = units.after[seen].mean() - chance[:, seen].mean(axis=1)
        if units.is_counts:
            edge = 0.5 / float(size[seen].sum())
            moved = _move_rates(truth, seen, np.clip(target, edge, 1.0 - edge))
            chance = rng.binomial(size.astype(np.int64), moved) / size - moved
        else:
            moved = truth + (target - truth[:, seen].mean(axis=1))[:, None]
    prediction = moved + chance
    away = units.after[seen] - moved[:, seen].mean(axis=0)
    weight = 1.0 / prediction[:, seen].var(axis=0, ddof=1)
    excess, degrees = float(weight @ away**2), int(seen.sum()) - 1
    spare = float(weight.sum() - (weight**2).sum() / weight.sum()) / degrees
    ratio = excess / rng.chisquare(degrees, size=len(truth))
    variance = np.maximum(ratio - 1.0, 0.0) / spare
    share = 1.0 / units.chosen.sum() + 1.0 / seen.sum()
    return SharedShift(
        prediction=prediction,
        expected=moved,
        wander=np.sqrt(variance * share) * rng.standard_normal(len(truth)),
        change=(moved - truth)[:, seen].mean(axis=1),
        seen=seen,
        excess=excess,
        sd_wander=float(np.sqrt(max(excess / degrees - 1.0, 0.0) / spare)),
    )


def _move_rates(truth: Array, seen: NDArray[np.bool_], target: Array) -> Array:
    """Rates moved by the shift of log odds that brings the mean of the others to the target."""
    odds = logit(np.clip(truth, EDGE, 1.0 - EDGE))
    low, high = np.full(len(truth), -30.0), np.full(len(truth), 30.0)
    for _ in range(50):
        middle = (low + high) / 2.0
        over = expit(odds[:, seen] + middle[:, None]).mean(axis=1) > target
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.asarray(expit(odds + ((low + high) / 2.0)[:, None]))


def check_shift(
    units: UnitResults, shift: SharedShift | None, truth: Array, points: float
) -> tuple[CheckResult, ...]:
    """Say whether something moved the units that were not chosen: all, one by one, or inwards.

    Parameters
    ----------
    units : results
    shift : what was learned from the others
    truth : (draw, unit), true results before
    points : 100 for rates
    """
    if shift is None:
        return ()
    others = int(shift.seen.sum())
    return (
        _check_shared(shift, others, points),
        _check_wander(shift, others, points),
        *_check_inwards(units, shift, truth, points),
    )


def _check_shared(shift: SharedShift, others: int, points: float) -> CheckResult:
    value, error = float(shift.change.mean()), float(shift.change.std(ddof=1))
    error = float(np.hypot(error, shift.sd_wander / np.sqrt(others)))
    distance = value / error if error > 0 else 0.0
    passed = bool(2 * ndtr(-abs(distance)) > RARE)
    verdict = (
        f"The {others:,} units not chosen ended {points * value:+.4g} (se {points * error:.2g}) "
        "from where they would be had nothing moved."
    )
    if not passed:
        verdict += (
            " Something else than the program moved all units; it is taken off, as if it had moved "
            "the chosen ones alike."
        )
    return _result(
        "Units that were not chosen against their own expectation",
        passed,
        verdict,
        {"change": points * value, "se": points * error, "standard errors apart": distance},
    )


def _check_wander(shift: SharedShift, others: int, points: float) -> CheckResult:
    chance = float(chdtrc(others - 1, shift.excess))
    spread = points * shift.sd_wander
    verdict = f"Their changes differ as chance lets them (p = {chance:.2g})."
    if chance <= RARE:
        verdict = (
            f"Their changes differ by more than chance (p = {chance:.2g}): units move by "
            f"themselves, with an SD of {spread:.3g}. It is in the interval; that units who move "
            "also come back further is not: see replay_selection."
        )
    return _result(
        "Units that move by themselves",
        chance > RARE,
        verdict,
        {"chi-square": shift.excess, "degrees": others - 1, "p": chance, "SD": spread},
    )


def _check_inwards(
    units: UnitResults, shift: SharedShift, truth: Array, points: float
) -> tuple[CheckResult, ...]:
    """Slope of the others' follow-up on what their results before let expect; 1 if all is well."""
    seen = shift.seen
    expected = shift.expected[:, seen].mean(axis=0)
    weight = 1.0 / (shift.prediction[:, seen].var(axis=0, ddof=1) + shift.sd_wander**2)
    x = expected - float(weight @ expected) / float(weight.sum())
    squares = float(weight @ x**2)
    if seen.sum() < 4 or squares <= 0:
        return ()
    slope, error = float(weight @ (x * units.after[seen])) / squares, 1.0 / float(np.sqrt(squares))
    distance = (slope - 1.0) / error
    passed = bool(2 * ndtr(-abs(distance)) > RARE)
    verdict = (
        f"Their follow-up rises by {slope:.2f} (se {error:.2f}) for each point that their results "
        "before let expect, where 1 is right."
    )
    if not passed:
        verdict += (
            " Extreme units come back further than chance alone lets them: the correction is too "
            "small. Use replay_selection."
            if slope < 1
            else " Units move apart: the correction is too large. Use replay_selection."
        )
    return (
        _result(
            "Units that come back as chance lets them",
            passed,
            verdict,
            {"slope": slope, "se": error, "standard errors from 1": distance},
        ),
    )


def _result(name: str, passed: bool, verdict: str, values: dict[str, float]) -> CheckResult:
    table = pd.DataFrame({"value": list(values.values())})
    table.index = pd.Index(list(values), name="quantity")
    return CheckResult(name=name, passed=passed, verdict=verdict, table=table)
