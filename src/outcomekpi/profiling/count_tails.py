"""Tails of counts on the log scale: Poisson-binomial, Poisson and normal, mid-p."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammainc, gammaincc, gammaln, log_ndtr

from outcomekpi.draws.threads import in_threads

__all__ = [
    "MidTails",
    "many_poisson_binomial_tails",
    "normal_tails",
    "poisson_binomial_tails",
    "poisson_tails",
]

Array = NDArray[np.float64]

REACH = 9.0  # SDs on each side of the observed count that the tilted law is kept for
MANY_ROWS = 20_000  # distinct probabilities beyond which neighbors are pooled
UNDERFLOW = 1e-280
SMALL = 300  # cases up to which all probabilities of a doctor are multiplied out
AT_A_TIME = 256  # doctors


@dataclass(frozen=True, slots=True, kw_only=True)
class MidTails:
    """Natural logarithms of P(Y < y) + P(Y = y)/2 and of P(Y > y) + P(Y = y)/2."""

    lower: float
    upper: float

    @property
    def two_sided(self) -> float:
        """Log of the two-sided mid-p value, twice the smaller tail, at most 0."""
        return min(0.0, float(np.log(2.0)) + min(self.lower, self.upper))

    @property
    def side(self) -> str:
        """``"high"`` or ``"low"``, the side that the count is on."""
        return "high" if self.upper < self.lower else "low"


def _complement(log_p: float) -> float:
    """Logarithm of 1 - exp(log_p)."""
    if log_p > -np.log(2.0):
        return float(np.log(-np.expm1(log_p))) if log_p < 0 else -np.inf
    return float(np.log1p(-np.exp(log_p)))


def _with_complement(log_tail: float, *, is_upper: bool) -> MidTails:
    other = _complement(log_tail)
    if is_upper:
        return MidTails(lower=other, upper=log_tail)
    return MidTails(lower=log_tail, upper=other)


def poisson_binomial_tails(observed: float, chance: Array, trials: Array) -> MidTails:
    """Mid-p tails of a sum of independent events with unequal probabilities.

    Parameters
    ----------
    observed : events seen, 0 <= observed <= sum of trials
    chance : (row,), probability of the event, in (0, 1)
    trials : (row,), cases with that probability

    Notes
    -----
    The distribution is tilted: with q_i = p_i e^t / (1 - p_i + p_i e^t), t such that the sum of
    q is the observed count y, P(Y = y + d) = exp(K(t) - t (y + d)) Q(d), where K is the cumulant
    function of Y and Q the tilted probabilities. Q is found by the discrete Fourier transform of
    its characteristic function (Hong 2013) over a window of 9 SD on each side. Where the
    tail's probability is 1e-300, Q is still of order 1, so the tail keeps about 12 digits.

    References
    ----------
    Hong (2013), Computational Statistics & Data Analysis 59:41-51, doi:10.1016/j.csda.2012.10.006.
    """
    total = float(trials.sum())
    if observed <= 0:
        log_zero = float(trials @ np.log1p(-chance))
        return _with_complement(log_zero - float(np.log(2.0)), is_upper=False)
    if observed >= total:
        log_all = float(trials @ np.log(chance))
        return _with_complement(log_all - float(np.log(2.0)), is_upper=True)
    chance, trials = _pool(chance, trials)
    log_odds = np.log(chance) - np.log1p(-chance)
    tilt = _solve_tilt(log_odds, trials, observed)
    tilted = expit(log_odds + tilt)
    around = _window(tilted, trials, observed, total)
    reach = around.size // 2
    is_upper = tilt >= 0
    side = around[reach:] if is_upper else around[reach::-1]
    weights = np.exp(-abs(tilt) * np.arange(side.size))
    weights[0] = 0.5
    cumulant = float(trials @ _log_mean_exp(chance, tilt))
    log_tail = cumulant - tilt * observed + float(np.log(side @ weights))
    return _with_complement(log_tail, is_upper=is_upper)


def many_poisson_binomial_tails(
    observed: Array, chance: Array, doctor_code: NDArray[np.intp]
) -> list[MidTails]:
    """Mid-p tails of every doctor's events, each case with a probability of its own.

    Parameters
    ----------
    observed : (doctor,), events seen
    chance : (case,), probability of the event
    doctor_code : (case,)

    Notes
    -----
    For up to 300 cases the distribution is multiplied out case by case, many doctors side by side:
    all terms are positive, so that tails keep their digits as far as numbers reach. Beyond that,
    and where a tail underflows, :func:`poisson_binomial_tails` takes one doctor at a time.
    """
    order = np.argsort(doctor_code, kind="stable")
    edges = np.searchsorted(doctor_code[order], np.arange(observed.size + 1))
    size = np.diff(edges)
    found: dict[int, MidTails] = {}
    few = np.flatnonzero((size > 0) & (size <= SMALL))
    few = few[np.argsort(size[few], kind="stable")]

    def tails_of(doctors: NDArray[np.intp]) -> tuple[Array, Array]:
        rows = [order[edges[doctor] : edges[doctor + 1]] for doctor in doctors]
        return _multiply_out([chance[row] for row in rows], observed[doctors])

    together = [few[start : start + AT_A_TIME] for start in range(0, few.size, AT_A_TIME)]
    for doctors, (below, above) in zip(together, in_threads(tails_of, together), strict=True):
        for doctor, low, high in zip(doctors, below, above, strict=True):
            if min(low, high) > UNDERFLOW:
                found[int(doctor)] = MidTails(lower=float(np.log(low)), upper=float(np.log(high)))
    tails = []
    for doctor, events in enumerate(observed):
        if doctor not in found:
            own = chance[order[edges[doctor] : edges[doctor + 1]]]
            values, counts = np.unique(own, return_counts=True)
            found[doctor] = poisson_binomial_tails(float(events), values, counts.astype(float))
        tails.append(found[doctor])
    return tails


def _multiply_out(chances: list[Array], observed: Array) -> tuple[Array, Array]:
    """P(Y < y) + P(Y = y)/2 and P(Y > y) + P(Y = y)/2 of some doctors: two (doctor,)."""
    most = max(chance.size for chance in chances)
    padded = np.zeros((most, len(chances), 1))  # a case with probability 0 changes nothing
    for place, chance in enumerate(chances):
        padded[: chance.size, place, 0] = chance
    law = np.zeros((len(chances), most + 1))
    law[:, 0] = 1.0
    for number, chance in enumerate(padded, start=1):
        moved = law[:, :number] * chance
        law[:, :number] *= 1 - chance
        law[:, 1 : number + 1] += moved
    counts = np.arange(most + 1)
    at = np.where(counts == observed[:, None], law / 2, 0.0).sum(axis=1)
    below = np.where(counts < observed[:, None], law, 0.0).sum(axis=1)
    above = np.where(counts > observed[:, None], law, 0.0).sum(axis=1)
    return below + at, above + at


def _log_mean_exp(chance: Array, tilt: float) -> Array:
    """Log of 1 - p + p e^t, without overflow and without loss where it is near 0."""
    if tilt > 0:
        return np.asarray(tilt + np.log1p((1 - chance) * np.expm1(-tilt)))
    return np.asarray(np.log1p(chance * np.expm1(tilt)))


def _pool(chance: Array, trials: Array) -> tuple[Array, Array]:
    """Pool neighbors among very many probabilities; their variance within a pool is negligible."""
    if chance.size <= MANY_ROWS:
        return chance, trials
    order = np.argsort(chance)
    starts = np.linspace(0, chance.size, MANY_ROWS // 4, endpoint=False).astype(np.intp)
    pooled = np.add.reduceat(trials[order], starts)
    return np.add.reduceat((chance * trials)[order], starts) / pooled, pooled


def _solve_tilt(log_odds: Array, trials: Array, observed: float) -> float:
    """Tilt at which the expected count is the observed one (safeguarded Newton)."""
    low, high = -1.0, 1.0
    while trials @ expit(log_odds + low) > observed:
        low *= 2
    while trials @ expit(log_odds + high) < observed:
        high *= 2
    tilt = 0.0
    for _ in range(200):
        tilted = expit(log_odds + tilt)
        gap = float(trials @ tilted) - observed
        if gap > 0:
            high = min(high, tilt)
        else:
            low = max(low, tilt)
        if abs(gap) <= 1e-12 * max(1.0, observed):
            break
        tilt -= gap / float(trials @ (tilted * (1 - tilted)))
        if not low < tilt < high:
            tilt = 0.5 * (low + high)
    return tilt


def _window(tilted: Array, trials: Array, observed: float, total: float) -> Array:
    """Tilted probabilities of the counts around the observed one, which is in the middle."""
    sd = float(np.sqrt(trials @ (tilted * (1 - tilted))))
    reach = min(int(REACH * sd + REACH) + 1, int(total) + 1)
    size = 2 * reach + 1
    angle = 2 * np.pi * np.arange(reach + 1) / size
    # modulus and argument of prod (1 - q + q e^{i w}), with the observed count taken out
    half = np.sin(angle / 2) ** 2
    log_modulus = np.zeros(angle.size)
    argument = -observed * angle
    block = max(1, 2_000_000 // angle.size)
    for start in range(0, tilted.size, block):
        q, m = tilted[start : start + block, None], trials[start : start + block]
        with np.errstate(divide="ignore"):
            log_modulus += 0.5 * (m @ np.log1p(-4 * q * (1 - q) * half))
        argument += m @ np.arctan2(q * np.sin(angle), 1 - q + q * np.cos(angle))
    spectrum = np.exp(log_modulus) * np.exp(-1j * argument)
    probability = np.fft.irfft(spectrum, size)
    return np.maximum(np.roll(probability, reach), 0.0)


def poisson_tails(observed: float, mean: float) -> MidTails:
    """Mid-p tails of a Poisson count.

    Notes
    -----
    P(Y > y) is the regularized incomplete gamma function, which keeps its digits in both tails;
    below 1e-280 the tail is the point probability times a short series.
    """
    log_point = float(observed * np.log(mean) - mean - gammaln(observed + 1))
    half = float(np.log(0.5)) + log_point
    if observed > mean:
        above = float(gammainc(observed + 1, mean))
        log_above = (
            np.log(above) if above > UNDERFLOW else log_point + _series_above(observed, mean)
        )
        return _with_complement(float(np.logaddexp(log_above, half)), is_upper=True)
    if observed <= 0:
        return _with_complement(half, is_upper=False)
    below = float(gammaincc(observed, mean))
    if below > UNDERFLOW:
        log_below = float(np.log(below))
    else:
        log_below = log_point + _series_below(observed, mean)
    return _with_complement(float(np.logaddexp(log_below, half)), is_upper=False)


def _series_above(observed: float, mean: float) -> float:
    """Log of P(Y > y) / P(Y = y), y above the mean."""
    steps = np.arange(1, int(60 * np.sqrt(observed)) + 200)
    return float(np.log(np.exp(np.cumsum(np.log(mean / (observed + steps)))).sum()))


def _series_below(observed: float, mean: float) -> float:
    """Log of P(Y < y) / P(Y = y), y below the mean."""
    steps = np.arange(0, int(observed))
    return float(np.log(np.exp(np.cumsum(np.log((observed - steps) / mean))).sum()))


def normal_tails(z: float) -> MidTails:
    """Tails of a standard normal variable at ``z``."""
    return MidTails(lower=float(log_ndtr(z)), upper=float(log_ndtr(-z)))
