"""The verb ``fit``: laws that hold for every table, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from handmade import make_fit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import kurtosis

from outcomekpi.declare.errors import CasesError, FormulaError, OutcomeKPIWarning, SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.engine.draws_tree import PosteriorSamples
from outcomekpi.model.priors import Flat, HalfNormal, Normal, Priors
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import Fit, fit
from outcomekpi.tables.cases import Cases

SPEC = ModelSpec(case_mix="age + sex")
FEW = settings(max_examples=8)
SEEDS = st.integers(0, 10_000)

# A draw of the fixed effects is one of some thousand points of a proposal. What changes a sum in
# its last digit changes that draw in its 7th; what it may also do is tip one choice of a point.
ROUNDING = 1e-5


def table(seed, family="bernoulli", *, n_doctors=8, n_rows=240):
    rng = np.random.default_rng(seed)
    code = np.concatenate([np.arange(n_doctors), rng.integers(0, n_doctors, n_rows - n_doctors)])
    age = rng.normal(60, 10, n_rows)
    sex = rng.choice(["F", "M"], n_rows)
    effect = rng.normal(0, 0.6, n_doctors)
    eta = -1.0 + 0.03 * (age - 60) + 0.3 * (sex == "M") + effect[code]
    frame = pd.DataFrame({"doctor": [f"D{c:02d}" for c in code], "age": age, "sex": sex})
    if family == "poisson":
        frame["time"] = rng.gamma(4.0, 0.5, n_rows)
        frame["events"] = rng.poisson(frame["time"] * np.exp(eta))
    elif family == "binomial":
        frame["patients"] = rng.integers(1, 6, n_rows)
        frame["events"] = rng.binomial(frame["patients"], expit(eta))
    elif family == "gaussian":
        frame["events"] = rng.normal(eta, 1.0)
    else:
        frame["events"] = (rng.random(n_rows) < expit(eta)).astype(int)
    return frame


def cases_of(frame):
    roles = {"trials": "patients", "exposure": "time"}
    named = {role: column for role, column in roles.items() if column in frame}
    return Cases.from_frame(frame, outcome="events", doctor="doctor", **named)


def fitted(frame, spec=SPEC, **options) -> Fit:
    return fit(cases_of(frame), spec, **({"draws": 400, "seed": 1} | options))


def draws_of(result, name):
    return flatten_draws(result.draws["posterior"][name])


def summary_of_effects(result):
    rows = draws_of(result, "doctor_effect")
    index = result.draws["posterior"]["doctor"].to_numpy()
    return pd.DataFrame({"mean": rows.mean(axis=1), "sd": rows.std(axis=1)}, index=index)


@pytest.mark.slow
@FEW
@given(seed=SEEDS)
def test_relabelling_doctors_permutes_their_results(seed):
    frame = table(seed)
    order = np.random.default_rng(seed).permutation(8)
    other = frame.assign(doctor=[f"D{order[int(label[1:])]:02d}" for label in frame["doctor"]])
    first, second = fitted(frame, draws=2000), fitted(other, draws=2000)
    # Sorting by another label changes the order of sums, and which random stream is whose.
    np.testing.assert_allclose(
        draws_of(first, "sd_doctor"), draws_of(second, "sd_doctor"), rtol=ROUNDING
    )
    before, after = summary_of_effects(first), summary_of_effects(second)
    after = after.loc[[f"D{order[int(label[1:])]:02d}" for label in before.index]]
    # Two sets of 2,000 independent draws would differ by .032 SD in their means and by 2.2 % in
    # their SDs: at most three and four of these.
    off = (before["mean"].to_numpy() - after["mean"].to_numpy()) / before["sd"].to_numpy()
    assert np.abs(off).max() < 0.095
    np.testing.assert_allclose(before["sd"].to_numpy(), after["sd"].to_numpy(), rtol=0.09)


@pytest.mark.slow
@FEW
@given(seed=SEEDS, family=st.sampled_from(["bernoulli", "binomial", "poisson"]))
def test_the_order_of_the_rows_does_not_matter(seed, family):
    frame = table(seed, family)
    first, second = fitted(frame), fitted(frame.sample(frac=1, random_state=seed))
    for name in ("sd_doctor", "intercept", "doctor_effect"):
        np.testing.assert_allclose(
            draws_of(first, name), draws_of(second, name), rtol=ROUNDING, atol=ROUNDING
        )


@pytest.mark.slow
@FEW
@given(seed=SEEDS)
def test_splitting_binomial_rows_into_patients_changes_nothing(seed):
    frame = table(seed, "binomial")
    each = frame.loc[frame.index.repeat(frame["patients"])]
    position = each.groupby(level=0).cumcount()
    each = each.assign(events=(position < each["events"]).astype(int)).drop(columns="patients")
    first, second = fitted(frame), fitted(each)
    assert first.model.family == "binomial" and second.model.family == "bernoulli"
    # Both tables are below 2,000 rows, so the engine makes the same choices in both.
    for name in ("sd_doctor", "coefficient", "intercept", "doctor_effect"):
        np.testing.assert_allclose(
            draws_of(first, name), draws_of(second, name), rtol=ROUNDING, atol=ROUNDING
        )


@FEW
@given(seed=SEEDS, unit=st.sampled_from([1 / 365.25, 12.0, 1000.0]))
def test_the_unit_of_exposure_moves_the_intercept_and_nothing_else(seed, unit):
    frame = table(seed, "poisson")
    first, second = fitted(frame), fitted(frame.assign(time=frame["time"] * unit))
    np.testing.assert_allclose(
        draws_of(second, "intercept"), draws_of(first, "intercept") - np.log(unit), atol=1e-4
    )
    for name in ("sd_doctor", "coefficient", "doctor_effect"):
        np.testing.assert_allclose(
            draws_of(first, name), draws_of(second, name), rtol=1e-4, atol=1e-4
        )


@FEW
@given(seed=SEEDS)
def test_doubling_exposure_and_events_keeps_the_rates_and_tells_more(seed):
    frame = table(seed, "poisson", n_rows=400)
    double = frame.assign(time=2 * frame["time"], events=2 * frame["events"])
    once, twice = fitted(frame), fitted(double)
    rates = [
        draws_of(r, "doctor_effect") + draws_of(r, "intercept_standardized") for r in (once, twice)
    ]
    spread = [log_rate.std(axis=1) for log_rate in rates]
    # The SD of a log rate falls by 1 / sqrt(2) where the cases decide, and less where shrinkage
    # does; that of a slope as well.
    assert (spread[1] < 0.95 * spread[0]).all() and (spread[1] > 0.6 * spread[0]).all()
    slopes = [draws_of(r, "coefficient").std(axis=1) for r in (once, twice)]
    np.testing.assert_allclose(slopes[1] / slopes[0], np.sqrt(0.5), rtol=0.15)
    # Nobody's rate moves further than the less informed posterior was unsure about.
    moved = np.abs(rates[1].mean(axis=1) - rates[0].mean(axis=1))
    assert (moved < spread[0]).all()


@FEW
@given(seed=SEEDS, levels=st.tuples(st.floats(0.3, 0.9), st.floats(0.01, 0.09)))
def test_a_wider_level_gives_a_wider_interval(seed, levels):
    result = make_fit(seed=seed)
    narrow, wide = (result.to_frame(level=level) for level in (levels[0], sum(levels)))
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (wide["upper"] >= narrow["upper"]).all()
    np.testing.assert_array_equal(wide["mean"], narrow["mean"])
    assert wide.attrs["level"] == sum(levels)


@FEW
@given(seed=SEEDS, factor=st.sampled_from([0.001, 7.0]), shift=st.sampled_from([-3.0, 50.0]))
def test_the_unit_of_a_covariate_changes_its_slope_alone(seed, factor, shift):
    frame = table(seed)
    other = frame.assign(age=frame["age"] * factor + shift)
    first, second = fitted(frame), fitted(other)
    slope, rescaled = (r.draws["posterior"]["coefficient"].sel(term="age") for r in (first, second))
    np.testing.assert_allclose(slope, rescaled * factor, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        draws_of(first, "doctor_effect"), draws_of(second, "doctor_effect"), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
@FEW
@given(seed=SEEDS)
def test_counting_the_other_event_changes_every_sign(seed):
    frame = table(seed)
    first, second = fitted(frame), fitted(frame.assign(events=1 - frame["events"]))
    one, other = summary_of_effects(first), summary_of_effects(second)
    # The proposal's scores keep their signs, so the draws differ by Monte Carlo error.
    off = (one["mean"] + other["mean"]) / one["sd"]
    assert np.abs(off).max() < 4 / np.sqrt(400)
    # that of an SD is sd sqrt((kurtosis - 1) / 4n); the effects have heavy tails
    error = sum(
        (kurtosis(draws_of(fit, "doctor_effect"), axis=1, fisher=False) - 1) / 1600
        for fit in (first, second)
    )
    assert (np.abs(np.log(one["sd"] / other["sd"])) < 4 * np.sqrt(error)).all()


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
def test_every_family_has_draws_of_everything_by_name(family):
    spec = ModelSpec(case_mix="age + sex", family=family)
    result = fitted(table(3, family), spec)
    posterior = result.draws["posterior"].to_dataset()
    assert result.engine == "quadrature" and result.model.family == family
    assert dict(posterior.sizes) == {"chain": 4, "draw": 100, "term": 2, "doctor": 8}
    assert ("sd_residual" in posterior) == (family == "gaussian")
    assert all(np.isfinite(values).all() for values in posterior.data_vars.values())
    frame = result.to_frame()
    assert list(frame.columns) == ["mean", "sd", "lower", "upper"]
    assert list(frame.index[:3]) == ["Intercept", "age", "sex[T.M]"]
    assert (frame["lower"] < frame["mean"]).all() and (frame["mean"] < frame["upper"]).all()


def test_draws_on_both_scales_give_the_same_linear_predictor():
    frame = table(4)
    result = fitted(frame)
    posterior = result.draws["posterior"]
    user = np.column_stack((frame["age"], frame["sex"] == "M")).astype(float)
    by_user = posterior["intercept"].to_numpy()[..., None] + (
        posterior["coefficient"].to_numpy() @ user.T
    )
    by_design = posterior["intercept_standardized"].to_numpy()[..., None] + (
        posterior["coefficient_standardized"].to_numpy() @ result.design.matrix.T
    )
    np.testing.assert_allclose(by_user, by_design, atol=1e-9)


def test_fitting_changes_neither_the_table_nor_the_global_random_state():
    frame = table(5)
    copy = frame.copy(deep=True)
    cases = cases_of(frame)
    fit(cases, SPEC, draws=100, seed=1)
    pd.testing.assert_frame_equal(frame, copy)


def test_the_same_seed_repeats_a_fit_exactly():
    frame = table(6)
    first, second, other = fitted(frame), fitted(frame), fitted(frame, seed=2)
    np.testing.assert_array_equal(
        draws_of(first, "doctor_effect"), draws_of(second, "doctor_effect")
    )
    assert not np.array_equal(draws_of(first, "sd_doctor"), draws_of(other, "sd_doctor"))


def test_priors_without_numbers_are_given_the_data_and_kept_in_the_fit():
    result = fitted(table(7))
    prior = result.model.priors.intercept
    rate = result.cases.outcome.mean()
    assert isinstance(prior, Normal)
    assert prior.mean == pytest.approx(np.log(rate / (1 - rate)), rel=1e-12)
    assert "HalfNormal(1)" in str(result.model.priors.sd_doctor)


def test_a_tight_prior_of_the_sd_shrinks_every_doctor():
    wide = summary_of_effects(fitted(table(8)))
    tight = summary_of_effects(
        fitted(table(8), ModelSpec(case_mix="age + sex", priors=Priors(sd_doctor=HalfNormal(0.05))))
    )
    assert (np.abs(tight["mean"]) < np.abs(wide["mean"]) + 0.02).all()
    assert (tight["sd"] < 0.15).all()


def test_doctors_with_no_events_one_case_and_only_events_get_finite_sensible_results():
    frame = table(9)
    frame = pd.concat(
        [
            frame,
            pd.DataFrame({"doctor": "one", "age": [61.0], "sex": "F", "events": 1}),
            pd.DataFrame({"doctor": "zero", "age": 60.0 + np.arange(30), "sex": "F", "events": 0}),
            pd.DataFrame({"doctor": "all", "age": 60.0 + np.arange(10), "sex": "M", "events": 1}),
        ],
        ignore_index=True,
    )
    effects = summary_of_effects(fitted(frame, draws=1000))
    assert np.isfinite(effects).all(axis=None)
    assert effects.loc["zero", "mean"] < 0 < effects.loc["one", "mean"] < effects.loc["all", "mean"]
    assert effects.loc["one", "sd"] > effects["sd"].drop(["all", "one", "zero"]).max()


@pytest.mark.parametrize("draws", [0, 99, -5, 1000.0, True, "1000"])
def test_draws_that_cannot_be_are_refused(draws):
    with pytest.raises(SpecError, match="draws must be a whole number of at least 100"):
        fitted(table(1), draws=draws)


@pytest.mark.parametrize("seed", [-1, 1.5, None, False, "7"])
def test_seeds_that_cannot_be_are_refused(seed):
    with pytest.raises(SpecError, match="seed must be a whole number of at least 0"):
        fitted(table(1), seed=seed)


def test_an_unknown_engine_is_refused_with_a_hint():
    with pytest.raises(SpecError, match="Did you mean 'quadrature'"):
        fitted(table(1), engine="quadratur")


def test_a_formula_with_an_unknown_column_is_refused_before_anything_is_fitted():
    with pytest.raises(FormulaError, match="aeg"):
        fitted(table(1), ModelSpec(case_mix="aeg + sex"))


def test_an_outcome_that_does_not_fit_the_family_is_refused():
    frame = table(1, "gaussian")
    with pytest.raises(CasesError, match="only 0 and 1"):
        fitted(frame, ModelSpec(case_mix="age", family="bernoulli"))


def samples_by_hand(model, *, draws, seed):
    rng = np.random.default_rng(seed)
    return PosteriorSamples(
        intercept=rng.normal(size=draws),
        coefficient=rng.normal(size=(draws, model.matrix.shape[1])),
        sd_doctor=rng.gamma(2.0, 0.2, draws),
        doctor_effect=rng.normal(size=(model.n_doctors, draws)),
        dispersion=rng.gamma(2.0, 0.2, draws) if model.family == "negative_binomial" else None,
        n_chains=4,
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"family": "negative_binomial"}, "family 'negative_binomial'"),
        ({"family": "poisson", "doctor_effects": "student_t"}, "Student-t doctor effects"),
    ],
)
def test_what_the_fast_engine_does_not_cover_runs_by_nuts_and_says_so(monkeypatch, options, reason):
    monkeypatch.setattr("outcomekpi.engine.nuts.sample_nuts", samples_by_hand)
    spec = ModelSpec(case_mix="age + sex", **options)
    frame = table(1, "poisson")
    with pytest.warns(OutcomeKPIWarning, match=reason):
        result = fitted(frame, spec)
    assert result.engine == "nuts"


def test_asking_for_nuts_gives_nuts_without_a_warning(monkeypatch):
    monkeypatch.setattr("outcomekpi.engine.nuts.sample_nuts", samples_by_hand)
    assert fitted(table(1), engine="nuts").engine == "nuts"


def test_a_fit_says_what_it_is_in_one_line_and_escapes_names():
    result = fitted(table(2))
    assert "\n" not in repr(result)
    for part in ("bernoulli", "8 doctors", "240 cases", "400 draws by quadrature"):
        assert part in repr(result)
    assert result._repr_html_().startswith("<p><b>Fit: ")


def test_flat_priors_of_the_intercept_are_allowed():
    spec = ModelSpec(case_mix="age", priors=Priors(intercept=Flat()))
    assert np.isfinite(draws_of(fitted(table(3), spec), "intercept")).all()


@pytest.mark.parametrize(
    ("hospitals", "message"),
    [
        ("aaaaaa", "wants two hospitals or more; all 6 doctors belong to 'a'"),
        ("abcdef", "wants hospitals with several doctors; each of the 6 hospitals has one"),
    ],
)
@pytest.mark.parametrize("engine", ["quadrature", "nuts"])
def test_hospitals_that_nothing_is_known_about_are_refused(hospitals, message, engine):
    """sd_hospital was its prior, and tripled the intercept's SD."""
    rng = np.random.default_rng(1)
    doctor = np.repeat(list("uvwxyz"), 20)
    frame = pd.DataFrame(
        {
            "doctor": doctor,
            "hospital": np.repeat(list(hospitals), 20),
            "died": rng.integers(0, 2, doctor.size),
        }
    )
    cases = Cases.from_frame(frame, outcome="died", doctor="doctor", hospital="hospital")
    with pytest.raises(CasesError, match=message):
        fit(cases, ModelSpec(), engine=engine)
    apart = Cases.from_frame(frame, outcome="died", doctor="doctor")
    assert "sd_hospital" not in fit(apart, ModelSpec(), draws=200).draws["posterior"]
