import re
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_results import made_rates

import outcomekpi as ok
from outcomekpi.declare.errors import OutcomeKPIWarning, SpecError
from outcomekpi.plots import fonts
from outcomekpi.plots.caterpillar import plot_caterpillar
from outcomekpi.plots.fonts import apply_fonts, display_name
from outcomekpi.plots.funnel import plot_funnel
from outcomekpi.plots.palette import BETTER, WORSE
from outcomekpi.plots.predictive import plot_predictive
from outcomekpi.plots.rank_intervals import plot_rank_intervals
from outcomekpi.plots.reliability import plot_reliability
from outcomekpi.plots.shrinkage import plot_shrinkage
from outcomekpi.profiling.classification import FlagRule, classify
from outcomekpi.profiling.funnel import funnel_limits
from outcomekpi.profiling.ranking import rank
from outcomekpi.profiling.reliability import Reliability


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def draw(ax):
    """Render for real, so that layout and missing glyphs would complain (warnings are errors)."""
    ax.figure.canvas.draw()
    return ax


def names_beside_rows(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def flags_for(rates, probability=0.9):
    return classify(rates, FlagRule(probability=probability))


PICTURES_OF_RATES = [plot_funnel, plot_caterpillar, plot_shrinkage]


def picture_of(plot, rates, **choices):
    if plot is plot_rank_intervals:
        return plot(rank(rates), **choices)
    return plot(rates, **choices)


@pytest.mark.parametrize("n_doctors", [2, 12, 41, 1200])
@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("plot", [*PICTURES_OF_RATES, plot_rank_intervals])
def test_every_picture_draws_few_and_many_doctors(plot, direction, n_doctors):
    ax = picture_of(plot, made_rates(n_doctors, direction=direction))
    assert draw(ax).has_data()


@pytest.mark.slow
@pytest.mark.parametrize("plot", [*PICTURES_OF_RATES, plot_rank_intervals])
def test_a_picture_draws_on_the_axes_it_is_given_and_changes_no_setting(plot):
    _, ax = plt.subplots()
    before = dict(matplotlib.rcParams)
    assert picture_of(plot, made_rates(12), ax=ax) is ax
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("plot", [plot_caterpillar, plot_rank_intervals, plot_shrinkage])
def test_the_best_doctor_is_at_the_top(plot, direction):
    rates = made_rates(12, direction=direction)
    top = names_beside_rows(draw(picture_of(plot, rates)))[0]
    means = rates.to_frame()["mean"]
    ranks = rank(rates).to_frame()["mean"]
    best = means.idxmin() if direction == "lower" else means.idxmax()
    assert top == (ranks.idxmin() if plot is plot_rank_intervals else best)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_word_worse_stands_on_the_worse_side(direction):
    rates = made_rates(12, direction=direction)
    label = plot_caterpillar(rates).get_xlabel()
    assert (label.index("worse") > label.index("better")) == (direction == "lower")
    label = plot_funnel(rates).get_ylabel()
    assert (label.index("worse") > label.index("better")) == (direction == "lower")


def test_without_a_direction_no_side_is_called_better():
    rates = made_rates(12, direction=None)
    assert "better" not in plot_caterpillar(rates).get_xlabel()
    assert "better" not in plot_funnel(rates).get_ylabel()


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_flags_have_their_color_and_marker_on_the_right_side(direction):
    rates = made_rates(60, direction=direction)
    ax = plot_caterpillar(rates, flags=flags_for(rates))
    points = {line.get_label(): line for line in ax.lines}
    better, worse = points["stands out: better"], points["stands out: worse"]
    assert (better.get_color(), worse.get_color()) == (BETTER, WORSE)
    assert better.get_marker() != worse.get_marker()
    higher_is_worse = np.mean(worse.get_xdata()) > np.mean(better.get_xdata())
    assert higher_is_worse == (direction == "lower")


def test_the_caterpillar_draws_the_numbers_of_the_frame():
    rates = made_rates(12)
    frame = rates.to_frame(level=0.8).sort_values("mean")
    ax = plot_caterpillar(rates, level=0.8)
    segments = np.array(ax.collections[0].get_segments())
    assert np.allclose(segments[:, 0, 0], frame["lower"])
    assert np.allclose(segments[:, 1, 0], frame["upper"])
    assert "80%" in ax.get_xlabel()
    assert names_beside_rows(ax) == list(frame.index)


def test_many_doctors_are_not_named_unless_asked():
    rates = made_rates(1200)
    assert names_beside_rows(plot_caterpillar(rates)) == []
    flags = flags_for(rates)
    named = names_beside_rows(plot_caterpillar(rates, flags=flags, labels="flagged"))
    flagged = set(flags.flag[flags.flag != ""].index)
    assert 0 < len(named) <= 41
    assert {re.split(",| and", name)[0] for name in named} <= flagged
    counted = [
        1 + int(re.search(r"and (\d+) more", name)[1]) if "more" in name else 1 + name.count(",")
        for name in named
    ]
    assert sum(counted) == len(flagged)
    assert names_beside_rows(plot_caterpillar(made_rates(12), labels="none")) == []


def test_the_funnel_names_only_the_doctors_who_stand_out_and_only_when_asked():
    rates = made_rates(300)
    flags = flags_for(rates)
    assert not list(plot_funnel(rates, flags=flags).texts)
    named = {text.get_text() for text in plot_funnel(rates, flags=flags, labels="flagged").texts}
    assert 0 < len(named) <= 15
    assert named <= set(flags.flag[flags.flag != ""].index)


def test_the_funnel_draws_every_doctor_inside_the_frame_and_the_limits_it_is_given():
    rates = made_rates(300)
    limits = funnel_limits(rates, levels=(0.9,), overdispersion="additive")
    ax = plot_funnel(rates, limits=limits)
    (points,) = (line for line in ax.lines if line.get_marker() == "o")
    low, high = ax.get_ylim()
    assert len(points.get_ydata()) == 300
    assert low < min(points.get_ydata()) and max(points.get_ydata()) < high
    (upper,) = (line for line in ax.lines if line.get_label() == "90% limits")
    assert np.allclose(upper.get_ydata(), limits.curve()["upper_90"])


def test_shares_are_written_in_percent_and_measurements_are_not():
    ax = draw(plot_caterpillar(made_rates(12)))
    assert all(text.get_text().endswith("%") for text in ax.get_xticklabels())
    ax = draw(plot_caterpillar(made_rates(12, family="gaussian")))
    assert not any(text.get_text().endswith("%") for text in ax.get_xticklabels())


def test_an_unknown_choice_of_labels_is_refused_with_a_hint():
    with pytest.raises(SpecError, match="Did you mean 'flagged'"):
        plot_caterpillar(made_rates(12), labels="flaged")


def test_hostile_and_long_names_draw_as_one_plain_line():
    names = [
        "<script>alert(1)</script>",
        "$x_{1$",
        r"\frac{",
        "a\nb\tc\x07d",
        "x" * 90,
        "$5 and $6",
    ]
    rates = made_rates(len(names), names=names)
    ax = draw(plot_caterpillar(rates))
    assert all("\n" not in text and len(text) <= 30 for text in names_beside_rows(ax))
    assert draw(plot_funnel(rates, flags=flags_for(rates, 0.5), labels="all")).texts


def test_a_shortened_chinese_name_counts_two_columns_per_character():
    assert display_name("医" * 20, width=20) == "医" * 9 + "…"


def test_chinese_names_get_an_installed_font_without_touching_the_settings():
    if not any(fonts._draws(_open(entry), "医") for entry in fonts._installed()):
        pytest.skip("no installed font has Chinese characters")
    before = dict(matplotlib.rcParams)
    rates = made_rates(4, names=["王医生", "李医生", "Smith", "赵医生"])
    ax = draw(plot_caterpillar(rates))
    assert set(names_beside_rows(ax)) == {"王医生", "李医生", "Smith", "赵医生"}
    families = ax.get_yticklabels()[0].get_fontfamily()
    assert families[: len(before["font.family"])] == before["font.family"]
    assert len(families) > len(before["font.family"])
    assert dict(matplotlib.rcParams) == before


def _open(entry):
    from matplotlib.ft2font import FT2Font

    return FT2Font(entry.fname)


def test_without_a_font_one_warning_names_the_remedy_and_placeholders_are_drawn(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", list)
    monkeypatch.setattr(fonts, "_WARNED", set())
    fonts._families_for.cache_clear()
    try:
        rates = made_rates(3, names=["王医生", "李医生", "Smith"])
        with pytest.warns(OutcomeKPIWarning, match="fonts-wqy-microhei") as caught:
            ax = plot_caterpillar(rates)
            plot_shrinkage(rates)
        assert len(caught) == 1
        assert sorted(names_beside_rows(draw(ax))) == ["Smith", "□□□", "□□□"]
        ax.set_title("手术")
        apply_fonts(ax)
        assert draw(ax).get_title() == "□□"
    finally:
        fonts._families_for.cache_clear()


@pytest.fixture(scope="module")
def posterior():
    return ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)


def made_reliability(n_doctors):
    rng = np.random.default_rng(2)
    cases = pd.Series(
        5 + rng.gamma(2, 60, n_doctors).astype(int),
        index=pd.Index([f"D{number}" for number in range(n_doctors)], name="doctor"),
    )
    per_case = np.exp(rng.normal(-4.5, 0.3, (4, 50)))
    signal = per_case[..., None] * cases.to_numpy()
    draws = xr.DataArray(
        signal / (1 + signal), dims=("chain", "draw", "doctor"), coords={"doctor": cases.index}
    )
    return Reliability(
        method="latent",
        draws=draws,
        estimate=draws.mean(("chain", "draw")).to_series(),
        cases=cases,
        signal_per_case=xr.DataArray(per_case, dims=("chain", "draw")),
        signal_estimate=float(np.median(per_case)),
    )


@pytest.mark.parametrize("n_doctors", [12, 1200])
def test_reliability_is_drawn_against_caseload_with_intervals_for_few_doctors(n_doctors):
    found = made_reliability(n_doctors)
    ax = draw(plot_reliability(found, level=0.9))
    (points,) = (line for line in ax.lines if line.get_marker() == "o")
    assert np.array_equal(points.get_xdata(), found.cases)
    assert np.allclose(points.get_ydata(), found.estimate)
    assert len(ax.collections) == (n_doctors == 12)
    (curve,) = (line for line in ax.lines if line.get_label() == "average cases")
    x, y = curve.get_data()
    assert np.allclose(y, x * found.signal_estimate / (1 + x * found.signal_estimate))


def test_the_prior_and_the_posterior_of_the_doctors_spread_are_both_named(posterior):
    ax = draw(ok.plot_sd(posterior))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["doctors, posterior", "doctors, prior HalfNormal(1)", "doctors, 95% interval"]
    (prior,) = (line for line in ax.lines if "prior" in line.get_label())
    expected = np.exp(posterior.model.priors.sd_doctor.log_density(prior.get_xdata()))
    assert np.allclose(prior.get_ydata(), expected)


def test_calibration_draws_the_groups_of_the_check_and_not_the_total(posterior):
    check = ok.check_calibration(posterior)
    ax = draw(ok.plot_calibration(check))
    groups = check.table[check.table["group"] != "all"]
    drawn = np.concatenate([line[0].get_xdata() for line in ax.containers])
    assert sorted(drawn) == sorted(groups["predicted"])


@pytest.mark.parametrize("n_doctors", [12, 1200])
def test_doctors_outside_their_predictive_interval_are_marked(n_doctors):
    rng = np.random.default_rng(3)
    mean = rng.uniform(3, 30, n_doctors)
    observed = mean + rng.normal(0, np.sqrt(mean))
    observed[:2] = mean[:2] + 9 * np.sqrt(mean[:2])
    away = 1.96 * np.sqrt(mean)
    table = pd.DataFrame(
        {
            "cases": (10 * mean).astype(int),
            "observed": observed,
            "mean": mean,
            "lower": mean - away,
            "upper": mean + away,
            "new_lower": mean - 2 * away,
            "new_upper": mean + 2 * away,
        },
        index=pd.Index([f"D{number}" for number in range(n_doctors)], name="doctor"),
    )
    check = ok.CheckResult(name="fit by doctor", passed=None, verdict="", table=table)
    ax = draw(plot_predictive(check))
    (marked,) = (line for line in ax.lines if line.get_marker() == "s")
    assert len(marked.get_xdata()) == (np.abs(observed - mean) > away).sum() >= 2


def test_a_check_without_the_columns_of_a_picture_is_refused_by_name():
    check = ok.CheckResult(name="Sampling", passed=True, verdict="", table=pd.DataFrame({"a": [1]}))
    with pytest.raises(SpecError, match=r"check_calibration.*'Sampling'"):
        ok.plot_calibration(check)
    with pytest.raises(SpecError, match=r"check_predictive.*'Sampling'"):
        plot_predictive(check)


def test_the_legend_of_the_spread_keeps_off_the_posterior(posterior):
    # most of the posterior on the right half of the axis, as with many doctors
    sd = posterior.draws["posterior"]["sd_doctor"]
    narrow = posterior.draws.copy()
    narrow["posterior"] = narrow["posterior"].to_dataset().assign(sd_doctor=0.5 + sd * 0.05)
    ax = draw(ok.plot_sd(replace(posterior, draws=narrow)))
    (bars,) = ax.patches
    inside = [v for v in ax.transData.transform(bars.get_path().vertices) if v[1] > 0]
    box = ax.get_legend().get_window_extent()
    assert not any(box.contains(*vertex) for vertex in inside)


def test_equal_caseloads_get_an_axis_that_can_be_read():
    found = made_reliability(12)
    ax = draw(plot_reliability(replace(found, cases=found.cases * 0 + 12)))
    low, high = ax.get_xlim()
    assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 3


def test_rates_over_an_exposure_name_their_unit():
    rates = replace(made_rates(12, family="poisson"), unit="events per unit of exposure")
    assert "standardized rate per unit of exposure" in plot_caterpillar(rates).get_xlabel()
    assert "per" not in plot_caterpillar(made_rates(12)).get_xlabel()


def test_gaussian_outcomes_are_called_means():
    rates = made_rates(12, family="gaussian")
    assert "standardized mean" in plot_caterpillar(rates).get_xlabel()
    assert plot_funnel(rates).get_xlabel() == "cases"


def test_names_in_the_funnel_do_not_lie_on_one_another():
    rates = made_rates(60, names=[f"Doctor with a long name {number}" for number in range(60)])
    ax = draw(plot_funnel(rates, flags=flags_for(rates, 0.6), labels="flagged"))
    boxes = [text.get_window_extent().shrunk(0.95, 0.8) for text in ax.texts]
    assert len(boxes) > 3
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[at + 1 :])


def test_many_intervals_become_a_band_and_flagged_ones_stay_lines():
    rates = made_rates(1200)
    ax = draw(plot_caterpillar(rates, flags=flags_for(rates)))
    band, *lines = ax.collections
    assert type(band).__name__ == "FillBetweenPolyCollection"
    flagged = (flags_for(rates).flag != "").sum()
    assert sum(len(line.get_segments()) for line in lines) == flagged


def test_the_limits_of_a_typical_doctor_can_be_seen_in_the_funnel():
    rates = made_rates(8, family="gaussian")
    ax = plot_funnel(rates)
    frame = funnel_limits(rates).to_frame()
    low, high = ax.get_ylim()
    assert low <= frame["lower_95"].median() and frame["upper_95"].median() <= high
