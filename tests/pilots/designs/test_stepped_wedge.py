"""Stepped wedges: the mixed model, its small-sample terms, the randomization, bad input."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.estimators.start_permutation import (
    StartTest,
    count_assignments,
    draw_assignments,
)
from outcomekpi.pilots.estimators.wedge_model import (
    Sample,
    exchangeable,
    fit_means,
    infer_terms,
    nested_exchangeable,
)
from outcomekpi.pilots.estimators.wedge_terms import build_terms
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.verdicts import CLAIMS

DESIGN = SteppedWedge(
    outcome="y",
    unit="site",
    time="period",
    start="start",
    effect="constant",
    direction="higher",
    measured_in="kg",
)


def make_patients(*, clusters=9, periods=4, effect=0.5, seed=1, growth=0.0, cell_sd=0.3):
    """Patients of clusters that start in waves, 5 to 12 in each cluster and period."""
    rng = np.random.default_rng(seed)
    rows = []
    for cluster in range(clusters):
        start = 1 + cluster % (periods - 1)
        level = rng.normal(0, 0.5)
        for period in range(periods):
            mean = level + rng.normal(0, cell_sd) + 0.2 * period
            if period >= start:
                mean += effect + growth * (period - start)
            outcome = mean + rng.normal(size=int(rng.integers(5, 13)))
            rows += [(f"c{cluster}", period, start, value) for value in outcome]
    return pd.DataFrame(rows, columns=["site", "period", "start", "y"])


def compare(frame, draws=300, **options):
    return compare_pilot(frame, replace(DESIGN, **options), draws=draws)


# --- the model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", ["nested exchangeable", "exchangeable"])
def test_cell_means_and_squares_give_the_mixed_model_of_the_patients(correlation):
    import statsmodels.formula.api as smf

    frame = make_patients()
    frame["program"] = (frame["period"] >= frame["start"]).astype(float)
    nested = correlation.startswith("nested")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = smf.mixedlm(
            "y ~ C(period) + program",
            frame,
            groups="site",
            re_formula="1",
            vc_formula={"cell": "0 + C(period)"} if nested else None,
        ).fit(reml=True, method="powell")
    effect = compare(frame, correlation=correlation)
    variances = effect.findings.tables["variances"].set_index("component")["variance"]
    # the optimizer of statsmodels stops at about five digits (and its L-BFGS at infinity)
    assert effect.main.value == pytest.approx(fitted.fe_params["program"], abs=1e-4)
    assert variances["cluster"] == pytest.approx(float(fitted.cov_re.iloc[0, 0]), rel=1e-3)
    assert variances["patient"] == pytest.approx(fitted.scale, rel=1e-3)
    if nested:
        assert variances["cell"] == pytest.approx(fitted.vcomp[0], rel=1e-3)


def dense_kenward_roger(frame, components):
    """C, C_A and degrees of freedom from the matrices of all patients, written out."""
    site, period = pd.factorize(frame["site"])[0], frame["period"].to_numpy()
    same = site[:, None] == site[None, :]
    shapes = [same * 1.0, same * (period[:, None] == period), np.eye(len(frame))]
    terms = np.column_stack([np.eye(period.max() + 1)[period], period >= frame["start"]])
    precision = np.linalg.inv(sum(c * s for c, s in zip(components, shapes, strict=True)))
    plain = np.linalg.inv(terms.T @ precision @ terms)
    first = [-terms.T @ precision @ s @ precision @ terms for s in shapes]
    second = [
        [terms.T @ precision @ a @ precision @ b @ precision @ terms for b in shapes]
        for a in shapes
    ]
    swept = precision - precision @ terms @ plain @ terms.T @ precision
    information = np.array([[np.trace(swept @ a @ swept @ b) / 2 for b in shapes] for a in shapes])
    weights = np.linalg.inv(information)
    middle = sum(
        weights[i, j] * (second[i][j] - first[i] @ plain @ first[j])
        for i in range(3)
        for j in range(3)
    )
    adjusted = plain + 2 * plain @ middle @ plain
    gradient = np.array([(plain @ -one @ plain)[-1, -1] for one in first])
    degrees = 2 * plain[-1, -1] ** 2 / (gradient @ weights @ gradient)
    return plain[-1, -1], adjusted[-1, -1], degrees


def test_small_sample_terms_are_those_of_the_patients_matrices():
    frame = make_patients(clusters=6)
    main = compare(frame).main
    found = compare(frame).findings.tables["variances"]["variance"].to_numpy()
    plain, adjusted, degrees = dense_kenward_roger(frame, found)
    assert main.se**2 == pytest.approx(max(adjusted, plain), rel=1e-8)
    assert main.degrees_of_freedom == pytest.approx(degrees, rel=1e-6)


def test_a_shift_of_the_cells_with_the_program_shifts_the_effect_alone():
    frame = make_patients()
    shifted = frame.assign(y=frame["y"] + 3.0 * (frame["period"] >= frame["start"]))
    before, after = compare(frame).main, compare(shifted).main
    assert after.value - before.value == pytest.approx(3.0, abs=1e-6)
    assert after.se == pytest.approx(before.se, rel=1e-6)


def test_levels_of_periods_and_the_order_of_rows_do_not_matter():
    frame = make_patients()
    moved = frame.assign(y=frame["y"] + 5.0 * frame["period"] ** 2).sample(frac=1, random_state=1)
    assert compare(moved).main.value == pytest.approx(compare(frame).main.value, abs=1e-6)


def test_events_of_patients_and_events_of_trials_are_the_same():
    frame = make_patients()
    frame["y"] = (frame["y"] > 0.5).astype(int)
    counts = frame.groupby(["site", "period", "start"], as_index=False)["y"].agg(["sum", "size"])
    one = compare(frame, family="binomial")
    other = compare(counts, family="binomial", outcome="sum", trials="size")
    assert one.main.unit == "percentage points"
    assert other.main.value == pytest.approx(one.main.value, rel=1e-9)
    assert other.main.se == pytest.approx(one.main.se, rel=1e-9)
    ratio = one.to_frame().loc["risk ratio"]
    assert ratio["lower"] < ratio["mean"] < ratio["upper"]


def test_an_effect_that_grows_is_found_by_period_and_averaged():
    rng = np.random.default_rng(2)
    cells = pd.MultiIndex.from_product([range(12), range(5)], names=["site", "period"])
    frame = cells.to_frame(index=False).assign(start=lambda f: f["site"] % 4 + 1)
    since = frame["period"] - frame["start"] + 1
    frame["y"] = 10 + 2.0 * since.clip(lower=0) + 1e-4 * rng.normal(size=len(frame))
    effect = compare(frame, effect="by period")
    assert effect.main.value == pytest.approx(2.0 * 2.5, abs=1e-3)
    study = effect.findings.tables["event_study"]
    np.testing.assert_allclose(study["mean"], [0, 2, 4, 6, 8], atol=1e-3)
    assert compare(frame, effect="linear").main.value == pytest.approx(5.0, abs=1e-3)
    # no average of 2, 4, 6 and 8: the constant effect leaves their range
    assert compare(frame).main.value < 2.0
    checks = {one.name: one for one in compare(frame).findings.checks}
    assert checks["effect over the time since the start"].passed is False


def test_a_variance_that_would_be_negative_is_zero_and_counts_as_known():
    frame = make_patients(cell_sd=0.0, seed=4)
    variances = compare(frame).findings.tables["variances"].set_index("component")["variance"]
    assert variances["cell"] == 0
    same = compare(frame, correlation="exchangeable").main
    assert compare(frame).main.value == pytest.approx(same.value, rel=1e-6)
    assert compare(frame).main.degrees_of_freedom == pytest.approx(
        same.degrees_of_freedom, rel=1e-4
    )


def test_a_plan_has_the_covariance_of_data_at_the_same_variances():
    frame = make_patients()
    effect = compare(frame)
    first = frame.groupby("site")["start"].first().to_numpy()
    size = frame.groupby(["site", "period"]).size().unstack().to_numpy(float)
    exposure = np.maximum(np.arange(4) - first[:, None] + 1, 0)
    terms = build_terms(exposure, size > 0, "constant")
    components = effect.findings.tables["variances"]["variance"].to_numpy()
    variance = nested_exchangeable(size, has_within=True)
    plan = infer_terms(components, size, variance, terms.values)
    _, error, degrees = plan.contrast(terms.average)
    assert error == pytest.approx(effect.main.se, rel=1e-9)
    assert degrees == pytest.approx(effect.main.degrees_of_freedom, rel=1e-6)


# --- the randomization ---------------------------------------------------------------------------


def test_every_way_to_hand_out_the_starts_comes_once_and_the_real_one_first():
    first = np.array([2, 1, 1, 3, 2])
    ways, complete = draw_assignments(first, most=100, rng=np.random.default_rng(1))
    assert complete
    assert len(ways) == count_assignments(first) == 30
    assert len({tuple(one) for one in ways}) == 30
    assert (np.sort(ways, axis=1) == np.sort(first)).all()
    np.testing.assert_array_equal(ways[0], first)


def test_the_randomization_test_rejects_no_more_often_than_it_says():
    """Each way to hand out starts in turn is the real one: p below a in at most a of them."""
    rng = np.random.default_rng(4)
    first = np.array([1, 1, 2, 2, 3])
    size = rng.integers(5, 20, size=(5, 4)).astype(float)
    mean = rng.normal(size=(5, 4)) + rng.normal(size=(5, 1))
    ways, _ = draw_assignments(first, most=100, rng=rng)
    p_values = []
    for real in range(len(ways)):
        order = [real, *(i for i in range(len(ways)) if i != real)]
        test = StartTest(
            sample=Sample(mean=mean, present=size > 0),
            variance=exchangeable(size, has_within=False),
            periods=np.broadcast_to(np.eye(4), (5, 4, 4)),
            assignments=ways[order],
            complete=True,
        )
        p_values.append(test.p_value(0.0))
    for alpha in (0.1, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= alpha) <= alpha


def test_the_statistic_is_that_of_the_whole_matrices():
    rng = np.random.default_rng(5)
    first = np.array([1, 2, 3, 2])
    size = rng.integers(5, 20, size=(4, 4)).astype(float)
    mean = rng.normal(size=(4, 4))
    ways, _ = draw_assignments(first, most=100, rng=rng)
    variance = exchangeable(size, has_within=False)
    periods = np.broadcast_to(np.eye(4), (4, 4, 4))
    sample = Sample(mean=mean, present=size > 0)
    test = StartTest(
        sample=sample, variance=variance, periods=periods, assignments=ways, complete=True
    )
    fit = fit_means(sample, variance, periods)
    blocks = np.einsum("k,kitu->itu", fit.components, variance.shapes)
    whole = np.zeros((16, 16))
    for cluster in range(4):
        whole[4 * cluster : 4 * cluster + 4, 4 * cluster : 4 * cluster + 4] = blocks[cluster]
    precision, terms = np.linalg.inv(whole), np.tile(np.eye(4), (4, 1))
    swept = (
        precision
        - precision @ terms @ np.linalg.inv(terms.T @ precision @ terms) @ terms.T @ precision
    )
    expected = []
    for way in ways:
        program = (np.arange(4)[None, :] >= way[:, None]).ravel().astype(float)
        value = abs(program @ swept @ mean.ravel()) / np.sqrt(program @ swept @ program)
        expected.append(value)
    np.testing.assert_allclose(test._statistics(0.0), expected, rtol=1e-6)


def test_the_randomization_interval_holds_the_estimate_and_widens_with_the_level():
    frame = make_patients(clusters=12, effect=1.0)
    main = compare(frame, inference="randomization").main
    narrow, wide = main.interval(level=0.5), main.interval(level=0.95)
    assert wide[0] <= narrow[0] <= main.value <= narrow[1] <= wide[1]
    parametric = compare(frame).main.interval(level=0.95)
    # 12 clusters: two valid intervals of one effect have about the same width
    assert np.diff(wide)[0] == pytest.approx(np.diff(parametric)[0], rel=0.5)


def test_too_few_ways_to_hand_out_the_starts_reject_nothing():
    frame = make_patients(clusters=3)
    main = compare(frame, inference="randomization").main
    assert main.interval(level=0.95) == (-np.inf, np.inf)
    assert main.excludes_null(level=0.95) is False


# --- words and refusals --------------------------------------------------------------------------


def test_the_verdict_is_that_of_its_rung_and_the_checklist_is_answered():
    effect = compare(make_patients(clusters=12, effect=2.0))
    assert CLAIMS[6][0] in effect.verdict()
    items = effect.checklist.set_index("item")["status"]
    for item in ("units", "clustering", "few_clusters", "comparator", "power", "program_dates"):
        assert items[item] == "answered", item
    frame = effect.to_frame()
    assert frame.loc["effect", "lower"] < frame.loc["effect", "mean"] < frame.loc["effect", "upper"]


def test_times_may_be_text_and_empty_starts_mean_never():
    frame = make_patients()
    dated = frame.assign(
        period=[f"2024Q{period + 1}" for period in frame["period"]],
        start=[f"2024Q{start + 1}" if start < 3 else "" for start in frame["start"]],
    )
    same = frame.assign(start=frame["start"].where(frame["start"] < 3, 9))
    assert compare(dated).main.value == pytest.approx(compare(same).main.value, rel=1e-9)
    assert "not started" in compare(dated).findings.facts["program_dates"]


def spoil(**change):
    return make_patients().assign(**change)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (spoil(start=1), "DifferenceInDifferences|InterruptedSeries"),
        (spoil(start=np.nan), "No cluster starts"),
        (spoil(start=0), "0 may be that time, or mean never"),
        (spoil(start=lambda f: f["start"] - 1, period=lambda f: f["period"] + 0), "never|every"),
        (spoil(start=lambda f: np.arange(len(f)) % 3 + 1), "same in all rows of a cluster"),
        (spoil(period="spring"), "order of such labels"),
        (spoil(y=np.nan), "must hold a value"),
        (spoil(site=lambda f: "c" + (f["start"] % 2).astype(str), start=1), "3 clusters"),
        (make_patients().drop(columns="start"), "not found in the table"),
        (spoil(y=1.0).groupby(["site", "period", "start"], as_index=False)["y"].mean(), "every"),
    ],
)
def test_tables_that_are_no_stepped_wedge_are_refused(frame, message):
    with pytest.raises(CasesError, match=message):
        compare(frame)


def test_percentages_beyond_100_and_events_beyond_trials_are_refused():
    frame = make_patients()
    with pytest.raises(CasesError, match="percentages from 0 to 100"):
        compare(frame.assign(y=120.0), measured_in="%")
    with pytest.raises(CasesError, match="0 to the trials"):
        compare(frame.assign(y=9, n=3), family="binomial", trials="n")
    with pytest.raises(CasesError, match="hold 0 and 1"):
        compare(frame, family="binomial")


def test_clusters_with_the_program_in_every_period_are_named():
    frame = make_patients()
    frame.loc[frame["site"] == "c0", "start"] = -1
    with pytest.raises(CasesError, match="'c0' from 0 on"):
        compare(frame)


def test_missing_outcomes_are_counted_on_both_sides():
    frame = make_patients()
    frame.loc[frame.index[::7], "y"] = np.nan
    words = compare(frame, missing="drop").findings.facts["missing_outcomes"]
    after = frame["period"] >= frame["start"]
    lost = frame["y"].isna()
    assert words.startswith(f"{(lost & ~after).sum()} of {(~after).sum()} rows before")
    assert f"{(lost & after).sum()} of {after.sum()} after" in words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": "by periods"}, "Did you mean 'by period'"),
        ({"inference": "randomization", "effect": "linear"}, "effect='constant'"),
        ({"trials": "n"}, "family='binomial'"),
        ({"patients": "n", "family": "binomial"}, "family='gaussian'"),
        ({"event": "yes"}, "family='binomial'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        replace(DESIGN, **options)


def test_the_effect_may_change_with_time_unless_it_is_said_not_to():
    frame = make_patients(clusters=12)
    design = SteppedWedge(outcome="y", unit="site", time="period", start="start")
    main = compare_pilot(frame, design).main
    assert main.name == "average effect over exposure times"
    assert main.value == pytest.approx(compare(frame, effect="by period").main.value)
