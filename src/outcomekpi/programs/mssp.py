"""Medicare Shared Savings Program: a bar that is higher where chance is larger."""

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import NotNegative, Probability
from outcomekpi.programs.bars import Floats, as_counts

__all__ = ["minimum_savings_rate", "mssp_shared_savings"]

SIZES = (5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 15_000, 20_000, 50_000, 60_000)
RATES = (0.039, 0.036, 0.034, 0.032, 0.031, 0.030, 0.027, 0.025, 0.022, 0.020)


def minimum_savings_rate(
    beneficiaries: ArrayLike,
    *,
    sizes: tuple[float, ...] = SIZES,
    rates: tuple[float, ...] = RATES,
) -> Floats:
    """Minimum savings that an organization must show before they count as more than luck.

    Parameters
    ----------
    beneficiaries : (...,), patients assigned
    sizes : sizes at which the table gives a rate, ascending
    rates : rate at each size, a share of the benchmark expenditure

    Returns
    -------
    (...,), share of the benchmark expenditure

    Raises
    ------
    SpecError
        A table whose sizes do not ascend or whose rates rise with size.
    CasesError
        Fewer patients than the smallest size.

    Notes
    -----
    Linear between the low and the high end of each range of the table [K: the regulation gives
    the two ends]; constant from the largest size. The high end of 5,000-5,999 is taken to be
    reached at 6,000, as its rate is that of the next range's low end.

    References
    ----------
    42 CFR 425.604(b), table.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.minimum_savings_rate([5_000, 7_500, 80_000]).round(4).tolist()
    [0.039, 0.033, 0.02]
    """
    check_arguments(minimum_savings_rate, locals())
    at, rate = np.asarray(sizes, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    if at.shape != rate.shape or (np.diff(at) <= 0).any() or (np.diff(rate) > 0).any():
        raise SpecError("sizes must ascend, and rates must not rise with them, one for each size.")
    found = as_counts("beneficiaries", beneficiaries)
    if (found < at[0]).any():
        raise CasesError(
            f"The table starts at {at[0]:,.0f} beneficiaries; {int((found < at[0]).sum())} of "
            f"{found.size} have fewer, the smallest {found.min():,.0f}."
        )
    return np.asarray(np.interp(found, at, rate))


def mssp_shared_savings(
    benchmark: ArrayLike,
    expenditure: ArrayLike,
    beneficiaries: ArrayLike,
    *,
    sharing_rate: Probability = 0.50,
    payment_limit: NotNegative = 0.10,
) -> Floats:
    """Payment to an organization that spent less than its benchmark.

    Parameters
    ----------
    benchmark : (...,), expenditure expected of it
    expenditure : (...,), what was spent, in the same unit
    beneficiaries : (...,), patients assigned, for the minimum savings rate
    sharing_rate : share of the savings that is paid out, at full quality
    payment_limit : most that is paid, as a share of the benchmark

    Returns
    -------
    (...,), in the unit of the expenditure; 0 below the minimum savings rate, from the first
    dollar above it

    Raises
    ------
    CasesError
        Negative or missing amounts, a benchmark of 0, too few patients.

    References
    ----------
    42 CFR 425.604(c)-(e) (one-sided model).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.mssp_shared_savings(100.0, [98.0, 96.0, 70.0], 10_000).tolist()
    [0.0, 2.0, 10.0]
    """
    check_arguments(mssp_shared_savings, locals())
    benchmark, expenditure, beneficiaries = align(
        benchmark=benchmark, expenditure=expenditure, beneficiaries=beneficiaries
    )
    expected = as_counts("benchmark", benchmark)
    if (expected == 0).any():
        raise CasesError("benchmark must be positive.")
    saved = expected - as_counts("expenditure", expenditure)
    # a saving of exactly the minimum counts, whatever the last binary digit says
    qualifies = saved >= expected * (minimum_savings_rate(beneficiaries) - 1e-12)
    paid = np.minimum(sharing_rate * saved, payment_limit * expected)
    return np.where(qualifies, paid, 0.0)
