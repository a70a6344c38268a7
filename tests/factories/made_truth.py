"""Rates whose posterior is known: normal doctors, known mean, given reliability."""

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from made_results import made_rates


def rates_of(draws, *, direction="higher", observed=None, family="gaussian", cases=100):
    """Standardized rates with these draws (doctor, sample) and observed means (doctor,)."""
    draws = np.asarray(draws, dtype=float)
    base = made_rates(draws.shape[0], direction=direction, family=family)
    observed = draws.mean(axis=1) if observed is None else np.asarray(observed, dtype=float)
    number = pd.Series(np.broadcast_to(cases, draws.shape[:1]), index=base.cases.index)
    label = {"doctor": base.cases.index.to_numpy(dtype=object)}
    dims = ("chain", "draw", "doctor")

    def labelled(values):
        return xr.DataArray(np.asarray(values).T[None], dims=dims, coords=label)

    reference = float(observed.mean())
    expected = np.full(draws.shape, reference) * number.to_numpy()[:, None]
    return replace(
        base,
        draws=labelled(draws),
        expected=labelled(expected),
        predicted=labelled(draws * number.to_numpy()[:, None]),
        observed=observed * number,
        cases=number,
        exposure=number.astype(float),
        reference_rate=reference,
    )


def normal_truth(reliability, n_doctors=2000, n_samples=400, seed=5, direction="higher"):
    """Rates, true values and observed results of normal doctors with a known mean of 0."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n_doctors)
    observed = truth + rng.normal(0, np.sqrt(1 / reliability - 1), n_doctors)
    center, sd = reliability * observed, np.sqrt(1 - reliability)
    draws = center[:, None] + sd * rng.normal(size=(n_doctors, n_samples))
    return rates_of(draws, observed=observed, direction=direction), truth, observed
