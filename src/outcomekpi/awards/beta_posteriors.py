"""Beta posteriors of true rates, many replicates of many doctors at once."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.tables.cases import Direction

__all__ = [
    "Prior",
    "certain_beyond",
    "empirical_bayes",
    "known_prior",
    "probability_among_best",
    "probability_beyond",
]

Array = NDArray[np.float64]
Prior = tuple[Array, Array]

FEWEST_DOCTORS = 4
LARGEST_ICC = 0.95  # beyond it, a beta prior has nearly all its mass at 0 and 1
STEPS = 60  # of a safeguarded Newton search, which takes 5 or so
CLOSE = 1e-9


def probability_beyond(a: Array, b: Array, bar: Array | float, direction: Direction) -> Array:
    """P(true rate above the bar), or below it, where the true rate is Beta(a, b).

    Parameters
    ----------
    a, b : any shape, > 0
    bar : of a shape that broadcasts with them
    direction : "higher" for above, "lower" for below
    """
    tail = special.betaincc if direction == "higher" else special.betainc
    return np.asarray(tail(a, b, np.clip(bar, 0.0, 1.0)))


def certain_beyond(
    events: Array,
    trials: Array,
    prior: Prior,
    *,
    bar: float,
    direction: Direction,
    above: float,
) -> NDArray[np.bool_]:
    """Whether P(true rate beyond the bar) is above a required probability.

    Parameters
    ----------
    events, trials : (replicate, unit)
    prior : a and b, (replicate, 1) each
    bar : events per trial
    direction : "higher" or "lower" than the bar
    above : required probability, in [0, 1)

    Returns
    -------
    (replicate, unit)

    Notes
    -----
    The probability rises (or falls) with the events. Where all units of all replicates have the
    same whole number n of trials and there are many of them, the number of events at which it
    passes is found by halving, in log2(n + 2) evaluations per replicate instead of one per unit.
    """
    a, b = prior
    n = float(trials.flat[0])
    halvings = int(np.ceil(np.log2(n + 2)))
    counts = n == np.floor(n) and (trials == n).all() and (events == np.floor(events)).all()
    if not counts or events.shape[1] <= halvings:
        beyond = probability_beyond(a + events, b + trials - events, bar, direction)
        return np.asarray(beyond > above)
    # low: a count that fails (higher) or passes (lower); high: one that does the opposite
    low, high = np.full_like(a, -1.0), np.full_like(a, n + 1)
    for _ in range(halvings):
        middle = np.clip(np.floor((low + high) / 2), 0, n)
        passes = probability_beyond(a + middle, b + n - middle, bar, direction) > above
        found = high - low <= 1
        raise_low = passes != (direction == "higher")
        low = np.where(raise_low & ~found, middle, low)
        high = np.where(raise_low | found, high, middle)
    return np.asarray(events >= high if direction == "higher" else events <= low)


def probability_among_best(a: Array, b: Array, *, share: float, direction: Direction) -> Array:
    """P(true rate beyond t), with t the rate at which these add up to share x units.

    Parameters
    ----------
    a, b : (replicate, unit), of the beta posteriors
    share : in (0, 1)
    direction : whether the highest or the lowest rates are the best

    Returns
    -------
    (replicate, unit), in [0, 1]

    Notes
    -----
    t by Newton steps on the summed tails, whose slope is the summed densities; a step that
    leaves the interval known to hold t is replaced by its middle.
    """
    wanted = share * a.shape[1]
    sign = 1.0 if direction == "higher" else -1.0
    log_scale = special.betaln(a, b)
    low, high = np.zeros((a.shape[0], 1)), np.ones((a.shape[0], 1))
    edge = _normal_quantile(a, b, 1 - share if direction == "higher" else share)
    found = np.empty(a.shape)
    open_ = np.arange(a.shape[0])
    for _ in range(STEPS):
        a_, b_, at = a[open_], b[open_], edge[open_]
        beyond = probability_beyond(a_, b_, at, direction)
        found[open_] = beyond
        gap = sign * (beyond.sum(axis=1, keepdims=True) - wanted)
        low[open_] = np.where(gap > 0, at, low[open_])
        high[open_] = np.where(gap > 0, high[open_], at)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            log_density = (a_ - 1) * np.log(at) + (b_ - 1) * np.log1p(-at) - log_scale[open_]
            step = at + gap / np.exp(log_density).sum(axis=1, keepdims=True)
        inside = (step > low[open_]) & (step < high[open_])
        edge[open_] = np.where(inside, step, (low[open_] + high[open_]) / 2)
        open_ = open_[np.abs(gap[:, 0]) > CLOSE * wanted]
        if open_.size == 0:
            break
    return found


def _normal_quantile(a: Array, b: Array, level: float) -> Array:
    """Return where to start: the quantile of a normal with mean and SD of the mixture, inside."""
    mean = a / (a + b)
    variance = mean * (1 - mean) / (a + b + 1)
    center = mean.mean(axis=1, keepdims=True)
    spread = np.sqrt(variance.mean(axis=1, keepdims=True) + mean.var(axis=1, keepdims=True))
    start = np.clip(center + special.ndtri(level) * spread, center / 10, 1 - (1 - center) / 10)
    return np.asarray(start)


def known_prior(mean: float, sd: float) -> tuple[float, float]:
    """Beta prior of a true rate with a known mean and SD between doctors: a and b.

    Raises
    ------
    SpecError
        The mean is no rate inside (0, 1), or the SD is as large as that of 0 and 1 alone.
    """
    if not 0.0 < mean < 1.0:
        hint = percent_hint(mean)
        raise SpecError(f"The mean of the true rates must lie in (0, 1); got {mean!r}.{hint}")
    largest = float(np.sqrt(mean * (1 - mean)))
    if not 0.0 < sd < largest:
        raise SpecError(
            f"The SD between doctors must lie between 0 and sqrt(p(1 - p)) = {largest:.3g}; "
            f"got {sd!r}."
        )
    size = mean * (1 - mean) / sd**2 - 1
    return mean * size, (1 - mean) * size


def empirical_bayes(events: Array, trials: Array) -> Prior:
    """Beta prior of the true rates, estimated from the doctors of each replicate by moments.

    Parameters
    ----------
    events, trials : (replicate, unit)

    Returns
    -------
    a, b : (replicate, 1), > 0

    Raises
    ------
    SpecError
        Fewer than 4 doctors with trials, or doctors with a single case only.

    Notes
    -----
    p = (Y + 1/2) / (N + 1) over all doctors. X² = sum n_j (p_j - Y/N)² / (p(1 - p)) has, under a
    beta-binomial with intraclass correlation r, mean (J - 1) + r sum (n_j - 1)(1 - n_j / N),
    that is (J - 1) c with c = 1 + r m. The plain moment estimate X² / (J - 1) of c falls below 1
    in many replicates, which would make all doctors equal and sure. Instead X² / c is taken as
    chi-square with J - 1 degrees of freedom and c has a flat prior on (1, inf), so that the
    shrinkage 1 / c is a gamma variable cut at 1, with mean

        B = (J - 3) / X² x P((J - 1) / 2, X² / 2) / P((J - 3) / 2, X² / 2) < 1,

    P the regularized incomplete gamma function; r = (1 / B - 1) / m is positive always, at least
    2 / ((J - 3) m), and a + b = 1 / r - 1.

    References
    ----------
    Morris (1983), Journal of the American Statistical Association 78 (the mean shrinkage);
    Kleinman (1973), Journal of the American Statistical Association 68 (the moments).
    """
    counted = trials > 0
    n_units = counted.sum(axis=1, keepdims=True)
    total = trials.sum(axis=1, keepdims=True)
    if n_units.min() < FEWEST_DOCTORS:
        raise SpecError(
            f"The spread between doctors cannot be estimated from {int(n_units.min())} of them; "
            f"at least {FEWEST_DOCTORS} are needed. Pass prior=(mean, sd) of the true rates."
        )
    overall = events.sum(axis=1, keepdims=True) / total
    p = (events.sum(axis=1, keepdims=True) + 0.5) / (total + 1)
    rates = events / np.where(counted, trials, 1.0)
    x2 = (trials * (rates - overall) ** 2).sum(axis=1, keepdims=True) / (p * (1 - p))
    size = (np.maximum(trials - 1, 0) * (1 - trials / total)).sum(axis=1, keepdims=True)
    if size.min() <= 0:
        raise SpecError(
            "The spread between doctors cannot be estimated where every doctor has one case at "
            "most. Pass prior=(mean, sd) of the true rates."
        )
    shrinkage = _mean_shrinkage(x2, n_units)
    icc = np.minimum((1 / shrinkage - 1) * (n_units - 1) / size, LARGEST_ICC)
    return p * (1 / icc - 1), (1 - p) * (1 / icc - 1)


def _mean_shrinkage(x2: Array, n_units: NDArray[np.integer]) -> Array:
    shape, half = (n_units - 3) / 2, x2 / 2
    below = special.gammainc(shape, half)
    # for small x2 both vanish; P(s, x) = x^s e^-x / Gamma(s + 1) (1 + x / (s + 1) + ...)
    tiny = below < 1e-280
    ratio = special.gammainc(shape + 1, half) / np.where(tiny, 1.0, below)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = shape / half * ratio
        series = shape / (shape + 1) * (1 - half / (shape + 1)) / (1 - half / (shape + 2))
    return np.asarray(np.where(tiny, series, mean))
