"""Gaussian outcomes: fixed effects and residual SD at given ratios of the SDs.

At fixed ratios sd_doctor / sd_residual (and sd_hospital / sd_residual) the fixed effects integrate
out in closed form, and what is left is a density of log sd_residual alone, tabulated for many
ratios at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.gaussian_sums import Form, Sums
from outcomekpi.engine.priors import FixedEffectPrior, fixed_effect_prior
from outcomekpi.engine.quantiles import invert_density
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import SDPrior, Uniform

__all__ = ["Conjugate", "GaussianTarget", "ResidualTable", "gaussian_target"]

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_TINY = float(np.finfo(np.float64).tiny)
_NODES = 41
_DROP = 18.0  # log density below the mode at which the table of log sd_residual ends
_MODE_STEPS = 40
_END_STEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaussianTarget:
    """The marginal posterior of the SDs: sums over the cases, and priors.

    Attributes
    ----------
    fixed : priors of the fixed effects, as differences from ``sums.offset``
    sd_doctor, sd_hospital, sd_residual : priors; ``sd_hospital`` is None without hospitals
    """

    sums: Sums
    fixed: FixedEffectPrior
    sd_doctor: SDPrior
    sd_hospital: SDPrior | None
    sd_residual: SDPrior


def gaussian_target(model: Model, sums: Sums) -> GaussianTarget:
    """Bring sums and priors together; flat priors keep precision 0."""
    prior = fixed_effect_prior(model)
    mean = np.where(prior.precision > 0, prior.mean - sums.offset, 0.0)
    return GaussianTarget(
        sums=sums,
        fixed=FixedEffectPrior(mean=mean, precision=prior.precision),
        sd_doctor=model.priors.sd_doctor,
        sd_hospital=None if model.hospital_code is None else model.priors.sd_hospital,
        sd_residual=model.priors.sd_residual,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conjugate:
    """Fixed effects integrated out at given ratios, for every residual SD s.

    With A, r, q the forms of X'X, X'y, y'y in K⁻¹, P the prior precisions and m their means,
    A + s0² P = L L' and L⁻¹ A L⁻ᵀ = U diag(d) U': the posterior precision of the fixed effects
    is L U diag(d + rho (1 - d)) U' L' / s² with rho = s² / s0², at every s.

    Attributes
    ----------
    target : sums and priors
    ratio, hospital_ratio : (point,)
    log_determinant : (point,), of K
    square : (point,), q
    share : (point, column), d
    data, prior : (point, column), U' L⁻¹ r and U' L⁻¹ s0² P m
    root : (point, column, column), L⁻ᵀ U
    log_root : (point,), log |L|
    """

    target: GaussianTarget
    ratio: Array
    hospital_ratio: Array
    log_determinant: Array
    square: Array
    share: Array
    data: Array
    prior: Array
    root: Array
    log_root: Array

    @classmethod
    def of(cls, target: GaussianTarget, form: Form, ratio: Array, hospital: Array) -> "Conjugate":
        """Diagonalize the forms of points laid out flat.

        Parameters
        ----------
        ratio, hospital : as given to ``Sums.form``
        """
        shape = form.log_determinant.shape
        n = target.sums.n_columns
        products = form.products.reshape(-1, n + 1, n + 1)
        scaled = target.fixed.precision * target.sums.residual_variance
        try:
            lower = np.linalg.cholesky(products[:, :n, :n] + np.diag(scaled))
        except np.linalg.LinAlgError as error:
            raise EngineError(
                "The covariates are collinear and their prior is flat, so that the slopes have no "
                "posterior. Drop a covariate, or use a normal prior for the coefficients."
            ) from error
        inverse = np.linalg.inv(lower)
        inverse_t = np.swapaxes(inverse, 1, 2)
        share, rotation = np.linalg.eigh(inverse @ products[:, :n, :n] @ inverse_t)
        root = inverse_t @ rotation
        sides = np.stack(
            (
                products[:, :n, n],
                np.broadcast_to(scaled * target.fixed.mean, products[:, :n, n].shape),
            ),
            axis=2,
        )
        rotated = np.swapaxes(root, 1, 2) @ sides
        return cls(
            target=target,
            ratio=np.broadcast_to(ratio[:, None], shape).ravel(),
            hospital_ratio=np.broadcast_to(hospital, shape).ravel(),
            log_determinant=form.log_determinant.ravel(),
            square=products[:, n, n],
            share=np.clip(share, 0.0, 1.0),
            data=rotated[:, :, 0],
            prior=rotated[:, :, 1],
            root=root,
            log_root=np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1),
        )

    def _scale(self, log_sd: Array) -> tuple[Array, Array]:
        """Return rho (point, 1), and d + rho (1 - d) (point, column), at (point,)."""
        rho = np.exp(2 * log_sd)[:, None] / self.target.sums.residual_variance
        return rho, self.share + rho * (1.0 - self.share)

    def _prior_weighted(self, log_sd: Array) -> tuple[Array, Array]:
        """Explained squares, and log |d + rho (1 - d)|, at (point, node).

        One column at a time, so that the arrays stay in the cache, and one logarithm for
        eight columns.
        """
        rho = np.exp(2 * log_sd) / self.target.sums.residual_variance
        explained, log_scale = np.zeros(rho.shape), np.zeros(rho.shape)
        product = np.ones(rho.shape)
        n_columns = self.share.shape[1]
        for column in range(n_columns):
            share = self.share[:, column, None]
            scale = rho * (1.0 - share)
            scale += share
            product *= scale
            side = rho * self.prior[:, column, None]
            side += self.data[:, column, None]
            side *= side
            side /= scale
            explained += side
            if column % 8 == 7 or column == n_columns - 1:
                log_scale += np.log(np.maximum(product, _TINY))
                product.fill(1.0)
        return explained, log_scale

    def log_likelihood(self, log_sd: Array) -> Array:
        """Log marginal likelihood of the outcomes, (point, node).

        The density of the first fit's residuals with the fixed effects integrated out over
        their priors; a flat prior counts as density 1.

        Parameters
        ----------
        log_sd : (point, node), log sd_residual
        """
        explained, log_scale = self._prior_weighted(log_sd)
        prior, sums = self.target.fixed, self.target.sums
        proper = prior.precision > 0
        constant = 0.5 * np.log(prior.precision[proper]).sum()
        constant -= 0.5 * (sums.n_cases - (~proper).sum()) * _LOG_2PI
        residual = (self.square[:, None] - explained) * np.exp(-2 * log_sd)
        residual += (prior.precision * prior.mean**2).sum()
        np.maximum(residual, 0.0, out=residual)  # rounding, where the fit is exact
        result: Array = (
            constant
            - (self.log_root + 0.5 * self.log_determinant)[:, None]
            - (sums.n_cases - sums.n_columns) * log_sd
            - 0.5 * log_scale
            - 0.5 * residual
        )
        return result

    def log_density(self, log_sd: Array) -> Array:
        """Log density of (ratios, log sd_residual) given the data, up to a constant."""
        sd = np.exp(log_sd)
        target = self.target
        result = self.log_likelihood(log_sd) + 2 * log_sd
        result += target.sd_residual.log_density(sd)
        result += target.sd_doctor.log_density(sd * self.ratio[:, None])
        if target.sd_hospital is not None:
            result += target.sd_hospital.log_density(sd * self.hospital_ratio[:, None]) + log_sd
        return result

    def fixed_effects(self, log_sd: Array, scores: Array) -> Array:
        """Draw the fixed effects given the SDs, one draw a point.

        Parameters
        ----------
        log_sd : (point,)
        scores : (point, column), standard normal

        Returns
        -------
        (point, column), differences from ``sums.offset``
        """
        rho, scale = self._scale(log_sd)
        rotated = (self.data + rho * self.prior) / scale
        rotated += scores * np.exp(log_sd)[:, None] / np.sqrt(scale)
        result: Array = np.matmul(self.root, rotated[:, :, None])[:, :, 0]
        return result

    def log_fixed_density(self, log_sd: Array, scores: Array) -> Array:
        """Log density of the draws of :meth:`fixed_effects` given the SDs, (point,)."""
        _, scale = self._scale(log_sd)
        log_spread = log_sd[:, None] - 0.5 * np.log(scale)
        result: Array = self.log_root - (log_spread + 0.5 * scores**2 + 0.5 * _LOG_2PI).sum(axis=1)
        return result

    def table(self, *, n_nodes: int = _NODES) -> "ResidualTable":
        """Tabulate the density of log sd_residual at every point."""
        cap = self._cap()
        mode, curvature = self._mode(cap)
        top = self.log_density(mode[:, None])[:, 0]
        ends = []
        for side in (-1.0, 1.0):
            width = 6.0 / np.sqrt(curvature)
            for _ in range(_END_STEPS):
                at = mode + side * width
                drop = top - self.log_density(np.minimum(at, cap)[:, None])[:, 0]
                done = (np.abs(drop - _DROP) < 4.0) | ((at >= cap) & (drop < _DROP))
                if done.all():
                    break
                change = np.sqrt(_DROP / np.clip(drop, 1.0, None))
                width = np.where(done, width, width * np.clip(change, 0.3, 2.0))
            ends.append(np.minimum(mode + side * width, cap))
        nodes = np.linspace(ends[0], ends[1], n_nodes, axis=-1)
        return ResidualTable(nodes=nodes, log_density=self.log_density(nodes))

    def _cap(self) -> Array:
        """Largest log sd_residual that priors with an upper end allow, (point,)."""
        cap = np.full(self.ratio.size, np.inf)
        with np.errstate(divide="ignore"):
            for prior, ratio in (
                (self.target.sd_residual, 1.0),
                (self.target.sd_doctor, self.ratio),
                (self.target.sd_hospital, self.hospital_ratio),
            ):
                if isinstance(prior, Uniform):
                    cap = np.minimum(cap, np.log(prior.upper) - np.log(ratio) - 1e-12)
        return cap

    def _mode(self, cap: Array) -> tuple[Array, Array]:
        """Modes of log sd_residual and curvatures there, by Newton steps on differences."""
        sums = self.target.sums
        explained = (self.data**2 / np.maximum(self.share, 1e-12)).sum(axis=1)
        floor = 1e-12 * np.abs(self.square) + 1e-300
        at = 0.5 * np.log(np.maximum(self.square - explained, floor) / sums.n_cases)
        at = np.minimum(at, cap)
        step = 0.05 / np.sqrt(sums.n_cases + 4.0)
        for _ in range(_MODE_STEPS):
            middle = np.minimum(at, cap - step)
            around = middle[:, None] + step * np.array([-1.0, 0.0, 1.0])
            below, here, above = self.log_density(around).T
            slope = (above - below) / (2 * step)
            bend = (above - 2 * here + below) / step**2
            curvature = np.where(bend < -0.1, -bend, np.maximum(np.abs(slope), 0.5))
            move = np.minimum(at + np.clip(slope / curvature, -1.5, 1.5), cap) - at
            at = at + move
            if np.all(np.abs(move) * np.sqrt(curvature) < 0.05):
                break
        return at, curvature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResidualTable:
    """Density of log sd_residual on equally spaced nodes, for many ratios.

    Attributes
    ----------
    nodes, log_density : (point, node)
    """

    nodes: Array
    log_density: Array

    def log_integral(self) -> Array:
        """Log of the integral, (point,): the log density of the ratios."""
        top = self.log_density.max(axis=1)
        heights = np.exp(self.log_density - top[:, None])
        step = self.nodes[:, 1] - self.nodes[:, 0]
        ends = heights[:, 0] + heights[:, -1]
        near = heights[:, 1] + heights[:, -2]
        next_near = heights[:, 2] + heights[:, -3]
        # Gregory's end corrections: exact for cubics where a prior cuts the density off
        total = heights.sum(axis=1) - (5 / 8) * ends + near / 6 - next_near / 24
        result: Array = top + np.log(np.maximum(total * step, 1e-300))
        return result

    def quantiles(self, scores: Array) -> Array:
        """Draw log sd_residual, one per point, at standard normal scores (point,)."""
        quantiles = invert_density(self.nodes, self.log_density, scores[:, None])[:, 0]
        return np.clip(quantiles, self.nodes[:, 0], self.nodes[:, -1])
