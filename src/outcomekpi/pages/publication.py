"""Results as they may be published: functions of no count of anybody who is withheld."""

import warnings
from dataclasses import dataclass

import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIWarning, SpecError
from outcomekpi.model.formulas import parse_formula
from outcomekpi.pages.exchange import deal_out, put_together
from outcomekpi.pages.masking import Mask, keep_reliability, keep_shown, mask_counts
from outcomekpi.posterior.fit import Fit, fit
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.classification import Classification, classify
from outcomekpi.profiling.doctor_table import doctor_table
from outcomekpi.profiling.linear_predictor import read_predictor
from outcomekpi.profiling.ranking import Ranks, rank
from outcomekpi.profiling.reliability import Reliability, reliability
from outcomekpi.profiling.standardization import StandardizedRates, standardize
from outcomekpi.tables.cases import Cases

__all__ = ["Publication", "publish", "published_table"]

DRAWS_AS_ONE = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Publication:
    """What a report is written from.

    Attributes
    ----------
    fit : of all doctors; those withheld have exchanged their patients
    everyone : standardized rates of all doctors, for totals
    rates, ranks, flags : of the doctors who are shown
    reliabilities : of the same
    mask : who is withheld
    log : what was excluded or converted, without the numbers where counts are withheld
    """

    fit: Fit
    everyone: StandardizedRates
    rates: StandardizedRates
    ranks: Ranks
    flags: Classification
    reliabilities: Reliability
    mask: Mask
    log: tuple[str, ...]


def publish(
    fit: Fit,
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    *,
    below: int | None,
) -> Publication:
    """Return results that may be published.

    Parameters
    ----------
    fit, rates, ranks, flags : one chain of results
    below : counts below this are withheld, zero included; None withholds nothing

    Raises
    ------
    SpecError
        ``below`` cannot be used, nearly everybody would be withheld, or the model or its fit does
        not allow that doctors exchange their patients.

    Notes
    -----
    Where a doctor is withheld, the model is fitted to cases in which all who are withheld are one
    doctor; that fit says what to expect of each patient and how far doctors differ. Their
    patients are then dealt out among them with differences of that size
    (:func:`outcomekpi.pages.exchange.deal_out`) and the model is fitted anew, so that everything
    that follows is a function of the patients of the doctors shown and of those of the others
    together. Rates, intervals, probabilities and coefficients of the first fit are functions of
    every doctor's own counts: with the seed known, they could be tried out.
    """
    mask = mask_counts(rates, below=below, over_exposure=fit.cases.exposure is not None)
    if mask.shown.all():
        return Publication(
            fit=fit,
            everyone=rates,
            rates=rates,
            ranks=ranks,
            flags=flags,
            reliabilities=reliability(fit),
            mask=mask,
            log=_public_log(fit, mask),
        )
    exchanged = _fit_again(fit, mask)
    everyone = standardize(
        exchanged,
        measure=rates.measure,
        average_doctor=rates.average_doctor,
        hospital=rates.hospital or "within",
    )
    shown = keep_shown(everyone, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutcomeKPIWarning)  # said of the first results already
        judged = classify(shown, flags.rule)
    return Publication(
        fit=exchanged,
        everyone=everyone,
        rates=shown,
        ranks=rank(shown, top=min(ranks.top, len(shown.cases))),
        flags=judged,
        reliabilities=keep_reliability(reliability(exchanged), mask),
        mask=mask,
        log=_public_log(fit, mask),
    )


def _public_log(fit: Fit, mask: Mask) -> tuple[str, ...]:
    """Return what was excluded; where counts are withheld, that there is something."""
    log = fit.cases.log
    if mask.below is None or not log:
        return log
    return ("What was excluded or converted is not printed here, because counts are withheld.",)


def published_table(
    publication: Publication, flags: Classification, *, level: float
) -> pd.DataFrame:
    """Return the table of the doctors who are shown, with the columns of ``doctors.csv``.

    Parameters
    ----------
    publication : what may be shown
    flags : of the doctors who are shown; ``p_worse`` and ``p_better`` are about their threshold
    level : probability of the intervals
    """
    mask = publication.mask
    if mask.shown.all():
        return doctor_table(
            publication.fit,
            publication.rates,
            publication.ranks,
            flags,
            level=level,
            reliabilities=publication.reliabilities,
        )
    everyone = publication.everyone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutcomeKPIWarning)
        of_all = classify(everyone, flags.rule)
    table = doctor_table(publication.fit, everyone, rank(everyone), of_all, level=level)
    table = table[mask.shown].copy()
    places = publication.ranks.to_frame(level=level)
    for column, place in (
        ("expected_rank", "mean"),
        ("rank_lower", "lower"),
        ("rank_upper", "upper"),
    ):
        table[column] = places[place].to_numpy()
    table["flag"] = flags.flag.to_numpy()
    table.attrs.update(level=level, threshold=flags.threshold, unit=everyone.unit)
    return table


def _fit_again(first: Fit, mask: Mask) -> Fit:
    """Fit the same model to the cases in which those withheld have exchanged their patients."""
    cases, spec = first.cases, first.spec
    if spec.doctor_level:
        raise SpecError(
            "suppress_below cannot be used with doctor_level: the traits of doctors who are "
            "withheld would tell who has which patients. Leave doctor_level out for publication."
        )
    if first.model.family == "negative_binomial" and cases.exposure is not None:
        raise SpecError(
            "suppress_below cannot be used with family='negative_binomial' over an exposure: "
            "divided counts are not negative binomial any more. Use family='poisson'."
        )
    if spec.case_mix and first.design.recipe is None:
        raise SpecError(
            "suppress_below fits the model anew, and a fit that was loaded from a file does not "
            "hold the covariates. Fit the cases again and report that."
        )
    formula = parse_formula(spec.case_mix, list(cases.frame.columns), argument="case_mix")
    hidden = mask.hidden.to_numpy(dtype=bool)
    together, keys = put_together(cases, hidden, covariates=formula.columns)
    draws = int(first.draws["posterior"]["sd_doctor"].size)
    as_one = _fit_quietly(first, together, draws=min(draws, DRAWS_AS_ONE))
    mean = case_means(read_predictor(as_one))
    exchanged = deal_out(
        together,
        keys,
        cases.doctors,
        hidden,
        expected=mean[-keys.size :],
        spread=float(as_one.draws["posterior"]["sd_doctor"].mean()),
        family=first.model.family,
    )
    return _fit_quietly(first, exchanged, draws=draws)


def _fit_quietly(first: Fit, cases: Cases, *, draws: int) -> Fit:
    """Fit the model of a first fit to other cases; what it warned of was said then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutcomeKPIWarning)
        return fit(cases, first.spec, engine=first.engine, draws=draws, seed=first.provenance.seed)
