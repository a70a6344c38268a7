"""How a result shows itself in a notebook: its one line, a short table, sentences."""

from collections.abc import Iterable
from html import escape

import pandas as pd

__all__ = ["show_html"]


def show_html(
    record: object,
    table: pd.DataFrame | None = None,
    *,
    number: str = ".3f",
    index: bool = True,
    missing: str = "NaN",
    sentences: Iterable[str] = (),
) -> str:
    """Return the short HTML form of a result.

    Parameters
    ----------
    record : its ``repr`` is the headline
    table : rows below it; None or an empty table shows none
    number : format of the numbers
    index : whether the labels of the rows are shown
    missing : what stands for a number that is missing
    sentences : items of a list below the table

    Returns
    -------
    HTML, with every text of the record escaped
    """
    rows = ""
    if table is not None and len(table):
        form = f"{{:{number}}}".format
        rows = table.to_html(float_format=form, index=index, na_rep=missing)
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<p><b>{escape(repr(record))}</b></p>{rows}" + (f"<ul>{items}</ul>" if items else "")
