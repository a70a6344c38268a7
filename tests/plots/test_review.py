from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_reviews import made_review, made_table, target_review, usual_review

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.plots.misallocation import plot_misallocation
from outcomekpi.plots.operating import plot_operating
from outcomekpi.plots.palette import BETTER, WORSE
from outcomekpi.plots.review import FEW_INDICATORS, plot_review, review_height
from outcomekpi.review.rule import ReviewRule

RULE = ReviewRule(reading="raw_rate")
LEVELS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def exact():
    return operating_characteristics(RULE, Setting(levels=LEVELS, caseloads=(20, 100)))


@pytest.fixture(scope="module")
def simulated():
    setting = Setting(levels=LEVELS, caseloads=(20, 100), replicates=500)
    return operating_characteristics(RULE, setting, method="simulated")


@pytest.fixture(scope="module")
def awards():
    setting = Setting(levels=(0.6, 0.7), caseloads=(20, 80), n_units=20, icc=0.04, replicates=200)
    rules = {
        "bar": ok.AbsoluteRule(bar=0.7, direction="higher"),
        "best fifth": ok.PercentileRule(share=0.2, direction="higher"),
    }
    return {name: operating_characteristics(rule, setting) for name, rule in rules.items()}


def draw(ax):
    """Render for real, so that layout and missing glyphs would complain (warnings are errors)."""
    ax.figure.canvas.draw()
    return ax


def texts(ax):
    return [text.get_text() for text in ax.texts]


def curves(ax, label):
    return [line for line in ax.lines if str(line.get_label()).lstrip("_") == label]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# operating characteristics


def test_the_curves_are_the_numbers_of_the_frame(exact):
    ax = draw(plot_operating(exact))
    frame = exact.to_frame()
    up, down = curves(ax, "100 cases in a cycle")
    at_100 = frame[frame["caseload"] == 100].set_index("level")
    assert up.get_ydata() == pytest.approx(at_100.loc[up.get_xdata(), "fires_up"].to_numpy())
    assert down.get_ydata() == pytest.approx(at_100.loc[down.get_xdata(), "fires_down"].to_numpy())
    # the note's table: n = 100, p = .95 fires with probability .944
    assert up.get_ydata()[list(up.get_xdata()).index(0.95)] == pytest.approx(0.944, abs=5e-4)
    assert up.get_linestyle() != down.get_linestyle()


def test_the_bars_of_the_rule_stand_in_the_picture(exact):
    ax = draw(plot_operating(exact))
    assert {"lower bar\n60%", "upper bar\n90%"} <= set(texts(ax))
    upright = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert {0.6, 0.9} <= set(upright)


def test_the_picture_says_whether_it_is_exact(exact, simulated):
    assert plot_operating(exact).get_xlabel().endswith("\nexact")
    label = plot_operating(simulated, level=0.9).get_xlabel()
    assert "simulated, 500 replicates" in label
    assert "90% Monte Carlo error" in label


def test_only_simulated_curves_have_bands(exact, simulated):
    assert not plot_operating(exact).collections
    bands = plot_operating(simulated).collections
    assert len(bands) == 4  # two sides of two caseloads


def test_a_rule_with_a_target_gets_no_bars_on_the_axis_of_rates():
    rule = ReviewRule(reading="share_of_doctors", target=0.7)
    setting = Setting(levels=(0.6, 0.7, 0.8), caseloads=(30,), n_units=5, icc=0.1, replicates=200)
    operating = operating_characteristics(rule, setting)
    assert texts(plot_operating(operating)) == []
    import pandas as pd

    shares = pd.Series([0.2, 0.5, 0.95], index=[0.6, 0.7, 0.8])
    ax = draw(plot_operating(operating, stands_for=shares))
    assert ax.get_xlabel().startswith("true completion")
    assert "upper bar\n90%" in texts(ax)
    up = curves(ax, "30 cases per unit in a cycle")[0]
    assert set(up.get_xdata()) <= {0.2, 0.5, 0.95}


def test_a_single_level_is_still_seen():
    setting = Setting(levels=(0.95,), caseloads=(50,))
    ax = draw(plot_operating(operating_characteristics(RULE, setting)))
    line = curves(ax, "50 cases in a cycle")[0]
    assert line.get_marker() == "o"
    assert line.get_ydata()[0] == pytest.approx(0.804, abs=5e-4)  # the note's table


def test_a_rule_about_doctors_is_said_to_be_about_a_doctor(awards):
    assert plot_operating(awards["bar"]).get_ylabel().endswith("about a doctor")


# money


def test_money_is_drawn_against_caseload_for_each_level(awards):
    ax = draw(plot_misallocation(awards["bar"]))
    frame = awards["bar"].to_frame()
    for level, label in ((0.6, "true level 60%"), (0.7, "true level 70%")):
        line = curves(ax, label)[0]
        money = frame[frame["level"] == level].set_index("caseload")["misallocated"]
        assert line.get_ydata() == pytest.approx(money.loc[line.get_xdata()].to_numpy())
    assert "20 doctors, award of 1" in ax.get_ylabel()


def test_rules_are_compared_by_their_names(awards):
    ax = draw(plot_misallocation(awards))
    assert legend(ax) == ["bar", "best fifth"]
    pooled = awards["best fifth"].caseload_frame()["misallocated"]
    assert curves(ax, "best fifth")[0].get_ydata() == pytest.approx(pooled.to_numpy())
    colors = {curves(ax, name)[0].get_color() for name in awards}
    markers = {curves(ax, name)[0].get_marker() for name in awards}
    assert len(colors) == len(markers) == 2


def test_many_levels_become_one_curve():
    setting = Setting(levels=LEVELS, caseloads=(20, 50), n_cycles=1)
    rule = ok.AbsoluteRule(bar=0.7, direction="higher")
    ax = draw(plot_misallocation(operating_characteristics(rule, setting)))
    assert legend(ax) == ["10 true levels with the same weight"]


def test_rules_tried_on_different_stakes_are_refused(awards):
    other = replace(awards["bar"], setting=replace(awards["bar"].setting, amount=5.0))
    with pytest.raises(SpecError, match="20 units at 1, 20 units at 5"):
        plot_misallocation({"a": awards["bar"], "b": other})
    with pytest.raises(SpecError, match="at least one rule"):
        plot_misallocation({})


def test_scenarios_have_a_curve_for_each_spread_between_doctors():
    scenarios = ok.tabulate_awards(
        ok.AbsoluteRule(bar=0.7, direction="higher"),
        mean=0.68, sd=(0.05, 0.08), cases=(25, 50), n_doctors=10, replicates=50,
    )  # fmt: skip
    ax = draw(plot_misallocation(scenarios))
    assert legend(ax) == ["SD 0.05 between doctors", "SD 0.08 between doctors"]


@pytest.mark.parametrize("plot", [plot_misallocation, plot_operating, plot_review])
def test_what_is_no_result_is_refused_by_name(plot):
    with pytest.raises(SpecError, match="got ReviewRule"):
        plot(RULE)


# the dashboard


def test_every_cycle_of_every_indicator_has_its_interval():
    review = usual_review()
    ax = draw(plot_review(review, level=0.8))
    drawn = {
        tuple(np.round(segment[:, 0], 9))
        for lines in ax.collections
        for segment in lines.get_segments()
    }
    frame = review.cycles_frame(level=0.8)
    wanted = {tuple(np.round(ends, 9)) for ends in frame[["lower", "upper"]].to_numpy()}
    assert drawn == wanted
    assert "80% intervals" in ax.get_xlabel()
    assert "2023 (top) to 2025 (bottom)" in ax.get_xlabel()


def test_the_easiest_is_at_the_top_and_verdicts_have_color_and_shape():
    ax = draw(plot_review(usual_review()))
    labels = ax.get_yticklabels()
    assert [label.get_text() for label in labels] == ["easy", "near", "fine", "hard"]
    assert (labels[0].get_color(), labels[-1].get_color()) == (BETTER, WORSE)
    marks = {line.get_label(): line.get_marker() for line in ax.lines}
    assert len({marks[name] for name in ("too easy", "too hard", "leave alone")}) == 3


def test_the_rule_is_quoted_only_where_it_says_something_else():
    review = usual_review()
    table = review.to_frame()
    ax = draw(plot_review(review))
    quoted = [text for text in texts(ax) if text.startswith("rule: ")]
    differs = table["rule_verdict"] != table["verdict"]
    assert len(quoted) == differs.sum()
    strict = made_review(loss_false_change=1e6, loss_missed=1.0)
    fires = strict.to_frame()
    doubtful = fires["rule_verdict"] != fires["verdict"]
    said = [text for text in texts(draw(plot_review(strict))) if text.startswith("rule: ")]
    assert len(said) == doubtful.sum()


def test_cycles_that_the_rule_does_not_look_at_are_faint():
    ax = plot_review(usual_review())
    strengths = {lines.get_alpha() for lines in ax.collections}
    assert strengths == {1.0, 0.38}
    assert len([line for line in ax.lines if line.get_label() == "_earlier"]) == 3


def test_the_bars_stand_in_the_dashboard():
    ax = plot_review(usual_review())
    assert {"too hard\nbelow 60%", "too easy\nabove 90%"} <= set(texts(ax))


def test_observed_completions_can_be_left_out():
    with_counts = [line.get_label() for line in plot_review(usual_review()).lines]
    without = [line.get_label() for line in plot_review(usual_review(), observed=False).lines]
    assert "as observed" in with_counts
    assert "as observed" not in without


def test_many_indicators_have_one_line_each():
    n = FEW_INDICATORS + 1
    rates = {f"I{k:02d}": 0.5 + 0.4 * k / n for k in range(n)}
    review = made_review(made_table(rates, units=1, cases=60))
    ax = draw(plot_review(review))
    assert sum(len(lines.get_segments()) for lines in ax.collections) == n
    assert "pooled over the last 2 cycles" in ax.get_xlabel()
    assert review_height(review) <= 18


@pytest.mark.parametrize("cycles", [(2025,), (2024, 2025)])
def test_short_histories_can_be_drawn(cycles):
    ax = draw(plot_review(made_review(made_table(cycles=cycles))))
    assert ("cycle 2025" in ax.get_xlabel()) == (len(cycles) == 1)


def test_the_words_on_the_bars_stand_above_the_first_row_however_low_the_picture():
    rates = {f"K{i}": 0.94 - 0.01 * i for i in range(5)}
    ax = draw(plot_review(made_review(made_table(rates, cycles=(2025,)))))
    first = ax.transData.transform((0.9, 0.0))[1]
    words = [text for text in ax.texts if "above 90%" in text.get_text()]
    assert words[0].get_window_extent().y0 > first + 4


def test_markers_at_no_and_at_full_completion_stand_clear_of_the_names():
    ax = draw(plot_review(made_review(made_table({"never": 0.0, "always": 1.0}))))
    low, high = ax.get_xlim()
    assert -0.05 < low < 0
    assert 1 < high < 1.05


def test_achievement_above_one_is_not_cut():
    review = made_review(reading="mean_achievement", target="goal")
    upper = review.cycles_frame()["upper"].max()
    assert upper > 1.2
    assert draw(plot_review(review)).get_xlim()[1] >= upper


def test_names_in_chinese_and_in_mathematics_are_drawn_as_they_are():
    rates = {"糖化血红蛋白达标率": 0.8, "$x^{2": 0.5}
    ax = draw(plot_review(made_review(made_table(rates))))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["糖化血红蛋白达标率", r"\$x^{2"]


@pytest.mark.parametrize("picture", ["review", "operating", "misallocation"])
def test_pictures_draw_on_the_axes_they_are_given_and_change_no_setting(picture, exact, awards):
    _, ax = plt.subplots()
    before = dict(matplotlib.rcParams)
    if picture == "review":
        found = plot_review(target_review(), ax=ax)
    elif picture == "operating":
        found = plot_operating(exact, ax=ax)
    else:
        found = plot_misallocation(awards["bar"], ax=ax)
    assert found is ax
    assert dict(matplotlib.rcParams) == before
