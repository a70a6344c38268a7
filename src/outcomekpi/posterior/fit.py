"""fit: from cases and a specification to the posterior, by either engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Literal
from warnings import warn

import pandas as pd
import xarray as xr

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import EngineError, OutcomeKPIWarning
from outcomekpi.declare.fields import Range, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, summarize_draws
from outcomekpi.engine.draws_tree import PosteriorSamples, assemble_draws
from outcomekpi.lineage.origins import Provenance, record_provenance
from outcomekpi.model.design import Design, build_design
from outcomekpi.model.likelihood_model import Model, build_model
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.information import check_doctors, explain_failure
from outcomekpi.tables.cases import Cases

__all__ = ["Engine", "Fit", "fit", "sample_model"]

Engine = Literal["quadrature", "nuts"]

_FEWEST_DRAWS = 100
_SCALES = ("sd_doctor", "sd_hospital", "sd_residual", "dispersion")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Fit:
    """Posterior of a model: every parameter and every doctor effect, as joint draws.

    Attributes
    ----------
    draws : DataTree with groups ``posterior, sample_stats, observed_data, constant_data``.
        ``posterior`` holds ``intercept`` and ``coefficient`` (term) on the user's scale,
        ``doctor_effect`` (doctor) on the link scale, ``sd_doctor``, and where the model has
        them ``hospital_effect`` (hospital), ``sd_hospital``, ``sd_residual``, ``dispersion``;
        each with dimensions (chain, draw, ...)
    cases, spec, design, model : what was fitted; ``model.priors`` are the priors used
    engine : "quadrature" or "nuts", the one that ran
    diagnostics : name -> value, what the engine reports about its own accuracy
    provenance : versions, seed, hashes, time
    """

    draws: xr.DataTree
    cases: Cases
    spec: ModelSpec
    design: Design
    model: Model
    engine: Engine
    diagnostics: dict[str, float | str]
    provenance: Provenance

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per fixed effect and standard deviation, on the user's scale.

        Returns
        -------
        DataFrame indexed by ``term`` (``Intercept``, the covariates, ``sd_doctor``, and
        ``sd_hospital``, ``sd_residual``, ``dispersion`` where the model has them) with columns
        ``mean, sd, lower, upper``; the interval is equal-tailed
        """
        posterior = self.draws["posterior"].to_dataset()
        single = {"Intercept": "intercept"} | {name: name for name in _SCALES if name in posterior}
        rows = [summarize_draws(posterior["coefficient"], level=level)]
        for label, name in single.items():
            draws = posterior[name].expand_dims(term=[label])
            row = summarize_draws(draws, level=level)
            rows.insert(0, row) if label == "Intercept" else rows.append(row)
        frame = pd.concat([row for row in rows if len(row)])
        frame.index.name = "term"
        frame.attrs.update(level=level)
        return frame

    def __repr__(self) -> str:
        sd = self.draws["posterior"]["sd_doctor"]
        n_draws = sd.size
        return (
            f"Fit: {self.model.family}, {len(self.cases.doctors)} doctors, "
            f"{self.cases.n_cases:.0f} cases, doctor SD {float(sd.mean()):.3f}, "
            f"{n_draws} draws by {self.engine}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def fit(
    cases: Cases,
    spec: ModelSpec,
    *,
    engine: Engine = "quadrature",
    draws: Annotated[int, Range(low=_FEWEST_DRAWS)] = 2000,
    seed: Seed = 20261,
) -> Fit:
    """Posterior of every doctor's effect and of every parameter of the model.

    Parameters
    ----------
    cases : checked cases
    spec : case mix, family, priors
    engine : "quadrature" integrates the doctor effects out and needs seconds; "nuts" samples the
        same model by PyMC. Models that the fast engine has no derivation for (negative binomial,
        Student-t doctor effects) run by NUTS with a warning that says so
    draws : joint draws to return, over all chains
    seed : of the one random generator; same seed, same draws

    Returns
    -------
    Fit

    Raises
    ------
    CasesError, FormulaError, SpecError
        The outcome, the covariates or the specification cannot be used.
    EngineError
        The engine's own checks say that the posterior may not be used.

    Warns
    -----
    OutcomeKPIWarning
        Another engine ran than the one asked for.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> ok.fit(cases, ok.ModelSpec(case_mix="age + sex"), seed=1).engine
    'quadrature'
    """
    check_arguments(fit, locals())
    began = perf_counter()
    design, cases = build_design(cases, spec)
    model = build_model(cases, spec, design)
    check_doctors(cases, model.family)
    chosen = _choose_engine(engine, model)
    try:
        samples = sample_model(model, engine=chosen, draws=draws, seed=seed)
    except EngineError as error:
        raise explain_failure(error, cases, design, model) from error
    tree = assemble_draws(samples, cases=cases, design=design, model=model)
    return Fit(
        draws=tree,
        cases=cases,
        spec=spec,
        design=design,
        model=model,
        engine=chosen,
        diagnostics=dict(samples.diagnostics),
        provenance=record_provenance(
            cases,
            spec,
            seed=seed,
            seconds=perf_counter() - began,
            model=_describe(model, chosen, samples.diagnostics) | _describe_offset(cases),
        ),
    )


def _describe(
    model: Model, engine: Engine, diagnostics: Mapping[str, float | str]
) -> dict[str, str]:
    """Say how the model was fitted, for everybody who gets to see no more than its results."""
    sampler = {"sampler": str(diagnostics["sampler"])} if "sampler" in diagnostics else {}
    return {
        "engine": engine,
        **sampler,
        "family": model.family,
        "doctor_effects": model.doctor_effects,
        "levels": "doctor" if model.hospital_code is None else "doctor, hospital",
    }


def _describe_offset(cases: Cases) -> dict[str, str]:
    if cases.offset is None:
        return {}
    return {"offset": f"{cases.roles['offset']} ({cases.offset_scale}), slope 1"}


def _choose_engine(engine: Engine, model: Model) -> Engine:
    """Return the engine that will run, with a warning where it is not the one asked for."""
    if engine == "nuts":
        return engine
    uncovered = [
        f"family {model.family!r}" if model.family == "negative_binomial" else "",
        "Student-t doctor effects" if model.doctor_effects == "student_t" else "",
    ]
    reasons = [reason for reason in uncovered if reason]
    if not reasons:
        return engine
    warn(
        f"The fast engine has no derivation for {' and '.join(reasons)}: sampling by NUTS "
        "instead, which takes minutes. Pass engine='nuts' to ask for it and silence this.",
        OutcomeKPIWarning,
        stacklevel=3,
    )
    return "nuts"


def sample_model(model: Model, *, engine: Engine, draws: int, seed: int) -> PosteriorSamples:
    """Draw from the posterior of a model; whatever fits or fits again comes through here.

    Parameters
    ----------
    model : with the rows and priors that are to be used, perhaps not those of any cases
    engine : that has a derivation for the model, such as the one a fit ran by
    draws, seed : as in :func:`fit`

    Raises
    ------
    EngineError
        The engine's own checks say that the posterior may not be used.
    """
    if engine == "nuts":
        from outcomekpi.engine.nuts import sample_nuts

        return sample_nuts(model, draws=draws, seed=seed)
    from outcomekpi.engine.engine import sample_quadrature

    return sample_quadrature(model, draws=draws, seed=seed)
