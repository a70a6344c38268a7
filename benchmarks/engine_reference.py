"""Reference posteriors of the sets in tests/factories/reference_sets.py, sharing no code with fit.

    python benchmarks/engine_reference.py                    # every set that is not there yet
    python benchmarks/engine_reference.py --sets "plain poisson" --check
                                                             # beside Metropolis chains, prints only

Every doctor's effect is integrated out by brute force: Newton's method with bisection for the
mode, the ends where the integrand has fallen by exp(-30) or more, and 60 equally spaced nodes
between them.
The few parameters left are drawn by adaptive importance sampling (Cappé et al. 2008, Statistics and
Computing 18, 447-459): mixtures of t distributions in (beta, log sigma), fitted in six rounds to
ever less tempered weights, and 25,000 exactly weighted points of the last one. Means and SDs of
the effects are averages of their exact conditional moments. ``--check`` runs an ensemble of
differential-evolution Metropolis chains (ter Braak 2006, Statistics and Computing 16, 239-249) on
the same density, which needs no weights at all.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numba import njit
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_t

TESTS = Path(__file__).parents[1] / "tests" / "factories"
sys.path.insert(0, str(TESTS))
from reference_sets import NAMES, ReferenceSet, make_set  # noqa: E402

OUT = TESTS / "reference_sets.json"
POINTS, ROUNDS, PER_ROUND = 25_000, 6, 3_000
COMPONENTS, DF, DEFENSE = 4, 5.0, 0.15
FEWEST_EFFECTIVE = 10_000
FALL, NODES = 30.0, 60
LIMIT = 600.0


@njit(cache=True)
def _slope(odds, size, first, last, total, u, is_count):
    """First and second derivative of a doctor's log likelihood at effect u."""
    slope, bend, factor = total, 0.0, np.exp(min(max(u, -LIMIT), LIMIT))
    for row in range(first, last):
        product = odds[row] * factor
        if is_count:
            mean = size[row] * product
            variance = mean
        else:
            mean = size[row] * (product / (1.0 + product) if product < 1e300 else 1.0)
            variance = mean / (1.0 + product)
        slope -= mean
        bend -= variance
    return slope, bend


@njit(cache=True)
def _value(odds, size, first, last, total, u, is_count, is_single):
    """Log likelihood of a doctor's rows at effect u; one logarithm for up to eight rows."""
    value, factor, run = total * u, np.exp(min(max(u, -LIMIT), LIMIT)), 1.0
    for row in range(first, last):
        product = odds[row] * factor
        if is_count:
            value -= size[row] * product
        elif is_single and product < 1e30:
            run *= 1.0 + product
            if run > 1e200:
                value -= np.log(run)
                run = 1.0
        else:
            value -= size[row] * np.log1p(product)
    return value - np.log(run)


@njit(cache=True)
def _doctor(odds, size, first, last, total, sigma, is_count, is_single):  # noqa: C901 - one loop
    """Log integral over one effect, and the effect's mean and mean square."""
    low, high = -60.0 * sigma - 60.0, 60.0 * sigma + 60.0
    u, precision = 0.0, 1.0 / sigma**2
    for _ in range(400):  # the slope of the log integrand falls: bisect where Newton leaves
        slope, bend = _slope(odds, size, first, last, total, u, is_count)
        slope -= u * precision
        bend -= precision
        if slope > 0:
            low = u
        else:
            high = u
        trial = u + min(-slope / bend, 3.0)  # far steps to the right end on a steep flank
        if not low < trial < high:
            trial = 0.5 * (low + high)
        if abs(trial - u) < 1e-4 * (-bend) ** -0.5:
            break
        u = trial
    scale = (-bend) ** -0.5
    top = _value(odds, size, first, last, total, u, is_count, is_single) - 0.5 * u**2 * precision
    ends = np.empty(2)
    for side in range(2):
        sign = -1.0 if side == 0 else 1.0
        width = 4.0 * scale
        for _ in range(200):  # out to a fall of 30 or more, by the steps of a normal tail
            at = u + sign * width
            fall = top + 0.5 * at**2 * precision
            fall -= _value(odds, size, first, last, total, at, is_count, is_single)
            if fall > FALL:
                break
            width *= min(max(1.03 * np.sqrt(FALL / max(fall, 1e-3)), 1.05), 1.5)
        for _ in range(60):  # and back where it fell like exp(-exp t)
            if fall < 3.0 * FALL:
                break
            narrower = 0.93 * width
            at = u + sign * narrower
            less = top + 0.5 * at**2 * precision
            less -= _value(odds, size, first, last, total, at, is_count, is_single)
            if less < FALL:
                break
            width, fall = narrower, less
        ends[side] = u + sign * width
    step = (ends[1] - ends[0]) / (NODES - 1)
    sum_0 = sum_1 = sum_2 = 0.0
    for node in range(NODES):
        at = ends[0] + node * step
        height = _value(odds, size, first, last, total, at, is_count, is_single)
        weight = np.exp(height - 0.5 * at**2 * precision - top)
        sum_0 += weight
        sum_1 += weight * at
        sum_2 += weight * at * at
    log_integral = top + np.log(sum_0 * step) - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    return log_integral, sum_1 / sum_0, sum_2 / sum_0


@njit(cache=True)
def _likelihood(counts, starts, size, eta, total, sigma, is_count, is_single, moments):
    odds = np.exp(np.minimum(eta, LIMIT))
    result = 0.0
    for doctor in range(counts.size):
        first = starts[doctor]
        value, mean, square = _doctor(
            odds, size, first, first + counts[doctor], total[doctor], sigma, is_count, is_single
        )
        result += value
        moments[0, doctor], moments[1, doctor] = mean, square
    return result


class Density:
    """Log posterior density of (intercept, slopes, log sigma) of one set, by brute force."""

    def __init__(self, data: ReferenceSet) -> None:
        self.data = data
        self.counts = np.bincount(data.code)
        self.starts = np.concatenate(([0], np.cumsum(self.counts)[:-1]))
        self.total = np.bincount(data.code, data.outcome)
        self.design = np.column_stack((np.ones(data.code.size), data.matrix))
        self.is_count, self.is_single = data.family == "poisson", data.family == "bernoulli"
        self.dimension = self.design.shape[1] + 1

    def __call__(self, theta, moments=None):
        """Value at one theta; with ``moments`` (2, doctor), E[u] and E[u²] are written there."""
        data, beta, log_sigma = self.data, theta[:-1], theta[-1]
        # doctor SDs above 13 have a prior probability below 1e-4 in every set
        if log_sigma < -14 or log_sigma > 2.6 or np.abs(beta).max() > 80:
            return -1e30
        sigma = np.exp(log_sigma)
        eta = self.design @ beta
        if np.abs(eta).max() > 200:
            return -1e30
        moments = np.empty((2, self.counts.size)) if moments is None else moments
        value = data.outcome @ eta + _likelihood(
            self.counts,
            self.starts,
            data.size,
            eta,
            self.total,
            sigma,
            self.is_count,
            self.is_single,
            moments,
        )
        value -= 0.5 * ((beta[0] - data.intercept[0]) / data.intercept[1]) ** 2
        value -= 0.5 * (beta[1:] ** 2).sum()
        return value - 0.5 * (sigma / data.sd_scale) ** 2 + log_sigma


def _mode(density):
    """Mode and a covariance there, by finite differences along the eigenvectors found so far."""
    start = np.zeros(density.dimension)
    start[0], start[-1] = density.data.intercept[0], np.log(0.7)
    if density.is_count:  # near the mean log rate of the doctors
        rates = (density.total + 0.5) / np.bincount(density.data.code, density.data.size)
        start[0] = np.log(rates).mean()
    best = minimize(
        lambda theta: -density(theta),
        start,
        method="Nelder-Mead",
        options={"maxiter": 4000, "xatol": 1e-6, "fatol": 1e-6, "adaptive": True},
    )
    theta, n = best.x, density.dimension
    top, axes, scale = -best.fun, np.eye(n), np.full(n, 1e-3)
    for _ in range(4):
        for k in range(n):  # a step along which the density falls by a half or more on one side

            def fall(step, axis=axes[:, k]):
                return top - min(density(theta + step * axis), density(theta - step * axis))

            while fall(scale[k]) < 0.5 and scale[k] < 3:
                scale[k] *= 1.6
            while fall(scale[k]) > 1.0 and scale[k] > 1e-7:
                scale[k] /= 1.6
        root = axes * scale
        hessian = np.empty((n, n))
        for a in range(n):
            for b in range(a + 1):
                values = [
                    density(theta + s * root[:, a] + t * root[:, b])
                    for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))
                ]
                hessian[a, b] = hessian[b, a] = -(values[0] - values[1] - values[2] + values[3]) / 4
        spread, vectors = np.linalg.eigh(hessian)
        root = root @ (vectors / np.sqrt(np.clip(spread, 0.05, None)))
        covariance = root @ root.T
        spread, axes = np.linalg.eigh(covariance)
        scale = np.sqrt(np.maximum(spread, 1e-16))
    return theta, covariance


class Mixture:
    """Multivariate t components with weights; the last one is a wide one, in defense."""

    def __init__(self, weights, means, covariances):
        self.weights, self.means, self.covariances = weights, means, covariances

    def draw(self, n, rng):
        which = rng.choice(self.weights.size, n, p=self.weights)
        points = np.empty((n, self.means.shape[1]))
        for k in range(self.weights.size):
            own = np.flatnonzero(which == k)
            root = np.linalg.cholesky(self.covariances[k])
            tails = np.sqrt(DF / rng.chisquare(DF, own.size))[:, None]
            points[own] = (
                self.means[k] + rng.normal(size=(own.size, root.shape[0])) @ root.T * tails
            )
        return points

    def parts(self, points):
        return np.log(self.weights)[:, None] + np.array(
            [
                multivariate_t.logpdf(points, mean, covariance, df=DF)
                for mean, covariance in zip(self.means, self.covariances, strict=True)
            ]
        )

    def log_density(self, points):
        return logsumexp(self.parts(points), axis=0)


def _with_defense(weights, means, covariances, center, covariance):
    return Mixture(
        np.append((1 - DEFENSE) * weights / weights.sum(), DEFENSE),
        np.vstack((means, center)),
        np.concatenate((covariances, 4.0 * covariance[None])),
    )


def _refit(points, weights, previous, rng):
    """Fit the components to weighted points by ten steps of expectation and maximization."""
    weights = weights / weights.sum()
    center = weights @ points
    off = points - center
    jitter = 1e-10 * np.diag((off**2).T @ weights)
    covariance = (off.T * weights) @ off + jitter
    means = points[rng.choice(weights.size, COMPONENTS, p=weights)]
    covariances = np.repeat(covariance[None], COMPONENTS, axis=0)
    mixture = Mixture(np.full(COMPONENTS, 1 / COMPONENTS), means, covariances)
    for _ in range(25):
        parts = mixture.parts(points)
        shares = np.exp(parts - logsumexp(parts, axis=0)) * weights
        n = points.shape[1]
        for k in range(COMPONENTS):
            off = points - mixture.means[k]
            solved = np.linalg.solve(mixture.covariances[k], off.T)
            pull = shares[k] * (DF + n) / (DF + (off.T * solved).sum(axis=0))
            mixture.means[k] = pull @ points / pull.sum()
            off = points - mixture.means[k]
            mixture.covariances[k] = (off.T * pull) @ off / max(shares[k].sum(), 1e-12)
            mixture.covariances[k] += 0.02 * covariance
        mixture.weights = np.maximum(shares.sum(axis=1), 1e-3)
        mixture.weights /= mixture.weights.sum()
    return _with_defense(mixture.weights, mixture.means, mixture.covariances, center, covariance)


def _temper(log_weights):
    """Largest power of the weights whose effective size is a fifth of the points, at most 1."""

    def share(power):
        weights = np.exp(power * (log_weights - log_weights.max()))
        return weights.sum() ** 2 / (weights**2).sum() / weights.size

    if share(1.0) > 0.2:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        power = 0.5 * (low + high)
        low, high = (power, high) if share(power) > 0.2 else (low, power)
    return low


def reference(name, *, seed=1):
    """Posterior means and SDs of a set, with the Monte Carlo errors of the means."""
    density, rng = Density(make_set(name)), np.random.default_rng(seed)
    theta, covariance = _mode(density)
    mixture = _with_defense(
        np.ones(1), theta[None], 1.5 * covariance[None], theta, 2.0 * covariance
    )
    for _ in range(ROUNDS):
        points = mixture.draw(PER_ROUND, rng)
        log_weights = np.array([density(point) for point in points])
        log_weights -= mixture.log_density(points)
        weights = np.exp(_temper(log_weights) * (log_weights - log_weights.max()))
        mixture = _refit(points, weights, mixture, rng)
    n = POINTS
    points = mixture.draw(n, rng)
    effects, squares = np.zeros(density.counts.size), np.zeros(density.counts.size)
    moments, log_weights = np.empty((2, density.counts.size)), np.empty(n)
    proposal = mixture.log_density(points)
    top, total = -np.inf, 0.0
    for index, point in enumerate(points):
        log_weights[index] = density(point, moments) - proposal[index]
        if log_weights[index] > top:  # running sums are kept relative to the largest weight
            effects *= np.exp(top - log_weights[index])
            squares *= np.exp(top - log_weights[index])
            total *= np.exp(top - log_weights[index])
            top = log_weights[index]
        share = np.exp(log_weights[index] - top)
        if share > 0:
            effects += share * moments[0]
            squares += share * moments[1]
            total += share
    weights = np.exp(log_weights - logsumexp(log_weights))
    values = points.copy()
    values[:, -1] = np.exp(points[:, -1])
    mean = weights @ values
    sd = np.sqrt(weights @ (values - mean) ** 2)
    effects, squares = effects / total, squares / total
    return {
        "effective": float(1 / (weights**2).sum()),
        "largest_weight": float(weights.max()),
        "mean": mean.tolist(),
        "sd": sd.tolist(),
        "error": np.sqrt(weights**2 @ (values - mean) ** 2).tolist(),
        "effect_mean": effects.tolist(),
        "effect_sd": np.sqrt(squares - effects**2).tolist(),
    }


def metropolis(name, *, seed=2, chains=60, steps=4000):
    """Posterior means and SDs of a set by differential evolution, without weights."""
    density, rng = Density(make_set(name)), np.random.default_rng(seed)
    theta, covariance = _mode(density)
    n = density.dimension
    points = theta + rng.normal(size=(chains, n)) @ np.linalg.cholesky(covariance).T
    values = np.array([density(point) for point in points])
    kept = []
    for step in range(steps):
        gamma = 1.0 if step % 10 == 0 else 2.38 / np.sqrt(2 * n)
        for chain in range(chains):
            a, b = rng.choice(chains - 1, 2, replace=False)
            a, b = a + (a >= chain), b + (b >= chain)
            trial = points[chain] + gamma * (points[a] - points[b]) + 1e-5 * rng.normal(size=n)
            value = density(trial)
            if np.log(rng.random()) < value - values[chain]:
                points[chain], values[chain] = trial, value
        if step >= steps // 4:
            kept.append(points.copy())
    draws = np.array(kept)
    draws[:, :, -1] = np.exp(draws[:, :, -1])
    means = draws.mean(axis=0)
    return {
        "mean": draws.mean(axis=(0, 1)).tolist(),
        "sd": draws.std(axis=(0, 1)).tolist(),
        "error": (means.std(axis=0) / np.sqrt(chains)).tolist(),
    }


def main() -> None:
    """Compute what is missing, one set after the other, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(NAMES))
    parser.add_argument("--check", action="store_true", help="beside Metropolis chains")
    parser.add_argument("--out", default=str(OUT))
    options = parser.parse_args()
    out = Path(options.out)
    found = json.loads(out.read_text()) if out.exists() else {}
    for name in options.sets:
        if options.check:
            weighted, chains = found.get(name) or reference(name), metropolis(name)
            shift = np.subtract(chains["mean"], weighted["mean"]) / weighted["sd"]
            error = np.array(chains["error"]) / weighted["sd"]
            ratio = np.divide(chains["sd"], weighted["sd"])
            print(name, "shift", shift.round(3), "error", error.round(3), "SDs", ratio.round(3))
        elif name not in found:
            for seed in range(1, 7):
                one = reference(name, seed=seed)
                if name not in found or one["effective"] > found[name]["effective"]:
                    found[name] = one
                if one["effective"] >= FEWEST_EFFECTIVE:
                    break
            print(name, round(found[name]["effective"]), found[name]["mean"], found[name]["sd"])
            sys.stdout.flush()
            out.write_text(json.dumps(found, indent=None) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
