"""Pictures of pilots: artists against the tables they draw."""

from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_pilot_effects import (
    NAMES,
    SCRIPT,
    counterfactual,
    doctor_effects,
    event_study,
    kitagawa,
    made_effect,
    slope,
)

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError
from outcomekpi.plots.frontier import nil_line
from outcomekpi.plots.palette import BETTER, WORSE

PLOTS = {
    "counterfactual": (ok.plot_counterfactual, counterfactual),
    "event_study": (ok.plot_event_study, event_study),
    "kitagawa": (ok.plot_kitagawa, kitagawa),
    "slope": (ok.plot_before_after, slope),
    "doctor_effects": (ok.plot_doctor_effects, doctor_effects),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def published():
    figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    return ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"), draws=400)


def drawn(name, table=None, **options):
    """Render for real, so that layout and missing glyphs would complain (warnings are errors)."""
    plot, make = PLOTS[name]
    effect = made_effect(tables={name: make() if table is None else table}, **options)
    ax = plot(effect)
    ax.figure.canvas.draw()
    return ax


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_draws_on_the_axes_that_it_is_given_and_changes_no_settings(name):
    before = dict(matplotlib.rcParams)
    _, ax = plt.subplots()
    plot, make = PLOTS[name]
    assert plot(made_effect(tables={name: make()}), ax=ax) is ax
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", [*PLOTS, "frontier"])
def test_a_design_without_the_table_is_told_which_designs_make_it(name):
    plot = PLOTS[name][0] if name in PLOTS else ok.plot_frontier
    with pytest.raises(SpecError, match=rf"needs the table '{name}', which .* make"):
        plot(made_effect(tables={"other": pd.DataFrame({"x": [1]})}))


def test_a_table_without_a_column_is_refused_by_name():
    table = event_study().drop(columns="is_reference")
    with pytest.raises(SpecError, match="no column 'is_reference'"):
        ok.plot_event_study(made_effect(tables={"event_study": table}))


def test_an_effect_is_wanted_and_nothing_else():
    with pytest.raises(SpecError, match="effect must be PilotEffect"):
        ok.plot_frontier(pd.DataFrame())


def test_the_counterfactual_begins_at_the_start_and_the_model_breaks_there():
    ax = drawn("counterfactual")
    lines = {line.get_label(): line for line in ax.lines}
    table = counterfactual()
    assert lines["without the program"].get_xdata()[0] == 11
    np.testing.assert_allclose(lines["observed"].get_ydata(), table["observed"])
    np.testing.assert_allclose(lines["model"].get_ydata(), table["fitted"][:10])
    np.testing.assert_allclose(lines["_with the program"].get_ydata(), table["fitted"][10:])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 0].min() == 11
    assert band[:, 1].max() == pytest.approx(table["upper"].max())
    assert any(np.allclose(line.get_xdata(), 10.5) for line in ax.lines)
    assert "95% interval" in " ".join(legend(ax))


def test_with_a_ramp_up_the_start_stands_where_the_program_started():
    rate = 50 + np.sin(np.arange(48) ** 2) + 4 * (np.arange(48) >= 24)
    design = ok.InterruptedSeries(outcome="rate", time="month", start=25, ramp_up=3, unit="%")
    effect = ok.compare_pilot(pd.DataFrame({"month": range(1, 49), "rate": rate}), design)
    ax = ok.plot_counterfactual(effect)
    assert any(np.allclose(line.get_xdata(), 24.5) for line in ax.lines)
    without = next(line for line in ax.lines if line.get_label() == "without the program")
    assert without.get_xdata()[0] == 28


def test_a_model_without_the_program_alone_is_not_drawn_over_its_counterfactual():
    table = counterfactual()
    table["fitted"] = table["counterfactual"]
    assert "_with the program" not in [
        line.get_label() for line in drawn("counterfactual", table).lines
    ]


@pytest.mark.parametrize("kind", ["dates", "text"])
def test_times_are_dates_or_words(kind):
    table = counterfactual(dates=kind == "dates")
    if kind == "text":
        table["time"] = [f"第{k}月" for k in range(len(table))]
    ax = drawn("counterfactual", table)
    shown = [tick.get_text() for tick in ax.get_xticklabels()]
    assert "2024" in shown if kind == "dates" else shown[0] == "第0月"
    assert len(shown) <= 10


def test_the_event_study_parts_before_from_after_at_the_reference():
    ax = drawn("event_study")
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["before the start"].get_xdata()) == [-3, -2]
    assert list(lines["with the program"].get_xdata()) == [0, 1, 2, 3]
    assert list(lines["reference"].get_xdata()) == [-1]
    assert lines["reference"].get_markerfacecolor() == "white"
    assert "up is better" in [text.get_text() for text in ax.texts]


def test_the_bars_of_the_waterfall_add_up_to_the_plain_difference():
    ax = drawn("kitagawa")
    bars = ax.patches
    assert ax.get_xticklabels()[0].get_text().split() == ["same", "case", "mix"]
    for left, right in pairwise(bars[:-1]):
        assert right.get_y() == pytest.approx(left.get_y() + left.get_height())
    total = bars[-1]
    assert total.get_y() == 0
    assert bars[-2].get_y() + bars[-2].get_height() == pytest.approx(total.get_height())
    assert "+5" in [text.get_text() for text in ax.texts]


def test_entry_and_exit_go_where_nobody_entered_or_left():
    ax = drawn("kitagawa", kitagawa(entry=0.0))
    assert len(ax.patches) == 3


@pytest.mark.parametrize("direction", ["higher", "lower", None])
def test_doctors_stand_with_the_best_at_the_top_in_either_direction(direction):
    ax = drawn("doctor_effects", direction=direction)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    top_first = names if ax.yaxis_inverted() else names[::-1]
    best = NAMES[0] if direction == "lower" else NAMES[-1]
    assert top_first[0] == best
    assert SCRIPT in names
    colors = {tick.get_color() for tick in ax.get_yticklabels()}
    assert (BETTER in colors) == (WORSE in colors) == (direction is not None)


def test_units_that_changed_for_the_worse_differ_by_marker_and_words():
    ax = drawn("slope")
    assert legend(ax)[0] == "better: 4"
    assert legend(ax)[1] == "worse or unchanged: 2"
    assert {line.get_marker() for line in ax.lines} >= {"o", "s", "D"}
    names = [text.get_text() for text in ax.texts]
    assert "王医生" in names
    assert r"\$x\$ & y" in names


def test_where_regression_to_the_mean_is_known_it_is_drawn():
    table = slope()
    ax = drawn("slope", table)
    diamonds = next(line for line in ax.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamonds.get_ydata(), table["expected_after"])
    without = drawn("slope", slope(expected=False))
    assert not any("regression" in words for words in legend(without))


def test_many_units_are_thin_and_nameless():
    ax = drawn("slope", slope(names=tuple(f"D{k}" for k in range(60))))
    assert not ax.texts
    assert max(line.get_linewidth() for line in ax.lines if line.get_marker() == "o") < 1


def test_the_frontier_of_43_to_68_percent_ends_at_the_numbers_of_the_note(published):
    table = published.findings.tables["frontier"]
    weakest = table[table["regression_to_mean"] == 0]
    trend, attrition = nil_line(weakest, "trend", "attrition")
    assert trend[-1] == pytest.approx(12.5)
    assert attrition[-1] == 0
    assert trend[0] == 0
    # a tenth of a point: the frontier is drawn, and said to three digits in the text
    assert attrition[0] == pytest.approx(0.645, abs=1e-3)


def test_each_line_of_the_frontier_is_another_regression_to_the_mean(published):
    ax = ok.plot_frontier(published)
    ax.figure.canvas.draw()
    assert legend(ax) == ["0 points", "5 points", "10 points", "15 points", "20 points"]
    ends = [line.get_xdata()[-1] for line in ax.lines]
    np.testing.assert_allclose(ends, [12.5, 10.0, 7.5, 5.0, 2.5], atol=1e-9)
    assert "regression to the mean" in ax.get_legend().get_title().get_text()


def test_without_a_level_before_the_frontier_has_a_line_for_each():
    figures = ok.PublishedFigures(change=41, reading="relative", unit="percent", years=2)
    effect = ok.compare_pilot(figures, ok.PublishedAggregates(), draws=400)
    ax = ok.plot_frontier(effect)
    assert legend(ax)[0] == "10%"
    assert "level before" in ax.get_legend().get_title().get_text()


def test_the_limit_of_the_interval_has_a_frontier_below_that_of_the_estimate(published):
    whole = ok.sensitivity(published).add_to(published)
    ax = ok.plot_frontier(whole)
    lines = {line.get_label(): line for line in ax.lines}
    limit = lines["interval includes no effect (0)"]
    assert 0 < limit.get_xdata()[-1] < lines["0 points"].get_xdata()[-1]


def test_one_explanation_alone_is_drawn_as_what_it_leaves():
    table = pd.DataFrame({"trend": [0.0, 1.0, 2.0], "effect_left": [2.0, 1.0, 0.0]})
    ax = ok.plot_frontier(made_effect(tables={"frontier": table}))
    assert ax.get_ylabel() == "left for the program"


def test_no_change_has_no_frontier():
    table = pd.DataFrame({"trend": [0.0], "attrition": [0.0], "effect_left": [0.0]})
    with pytest.raises(SpecError, match="Nothing varies"):
        ok.plot_frontier(made_effect(tables={"frontier": table}))
