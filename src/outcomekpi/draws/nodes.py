"""Nodes and weights for the mean of a function over a normal distribution."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["normal_nodes"]


def normal_nodes(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of Gauss-Hermite quadrature for a standard normal variable.

    Parameters
    ----------
    n : number of nodes; polynomials up to degree 2n - 1 are integrated exactly

    Returns
    -------
    nodes, weights : (n,), the weights adding up to 1
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return nodes, weights / weights.sum()
