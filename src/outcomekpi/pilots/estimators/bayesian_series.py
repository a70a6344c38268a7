"""Exact posterior of a series with first-order autoregressive noise, on a grid of rho."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from outcomekpi.pilots.estimators.first_order import first_order

__all__ = ["RHO_PRIORS", "RhoPrior", "SeriesDraws", "SeriesPosterior", "fit_posterior"]

Floats = NDArray[np.float64]
RhoPrior = Literal["uniform", "positive", "reference"]
RHO_PRIORS: dict[str, str] = {
    "uniform": "rho uniform from -1 to 1",
    "positive": "rho uniform from 0 to 1",
    "reference": "rho with density 1 / sqrt(1 - rho^2)",
}
"""Prior of the autocorrelation -> its words. Coefficients flat, variance 1/variance, in each."""

NODES = 161
EDGE = 2.9
NEGLIGIBLE = 1e-10
BISECTIONS = 45


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesDraws:
    """Posterior draws.

    Attributes
    ----------
    coefficients : (draw, term)
    parameter : (draw,), of the noise
    sigma : (draw,), SD of the innovations, or of the noise about a wandering level
    """

    coefficients: Floats
    parameter: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesPosterior:
    """Posterior as a mixture over one parameter of the noise.

    Given it, the coefficients are normal and the variance inverse gamma.

    Attributes
    ----------
    nodes : (node,), grid of the parameter: the autocorrelation, or the step of the level
    log_likelihood : (node,), restricted
    widths : (node,), width of each node's stretch of the parameter
    densities : name of a prior -> (node,), its density up to a constant
    coefficients : (node, term), conditional means
    roots : (node, term, term), R^-1 of the whitened terms
    squares : (node,), whitened residual sums of squares
    degrees : of freedom of the conditional t distributions
    """

    nodes: Floats
    log_likelihood: Floats
    widths: Floats
    densities: Mapping[str, Floats]
    coefficients: Floats
    roots: Floats
    squares: Floats
    degrees: int

    def weights(self, prior: str) -> Floats:
        """(node,), posterior probability of each node."""
        likelihood = np.exp(self.log_likelihood - self.log_likelihood.max())
        mass = self.densities[prior] * self.widths * likelihood
        return np.asarray(mass / mass.sum())

    def draw(self, count: int, prior: str, rng: np.random.Generator) -> SeriesDraws:
        """Draw coefficients, the parameter of the noise and its SD."""
        node = rng.choice(self.nodes.size, size=count, p=self.weights(prior))
        spread = np.sqrt(self.squares[node] / rng.chisquare(self.degrees, count))
        normal = rng.standard_normal((count, self.roots.shape[2]))
        shift = np.empty((count, self.roots.shape[1]))
        for one in np.unique(node):
            shift[node == one] = normal[node == one] @ self.roots[one].T
        return SeriesDraws(
            coefficients=self.coefficients[node] + shift * spread[:, None],
            parameter=self.nodes[node],
            sigma=spread,
        )

    def interval(self, weights: Floats, *, prior: str, level: float) -> tuple[float, float]:
        """Equal-tailed interval of a linear combination, from the mixture of t distributions.

        Parameters
        ----------
        weights : (term,)
        prior : of the parameter
        level : probability in (0, 1)
        """
        mass = self.weights(prior)
        felt = mass > NEGLIGIBLE
        mass, means = mass[felt], self.coefficients[felt] @ weights
        loads = np.einsum("nij,i->nj", self.roots[felt], weights)
        errors = np.sqrt((loads**2).sum(axis=1) * self.squares[felt] / self.degrees)
        tail = (1.0 - level) / 2.0
        found = [_quantile(p, mass, means, errors, self.degrees) for p in (tail, 1.0 - tail)]
        return found[0], found[1]


def _quantile(p: float, mass: Floats, means: Floats, errors: Floats, degrees: int) -> float:
    low, high = (means - 1e3 * errors).min(), (means + 1e3 * errors).max()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        below = float(mass @ stdtr(degrees, (middle - means) / errors))
        low, high = (middle, high) if below < p else (low, middle)
    return float((low + high) / 2.0)


def fit_posterior(
    terms: Floats, outcome: Floats, *, missing: int = 0, nodes: int = NODES
) -> SeriesPosterior:
    """Work out the posterior at each node of a grid of rho.

    Parameters
    ----------
    terms : (time, term), with one indicator column for each missing time, placed last
    outcome : (time,)
    missing : number of missing times, which are integrated out
    nodes : number of grid nodes, evenly spaced in arctanh(rho)

    Notes
    -----
    p(rho | y) is proportional to prior(rho) times the restricted likelihood, which is what is
    left when flat coefficients and a variance with density 1/variance are integrated out.
    """
    rho = np.tanh(np.linspace(-EDGE, EDGE, nodes))
    profile = first_order(terms, outcome, rho)
    kept = terms.shape[1] - missing
    return SeriesPosterior(
        nodes=rho,
        log_likelihood=profile.log_likelihood,
        widths=np.gradient(rho),
        densities={
            "uniform": np.ones_like(rho),
            "positive": (rho > 0).astype(np.float64),
            "reference": 1.0 / np.sqrt(1.0 - rho**2),
        },
        coefficients=profile.coefficients[:, :kept],
        roots=profile.roots[:, :kept, :],
        squares=profile.squares,
        degrees=outcome.size - terms.shape[1],
    )
