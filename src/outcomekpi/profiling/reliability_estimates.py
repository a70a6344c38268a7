"""Signal-to-noise of one case, estimated from the data in four classical ways.

Each estimator works on residuals r = y - p, with p the posterior mean outcome of the case under
the average doctor, so that they add up to nothing and case mix is no signal; the beta-binomial
one takes raw counts, as the CMS method does. Each returns the signal-to-noise s of a single case:
n cases have reliability n s / (1 + n s), the Spearman-Brown formula. The bootstrap resamples
doctors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.linear_predictor import read_predictor

__all__ = [
    "SignalEstimate",
    "estimate_anova",
    "estimate_beta_binomial",
    "estimate_inter_unit",
    "estimate_split_sample",
    "fit_beta_binomial",
]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

SPLITS = 50  # random halvings of every doctor's cases
RESAMPLES = (30, 100)  # of each doctor's cases, for the noise of his result: fewest and most
ROWS_TO_SPLIT = 1e7  # rows x splits (or resamples) that are affordable
FINE = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}  # the estimate itself
COARSE = {"ftol": 1e-9, "gtol": 1e-4, "maxiter": 50}  # its bootstrap replicates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignalEstimate:
    """Signal-to-noise of one case: ``estimate`` and bootstrap ``replicates`` (replicate,)."""

    estimate: float
    replicates: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Residuals:
    """Residual rows: ``events``, ``trials``, ``mean`` of one trial, ``doctor``; all (case,)."""

    events: Array
    trials: Array
    mean: Array
    doctor: Codes
    n_doctors: int
    proportions: bool

    def by_doctor(self, values: Array) -> Array:
        return np.bincount(self.doctor, weights=values, minlength=self.n_doctors)


def _residuals(fit: Fit) -> _Residuals:
    cases = fit.cases
    ones = np.ones(cases.outcome.size)
    return _Residuals(
        events=cases.outcome,
        trials=ones if cases.trials is None else cases.trials,
        mean=case_means(read_predictor(fit), average_doctor="population"),
        doctor=cases.doctor_code,
        n_doctors=len(cases.doctors),
        proportions=fit.model.family in ("bernoulli", "binomial"),
    )


def _resample(n_doctors: int, replicates: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(n_doctors, size=(replicates, n_doctors))


def _ratio(signal: float, noise: float) -> float:
    return max(0.0, signal) / noise if noise > 0 else 0.0


def estimate_anova(fit: Fit, replicates: int, rng: np.random.Generator) -> SignalEstimate:
    """One-way analysis of variance of the residuals: tau² = (MSB - MSW) / n0, noise MSW.

    n0 = (N - sum n² / N) / (J - 1); a row with trials counts as that many 0/1 cases.
    """
    rows = _residuals(fit)
    n = rows.by_doctor(rows.trials)
    total = rows.by_doctor(rows.events - rows.trials * rows.mean)
    if rows.proportions:
        squares = rows.events * (1 - rows.mean) ** 2 + (rows.trials - rows.events) * rows.mean**2
    else:
        squares = (rows.events - rows.mean) ** 2
    within = rows.by_doctor(squares) - total**2 / n

    def signal(sample: NDArray[np.int64] | slice) -> float:
        size, sums, inside = n[sample], total[sample], within[sample]
        cases, n_doctors = size.sum(), size.size
        between = (sums**2 / size).sum() - sums.sum() ** 2 / cases
        degrees = cases - n_doctors
        if degrees <= 0:
            return 0.0
        noise = inside.sum() / degrees
        typical = (cases - (size**2).sum() / cases) / (n_doctors - 1)
        return _ratio((between / (n_doctors - 1) - noise) / typical, noise)

    if n.sum() <= rows.n_doctors:
        raise SpecError("ANOVA reliability needs doctors with at least two cases.")
    samples = _resample(rows.n_doctors, replicates, rng)
    return SignalEstimate(
        estimate=signal(slice(None)), replicates=np.array([signal(sample) for sample in samples])
    )


def fit_beta_binomial(
    events: Array, trials: Array, *, start: tuple[Positive, Positive] | None = None
) -> tuple[float, float]:
    """Maximum-likelihood alpha and beta of events ~ beta-binomial(trials, alpha, beta).

    Parameters
    ----------
    events, trials : (doctor,)
    start : alpha and beta to start from; None tries several

    Returns
    -------
    alpha, beta : > 0; reliability of n cases is n / (n + alpha + beta)

    Raises
    ------
    SpecError
        The likelihood has no maximum: the proportions vary no more than chance allows.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> events, trials = np.array([2.0, 9.0, 1.0, 6.0]), np.full(4, 10.0)
    >>> [round(x, 1) for x in ok.fit_beta_binomial(events, trials)]
    [1.1, 1.3]
    """
    check_arguments(fit_beta_binomial, locals())
    events, trials = align(events=events, trials=trials)
    from scipy.optimize import minimize
    from scipy.special import betaln, digamma

    p = float(np.clip(events.sum() / trials.sum(), 1e-6, 1 - 1e-6))

    def negative(theta: Array) -> tuple[float, Array]:
        a, b = np.exp(theta)
        value = (betaln(events + a, trials - events + b) - betaln(a, b)).sum()
        common = digamma(a + b) - digamma(trials + a + b)
        slope_a = (digamma(events + a) - digamma(a) + common).sum()
        slope_b = (digamma(trials - events + b) - digamma(b) + common).sum()
        return -float(value), -np.array([a * slope_a, b * slope_b])

    starts = [(p * precision, (1 - p) * precision) for precision in (2.0, 20.0, 200.0)]
    best = None
    for first in starts if start is None else [start]:
        found = minimize(
            negative,
            np.log(first),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-12, 16)] * 2,
            options=FINE if start is None else COARSE,
        )
        if best is None or found.fun < best.fun:
            best = found
    alpha, beta = (float(x) for x in np.exp(best.x))  # type: ignore[union-attr]
    if alpha + beta > 1e6:
        raise SpecError("The proportions vary no more than chance allows: no beta-binomial fit.")
    return alpha, beta


def estimate_beta_binomial(fit: Fit, replicates: int, rng: np.random.Generator) -> SignalEstimate:
    """Beta-binomial reliability of the raw proportions: s = 1 / (alpha + beta)."""
    if fit.model.family not in ("bernoulli", "binomial"):
        raise SpecError(
            f"Beta-binomial reliability is for proportions; the family is {fit.model.family!r}."
        )
    cases = fit.cases
    n_doctors = len(cases.doctors)
    events = np.bincount(cases.doctor_code, weights=cases.outcome, minlength=n_doctors)
    trials = np.bincount(cases.doctor_code, weights=cases.trials, minlength=n_doctors)
    return beta_binomial_signal(events, trials.astype(np.float64), replicates, rng)


def beta_binomial_signal(
    events: Array, trials: Array, replicates: int, rng: np.random.Generator
) -> SignalEstimate:
    """Signal-to-noise of one case, 1 / (alpha + beta), with bootstrap replicates over doctors."""

    def signal(
        sample: NDArray[np.int64] | slice, start: tuple[float, float] | None = None
    ) -> tuple[float, tuple[float, float] | None]:
        try:
            found = fit_beta_binomial(events[sample], trials[sample], start=start)
        except SpecError:
            return 0.0, None
        return 1 / sum(found), found

    estimate, start = signal(slice(None))
    samples = _resample(events.size, replicates, rng)
    return SignalEstimate(
        estimate=estimate,
        replicates=np.array([signal(sample, start)[0] for sample in samples]),
    )


def estimate_split_sample(fit: Fit, replicates: int, rng: np.random.Generator) -> SignalEstimate:
    """Correlation of the doctors' mean residuals between random halves of their cases.

    Doctors with two cases or more count alike. With rho averaged over splits, the reliability
    2 rho / (1 + rho) holds at the harmonic mean m of their caseloads: s = 2 rho / (1 - rho) / m.
    """
    rows = _residuals(fit)
    n = rows.by_doctor(rows.trials)
    kept = np.flatnonzero(n >= 2)
    if kept.size < 3:
        raise SpecError("Split-sample reliability needs 3 doctors with at least two cases.")
    n_splits = int(np.clip(ROWS_TO_SPLIT // rows.events.size, 10, SPLITS))
    halves = [_split(rows, rng, kept) for _ in range(n_splits)]
    size = n[kept]

    def signal(sample: NDArray[np.int64] | slice, splits: list[tuple[Array, Array]]) -> float:
        mean = np.mean([_correlation(a[sample], b[sample]) for a, b in splits])
        rho = float(np.clip(mean, 0.0, 1 - 1e-9))
        harmonic = 1 / (1 / size[sample]).mean()
        return 2 * rho / (1 - rho) / harmonic

    samples = _resample(kept.size, replicates, rng)
    drawn = rng.integers(n_splits, size=(replicates, min(10, n_splits)))
    return SignalEstimate(
        estimate=signal(slice(None), halves),
        replicates=np.array(
            [signal(s, [halves[k] for k in ks]) for s, ks in zip(samples, drawn, strict=True)]
        ),
    )


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0


def _split(rows: _Residuals, rng: np.random.Generator, kept: Codes) -> tuple[Array, Array]:
    """Mean residual of each kept doctor in two random halves of his cases."""
    if (rows.trials > 1).any():
        odd = rng.integers(2, size=rows.trials.size) * (rows.trials % 2)
        first_trials = rows.trials // 2 + odd
        first_events = rng.hypergeometric(
            rows.events.astype(np.int64),
            (rows.trials - rows.events).astype(np.int64),
            first_trials.astype(np.int64),
        ).astype(np.float64)
    else:
        order = np.argsort(rows.doctor + rng.random(rows.doctor.size))
        place = np.empty(order.size, dtype=np.intp)
        place[order] = np.arange(order.size)
        count = np.bincount(rows.doctor, minlength=rows.n_doctors)
        start = np.r_[0, np.cumsum(count)[:-1]]
        half = count // 2 + rng.integers(2, size=rows.n_doctors) * (count % 2)
        in_first = place - start[rows.doctor] < half[rows.doctor]
        first_trials, first_events = in_first.astype(np.float64), in_first * rows.events
    first_n = rows.by_doctor(first_trials)
    total_n = rows.by_doctor(rows.trials)
    first = rows.by_doctor(first_events - first_trials * rows.mean)
    total = rows.by_doctor(rows.events - rows.trials * rows.mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(first_n > 0, first / first_n, 0.0)
        b = np.where(total_n > first_n, (total - first) / (total_n - first_n), 0.0)
    return a[kept], b[kept]


def estimate_inter_unit(fit: Fit, replicates: int, rng: np.random.Generator) -> SignalEstimate:
    """Inter-unit reliability: noise of each doctor's result by resampling his own cases.

    The result is T_j = O_j / E_j (a mean residual for a Gaussian outcome). s_w² pools the
    bootstrap variances with weights n_j - 1; s_t² = sum n_j (T_j - T)² / (n' (J - 1)),
    n' = (N - sum n² / N) / (J - 1); IUR = (s_t² - s_w²) / s_t². It holds at the caseload
    sum(n - 1) / sum((n - 1)/n), which is where s_w² is the noise.
    """
    rows = _residuals(fit)
    n = rows.by_doctor(rows.trials)
    if not (n >= 2).any():
        raise SpecError("Inter-unit reliability needs doctors with at least two cases.")
    ratio = fit.model.family != "gaussian"
    result = _results(rows, rows.events, rows.trials * rows.mean, n, ratio)
    noise = _noise(rows, n, ratio, rng)

    def signal(sample: NDArray[np.int64] | slice) -> float:
        size, value, variance = n[sample], result[sample], noise[sample]
        if not (size >= 2).any():
            return 0.0
        within = ((size - 1) * variance).sum() / (size - 1).sum()
        cases = size.sum()
        center = (size * value).sum() / cases
        # n' (J - 1) is N - sum n² / N
        between = (size * (value - center) ** 2).sum() / (cases - (size**2).sum() / cases)
        caseload = (size - 1).sum() / ((size - 1) / size).sum()
        return _ratio(between - within, within * caseload)

    samples = _resample(rows.n_doctors, replicates, rng)
    return SignalEstimate(
        estimate=signal(slice(None)), replicates=np.array([signal(sample) for sample in samples])
    )


def _results(rows: _Residuals, events: Array, means: Array, n: Array, ratio: bool) -> Array:
    observed, expected = rows.by_doctor(events), rows.by_doctor(means)
    return observed / expected if ratio else (observed - expected) / n


def _noise(rows: _Residuals, n: Array, ratio: bool, rng: np.random.Generator) -> Array:
    """Variance of each doctor's result over resamples of his own cases: (doctor,)."""
    order = np.argsort(rows.doctor, kind="stable")
    count = np.bincount(rows.doctor, minlength=rows.n_doctors)
    start = np.r_[0, np.cumsum(count)[:-1]][rows.doctor[order]]
    spread = count[rows.doctor[order]]
    doctor = rows.doctor[order]
    aggregated = bool((rows.trials > 1).any())
    total, squares = np.zeros(rows.n_doctors), np.zeros(rows.n_doctors)
    first = _results(rows, rows.events, rows.trials * rows.mean, n, ratio)
    resamples = int(np.clip(ROWS_TO_SPLIT // rows.events.size, *RESAMPLES))
    for _ in range(resamples):
        if aggregated:
            share = rows.events / rows.trials
            events = rng.binomial(rows.trials.astype(np.int64), share).astype(np.float64)
            value = _results(rows, events, rows.trials * rows.mean, n, ratio)
        else:
            drawn = order[start + (rng.random(order.size) * spread).astype(np.intp)]
            observed = np.bincount(doctor, weights=rows.events[drawn], minlength=rows.n_doctors)
            expected = np.bincount(doctor, weights=rows.mean[drawn], minlength=rows.n_doctors)
            value = observed / expected if ratio else (observed - expected) / n
        total += value - first
        squares += (value - first) ** 2
    variance = (squares - total**2 / resamples) / (resamples - 1)
    return np.asarray(np.maximum(variance, 0.0))
