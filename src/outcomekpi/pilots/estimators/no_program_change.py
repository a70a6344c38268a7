"""What patients selected for an extreme baseline do next with no program, before any is tried."""

import numpy as np

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Seed
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.selected_normal import Side, expected_change, next_on_target
from outcomekpi.pilots.estimators.selection_density import SelectedMoments
from outcomekpi.pilots.estimators.selection_parameters import sample_parameters

__all__ = ["regression_to_mean"]


def regression_to_mean(
    population: BaselinePopulation,
    *,
    cutoff: float,
    side: Side,
    readings: Count = 1,
    target: float | None = None,
    unit: str = "units of the outcome",
    draws: Count = 4000,
    seed: Seed = 20261,
) -> RegressionToMean:
    """Change to be expected with no program in patients whose baseline passed a cutoff.

    Parameters
    ----------
    population : mean, sd and reliability (or within_sd) of the unselected readings
    cutoff : that the mean of the baseline readings has to pass
    side : "above" where high readings are selected, "below" where low ones are
    readings : baseline readings that are averaged before they are held against the cutoff
    target : bar of the next reading; given, the answer is the share of patients on the good side
        of it next time, in percentage points, instead of the mean change
    unit : of the readings, for the words
    draws : where the population is not known exactly
    seed : of the draws

    Raises
    ------
    SpecError
        Mean, sd or reliability of the population is not given, or a wrong side.

    Notes
    -----
    :func:`~outcomekpi.pilots.estimators.selected_normal.expected_change` and ``next_on_target``, at
    each draw of what is known of the population.

    References
    ----------
    Barnett, van der Pols & Dobson (2005), International Journal of Epidemiology 34:215-220,
    doi:10.1093/ije/dyh299.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> sugar = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=0.7)
    >>> ok.regression_to_mean(sugar, cutoff=7.0, side="above", target=7.0)
    RegressionToMean (closed form): expected change with no program 18.93 percentage points
    """
    check_arguments(regression_to_mean, locals())
    if population.sd is None or population.known_reliability() is None:
        raise SpecError(
            "The change with no program needs mean, sd and reliability (or within_sd) of the "
            "unselected population."
        )
    if readings < 1:
        raise SpecError(f"readings must be at least 1; got {readings!r}.")
    uncertain = any((population.mean_se, population.sd_se, population.reliability_se,
                     population.within_sd_se))  # fmt: skip
    nobody = SelectedMoments(size=0, mean_before=np.nan, ss_before=0.0, readings=readings)
    found = sample_parameters(
        population,
        nobody,
        cutoff=cutoff,
        side=side,
        draws=draws if uncertain else 1,
        rng=np.random.default_rng(seed),
    )
    if target is None:
        change = expected_change(
            found.mean, found.sd, found.reliability, cutoff=cutoff, side=side, readings=readings
        )
    else:
        change = 100 * next_on_target(
            found.mean, found.sd, found.reliability, cutoff=cutoff, side=side,
            readings=readings, target=target,
        )  # fmt: skip
    return RegressionToMean(
        expected=float(change.mean()),
        expected_draws=change if uncertain else None,
        unit=unit if target is None else "percentage points",
        method="closed form",
        assumptions=(
            "True values and readings are normal, with the same scatter for everybody.",
            "Patients are selected by their baseline alone, and nothing changes their true values.",
        ),
    )
