"""Sets of cases with an offset, and their posteriors."""

import numpy as np
import pandas as pd
from scipy.special import expit

import outcomekpi as ok


def world(family="bernoulli", *, n=900, n_doctors=25, sd=0.4, seed=1, level=0.0, nested=False):
    """Patients with a published risk o on the link scale; truth: level + o + doctor's effect."""
    rng = np.random.default_rng(seed)
    code = np.concatenate([np.arange(n_doctors), rng.integers(0, n_doctors, n - n_doctors)])
    sick = rng.normal(0.0, 0.5, n_doctors)  # some doctors have sicker patients
    o = -1.5 + sick[code] + rng.normal(0.0, 1.0, n)
    effect = rng.normal(0.0, sd, n_doctors)
    eta = level + o + effect[code]
    frame = pd.DataFrame({"doctor": [f"D{c:03d}" for c in code], "o": o, "x": rng.normal(size=n)})
    if nested:
        hospital = np.arange(n_doctors) % 5
        eta = eta + rng.normal(0, 0.3, 5)[hospital][code]
        frame["hospital"] = [f"H{h}" for h in hospital[code]]
    if family == "binomial":
        frame["trials"] = rng.integers(1, 9, n)
        frame["y"] = rng.binomial(frame["trials"], expit(eta))
    elif family == "bernoulli":
        frame["y"] = (rng.random(n) < expit(eta)).astype(int)
    elif family == "gaussian":
        frame["y"] = rng.normal(eta, 1.2)
    else:
        frame["exposure"] = rng.gamma(4.0, 0.5, n)
        mean = frame["exposure"] * np.exp(eta)
        if family == "negative_binomial":
            mean = rng.gamma(4.0, mean / 4.0)
        frame["y"] = rng.poisson(mean)
    return frame, effect, code


def read(frame, *, offset="o", offset_scale="linear_predictor", **roles):
    for role in ("trials", "exposure", "hospital"):
        if role in frame:
            roles.setdefault(role, role)
    return ok.Cases.from_frame(
        frame,
        outcome="y",
        doctor="doctor",
        direction="lower",
        offset=offset,
        offset_scale=offset_scale,
        **roles,
    )


def posterior(fit, name):
    values = fit.draws["posterior"][name]
    return values.stack(sample=("chain", "draw")).to_numpy()
