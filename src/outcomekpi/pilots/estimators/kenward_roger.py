"""Coefficients of generalized least squares whose variances were estimated too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdjustedFit", "small_sample_term"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdjustedFit:
    """Coefficients, and a covariance that knows that its variance parameters are estimates.

    Attributes
    ----------
    coefficients : (term,), generalized least squares
    covariance : (term, term), with the small-sample term of Kenward and Roger
    plain_covariance : (term, term), C, as if the variance parameters were known
    derivatives : (parameter, term, term), of ``plain_covariance`` in each variance parameter
    parameter_covariance : (parameter, parameter), W; 0 for parameters that are known
    """

    coefficients: Floats
    covariance: Floats
    plain_covariance: Floats
    derivatives: Floats
    parameter_covariance: Floats

    def contrast(self, weights: Floats) -> tuple[float, float, float]:
        """Value, standard error and degrees of freedom of a linear combination.

        Parameters
        ----------
        weights : (term,)

        Notes
        -----
        A contrast l has 2 (l'Cl)^2 / (g' W g) degrees of freedom, g the gradient of l'Cl in the
        variance parameters; infinitely many where these are known.
        """
        value = float(weights @ self.coefficients)
        plain = float(weights @ self.plain_covariance @ weights)
        gradient = np.array([weights @ one @ weights for one in self.derivatives])
        spread = float(gradient @ self.parameter_covariance @ gradient)
        degrees = 2.0 * plain**2 / spread if spread > 0 else np.inf
        error = float(np.sqrt(max(float(weights @ self.covariance @ weights), plain)))
        return value, error, max(degrees, 1.0)


def small_sample_term(
    plain: Floats, slopes: Floats, products: Floats, curvature: Floats, weights: Floats
) -> Floats:
    """Return what a covariance gains because its variance parameters were estimated.

    Parameters
    ----------
    plain : (term, term), C = (X' S^-1 X)^-1
    slopes : (parameter, term, term), P_k = -X' S^-1 S_k S^-1 X, or all of them without the minus
    products : (parameter, parameter, term, term), Q_kl = X' S^-1 S_k S^-1 S_l S^-1 X
    curvature : like ``products``, R_kl = X' S^-1 S_kl S^-1 X; 0 where S is linear in them
    weights : (parameter, parameter), covariance of the parameters

    Returns
    -------
    (term, term), 2 C {sum_kl W_kl (Q_kl - P_k C P_l - R_kl / 4)} C

    References
    ----------
    Kenward & Roger (1997), Biometrics 53, 983-997, equation (5).
    """
    middle = products - np.einsum("kpq,lqs->klps", slopes, plain @ slopes, optimize=True)
    inner = np.einsum("kl,klpq->pq", weights, middle - curvature / 4.0)
    term = 2.0 * plain @ inner @ plain
    return np.asarray((term + term.T) / 2.0)
