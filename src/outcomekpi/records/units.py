"""Units of measurements: what is converted, and by which line."""

from types import MappingProxyType

from outcomekpi.declare.errors import SpecError, did_you_mean

__all__ = ["MEASURES_WITH_UNITS", "conversions"]

# unit -> (factor, shift) to the first unit of the measure: first = factor * value + shift
MEASURES_WITH_UNITS = MappingProxyType(
    {
        # the master equation of the IFCC: % NGSP = 0.09148 mmol/mol + 2.152
        "hba1c": {"%": (1.0, 0.0), "mmol/mol": (0.09148, 2.152)},
        "glucose": {"mmol/L": (1.0, 0.0), "mg/dL": (1 / 18.0156, 0.0)},
        "cholesterol": {"mmol/L": (1.0, 0.0), "mg/dL": (1 / 38.67, 0.0)},
        "pressure": {"mmHg": (1.0, 0.0), "mm[Hg]": (1.0, 0.0), "kPa": (7.50062, 0.0)},
        "weight": {
            "kg": (1.0, 0.0),
            "g": (0.001, 0.0),
            "lb": (0.45359237, 0.0),
            "[lb_av]": (0.45359237, 0.0),
            "斤": (0.5, 0.0),
        },
    }
)  # fmt: skip
"""Measures whose units are known, with the way of each to the first."""


def conversions(measure: str, unit: str) -> dict[str, tuple[float, float]]:
    """Return unit -> (factor, shift) that turns its numbers into ``unit``.

    Parameters
    ----------
    measure : of the table, or "" where only the unit itself is accepted
    unit : wanted

    Raises
    ------
    SpecError
        A measure or unit that is not known.

    Examples
    --------
    >>> factor, shift = conversions("hba1c", "%")["mmol/mol"]
    >>> round(factor * 53 + shift, 1)
    7.0
    """
    if not measure:
        return {unit: (1.0, 0.0)}
    if measure not in MEASURES_WITH_UNITS:
        raise SpecError(
            f"Units are known of {', '.join(MEASURES_WITH_UNITS)}; got {measure!r}."
            f"{did_you_mean(measure, MEASURES_WITH_UNITS)}"
        )
    known = MEASURES_WITH_UNITS[measure]
    if unit not in known:
        raise SpecError(
            f"The units of {measure} are {', '.join(known)}; got {unit!r}."
            f"{did_you_mean(unit, known)}"
        )
    factor, shift = known[unit]
    return {name: (f / factor, (s - shift) / factor) for name, (f, s) in known.items()}
