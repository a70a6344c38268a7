"""The same model by NUTS, with a free covariance of a doctor's level and his change."""

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from outcomekpi.declare.errors import EngineError, OutcomeKPIWarning
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.pilots.estimators.doctor_change_draws import ChangeData, ChangeDraws

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["build_change_model", "sample_by_nuts"]

Floats = NDArray[np.float64]
UNUSABLE_R_HAT, SUSPECT_R_HAT = 1.1, 1.02
UNUSABLE_DIVERGENT, SUSPECT_DIVERGENT = 0.1, 0.001
CHAINS, TUNE, ACCEPT = 4, 1000, 0.95


def build_change_model(data: ChangeData) -> "pm.Model":
    """Joint density of outcomes, doctors' levels and changes, in PyMC.

    Notes
    -----
    g(E y) = a + b (after - 1/2) + x'c + w_h + p_j + q_j (after - 1/2), w_h ~ N(0, s_w²), (p_j, q_j)
    normal with SDs s_p, s_q and correlation r. Priors: a ~ N(link of the mean, 2.5²); b ~ N(0,
    2²); c ~ N(0, 1) for standardized columns; s_p, s_w ~ half-normal(1), s_q ~ half-normal(.7);
    (r + 1) / 2 ~ Beta(2, 2), which is LKJ(2). For measurements every scale is multiplied by the
    SD of the outcome. With r = 0 this is the model of the fast engine but for s_p: level halfway,
    p_j = u_j + (v_j0 + v_j1) / 2, and change, q_j = v_j1 - v_j0, are independent there.
    """
    import pymc as pm

    size = 1.0 if data.binary else float(data.outcome.std())
    mean = float(data.outcome.mean())
    center = float(logit(mean)) if data.binary else mean
    coords = {
        "doctor": np.arange(len(data.doctors)),
        "term": np.arange(data.matrix.shape[1]),
        "hospital": np.arange(len(data.hospitals)),
    }
    half = data.after - 0.5
    with pm.Model(coords=coords) as model:
        intercept = pm.Normal("intercept", np.float64(center), np.float64(2.5 * size))
        program = pm.Normal("program", 0.0, np.float64(2.0 * size))
        sd_level = pm.HalfNormal("sd_level", np.float64(size))
        sd_change = pm.HalfNormal("sd_change", np.float64(0.7 * size))
        correlation = 2.0 * pm.Beta("likeness", 2.0, 2.0) - 1.0
        first = pm.Normal("first", 0.0, 1.0, dims="doctor")
        second = pm.Normal("second", 0.0, 1.0, dims="doctor")
        level = pm.Deterministic("level", sd_level * first, dims="doctor")
        free = pm.math.sqrt(1.0 - correlation**2)
        change = pm.Deterministic(
            "change", sd_change * (correlation * first + free * second), dims="doctor"
        )
        eta: Any = intercept + program * half + level[data.doctor] + change[data.doctor] * half
        if data.hospital is not None:
            sd_hospital = pm.HalfNormal("sd_hospital", np.float64(size))
            raw = pm.Normal("hospital_raw", 0.0, 1.0, dims="hospital")
            added = pm.Deterministic("hospital_effect", sd_hospital * raw, dims="hospital")
            eta = eta + added[data.hospital[data.doctor]]
        if data.matrix.shape[1]:
            slope = pm.Normal("coefficient", 0.0, np.float64(size), dims="term")
            # not a matrix product: numba takes 40 s to compile one inside a gradient
            eta = eta + (data.matrix * slope).sum(axis=-1)
        if data.binary:
            pm.Bernoulli("outcome", logit_p=eta, observed=data.outcome)
        else:
            sd = pm.HalfNormal("sd_residual", np.float64(size), initval=size)
            pm.Normal("outcome", eta, sd, observed=data.outcome)
    return model


def sample_by_nuts(data: ChangeData, *, draws: int, rng: np.random.Generator) -> ChangeDraws:
    """Posterior by the No-U-Turn sampler, four chains.

    Parameters
    ----------
    data : patients of doctors
    draws : kept, over all chains
    rng : gives the seed

    Raises
    ------
    EngineError
        The chains did not mix or too many draws diverged.

    Warns
    -----
    OutcomeKPIWarning
        More than 1 draw in 1,000 diverged, or R-hat of a parameter is above 1.02.
    """
    import pymc as pm

    sampler = "pymc" if find_spec("nutpie") is None else "nutpie"
    tree: xr.DataTree = pm.sample(
        -(-draws // CHAINS),
        tune=TUNE,
        chains=CHAINS,
        cores=1,
        nuts={"target_accept": ACCEPT},
        nuts_sampler=sampler,
        random_seed=int(rng.integers(2**31)),
        compute_convergence_checks=False,
        quiet=True,
        progressbar=False,
        model=build_change_model(data),
    )
    posterior = tree["posterior"].to_dataset()
    diagnostics = _diagnose(tree, posterior)
    return _collect(data, posterior, {"sampler": sampler, **diagnostics})


def _collect(
    data: ChangeData, posterior: xr.Dataset, diagnostics: dict[str, float | str]
) -> ChangeDraws:
    def rows(name: str) -> Floats:
        return flatten_draws(posterior[name]).astype(np.float64)

    def single(name: str) -> Floats:
        return np.asarray(rows(name)[0])

    sd_level, sd_change = single("sd_level"), single("sd_change")
    like = 2.0 * single("likeness") - 1.0
    program = single("program")
    middle, change = rows("level"), rows("change")
    level = np.stack([middle - change / 2.0, middle + change / 2.0])
    between = None
    if data.hospital is not None:
        level += rows("hospital_effect")[data.hospital][None]
        between = single("sd_hospital") ** 2
    moved = sd_change**2 / 2.0
    covariance = like * sd_level * sd_change
    before = sd_level**2 + sd_change**2 / 4.0 - covariance
    residual = np.full(program.size, np.pi**2 / 3.0) if data.binary else single("sd_residual") ** 2
    terms = data.matrix.shape[1]
    return ChangeDraws(
        intercept=single("intercept") - program / 2.0,
        program=program,
        coefficient=rows("coefficient") if terms else np.empty((0, program.size)),
        level=level,
        # level before and after: variances s_p² + s_q²/4 -+ c, covariance s_p² - s_q²/4
        shared=np.maximum(sd_level**2 - sd_change**2 / 4.0, 0.0),
        moved=moved,
        hospital=between,
        correlation=(covariance - sd_change**2 / 2.0) / np.sqrt(before * sd_change**2),
        residual=residual,
        engine="nuts",
        diagnostics=diagnostics,
    )


def _diagnose(tree: xr.DataTree, posterior: xr.Dataset) -> dict[str, float | str]:
    from arviz import ess, rhat

    names = [
        name
        for name in ("intercept", "program", "sd_level", "sd_change", "likeness", "coefficient",
                     "sd_hospital", "sd_residual")
        if name in posterior
    ]  # fmt: skip
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    shaped = np.vstack([flatten_draws(posterior[name]) for name in names])
    shaped = shaped.reshape(len(shaped), chains, draws)
    axes = {"chain_axis": 1, "draw_axis": 2}
    r_hat = float(np.max(np.asarray(rhat(shaped, **axes))))
    diverged = int(tree["sample_stats"].to_dataset()["diverging"].sum())
    smallest = float(np.min(np.asarray(ess(shaped, method="bulk", **axes))))
    found = (
        f"largest R-hat {r_hat:.3f}, {diverged} of {chains * draws} draws divergent, smallest "
        f"effective sample size {smallest:.0f}"
    )
    remedy = "Use engine='quadrature', which needs no chains, or name fewer terms of the case mix."
    if not r_hat <= UNUSABLE_R_HAT or diverged > UNUSABLE_DIVERGENT * chains * draws:
        raise EngineError(f"NUTS gave no usable posterior: {found}. {remedy}")
    if r_hat > SUSPECT_R_HAT or diverged > SUSPECT_DIVERGENT * chains * draws:
        warnings.warn(f"NUTS: {found}. {remedy}", OutcomeKPIWarning, stacklevel=4)
    return {
        "chains": float(chains),
        "r_hat_max": r_hat,
        "ess_bulk_min": smallest,
        "divergences": float(diverged),
    }
