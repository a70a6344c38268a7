"""The corrected effect of patients who were selected: methods, laws, input that is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, EngineError, SpecError
from outcomekpi.pilots.estimators.selected_normal import log_selected_share, reading_moments
from outcomekpi.pilots.estimators.selection_density import SelectedMoments
from outcomekpi.pilots.estimators.selection_parameters import sample_parameters

MEAN, SD, RHO, CUTOFF = 7.5, 1.5, 0.6, 8.5
KNOWN = ok.BaselinePopulation(mean=MEAN, sd=SD, reliability=RHO)


def selected(n=400, *, effect=0.0, readings=1, later=1, seed=1):
    """Baselines above the cutoff and later readings, lowered by an effect."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(MEAN, SD * np.sqrt(RHO), 40 * n)
    noise = SD * np.sqrt(1 - RHO)
    before = truth[:, None] + rng.normal(0, noise, (truth.size, readings))
    after = truth[:, None] + rng.normal(0, noise, (truth.size, later)) + effect
    rows = np.flatnonzero(before.mean(axis=1) >= CUTOFF)[:n]
    return before[rows].squeeze(), after[rows].squeeze()


def correct(before, after, *, seed=2, **settings):
    settings = {"cutoff": CUTOFF, "side": "above"} | settings
    return ok.correct_selection(before, after, rng=np.random.default_rng(seed), **settings)


def test_with_everything_known_the_correction_is_arithmetic():
    before, after = selected()
    found = correct(before, after, population=KNOWN)
    expected = (1 - RHO) * (MEAN - before.mean())
    assert found.expected == pytest.approx(expected, abs=1e-12)
    assert found.expected_draws is None
    left = after.mean() - before.mean() - expected
    residual = after - RHO * before
    error = residual.std(ddof=1) / np.sqrt(before.size)
    # Monte Carlo errors of 4,000 draws: error / 63 for the mean, about 5 % of error for a limit
    assert found.effect.value == pytest.approx(left, abs=0.08 * error)
    lower, upper = found.effect.interval(level=0.95)
    assert (upper - lower) / 2 == pytest.approx(1.966 * error, rel=0.07)
    np.testing.assert_allclose(found.expected_after, MEAN + RHO * (before - MEAN), atol=1e-12)


def test_the_correction_with_a_known_mean_is_the_intercept_of_mee_and_chua():
    import statsmodels.api as sm

    before, after = selected(60, effect=-0.5)
    fit = sm.OLS(after - MEAN, sm.add_constant(before - MEAN)).fit()
    sweep = ok.sweep_population_means(before, after, means=[6.0, MEAN, 9.0])
    row = sweep.to_frame(level=0.9).loc[MEAN]
    assert row["mean"] == pytest.approx(fit.params[0], abs=1e-10)
    assert row["t"] == pytest.approx(fit.tvalues[0], abs=1e-8)
    assert row["p"] == pytest.approx(fit.pvalues[0], rel=1e-6)
    assert row[["lower", "upper"]].tolist() == pytest.approx(fit.conf_int(0.1)[0].tolist())
    found = correct(before, after, population=ok.BaselinePopulation(mean=MEAN), draws=40_000)
    assert found.method == "regression on baseline"
    assert found.effect.value == pytest.approx(fit.params[0], abs=0.02 * fit.bse[0])
    # quantiles of 40,000 draws in the tails: 2 % of a standard error
    wanted = fit.conf_int(0.05)[0]
    assert found.effect.interval(level=0.95) == pytest.approx(wanted, abs=0.06 * fit.bse[0])


def test_a_sweep_names_the_mean_at_which_the_effect_is_nil():
    # eight students of McClave and Dietrich as Ostermann, Willich and Lüdtke 2008 summarize them:
    # means 57.375 and 60.375, SDs 7.0 and 8.8, covariance 54.268; rebuilt with these moments
    rng = np.random.default_rng(6)
    raw = rng.normal(size=(8, 2))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    shape = np.linalg.cholesky([[49.0, 54.268], [54.268, 77.44]])
    before, after = (white @ shape.T + [57.375, 60.375]).T
    sweep = ok.sweep_population_means(before, after, means=np.arange(0.0, 101.0))
    frame = sweep.to_frame()
    mu = 50.0
    numerator = np.sqrt(8 * 6) * (49 * 60.375 - 54.268 * 57.375 + (54.268 - 49) * mu)
    rest = (49 * 77.44 - 54.268**2) * (7 * 49 + 8 * (57.375 - mu) ** 2)
    assert frame.loc[mu, "t"] == pytest.approx(numerator / np.sqrt(rest), rel=1e-9)
    nil = sweep.nil_mean
    assert nil == pytest.approx((60.375 - sweep.slope * 57.375) / (1 - sweep.slope))
    at_nil = ok.sweep_population_means(before, after, means=nil).to_frame()
    assert at_nil["mean"].iloc[0] == pytest.approx(0, abs=1e-10)
    assert "clear effect" in repr(sweep)
    assert "<table" in sweep._repr_html_()


def test_the_posterior_of_the_population_agrees_with_a_dense_grid():
    before, after = selected(150, readings=2)
    x, y = before.mean(axis=1), after
    moments = SelectedMoments(
        size=x.size,
        mean_before=x.mean(),
        ss_before=((x - x.mean()) ** 2).sum(),
        mean_after=y.mean(),
        ss_after=((y - y.mean()) ** 2).sum(),
        products=((x - x.mean()) * (y - y.mean())).sum(),
        readings=2,
        ss_within=((before - x[:, None]) ** 2).sum(),
        df_within=x.size,
    )
    population = ok.BaselinePopulation(mean=7.5, sd=1.5, mean_se=0.2, sd_se=0.15)
    found = sample_parameters(
        population, moments, cutoff=CUTOFF, side="above", draws=20_000,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    mean, sd, r = np.meshgrid(
        np.linspace(6.6, 8.5, 90), np.linspace(1.0, 2.1, 90), np.linspace(0.2, 0.95, 91),
        indexing="ij",
    )  # fmt: skip
    spread, slope = reading_moments(sd, r, 2)
    log = -0.5 * ((mean - 7.5) / 0.2) ** 2 - 0.5 * (np.log(sd / 1.5) / 0.1) ** 2 - np.log(sd)
    log -= x.size * (np.log(spread) + log_selected_share(mean, spread, cutoff=CUTOFF, side="above"))
    log -= (moments.ss_before + x.size * (x.mean() - mean) ** 2) / (2 * spread**2)
    variance = (1 - r) * sd**2
    log -= x.size * np.log(variance) / 2 + moments.ss_within / variance / 2
    log -= 0.5 * (x.size - 1) * np.log(moments.residual_squares(slope))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    for name, values in [("mean", mean), ("sd", sd), ("reliability", r)]:
        draws, center = getattr(found, name), float((weight * values).sum())
        width = float(np.sqrt((weight * (values - center) ** 2).sum()))
        # effective samples of some 10,000: Monte Carlo error .01 SD of the mean, 1 % of the SD
        assert draws.mean() == pytest.approx(center, abs=0.05 * width)
        assert draws.std() == pytest.approx(width, rel=0.05)
    assert found.effective > 10_000


@pytest.mark.parametrize(
    "known",
    [
        {"population": KNOWN},
        {"population": ok.BaselinePopulation(mean=MEAN, sd=SD)},
        {"population": ok.BaselinePopulation(mean=MEAN, sd=SD, within_sd=SD * np.sqrt(1 - RHO))},
        {"population": ok.BaselinePopulation(mean=MEAN, reliability=RHO, reliability_se=0.03)},
        {"population": ok.BaselinePopulation(
            mean=MEAN, sd=SD, within_sd=SD * np.sqrt(1 - RHO), mean_se=0.05, sd_se=0.05,
            within_sd_se=0.03)},
        {"population": ok.BaselinePopulation(mean=MEAN, mean_se=0.05)},
    ],
    ids=["all", "learned slope", "within", "no sd", "uncertain", "mean only"],
)  # fmt: skip
def test_every_kind_of_knowledge_finds_an_effect_that_is_there(known):
    before, after = selected(2000, effect=-0.6)
    found = correct(before, after, **known)
    lower, upper = found.effect.interval(level=0.999)
    assert lower < -0.6 < upper
    assert found.naive.value < -0.9  # of which half an SD is regression to the mean
    assert upper - lower < 0.75
    assert found.naive.value == pytest.approx(found.expected + found.effect.value, abs=0.02)


def test_repeated_baselines_tell_the_scatter_within_a_patient():
    before, after = selected(1500, effect=-0.3, readings=3)
    found = correct(before, after, population=ok.BaselinePopulation(mean=MEAN, sd=SD))
    lower, upper = found.effect.interval(level=0.999)
    assert lower < -0.3 < upper
    share = RHO / (RHO + (1 - RHO) / 3)
    expected = (1 - share) * (MEAN - before.mean())
    assert found.expected == pytest.approx(expected, abs=0.04)


def test_a_second_baseline_needs_nothing_from_outside():
    before, later = selected(500, later=2)
    second, after = later.T
    found = correct(before, after - 0.5, second_baseline=second)
    change = after - 0.5 - second
    assert found.effect.value == pytest.approx(change.mean(), abs=0.005)
    assert found.expected == pytest.approx((second - before).mean(), abs=0.005)
    lower, upper = found.effect.interval(level=0.95)
    error = change.std(ddof=1) / np.sqrt(500)
    assert upper - lower == pytest.approx(2 * 1.965 * error, rel=0.07)


def test_patients_of_a_doctor_who_are_alike_widen_the_interval():
    before, after = selected(400)
    doctor = np.repeat(np.arange(20), 20)
    shift = np.random.default_rng(8).normal(0, 0.6, 20)
    blind = correct(before, after + shift[doctor], population=KNOWN)
    aware = correct(before, after + shift[doctor], population=KNOWN, clusters=doctor)
    width = [np.subtract(*one.effect.interval(level=0.95)[::-1]) for one in (blind, aware)]
    assert width[1] > 1.5 * width[0]
    assert aware.naive.origin == "t, 20 clusters"
    only_mean = ok.BaselinePopulation(mean=MEAN)
    clustered = correct(before, after + shift[doctor], population=only_mean, clusters=doctor)
    alone = correct(before, after + shift[doctor], population=only_mean)
    assert np.ptp(clustered.effect.interval(level=0.95)) > np.ptp(alone.effect.interval(level=0.95))


@pytest.mark.parametrize("baselines", [True, False])
def test_patients_off_target_who_come_back_are_no_effect(baselines):
    before, after = selected(3000)
    on = (after < CUTOFF).astype(float)
    found = correct(before if baselines else None, on, population=KNOWN, target=CUTOFF)
    share = 100 * on.mean()
    assert found.naive.value == pytest.approx(share)
    assert found.expected == pytest.approx(share, abs=3.5)  # 4 standard errors of the share
    lower, upper = found.effect.interval(level=0.99)
    assert lower < 0 < upper
    assert found.unit == "percentage points"
    assert found.expected_after.shape == on.shape


def test_a_target_is_held_against_a_second_baseline():
    before, later = selected(400, later=2)
    second, after = later.T
    on = (after - 0.4 < CUTOFF).astype(float)
    found = correct(before, on, second_baseline=second, target=CUTOFF)
    change = 100 * (on - (second < CUTOFF))
    assert found.effect.value == pytest.approx(change.mean(), abs=0.3)
    assert found.expected == pytest.approx(100 * (second < CUTOFF).mean(), abs=0.3)
    lower, upper = found.effect.interval(level=0.95)
    assert upper - lower == pytest.approx(2 * 1.966 * change.std(ddof=1) / 20, rel=0.07)


def test_a_binary_target_takes_in_what_is_uncertain_and_who_is_alike():
    before, after = selected(300)
    on = (after < CUTOFF).astype(float)
    unsure = ok.BaselinePopulation(mean=MEAN, sd=SD, reliability=RHO, reliability_se=0.1)
    narrow, wide, doctors = (
        np.ptp(correct(before, on, target=CUTOFF, **more).effect.interval(level=0.95))
        for more in (
            {"population": KNOWN},
            {"population": unsure},
            {"population": KNOWN, "clusters": np.argsort(np.argsort(after)) // 30},
        )
    )
    assert wide > 1.1 * narrow
    assert doctors > 2 * narrow


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 10), st.floats(-20, 20), st.integers(0, 1000))
def test_the_correction_follows_units_and_mirrors(factor, shift, seed):
    before, after = selected(40, seed=seed)
    plain = correct(before, after, population=KNOWN)
    moved = ok.BaselinePopulation(mean=factor * MEAN + shift, sd=factor * SD, reliability=RHO)
    scaled = correct(
        factor * before + shift, factor * after + shift,
        population=moved, cutoff=factor * CUTOFF + shift,
    )  # fmt: skip
    mirrored = correct(
        -before, -after, side="below", cutoff=-CUTOFF,
        population=ok.BaselinePopulation(mean=-MEAN, sd=SD, reliability=RHO),
    )  # fmt: skip
    assert scaled.expected == pytest.approx(factor * plain.expected, rel=1e-6)
    assert scaled.effect.value == pytest.approx(factor * plain.effect.value, rel=1e-6, abs=1e-6)
    assert mirrored.expected == pytest.approx(-plain.expected, rel=1e-9)


def test_perfect_readings_have_nothing_to_correct():
    before, after = selected()
    perfect = ok.BaselinePopulation(mean=MEAN, sd=SD, reliability=1.0)
    found = correct(before, after, population=perfect)
    assert found.expected == 0
    assert found.explained == 0


def test_baselines_that_the_stated_population_cannot_have_are_noticed():
    before, after = selected()
    fitting = {
        check.name: check.passed for check in correct(before, after, population=KNOWN).checks
    }
    assert fitting == {
        "Selected baselines against the stated population": True,
        "Slope of follow-up on baseline against the stated reliability": True,
    }
    healthier = ok.BaselinePopulation(mean=5.0, sd=SD, reliability=RHO)
    tail, _ = correct(before, after, population=healthier).checks
    assert tail.passed is False
    assert "do not fit" in tail.verdict
    steadier = ok.BaselinePopulation(mean=MEAN, sd=SD, reliability=0.99)
    _, slope = correct(before, after, population=steadier).checks
    assert slope.passed is False
    assert slope.to_frame().loc["stated", "value"] == pytest.approx(0.99)


def test_knowledge_that_contradicts_the_patients_is_refused():
    before, after = selected(3000)
    sure_and_wrong = ok.BaselinePopulation(mean=700.0, mean_se=0.5, sd=SD, sd_se=0.01)
    with pytest.raises(EngineError, match="contradict each other"):
        correct(before, after, population=sure_and_wrong)


BEFORE, AFTER = selected(10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"population": None}, SpecError, "any effect can be traded"),
        ({"population": {"mean": 7.5}}, SpecError, "must be BaselinePopulation"),
        ({"side": "over"}, SpecError, "side must be one of"),
        ({"side": "below"}, CasesError, "must lie below the cutoff"),
        ({"cutoff": BEFORE.min() + 0.01}, CasesError, "1 of 10 do not"),
        ({"before": BEFORE[:9]}, CasesError, "one row for each patient"),
        ({"before": [[BEFORE]]}, CasesError, "must be \\(patient,\\)"),
        ({"before": None}, SpecError, "target= only"),
        ({"after": np.where(np.arange(10) == 4, np.nan, AFTER)}, CasesError, "position 4"),
        ({"before": BEFORE[:2], "after": AFTER[:2]}, CasesError, "at least 3"),
        ({"target": CUTOFF}, CasesError, "1 \\(on target\\)"),
        ({"clusters": ["A"] * 10}, CasesError, "One cluster"),
        ({"clusters": ["A", "B"]}, CasesError, "clusters must have one row"),
        ({"readings": 0}, SpecError, "readings"),
        (
            {"before": np.full(10, 9.0), "population": ok.BaselinePopulation(mean=7.5)},
            SpecError,
            "no slope",
        ),
        (
            {"target": 8.5, "after": np.ones(10), "population": ok.BaselinePopulation(mean=7.5)},
            SpecError,
            "binary target needs",
        ),
    ],
)
def test_input_that_does_not_fit_is_refused_with_the_reason(change, error, message):
    settings = {"before": BEFORE, "after": AFTER, "population": KNOWN} | change
    with pytest.raises(error, match=message):
        correct(settings.pop("before"), settings.pop("after"), **settings)


def test_a_sweep_refuses_baselines_that_are_all_alike():
    with pytest.raises(SpecError, match="alike"):
        ok.sweep_population_means([8.0, 8.0, 8.0], [7.0, 8.0, 9.0], means=[7.0])
    with pytest.raises(SpecError, match="means must hold"):
        ok.sweep_population_means([8.0, 8.5, 9.0], [7.0, 8.0, 9.0], means=[])


def test_the_result_describes_itself():
    before, after = selected(effect=-0.5)
    found = correct(before, after, population=KNOWN, unit="% HbA1c")
    frame = found.to_frame(level=0.9)
    assert list(frame.index) == ["observed change", "expected with no program", "corrected change"]
    assert list(frame.columns) == ["mean", "lower", "upper"]
    assert frame.attrs == {"level": 0.9, "unit": "% HbA1c"}
    assert (frame["lower"] <= frame["mean"]).all()
    assert "% HbA1c, of which" in repr(found)
    assert "<table" in found._repr_html_()
    assert 0.3 < found.explained < 0.9
    assert any("Nothing but the program" in one for one in found.assumptions)
    assert isinstance(frame, pd.DataFrame)
