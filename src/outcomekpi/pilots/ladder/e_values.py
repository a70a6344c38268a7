"""E-values: how strong a hidden confounder would have to be to make a ratio by itself."""

from math import sqrt

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive

__all__ = ["e_value", "e_value_of_interval"]


def e_value(ratio: Positive) -> float:
    """Strength that a hidden confounder needs to make a risk ratio out of no effect.

    The confounder would have to be tied to the program and to the outcome by risk ratios of at
    least this size each, beyond everything that was adjusted for.

    Parameters
    ----------
    ratio : risk ratio, positive; below 1 its inverse is taken

    Returns
    -------
    E-value, at least 1

    Raises
    ------
    SpecError
        The ratio is not a positive, finite number.

    Notes
    -----
    With R = max(ratio, 1 / ratio), E = R + sqrt(R (R - 1)). It holds for risk ratios; an odds ratio
    of a common outcome must be turned into a risk ratio first.

    References
    ----------
    VanderWeele & Ding (2017), Annals of Internal Medicine 167(4):268-274, doi:10.7326/M16-2607.

    Examples
    --------
    >>> from outcomekpi import e_value
    >>> round(e_value(3.9), 3)
    7.263
    """
    check_arguments(e_value, locals())
    larger = max(ratio, 1.0 / ratio)
    return larger + sqrt(larger * (larger - 1.0))


def e_value_of_interval(lower: Positive, upper: Positive) -> float:
    """Strength that a hidden confounder needs to move a risk ratio's interval onto no effect.

    Parameters
    ----------
    lower, upper : limits of the interval of the risk ratio, positive

    Returns
    -------
    E-value of the limit that lies nearer to 1; 1 where the interval holds 1 already

    Raises
    ------
    SpecError
        The limits are not in order, or the nearer one is not positive and finite.

    References
    ----------
    VanderWeele & Ding (2017), Annals of Internal Medicine 167(4):268-274, doi:10.7326/M16-2607.

    Examples
    --------
    >>> from outcomekpi import e_value_of_interval
    >>> e_value_of_interval(0.9, 4.0), round(e_value_of_interval(1.8, 4.0), 3)
    (1.0, 3.0)
    """
    check_arguments(e_value_of_interval, locals())
    if not lower <= upper:
        raise SpecError(f"The limits of a ratio must be in order; got {lower!r} and {upper!r}.")
    if lower <= 1.0 <= upper:
        return 1.0
    return e_value(lower if lower > 1.0 else upper)
