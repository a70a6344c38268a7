"""Results made by hand, so that pictures and report can be tested without a fit."""

import numpy as np
import pandas as pd
import xarray as xr

from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.standardization import StandardizedRates

PROVENANCE = Provenance(
    created="2026-11-21T12:00:00+00:00",
    versions={"python": "3.12.1", "outcomekpi": "0.1.0"},
    seed=1,
    data_hash="0" * 16,
    spec_hash="1" * 16,
    seconds=0.1,
)


def made_rates(n_doctors=12, *, direction="lower", names=None, family="bernoulli", seed=1):
    """Standardized rates of doctors whose true log odds differ with SD .5, shrunken roughly."""
    rng = np.random.default_rng(seed)
    if names is None:
        names = [f"D{number:04d}" for number in range(n_doctors)]
    index = pd.Index(names, name="doctor")
    cases = 5 + rng.gamma(2, 60, n_doctors).astype(int)
    expected_rate = rng.uniform(0.08, 0.12, n_doctors)
    expected = expected_rate * cases
    truth = expected_rate * np.exp(rng.normal(0, 0.5, n_doctors))
    observed = rng.binomial(cases, truth).astype(float)
    reference = observed.sum() / cases.sum()
    weight = expected / (expected + 4)
    ratio = 1 + weight * (observed / expected - 1)
    spread = np.sqrt(0.25 * (1 - weight))
    draws = ratio * np.exp(rng.normal(0, 1, (4, 100, n_doctors)) * spread - spread**2 / 2)
    label = {"doctor": np.asarray(names, dtype=object)}
    dims = ("chain", "draw", "doctor")
    expected_draws = np.broadcast_to(expected, draws.shape)
    return StandardizedRates(
        measure="P/E",
        draws=xr.DataArray(draws * reference, dims=dims, coords=label),
        expected=xr.DataArray(expected_draws, dims=dims, coords=label),
        predicted=xr.DataArray(draws * expected, dims=dims, coords=label),
        observed=pd.Series(observed, index=index),
        cases=pd.Series(cases, index=index),
        exposure=pd.Series(cases.astype(float), index=index),
        reference_rate=reference,
        direction=direction,
        family=family,
        average_doctor="median",
        hospital=None,
        sd_residual=1.0 if family == "gaussian" else None,
        unit="events per case",
        method="made",
        relative_error=0.0,
        provenance=PROVENANCE,
    )
