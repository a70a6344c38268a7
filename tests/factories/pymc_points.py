"""The PyMC model at chosen points, against densities by hand."""

import numpy as np
from scipy import stats
from scipy.special import expit

from outcomekpi.engine.pymc_model import build_pymc_model


def density_and_effects(model, point):
    """PyMC's log joint density and the doctors' effects at a point, without transforms."""
    import pymc as pm

    pymc_model = build_pymc_model(model)
    pieces = pymc_model.compile_logp(jacobian=False, sum=False, mode="FAST_COMPILE")
    names = [variable.name for variable in pymc_model.basic_RVs]
    values = pymc_model.rvs_to_values
    for name, value in point.items():
        variable = pymc_model[name]
        transform = pymc_model.rvs_to_transforms[variable]
        if transform is not None:
            value = transform.forward(value, *variable.owner.inputs).eval()
        point = point | {values[variable].name: np.asarray(value, dtype=float)}
    inputs = {value.name: point[value.name] for value in pymc_model.value_vars}
    logps = {name: float(np.sum(part)) for name, part in zip(names, pieces(inputs), strict=True)}
    effects = [pymc_model["doctor_effect"]]
    if model.hospital_code is not None:
        effects.append(pymc_model["hospital_effect"])
    function = pm.compile(
        pymc_model.value_vars,
        pymc_model.replace_rvs_by_values(effects),
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    return logps, function(**inputs)


def outcome_log_density(model, point, effect):
    """The likelihood written down once more, with scipy."""
    eta = point["intercept_standardized"] + model.matrix @ point["coefficient_standardized"]
    eta = eta + effect[model.doctor_code]
    y = model.outcome
    if model.family in ("bernoulli", "binomial"):
        n = np.ones_like(y) if model.trials is None else model.trials
        return stats.binom.logpmf(y, n, expit(eta)).sum()
    if model.family == "gaussian":
        return stats.norm.logpdf(y, eta, point["sd_residual"]).sum()
    mean = model.exposure * np.exp(eta)
    if model.family == "poisson":
        return stats.poisson.logpmf(y, mean).sum()
    size = point["dispersion"] ** -2
    return stats.nbinom.logpmf(y, size, size / (size + mean)).sum()


def make_point(model, *, seed=0):
    rng = np.random.default_rng(seed)
    point = {
        "intercept_standardized": -1.1,
        "coefficient_standardized": np.array([0.5, -0.2]),
        "sd_doctor": 0.7,
        "doctor_raw": rng.normal(size=model.n_doctors),
    }
    if model.hospital_code is not None:
        point |= {"sd_hospital": 0.4, "hospital_raw": rng.normal(size=model.n_hospitals)}
    if model.family == "gaussian":
        point["sd_residual"] = 1.3
    if model.family == "negative_binomial":
        point["dispersion"] = 0.6
    return point
