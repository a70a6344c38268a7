"""Every number of the two documents behind this package, with the words it stands in."""

from importlib.resources import files
from pathlib import Path

import pandas as pd

from outcomekpi.declare.errors import StorageError

__all__ = ["load_documented_figures"]

NAME = "documented_figures.csv"
CHECKOUT = Path(__file__).resolve().parents[3] / "data" / NAME


def load_documented_figures() -> pd.DataFrame:
    """List what two Chinese articles on performance appraisal of doctors say in numbers.

    Returns
    -------
    DataFrame, one row per number, indexed by ``id``
        ``what`` (the quantity), ``value``, ``unit``, ``reading`` ("level", "points", "relative",
        "unstated", "count", "time"), ``comparison`` ("<", "<=", "=", ">=", ">"), ``quotation``
        (Chinese), ``quotation_kind`` ("exact": a sentence of the source; "entry": its name of the
        item and the number, without the sentence), ``english``, ``not_stated`` (divided by
        semicolons), ``source`` ("A", "B"). ``data/README.md`` is the codebook.

    Raises
    ------
    StorageError
        The table is neither in the package nor in a checkout of the repository.

    Notes
    -----
    None of these numbers has a source, a number of patients, a control group or an interval. They
    are recorded as printed: nothing is derived, and a change that does not say whether it is
    relative or in percentage points is "unstated".

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.datasets.load_documented_figures()
    >>> figures.loc[["A-C1E1.before", "A-C1E2", "A-C1E3"], "reading"].tolist()
    ['level', 'points', 'unstated']
    """
    packaged = files("outcomekpi").joinpath("data", NAME)
    for place in (packaged, CHECKOUT):
        if place.is_file():
            with place.open(encoding="utf-8") as file:
                frame = pd.read_csv(
                    file, index_col="id", keep_default_na=False, dtype={"value": "float64"}
                )
            return frame
    raise StorageError(
        f"The table of documented figures ({NAME}) was found neither in the package "
        f"({packaged}) nor in a checkout of its repository ({CHECKOUT}). Install the package "
        "again, or from a checkout with: pip install -e ."
    )
