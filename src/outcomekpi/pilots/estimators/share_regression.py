"""Log odds of shares of patients, with intervals that are robust to clusters."""

import pandas as pd

__all__ = ["fit_shares"]


def fit_shares(
    data: pd.DataFrame, terms: list[str], cluster: str
) -> tuple[pd.Series, pd.DataFrame]:
    """Fit log odds of shares by quasi-likelihood.

    Parameters
    ----------
    data : ``outcome`` between 0 and 1, ``start``, ``time``, the terms and the cluster
    terms : columns that enter linearly
    cluster : column

    Returns
    -------
    coefficients, covariance : labeled by term; clustered, factor G / (G - 1)
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    dummies = [
        pd.get_dummies(data[name], prefix=name, drop_first=name == "time", dtype=float)
        for name in ("start", "time")
    ]
    matrix = pd.concat([data[terms], *dummies], axis=1)
    fit = GLM(data["outcome"], matrix, family=Binomial()).fit(
        cov_type="cluster",
        cov_kwds={"groups": data[cluster].to_numpy(), "use_correction": False},
    )
    count = data[cluster].nunique()
    covariance = pd.DataFrame(fit.cov_params() * (count / (count - 1)), matrix.columns)
    covariance.columns = matrix.columns
    return fit.params, covariance
