"""A weighted average of controls as what the treated would have been, and its placebos."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.estimators.did_adapter import synthetic_weights

__all__ = ["Placebos", "SyntheticFit", "SyntheticMethod", "fit_synthetic", "run_placebos"]

Floats = NDArray[np.float64]
SyntheticMethod = Literal["sdid", "sc", "did"]
RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticFit:
    """Effect by time and on average.

    Attributes
    ----------
    effect : average over the times from the start on
    gap : (time,), treated minus what they would have been
    units, times : (control,) and (time before,), weights
    misfit : root mean square of the gap before the start
    """

    effect: float
    gap: Floats
    units: Floats
    times: Floats
    misfit: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placebos:
    """The same estimate with controls in the place of the treated.

    Attributes
    ----------
    fits : one for each choice of controls
    chosen : (choice, pseudo-treated), positions of controls
    is_exhaustive : whether each control stood in once
    """

    fits: tuple[SyntheticFit, ...]
    chosen: NDArray[np.intp]
    is_exhaustive: bool

    @property
    def effects(self) -> Floats:
        """(choice,), effects where there was no program."""
        return np.array([one.effect for one in self.fits])

    @property
    def error(self) -> float:
        """Standard deviation of the placebo effects."""
        return float(self.effects.std())

    def p_value(self, effect: float) -> float:
        """Share of the estimates, the real one included, that are at least as large."""
        return float((1 + (np.abs(self.effects) >= abs(effect)).sum()) / (1 + self.effects.size))


def fit_synthetic(
    controls: Floats, treated: Floats, n_before: int, *, method: SyntheticMethod, n_treated: int
) -> SyntheticFit:
    """Weigh controls, and times before the start, and take the difference of differences.

    Parameters
    ----------
    controls : (time, control), outcomes
    treated : (time,), mean outcome of the treated
    n_before : times before the start
    method : "sdid" weighs controls and times, with a constant between them; "sc" weighs controls
        to lie on the treated; "did" weighs all alike
    n_treated : units behind ``treated``

    Notes
    -----
    effect = mean after of (treated - controls @ units) - times @ the same before. The weights are
    those of the Frank-Wolfe steps of the R package synthdid, stopped where it stops them.
    """
    units, times = synthetic_weights(
        controls[:n_before],
        controls[n_before:],
        treated[:n_before],
        method=method,
        n_treated=n_treated,
    )
    distance = treated - controls @ units
    gap = distance - times @ distance[:n_before]
    return SyntheticFit(
        effect=float(gap[n_before:].mean()),
        gap=gap,
        units=units,
        times=times,
        misfit=_misfit(distance[:n_before], method),
    )


def _misfit(distance: Floats, method: SyntheticMethod) -> float:
    # a constant distance is no misfit where the method takes it out
    rest = distance if method == "sc" else distance - distance.mean()
    return float(np.sqrt(np.mean(rest**2)))


def run_placebos(
    controls: Floats,
    n_before: int,
    *,
    method: SyntheticMethod,
    n_treated: int,
    rng: np.random.Generator,
) -> Placebos:
    """Let controls stand in for the treated, as many as there are treated units.

    Parameters
    ----------
    controls : (time, control), outcomes
    n_before : times before the start
    method, n_treated : as in :func:`fit_synthetic`
    rng : of the choices where there is more than one treated unit

    Raises
    ------
    CasesError
        Not more controls than treated units.

    References
    ----------
    Arkhangelsky et al. (2021), American Economic Review 111, algorithm 4.
    """
    count = controls.shape[1]
    if count <= n_treated:
        raise CasesError(
            f"A synthetic control gets its interval from controls that stand in for the treated; "
            f"that takes more controls than treated units. {count:,} controls and {n_treated:,} "
            "treated units found: the placebo standard error is undefined. Add controls, or use "
            "DifferenceInDifferences."
        )
    if n_treated == 1:
        chosen = np.arange(count, dtype=np.intp)[:, None]
    else:
        chosen = rng.random((RESAMPLES, count)).argsort(axis=1)[:, :n_treated].astype(np.intp)
    fits = []
    for picked in chosen:
        rest = np.delete(controls, picked, axis=1)
        stand_in = controls[:, picked].mean(axis=1)
        fits.append(fit_synthetic(rest, stand_in, n_before, method=method, n_treated=n_treated))
    return Placebos(fits=tuple(fits), chosen=chosen, is_exhaustive=n_treated == 1)
