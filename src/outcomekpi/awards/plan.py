"""Cases per doctor before an award means something: for reliability, PPV, misclassified share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from outcomekpi.awards.beta_posteriors import known_prior, probability_beyond
from outcomekpi.awards.normal_cuts import CutMisclassification, cut_misclassification
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive, Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.tables.cases import Direction

__all__ = ["AwardPlan", "Goal", "caseload_misclassification", "plan_awards"]

Array = NDArray[np.float64]
Goal = Literal["reliability", "ppv", "sensitivity", "misclassified"]

GRID = 2001
HALVINGS = 40
LARGEST_EXACT = 20_000  # cases up to which the counts are enumerated


# Who is awarded by mistake at a cut on counts, exactly, by caseload
def caseload_misclassification(
    cases: tuple[int, ...] | int,
    *,
    mean: float,
    sd: Positive,
    direction: Direction,
    share: Probability | None = None,
    bar: Probability | None = None,
    probability: Probability | None = None,
) -> CutMisclassification:
    """Sensitivity, specificity, PPV and misclassified share of a cut, by caseload.

    Parameters
    ----------
    cases : of every doctor; one caseload or several
    mean, sd : of the doctors' true rates, events per case
    direction : "higher" or "lower" is awarded
    share : the best share of true rates deserves the award; awarded are the best observed rates,
        doctors with the count at the edge included, so that the share awarded can be larger; or
    bar : true rates beyond this bar deserve the award; observed rates at or beyond it are awarded
    probability : with ``bar``, awarded if P(true rate beyond the bar | count) > probability

    Raises
    ------
    SpecError
        Not exactly one of share and bar, a probability without a bar, an SD that no rates with
        this mean have, or a number outside its range.

    Notes
    -----
    True rates are Beta(a, b) with a + b = p(1 - p)/s² - 1; a doctor's count y of n is
    beta-binomial, his true rate given y Beta(a + y, b + n - y). P(awarded and deserving) = sum
    over the awarded counts of P(y) P(true rate beyond the cut | y), without approximation, for
    one of infinitely many doctors. Reliability is n / (n + a + b).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> found = ok.caseload_misclassification(
    ...     (25, 77, 300), mean=.68, sd=.08, share=.1, direction="higher")
    >>> found.to_frame()["ppv"].is_monotonic_increasing
    True
    """
    check_arguments(caseload_misclassification, locals())
    numbers = np.atleast_1d(np.asarray(cases))
    _check(numbers, share, bar, probability)
    a, b = known_prior(mean, sd)
    if share is not None:
        tail = 1 - share if direction == "higher" else share
        true_cut = float(special.betaincinv(a, b, tail))
        cut = f"best {share:.3g}"
    else:
        true_cut = float(bar or 0.0)
        cut = f"{'above' if direction == 'higher' else 'below'} {true_cut:.4g}"
    if probability is not None:
        cut += f", P > {probability:g}"
    awarded, both = np.empty(numbers.size), np.empty(numbers.size)
    for place, n in enumerate(numbers):
        y = np.arange(n + 1.0)
        weight = _beta_binomial(y, float(n), a, b)
        deserving = probability_beyond(a + y, b + n - y, true_cut, direction)
        if share is not None:
            given = _best_counts(weight, share, direction)
        elif probability is not None:
            given = deserving > probability
        else:
            lead = y / n - true_cut if direction == "higher" else true_cut - y / n
            given = lead >= -1e-12
        awarded[place] = weight[given].sum()
        both[place] = (weight * deserving)[given].sum()
    return CutMisclassification(
        reliability=numbers / (numbers + a + b),
        awarded=awarded,
        deserving=float(probability_beyond(np.array(a), np.array(b), true_cut, direction)),
        both=both,
        cut=cut,
        cases=numbers.astype(np.int64),
    )


def _beta_binomial(y: Array, n: float, a: float, b: float) -> Array:
    choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
    weight = np.exp(choose + special.betaln(a + y, b + n - y) - special.betaln(a, b))
    return np.asarray(weight / weight.sum())


def _best_counts(weight: Array, share: float, direction: Direction) -> NDArray[np.bool_]:
    """Mark the best counts that together reach the share, the count at its edge included."""
    ordered = weight[::-1] if direction == "higher" else weight
    given = np.cumsum(ordered) - ordered < share - 1e-12
    return given[::-1] if direction == "higher" else given


def _check(
    cases: NDArray[Any],
    share: float | None,
    bar: float | None,
    probability: float | None,
) -> None:
    if cases.dtype.kind not in "iu" or cases.size == 0 or not (cases >= 1).all():
        raise SpecError(f"cases must be whole numbers from 1; got {cases.tolist()!r}.")
    if (share is None) == (bar is None):
        raise SpecError("A cut needs either share or bar, and not both.")
    if probability is not None and bar is None:
        raise SpecError("probability is about a bar; give bar, not share.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AwardPlan:
    """Cases needed for each goal.

    Attributes
    ----------
    goals : (goal, wanted value, reliability that it needs) of each row
    signal : (sample,), signal to noise of one case: draws where it was estimated, one number where
        mean and SD of the true rates were given
    signal_estimate : estimate (or number given) of the same
    cut : who is awarded and who deserves it, in words; empty where only reliability is planned
    awarded : (row,), share of the doctors who are awarded then, by normal theory; missing where
        only reliability is planned
    exact : (row,), the goal's measure at the cases needed, rounded up, by enumerating counts;
        missing where the mean and SD are not known or the cases are too many
    cases : (doctor,), cases of the present doctors, or None
    """

    goals: tuple[tuple[Goal, float, float], ...]
    signal: Array
    signal_estimate: float
    cut: str
    awarded: Array
    exact: Array
    cases: pd.Series | None

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per goal and wanted value.

        Returns
        -------
        DataFrame indexed by ``goal`` and ``wanted``: ``reliability`` that the goal needs; ``cases``
        per doctor with that reliability (infinite where doctors do not differ); ``lower, upper``,
        interval of the same where the spread between doctors was estimated, else missing;
        ``awarded``, share of the doctors who are awarded then (a high PPV can mean that hardly
        anybody is); ``exact``, the goal's measure at these cases by enumerating counts, where
        ``cases`` rests on normal theory; ``doctors``, share of the present doctors who have that
        many cases.
        """
        needed = np.array([reliability for _, _, reliability in self.goals])
        with np.errstate(divide="ignore"):
            odds = needed / (1 - needed)
            cases = odds / np.float64(self.signal_estimate)
        lower, upper = np.full(needed.size, np.nan), np.full(needed.size, np.nan)
        if self.signal.size > 1:
            low, high = (float(x[0]) for x in interval(self.signal[None, :], level=level))
            with np.errstate(divide="ignore", invalid="ignore"):
                lower, upper = odds / np.float64(high), odds / np.float64(low)
        own = None if self.cases is None else self.cases.to_numpy()
        reached = [np.nan if own is None else float((own >= n).mean()) for n in cases]
        index = pd.MultiIndex.from_tuples(
            [(goal, value) for goal, value, _ in self.goals], names=["goal", "wanted"]
        )
        frame = pd.DataFrame(
            {
                "reliability": needed,
                "cases": cases,
                "lower": lower,
                "upper": upper,
                "awarded": self.awarded,
                "exact": self.exact,
                "doctors": reached,
            },
            index=index,
        )
        frame.attrs.update(level=level, unit="cases per doctor", cut=self.cut)
        return frame

    def __repr__(self) -> str:
        cases = self.to_frame()["cases"]
        parts = [
            f"{goal} {value:g}: {n:.0f}"
            for (goal, value, _), n in zip(self.goals[:6], cases, strict=False)
        ]
        cut = f" ({self.cut})" if self.cut else ""
        more = f", and {len(self.goals) - 6} more" if len(self.goals) > 6 else ""
        return f"AwardPlan{cut}: cases per doctor for {', '.join(parts)}{more}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".3g")


def plan_awards(
    estimated: Reliability | None = None,
    *,
    mean: float | None = None,
    sd: Positive | None = None,
    reliability: Probability | Sequence[Probability] = (0.7, 0.8, 0.9),
    ppv: Probability | Sequence[Probability] = (),
    sensitivity: Probability | Sequence[Probability] = (),
    misclassified: Probability | Sequence[Probability] = (),
    share: Probability | None = None,
    bar: Probability | None = None,
    probability: Probability | None = None,
    direction: Direction | None = None,
) -> AwardPlan:
    """Cases that a doctor needs before awards go to the right doctors.

    Parameters
    ----------
    estimated : reliability estimated from data, by any method; or
    mean, sd : of the doctors' true rates, events per case
    reliability : wanted, in (0, 1)
    ppv, sensitivity : wanted shares, in (0, 1): of the awarded who deserve it, of the deserving
        who are awarded
    misclassified : wanted share of doctors awarded or passed over by mistake, at most
    share : the best share of the doctors is awarded and deserves it; or
    bar : rate that a true rate must be beyond (with mean and sd, and a direction)
    probability : with bar, posterior probability that an award requires; None awards the observed
        rate at the bar
    direction : "higher" or "lower" than the bar is awarded

    Raises
    ------
    SpecError
        Neither or both of an estimate and mean and sd; goals about awards without share or bar;
        a wanted value outside (0, 1).

    Notes
    -----
    Reliability R takes n = R / (1 - R) / s cases, s = 1 / (a + b), a + b = p(1 - p) / sd² - 1 for
    a beta-binomial, or the signal per case that was estimated. The other goals take the R from
    which on normal theory (:func:`cut_misclassification`) keeps them. Counts are coarser than
    that: ``exact`` says what the goal's measure is at these cases for mean and sd.

    References
    ----------
    Adams (2009), The reliability of provider profiling, RAND TR-653. He, Selck & Normand
    (2014), Statistics in Medicine 33, doi:10.1002/sim.6012.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> plan = ok.plan_awards(mean=0.68, sd=0.08, reliability=0.7, ppv=0.8, share=0.1)
    >>> plan.to_frame()["cases"].round().tolist()
    [77.0, 378.0]
    """
    check_arguments(plan_awards, locals())
    signal, estimate, cases = _signal(estimated, mean, sd)
    wanted: dict[Goal, tuple[float, ...]] = {
        "reliability": _values(reliability),
        "ppv": _values(ppv),
        "sensitivity": _values(sensitivity),
        "misclassified": _values(misclassified),
    }
    if not any(wanted.values()):
        raise SpecError("plan_awards needs a goal, for example reliability=0.7 or ppv=0.8.")
    about_awards = any(values for goal, values in wanted.items() if goal != "reliability")
    cut = _Cut(share=share, bar=bar, probability=probability, direction=direction)
    if about_awards:
        _check_cut(cut, mean, sd)
        cut = replace(cut, distance=_distance(cut, mean, sd))
    goals, awarded, exact = [], [], []
    for goal, value in ((goal, value) for goal, values in wanted.items() for value in values):
        needed = value if goal == "reliability" else _needed(cut, goal, value)
        goals.append((goal, value, needed))
        awarded.append(cut.at(np.array([needed])).awarded[0] if about_awards else np.nan)
        exact.append(_exactly(cut, goal, needed, mean, sd))
    return AwardPlan(
        goals=tuple(goals),
        signal=signal,
        signal_estimate=estimate,
        cut=cut.at(np.array([0.5])).cut if about_awards else "",
        awarded=np.array(awarded),
        exact=np.array(exact),
        cases=cases,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """Who is awarded: ``distance`` is that of the bar from the mean in SDs, harder is positive."""

    share: float | None
    bar: float | None
    probability: float | None
    direction: Direction | None
    distance: float | None = None

    def at(self, reliability: Array) -> CutMisclassification:
        return cut_misclassification(
            reliability, share=self.share, bar=self.distance, probability=self.probability
        )


def _needed(cut: _Cut, goal: Goal, value: float) -> float:
    """Smallest reliability from which on a goal is kept."""
    grid = np.linspace(0.0, 1.0, GRID)

    def kept(reliability: Array) -> NDArray[np.bool_]:
        reached = _measure(cut.at(reliability), goal)
        return np.asarray(reached <= value if goal == "misclassified" else reached >= value)

    missed = np.flatnonzero(~kept(grid))
    if missed.size == 0:
        return 0.0
    low, high = grid[missed[-1]], grid[missed[-1] + 1]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if kept(np.array([middle]))[0] else (middle, high)
    return float(high)


def _measure(found: CutMisclassification, goal: Goal) -> Array:
    if goal == "ppv":
        return found.ppv
    return found.sensitivity if goal == "sensitivity" else found.misclassified


def _exactly(cut: _Cut, goal: Goal, needed: float, mean: float | None, sd: float | None) -> float:
    """Return the goal's measure by counts, at the cases (whole) that a reliability needs."""
    if goal == "reliability" or mean is None or sd is None:
        return np.nan
    n = needed / (1 - needed) * sum(known_prior(mean, sd))
    if n > LARGEST_EXACT:
        return np.nan
    found = caseload_misclassification(
        max(1, int(np.ceil(n - 1e-9))),
        mean=mean,
        sd=sd,
        direction=cut.direction or "higher",
        share=cut.share,
        bar=cut.bar,
        probability=cut.probability,
    )
    return float(_measure(found, goal)[0])


def _signal(
    estimated: Reliability | None, mean: float | None, sd: float | None
) -> tuple[Array, float, pd.Series | None]:
    """Signal per case: draws, estimate; and the caseloads of the present doctors."""
    if estimated is not None:
        if mean is not None or sd is not None:
            raise SpecError("plan_awards takes a reliability or mean and sd, not both.")
        draws = estimated.signal_per_case.to_numpy().ravel().astype(np.float64)
        return draws, float(estimated.signal_estimate), estimated.cases
    if mean is None or sd is None:
        raise SpecError("plan_awards needs reliability(fit), or both mean= and sd=.")
    signal = 1 / sum(known_prior(mean, sd))
    return np.array([signal]), signal, None


def _values(given: Sequence[float] | float) -> tuple[float, ...]:
    return (given,) if isinstance(given, int | float) else tuple(given)


def _check_cut(cut: _Cut, mean: float | None, sd: float | None) -> None:
    if (cut.share is None) == (cut.bar is None):
        raise SpecError("Goals about awards need either share= or bar=, and not both.")
    if cut.bar is not None:
        if mean is None or sd is None:
            raise SpecError("A bar is compared with mean= and sd= of the true rates; give them.")
        if cut.direction is None:
            raise SpecError("With a bar, say which rates are awarded: direction='higher'/'lower'.")


def _distance(cut: _Cut, mean: float | None, sd: float | None) -> float | None:
    if cut.bar is None or mean is None or sd is None:
        return None
    distance = (cut.bar - mean) / sd
    return distance if cut.direction == "higher" else -distance
