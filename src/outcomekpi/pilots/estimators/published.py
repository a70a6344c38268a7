"""Published figures of a pilot: what was printed, how it is to be read, how far it was rounded."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, NotNegative, Positive
from outcomekpi.pilots.estimators.possible_figures import HalfPlane, clip_square

__all__ = ["FigureName", "PublishedFigures", "Reading", "Unit"]

Unit = Literal["percent", "fraction"]
Reading = Literal["levels", "relative", "points"]
FigureName = Literal["before", "after", "change"]

EXACT = 1e-8
"""Half-width (as a fraction) that stands for a figure without rounding."""

STRICT = 1 - 1e-9
"""Figures that agree in a single point of their rounding ranges do not agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigures:
    """The proportion that a pilot reached, as published: two levels, or a level and a change.

    Attributes
    ----------
    unit : "percent" (43) or "fraction" (.43), of every figure here
    before, after : proportion before and after the program, or None
    change : published change in the same unit (+41 is 41, in percent), or None
    reading : "levels" where ``before`` and ``after`` speak for themselves; with ``change``
        "relative" (41 % more than before) or "points" (41 percentage points): no default, because
        the two mean different things
    rounding : half-width of the rounding of every figure, in ``unit``; None takes half of the
        last digit typed for each one (43 is 42.5 to 43.5, 43.2 is 43.15 to 43.25). A final zero
        cannot be seen in a number (43.0 is 43), so state ``rounding=0.05`` for it; 0 is exact
    n_before, n_after : patients behind each figure; None where it was not published
    years : from the first figure to the second; None where it was not published
    source, quote : where the figures stand, and in which words

    Raises
    ------
    SpecError
        The reading is missing or does not go with the figures; a figure is no number.
    CasesError
        The figures are impossible (outside 0 to 100 %, +41 points on a base above 59 %), they
        contradict each other by more than their rounding, or they name no change.

    Notes
    -----
    The pairs (before, after) that round to the figures form a convex polygon: every figure and
    every reading is a pair of linear inequalities. Impossible or contradictory figures leave it
    empty.

    Examples
    --------
    >>> from outcomekpi import PublishedFigures
    >>> figures = PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> [round(value, 2) for value in figures.face_values()]
    [0.43, 0.68]
    """

    unit: Unit
    before: float | None = None
    after: float | None = None
    change: float | None = None
    reading: Reading | None = None
    rounding: NotNegative | None = None
    n_before: Count | None = None
    n_after: Count | None = None
    years: Positive | None = None
    source: str | None = None
    quote: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_reading(self)
        _check_range(self)
        _check_percent(self)
        _check_possible(self)

    @property
    def whole(self) -> float:
        """One whole in the unit of the figures: 100 percent, or 1."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def base_is_known(self) -> bool:
        """Whether the level before follows from the figures."""
        return self.before is not None or self.after is not None

    def half_width(self, name: FigureName) -> float:
        """Half-width of the rounding of one figure, as a fraction."""
        if self.rounding is not None:
            return max(self.rounding / self.whole, EXACT)
        exponent = Decimal(repr(float(getattr(self, name)))).normalize().as_tuple().exponent
        coarsest = 0 if self.unit == "percent" else -2
        return max(float(Decimal(5).scaleb(min(int(exponent), coarsest) - 1)) / self.whole, EXACT)

    def face_values(self) -> tuple[float, float] | None:
        """Before and after as fractions, figures taken at face value; None with no level given.

        Where the face values themselves would leave 0 to 1 but their rounding does not, the
        middle of what is possible is taken.
        """
        pair = _face_values(self)
        if pair is not None and not all(0 <= value <= 1 for value in pair):
            middle = self.possible().mean(axis=0)
            return float(middle[0]), float(middle[1])
        return pair

    def possible(self) -> NDArray[np.float64]:
        """Corners (corner, 2) of the polygon of pairs (before, after) that round to the figures."""
        return clip_square(_half_planes(self))


def _half_planes(figures: PublishedFigures, *, change: bool = True) -> list[HalfPlane]:
    planes: list[HalfPlane] = []
    levels: tuple[tuple[FigureName, float, float], ...] = (
        ("before", 1.0, 0.0),
        ("after", 0.0, 1.0),
    )
    for name, a, b in levels:
        if getattr(figures, name) is not None:
            value, half = getattr(figures, name) / figures.whole, figures.half_width(name)
            planes += _band(a, b, value, half * STRICT)
    if change and figures.change is not None:
        value = figures.change / figures.whole
        half = figures.half_width("change") * STRICT
        if figures.reading == "points":
            planes += _band(-1.0, 1.0, value, half)
        else:
            planes += [(1 + value - half, -1.0, 0.0), (-(1 + value + half), 1.0, 0.0)]
    return planes


def _band(a: float, b: float, value: float, half: float) -> list[HalfPlane]:
    return [(a, b, value + half), (-a, -b, half - value)]


def _face_values(figures: PublishedFigures) -> tuple[float, float] | None:
    before, after = (
        None if value is None else value / figures.whole
        for value in (figures.before, figures.after)
    )
    if before is not None and after is not None:
        return before, after
    if figures.change is None or (before is None and after is None):
        return None
    change = figures.change / figures.whole
    relative = figures.reading == "relative"
    if before is not None:
        return before, before * (1 + change) if relative else before + change
    if after is None:
        return None
    return (after / (1 + change) if relative else after - change), after


def _check_reading(figures: PublishedFigures) -> None:
    if figures.change is None:
        if figures.before is None or figures.after is None:
            found = [n for n in ("before", "after") if getattr(figures, n) is not None]
            raise CasesError(
                "A change needs a figure before and one after, or a published change; found "
                f"{found[0] + ' alone' if found else 'none'}. One level says nothing of a change."
            )
        if figures.reading not in (None, "levels"):
            raise SpecError(
                f"reading={figures.reading!r} says how a published change is meant, but none is "
                "given: set change=..., or reading='levels'."
            )
    elif figures.reading not in ("relative", "points"):
        text = describe_change(figures)
        raise SpecError(
            f"A published change of {text} can mean {text} of the level before "
            f"(reading='relative') or {text.removesuffix(' %')} percentage points "
            f"(reading='points'); say which. Got reading={figures.reading!r}."
        )


def _check_range(figures: PublishedFigures) -> None:
    for name in ("before", "after"):
        value = getattr(figures, name)
        if value is not None and not 0 <= value <= figures.whole:
            hint = ""
            if figures.unit == "fraction" and 1 < value <= 100:
                hint = " Did you mean unit='percent'?"
            raise CasesError(
                f"A proportion lies between 0 and {figures.whole:g} in {figures.unit}; "
                f"{name} is {value:g}.{hint}"
            )
    if figures.change is not None and figures.change < -figures.whole:
        raise CasesError(
            f"No proportion can fall by more than all of it; change is {describe_change(figures)}."
        )
    lost = figures.reading == "relative" and figures.change == -figures.whole
    if lost and figures.before is None:
        raise CasesError(
            "A fall by 100 % leaves 0 % whatever the level before was, and says nothing of its "
            "size: give before=..."
        )
    if figures.reading == "points" and (figures.change or 0) > figures.whole:
        raise CasesError(
            "No proportion can rise by more than 100 percentage points; change is "
            f"{describe_change(figures)}."
        )


def _check_percent(figures: PublishedFigures) -> None:
    """Refuse fractions among figures that were said to be in percent."""
    if figures.unit == "fraction":
        return
    levels = {n: getattr(figures, n) for n in ("before", "after")}
    given = {name: value for name, value in levels.items() if value is not None}
    small = {name: value for name, value in given.items() if 0 < value < 1}
    wrong = dict(small) if len(small) == len(given) else {}
    if len(given) == 2 and len(small) == 1:
        name, value = next(iter(small.items()))
        other = next(one / 100 for key, one in given.items() if key != name)
        # .68 beside 43 is 68 %, .9 beside 2.4 is .9 %: whichever odds are nearer
        distance = np.abs(_log_odds(np.array([value, value / 100])) - _log_odds(np.array(other)))
        wrong = small if distance[0] <= distance[1] else {}
    if figures.change is not None and 0 < abs(figures.change) < 1:
        wrong["change"] = figures.change
    if wrong:
        name, value = next(iter(wrong.items()))
        found = ", ".join(f"{key} {one:g}" for key, one in wrong.items())
        raise CasesError(
            f"Figures were said to be in percent (unit='percent'), and {found} can be a fraction: "
            f"{100 * value:g} % or {value:g} %? Write every figure in percent, as {name} "
            f"{100 * value:g}; or, if it is {value:g} %, leave out unit='percent' and write every "
            f"figure as a fraction, as {name} {value / 100:g}."
        )


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(share) - np.log1p(-share))


def _check_possible(figures: PublishedFigures) -> None:
    if len(figures.possible()):
        return
    limit = base_limit(figures)
    before, after = figures.before, figures.after
    if after is None and limit is not None:
        raise CasesError(f"{limit}; before is {100 * (before or 0) / figures.whole:g} %.")
    if before is None:
        raise CasesError(
            f"{describe_change(figures)} ({figures.reading}) cannot lead to "
            f"{100 * (after or 0) / figures.whole:g} %: no level before between 0 and 100 % does."
        )
    raise CasesError(_describe_contradiction(figures))


def _describe_contradiction(figures: PublishedFigures) -> str:
    corners = clip_square(_half_planes(figures, change=False))
    points = 100 * (corners[:, 1] - corners[:, 0])
    text = (
        f"before {figures.before:g}, after {figures.after:g} and change {figures.change:+g} "
        f"({figures.reading}) contradict each other: the levels are {points.min():.4g} to "
        f"{points.max():.4g} points apart"
    )
    fits = {"points": points.min() <= _percent(figures) <= points.max()}
    if corners[:, 0].min() > 0:
        ratios = 100 * (corners[:, 1] / corners[:, 0] - 1)
        text += f", or {ratios.min():+.4g} to {ratios.max():+.4g} % (relative)"
        fits["relative"] = ratios.min() <= _percent(figures) <= ratios.max()
    other = next((name for name, fit in fits.items() if fit and name != figures.reading), None)
    hint = f" Did you mean reading={other!r}?" if other else " Check the figures or the rounding."
    return f"{text}, rounding included.{hint}"


def _percent(figures: PublishedFigures) -> float:
    return 100 * (figures.change or 0) / figures.whole


def describe_change(figures: PublishedFigures) -> str:
    """Return the published change with its sign: "+41 %"."""
    return f"{_percent(figures):+.4g} %"


def base_limit(figures: PublishedFigures) -> str | None:
    """Say which levels before a published change rules out; None where it rules out none."""
    if figures.change is None:
        return None
    change = _percent(figures)
    if figures.reading == "points":
        side, limit = ("above", 100 - change) if change > 0 else ("below", -change)
        return f"{change:+.4g} points is impossible {side} a base of {limit:.3g} %"
    if change <= 0:
        return None
    return f"{change:+.4g} % relative is impossible above a base of {1e4 / (100 + change):.3g} %"
