"""How a result shows itself: headline, table, sentences, all escaped."""

import pandas as pd

from outcomekpi.declare.showing import show_html


class Named:
    def __repr__(self):
        return "P(rate > 0.1) of <b>"


def test_headline_and_sentences_are_escaped():
    shown = show_html(Named(), sentences=["3 < 4 rows"])
    assert shown == ("<p><b>P(rate &gt; 0.1) of &lt;b&gt;</b></p><ul><li>3 &lt; 4 rows</li></ul>")


def test_numbers_of_the_table_have_the_format_that_is_asked_for():
    table = pd.DataFrame({"rate": [0.12345, float("nan")]}, index=["a", "b"])
    shown = show_html(Named(), table, number=".1%", missing="none seen")
    assert "12.3%" in shown
    assert "none seen" in shown
    assert "<th>a</th>" in shown
    assert "<th>a</th>" not in show_html(Named(), table, index=False)


def test_nothing_stands_where_no_row_is_left():
    assert show_html(Named(), pd.DataFrame({"rate": []})) == show_html(Named())
