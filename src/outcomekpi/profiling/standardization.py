"""Standardized rates: what each doctor's outcomes are, given the cases that he had."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_choice, check_kind
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.draws.memory import remembered
from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.likelihood_model import overall_rate
from outcomekpi.model.spec import Family
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.case_curves import sum_by_curves
from outcomekpi.profiling.case_sums import CaseSums, match_totals, sum_exactly
from outcomekpi.profiling.direct import direct_rates
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.profiling.linear_predictor import (
    HospitalComparison,
    Predictor,
    posterior_of,
    read_predictor,
)
from outcomekpi.tables.cases import Direction

__all__ = [
    "Measure",
    "StandardizedRates",
    "is_large",
    "label_draws",
    "require_direction",
    "standardize",
]

Measure = Literal["P/E", "O/E", "direct"]

EXACT_UP_TO = 1e8  # rows x draws that are summed one by one, within a second


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class StandardizedRates:
    """Posterior of each doctor's standardized rate.

    Attributes
    ----------
    measure : "P/E", "O/E" or "direct"
    draws : (chain, draw, doctor), standardized rate in ``unit``
    expected, predicted : (chain, draw, doctor), events; for a Gaussian outcome its sum
    observed : (doctor,), events seen
    cases : (doctor,), patients: the sum of trials where given, else the number of rows
    exposure : (doctor,), what a rate is divided by: the exposure where given, else the cases
    reference_rate : observed outcome of all cases together, in ``unit``
    direction : "higher" or "lower" is better, or None where it was not said
    family : family of the outcome
    average_doctor : "population", expected events are those that the doctors of these cases would
        have on average; "median", those of a doctor with effect 0
    hospital : "within", a doctor is compared with an average doctor of his own hospital;
        "population", of an average hospital; None without hospitals
    sd_residual : posterior mean of the residual SD of a Gaussian outcome, else None
    unit : "events per case", "events per unit of exposure" or "outcome per case"
    method : how the sums over cases were computed
    relative_error : the largest error of a sum relative to it, measured on a sample; 0 if exact
    provenance : of the fit
    """

    measure: Measure
    draws: xr.DataArray
    expected: xr.DataArray
    predicted: xr.DataArray
    observed: pd.Series
    cases: pd.Series
    exposure: pd.Series
    reference_rate: float
    direction: Direction | None
    family: Family
    average_doctor: AverageDoctor
    hospital: HospitalComparison | None
    sd_residual: float | None
    unit: str
    method: str
    relative_error: float
    provenance: Provenance

    @property
    def raw_rate(self) -> pd.Series:
        """Observed outcome per case (or unit of exposure) of each doctor, unadjusted."""
        return (self.observed / self.exposure).rename("raw_rate")

    @remembered
    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor. ``cases``; ``observed``, ``expected``, ``predicted`` (events,
        posterior means); ``raw_rate``; ``ratio, ratio_lower, ratio_upper``, the P/E or O/E ratio
        (P/E for the direct measure; missing where expected is not positive, which a Gaussian
        outcome allows); ``mean, lower, upper`` of the standardized rate.
        """
        mean, lower, upper = self._summary(level=level)
        ratio, ratio_lower, ratio_upper = self.ratio(
            "O/E" if self.measure == "O/E" else "P/E", level=level
        )
        frame = pd.DataFrame(
            {
                "cases": self.cases.to_numpy(),
                "observed": self.observed.to_numpy(),
                "expected": flatten_draws(self.expected).mean(axis=1, dtype=np.float64),
                "predicted": flatten_draws(self.predicted).mean(axis=1, dtype=np.float64),
                "raw_rate": self.raw_rate.to_numpy(),
                "ratio": ratio,
                "ratio_lower": ratio_lower,
                "ratio_upper": ratio_upper,
                "mean": mean,
                "lower": lower,
                "upper": upper,
            },
            index=self.cases.index,
        )
        frame.attrs.update(level=level, unit=self.unit, measure=self.measure)
        return frame

    def totals(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Events of all doctors together: what happened, what was expected, what is predicted.

        Returns
        -------
        DataFrame indexed by "observed", "expected", "predicted" (for a Gaussian outcome, sums of
        the outcome); ``mean, lower, upper``, equal for the observed. For the population of doctors
        expected and predicted are equal in every draw, and close to the observed.
        """
        observed = float(self.observed.sum())
        rows = {"observed": (observed, observed, observed)}
        for name, draws in (("expected", self.expected), ("predicted", self.predicted)):
            sums = flatten_draws(draws).sum(axis=0, dtype=np.float64)
            lower, upper = interval(sums[None], level=level)
            rows[name] = (float(sums.mean()), float(lower[0]), float(upper[0]))
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "lower", "upper"])
        frame.attrs["level"] = level
        return frame

    @remembered
    def ratio(
        self, measure: Literal["P/E", "O/E"], *, level: float = DEFAULT_LEVEL
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Posterior mean, lower and upper limit of a ratio to expected events: three (doctor,).

        The interval of O/E reflects what is uncertain about the expected events only; chance in
        the observed ones is what P/E is for.
        """
        check_choice("measure", measure, ("P/E", "O/E"))
        if measure == self.measure and self.family != "gaussian" and self.reference_rate > 0:
            return tuple(x / self.reference_rate for x in self._summary(level=level))  # type: ignore[return-value]
        expected = flatten_draws(self.expected)
        if measure == "P/E":
            draws = flatten_draws(self.predicted) / expected
        else:
            draws = self.observed.to_numpy()[:, None].astype(expected.dtype) / expected
        mean = draws.mean(axis=1, dtype=np.float64)
        lower, upper = interval(draws, level=level)
        defined = (expected > 0).all(axis=1)
        return tuple(np.where(defined, x, np.nan) for x in (mean, lower, upper))  # type: ignore[return-value]

    @remembered
    def _summary(
        self, *, level: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Posterior mean, lower and upper limit of the standardized rate: three (doctor,)."""
        rates = flatten_draws(self.draws)
        return rates.mean(axis=1, dtype=np.float64), *interval(rates, level=level)

    def __repr__(self) -> str:
        rate = f"{self.reference_rate:.4g}"
        return (
            f"StandardizedRates ({self.measure}): {len(self.cases)} doctors, "
            f"{int(self.cases.sum())} cases, overall {rate} {self.unit}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8))


def standardize(
    fit: Fit,
    *,
    measure: Measure = "P/E",
    average_doctor: AverageDoctor = "population",
    hospital: HospitalComparison = "within",
) -> StandardizedRates:
    """Posterior of the outcome each doctor would have per case, were all cases alike.

    Parameters
    ----------
    fit : posterior of a model
    measure : "P/E" predicted over expected events (the CMS/Yale risk-standardized rate), "O/E"
        observed over expected events, "direct" the mean over the cases of all doctors
    average_doctor : whose outcomes are expected: on average those of the doctors of these cases
        ("population"; expected events then add up to the predicted ones, and rates average the
        overall rate), or those of a doctor whose effect is 0 ("median", the form of CMS)
    hospital : where doctors are nested in hospitals, compare within the doctor's own hospital or
        with the population of hospitals; without hospitals it changes nothing

    Returns
    -------
    StandardizedRates

    Notes
    -----
    With eta_i = a + x_i'b [+ v_h] of the doctor's cases, x the case-mix columns only, and d_j what
    the doctor brings (his effect, doctor-level terms), P_j = sum_i w_i g(eta_i + d_j). Population:
    E_j = sum_i w_i times the mean of g(eta_i + m + s z), z standard normal, s the SD of the
    doctors' effects in that draw and m such that all E add up to all P. Median:
    E_j = sum_i w_i g(eta_i). P/E rate = P/E x overall rate, O/E rate = O/E x overall rate; direct
    rate = mean over all cases of g(eta_i + d_j), which needs no E. Gaussian: overall + (P - E) / n
    and overall + (O - E) / n. The population is that of the doctors who are compared, not of
    doctors as such: its s is the SD of their effects weighted by the information in their cases,
    and no distribution of effects is assumed for it, so that Student-t effects have one too.

    References
    ----------
    Normand, Glickman & Gatsonis (1997), Journal of the American Statistical Association 92.
    Daignault & Saarela (2017), Epidemiologic Methods 6, doi:10.1515/em-2016-0016.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> list(rates.to_frame().columns[-3:])
    ['mean', 'lower', 'upper']
    """
    check_arguments(standardize, locals())
    predictor = read_predictor(fit, comparison=hospital)
    sums = _sum_over_cases(predictor, average_doctor=average_doctor)
    observed, cases, exposure = _totals(fit)
    reference = overall_rate(fit.cases)
    rates = _rates(predictor, sums, measure, observed.to_numpy(), exposure.to_numpy(), reference)
    like = posterior_of(fit)["doctor_effect"]
    return StandardizedRates(
        measure=measure,
        draws=label_draws(rates, like),
        expected=label_draws(sums.expected, like),
        predicted=label_draws(sums.predicted, like),
        observed=observed,
        cases=cases,
        exposure=exposure,
        reference_rate=reference,
        direction=fit.cases.direction,
        family=fit.model.family,
        average_doctor=average_doctor,
        hospital=None if predictor.hospital is None else hospital,
        sd_residual=_residual_sd(fit),
        unit=_unit(fit),
        method=sums.method,
        relative_error=sums.relative_error,
        provenance=fit.provenance,
    )


def _sum_over_cases(predictor: Predictor, *, average_doctor: AverageDoctor) -> CaseSums:
    """Sum expected and predicted events in each draw, exactly or, for large data, by curves."""
    if not is_large(predictor):
        sums = sum_exactly(predictor, average_doctor=average_doctor)
    else:
        sums = sum_by_curves(predictor, average_doctor=average_doctor)
    return match_totals(sums) if average_doctor == "population" else sums


def is_large(predictor: Predictor) -> bool:
    """Whether sums over the cases are taken by curves: too many to add up in every draw."""
    size = predictor.doctor_code.size * predictor.n_samples
    return predictor.family != "gaussian" and size > EXACT_UP_TO and predictor.matrix.shape[1] > 0


def label_draws(values: NDArray[np.floating], like: xr.DataArray) -> xr.DataArray:
    """Label (doctor, sample) values with the chains, draws and doctors of ``like``; no copy."""
    shape = (values.shape[0], like.sizes["chain"], like.sizes["draw"])
    array = xr.DataArray(
        values.reshape(shape),
        dims=("doctor", "chain", "draw"),
        coords={name: like[name] for name in ("doctor", "chain", "draw") if name in like.coords},
    )
    return array.transpose("chain", "draw", "doctor")


def require_direction(rates: StandardizedRates, verb: str) -> Direction:
    """Return the direction of an outcome, or refuse to judge without one.

    Raises
    ------
    SpecError
        The direction was never said, or these are no rates.
    """
    check_kind("rates", rates, StandardizedRates, "standardize(fit)")
    if rates.direction is None:
        raise SpecError(
            f"{verb} needs to know whether a higher or a lower outcome is better. "
            "Pass direction='higher' or direction='lower' to Cases.from_frame."
        )
    return rates.direction


def _rates(
    predictor: Predictor,
    sums: CaseSums,
    measure: Measure,
    observed: NDArray[np.float64],
    exposure: NDArray[np.float64],
    reference: float,
) -> NDArray[np.floating]:
    if measure == "direct":
        return direct_rates(predictor)
    dtype = sums.expected.dtype
    above = sums.predicted if measure == "P/E" else observed[:, None].astype(dtype)
    if predictor.family == "gaussian":
        return np.asarray(reference + (above - sums.expected) / exposure[:, None].astype(dtype))
    return np.asarray(above / sums.expected * dtype.type(reference))


def _totals(fit: Fit) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Observed events, cases and exposure of each doctor."""
    cases = fit.cases
    n_doctors = len(cases.doctors)

    def total(values: NDArray[np.float64] | None, name: str) -> pd.Series:
        sums = np.bincount(cases.doctor_code, weights=values, minlength=n_doctors)
        return pd.Series(sums, index=pd.Index(cases.doctors, name="doctor"), name=name)

    n = total(cases.trials, "cases")
    if np.all(n == np.floor(n)):
        n = n.astype(np.int64)
    exposure = n.astype(np.float64) if cases.exposure is None else total(cases.exposure, "exposure")
    return total(cases.outcome, "observed"), n, exposure.rename("exposure")


def _residual_sd(fit: Fit) -> float | None:
    if "sd_residual" not in posterior_of(fit):
        return None
    return float(posterior_of(fit)["sd_residual"].mean())


def _unit(fit: Fit) -> str:
    if fit.model.family == "gaussian":
        return "outcome per case"
    return "events per case" if fit.cases.exposure is None else "events per unit of exposure"
