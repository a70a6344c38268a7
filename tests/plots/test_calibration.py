"""Pictures of a calibration: what is drawn, named and refused."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit

from outcomekpi.calibration.assessment import assess_predictions
from outcomekpi.declare.errors import SpecError
from outcomekpi.plots.calibration import plot_calibration
from outcomekpi.plots.decision_curve import plot_decision_curve


@pytest.fixture(scope="module")
def assessed():
    rng = np.random.default_rng(1)
    score, doctor = rng.normal(-1.2, 0.9, 3000), rng.integers(0, 30, 3000)
    return assess_predictions(
        expit(score),
        outcome=rng.random(3000) < expit(0.3 + 0.8 * score),
        doctor=doctor,
        subgroups={"sex": rng.choice(["F", "M"], 3000), "ward": [f"W{k}" for k in doctor % 8]},
        replicates=100,
    )


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts(ax):
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()]


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


@pytest.mark.parametrize("draw", [plot_calibration, plot_decision_curve])
def test_pictures_of_a_calibration_can_be_drawn(draw, assessed):
    for subgroup in ("all", "sex"):
        ax = draw(assessed, subgroup=subgroup)
        ax.figure.canvas.draw()
        assert ax.get_xlabel() and ax.get_ylabel()


def test_the_curve_and_its_band_are_those_of_the_frame(assessed):
    ax = plot_calibration(assessed, level=0.8)
    frame = assessed.curve_frame(level=0.8).query("subgroup == 'all'")
    drawn = lines(ax)["all cases"]
    np.testing.assert_allclose(drawn.get_xdata(), frame["predicted"])
    np.testing.assert_allclose(drawn.get_ydata(), frame["mean"])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(frame["upper"].max())
    assert "80%" in ax.get_ylabel()


def test_the_diagonal_is_the_diagonal(assessed):
    diagonal = lines(plot_calibration(assessed))["as predicted"]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_each_group_has_a_curve_a_band_and_a_histogram_in_its_color(assessed):
    ax = plot_calibration(assessed, subgroup="sex")
    rows = assessed.rows_of("sex")
    assert texts(ax)[:2] == [f"{row.group}, {row.cases:,.0f} cases" for row in rows.itertuples()]
    assert ax.get_legend().get_title().get_text() == "sex"
    curves = [lines(ax)[text] for text in texts(ax)[:2]]
    assert len({curve.get_color() for curve in curves}) == 2
    assert len({curve.get_linestyle() for curve in curves}) == 2
    assert len(ax.patches) == 2  # the histograms
    heights = [patch.get_data().values.max() for patch in ax.patches]
    assert max(heights) < 0 < ax.get_ylim()[1]


def test_ticks_do_not_number_the_strip_of_the_histogram(assessed):
    ax = plot_calibration(assessed)
    ax.figure.canvas.draw()
    assert min(ax.get_yticks()) >= 0


def test_the_decision_curve_holds_model_and_both_defaults(assessed):
    ax = plot_decision_curve(assessed)
    assert texts(ax) == ["model", "treat all", "treat none"]
    frame = assessed.decision_frame().query("subgroup == 'all'")
    np.testing.assert_allclose(lines(ax)["model"].get_ydata(), frame["mean"])
    np.testing.assert_allclose(lines(ax)["treat all"].get_ydata(), frame["treat_all"])
    assert set(lines(ax)["treat none"].get_ydata()) == {0.0}


def test_pictures_refuse_what_they_cannot_show(assessed):
    with pytest.raises(SpecError, match="up to 6 groups; 'ward' has 8"):
        plot_calibration(assessed, subgroup="ward")
    with pytest.raises(SpecError, match="No subgroup 'age'"):
        plot_decision_curve(assessed, subgroup="age")
    with pytest.raises(SpecError, match="must be Calibration"):
        plot_decision_curve(assessed.to_frame())
