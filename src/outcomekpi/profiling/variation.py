"""How much doctors and hospitals differ: ICC, median odds ratio, shares of variance."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.spec import Family
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.linear_predictor import posterior_of

__all__ = ["Variation", "describe_variation", "median_odds_ratio"]

UPPER_QUARTILE = 0.6744897501960817  # of the standard normal distribution
LOGISTIC_VARIANCE = np.pi**2 / 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variation:
    """Posterior of the measures of variation between doctors and between hospitals.

    Attributes
    ----------
    draws : measure -> (sample,)
    meaning : measure -> what it says, in words
    provenance : of the fit
    """

    draws: dict[str, NDArray[np.float64]]
    meaning: dict[str, str]
    provenance: Provenance | None = None

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per measure: ``mean``, ``median``, ``lower, upper``, ``meaning``."""
        rows = np.array(list(self.draws.values()))
        lower, upper = interval(rows, level=level)
        frame = pd.DataFrame(
            {
                "mean": rows.mean(axis=1),
                "median": np.median(rows, axis=1),
                "lower": lower,
                "upper": upper,
                "meaning": [self.meaning[name] for name in self.draws],
            },
            index=pd.Index(list(self.draws), name="measure"),
        )
        frame.attrs.update(level=level)
        return frame

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {values.mean():.3g}" for name, values in self.draws.items())
        return f"Variation: {means}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def median_odds_ratio(sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median ratio of the odds of one patient with the worse and the better of two doctors.

    Parameters
    ----------
    sd : any shape, SD of the doctor effects on the logit scale (log scale: median rate ratio)

    Notes
    -----
    exp(sqrt(2) sd z), z the upper quartile of the standard normal distribution.

    References
    ----------
    Larsen & Merlo (2005), American Journal of Epidemiology 161:81-88, doi:10.1093/aje/kwi017.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> ok.median_odds_ratio(np.array([0.0, 0.5])).round(2).tolist()
    [1.0, 1.61]
    """
    return np.asarray(np.exp(np.sqrt(2.0) * UPPER_QUARTILE * np.asarray(sd)))


def describe_variation(fit: Fit) -> Variation:
    """Posterior of how much doctors and hospitals differ, beyond case mix and chance.

    Parameters
    ----------
    fit : posterior of a model

    Notes
    -----
    ICC = sd_doctor² / (sd_doctor² + sd_hospital² + residual), on the link scale. The residual is
    pi²/3 for the logit; sd_residual² for a Gaussian outcome; log(1 + 1/mu + dispersion²) for
    counts, mu the mean count of a row at the average doctor (Nakagawa, Johnson & Schielzeth
    2017). ``hospital_share`` = sd_hospital² / (sd_hospital² + sd_doctor²).

    References
    ----------
    Goldstein, Browne & Rasbash (2002), Understanding Statistics 1. Nakagawa, Johnson & Schielzeth
    (2017), Journal of the Royal Society Interface 14.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> bool((ok.describe_variation(fit).draws["median_odds_ratio_doctor"] >= 1).all())
    True
    """
    check_arguments(describe_variation, locals())
    posterior = posterior_of(fit)

    def draws(name: str) -> NDArray[np.float64]:
        return np.asarray(flatten_draws(posterior[name])[0], dtype=np.float64)

    doctor, residual = draws("sd_doctor"), _residual_variance(fit)
    hospital = draws("sd_hospital") if "sd_hospital" in posterior else None
    total = doctor**2 + residual + (0.0 if hospital is None else hospital**2)
    found = {"sd_doctor": doctor, "icc_doctor": doctor**2 / total}
    ratio = _contrast(fit.model.family)
    found[f"{ratio}_doctor"] = _median_contrast(doctor, ratio)
    if hospital is not None:
        found["sd_hospital"] = hospital
        found["icc_hospital"] = hospital**2 / total
        found[f"{ratio}_hospital"] = _median_contrast(hospital, ratio)
        found["hospital_share"] = hospital**2 / (hospital**2 + doctor**2)
    meaning = {name: _meaning(name) for name in found}
    return Variation(draws=found, meaning=meaning, provenance=fit.provenance)


def _contrast(family: Family) -> str:
    if family == "gaussian":
        return "median_difference"
    return "median_odds_ratio" if family in ("bernoulli", "binomial") else "median_rate_ratio"


def _median_contrast(sd: NDArray[np.float64], ratio: str) -> NDArray[np.float64]:
    if ratio == "median_difference":
        return np.asarray(np.sqrt(2.0) * UPPER_QUARTILE * sd)
    return median_odds_ratio(sd)


def _residual_variance(fit: Fit) -> NDArray[np.float64] | float:
    posterior, family = posterior_of(fit), fit.model.family
    if family in ("bernoulli", "binomial"):
        return float(LOGISTIC_VARIANCE)
    if family == "gaussian":
        return np.asarray(flatten_draws(posterior["sd_residual"])[0] ** 2)
    exposure = 1.0 if fit.model.exposure is None else fit.model.exposure
    if fit.model.offset is not None:  # the mean count of cases whose published risk is right
        exposure = exposure * np.exp(fit.model.offset)
    exposure = float(np.mean(exposure))
    mean = exposure * np.exp(flatten_draws(posterior["intercept_standardized"])[0])
    inverse = 1 / mean
    if "dispersion" in posterior:
        inverse = inverse + flatten_draws(posterior["dispersion"])[0] ** 2
    return np.asarray(np.log1p(inverse))


def _meaning(name: str) -> str:
    unit = "hospital" if name.endswith("hospital") else "doctor"
    if name.startswith("sd_"):
        return f"standard deviation of the {unit} effects, link scale"
    if name.startswith("icc_"):
        return f"share of the link-scale variance that lies between {unit}s"
    if name == "hospital_share":
        return "share of the variance between doctors and hospitals that lies between hospitals"
    of = name.removeprefix("median_").removesuffix(f"_{unit}").replace("_", " ")
    return f"median {of} of like patients with two random {unit}s"
