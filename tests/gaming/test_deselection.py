from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from handmade import make_fit
from made_fits import fit_with_draws
from scipy.special import expit
from scipy.stats import norm

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.gaming.deselection import _rank_alone, deselect
from outcomekpi.profiling.classification import FlagRule, classify
from outcomekpi.profiling.standardization import standardize


def three_doctors(outcome=None, *, slope=0.0, x=None, **made):
    """Three doctors of 5, 4 and 1 cases, their fit without uncertainty about the case mix."""
    outcome = [1, 0, 1, 0, 0, 0, 0, 1, 0, 1] if outcome is None else outcome
    x = np.zeros(10) if x is None else np.asarray(x, dtype=float)
    return fit_with_draws(
        doctor_code=[0] * 5 + [1] * 4 + [2],
        outcome=outcome,
        effect=np.zeros((3, 40)),
        intercept=-0.5,
        sd_doctor=0.7,
        matrix=x[:, None],
        slope=np.full((1, 40), slope),
        **made,
    )


def rows(found, game="alone"):
    frame = found.to_frame()
    return frame[frame["game"] == game].set_index(["dropped", "doctor"])


def test_dropped_cases_leave_the_sums():
    frame = rows(deselect(three_doctors(), drop=(1, 2), everyone="no"))
    e = expit(-0.5)
    assert list(frame.loc[0, "observed"]) == [2, 1, 1]
    assert list(frame.loc[1, "observed"]) == [1, 0, 1]
    assert list(frame.loc[2, "observed"]) == [0, 0, 1]
    assert list(frame.loc[2, "cases"]) == [3, 2, 1]  # nobody drops his last case
    np.testing.assert_allclose(frame.loc[2, "expected"], np.array([3, 2, 1]) * e)
    np.testing.assert_allclose(frame.loc[1, "raw_rate"], [1 / 4, 0, 1])
    np.testing.assert_allclose(frame.loc[1, "oe_rate"], np.array([1 / 4, 0, 1]) / e * 0.4)


def test_who_could_not_drop_as_many_is_named():
    found = deselect(three_doctors(), drop=(1, 4), everyone="no")
    assert found.log == (
        "1 doctor could not drop 1: one case stays.",
        "2 doctors could not drop 4: one case stays.",
    )


@pytest.mark.parametrize("direction", ["lower", "higher"])
@pytest.mark.parametrize("worst", ["outcome", "residual", "risk"])
def test_the_first_to_go_is_the_worst_in_the_sense_that_was_named(worst, direction):
    x = [3.0, 1.0, -2.0, 0.0, -1.0, 0, 0, 0, 0, 0]
    fitted = three_doctors(slope=0.5, x=x, direction=direction)
    found = deselect(fitted, drop=(1,), worst=worst, everyone="no")
    e = expit(-0.5 + 0.5 * np.array(x[:5]))
    y = np.array([1, 0, 1, 0, 0])
    sign = 1 if direction == "lower" else -1
    score = {"outcome": sign * (y * 10 - e), "residual": sign * (y - e), "risk": sign * e}
    gone = int(np.argmax(score[worst]))
    assert rows(found).loc[(1, "D00000"), "expected"] == pytest.approx(np.delete(e, gone).sum())
    assert rows(found).loc[(1, "D00000"), "observed"] == y.sum() - y[gone]


def test_a_column_can_say_who_goes_first():
    fitted = three_doctors()
    cases = replace(fitted.cases, frame=fitted.cases.frame.assign(prior=np.arange(10.0)))
    fitted = replace(fitted, cases=cases)
    found = deselect(fitted, drop=(1,), worst="column", column="prior", everyone="no")
    assert list(rows(found).loc[1, "observed"]) == [2, 1, 1]  # the last cases, without events
    with pytest.raises(CasesError, match="no column 'hba1c'"):
        deselect(fitted, worst="column", column="hba1c", everyone="no")
    with pytest.raises(CasesError, match="must hold a number"):
        deselect(fitted, worst="column", column="doctor", everyone="no")


def test_the_posterior_without_dropped_cases_is_the_one_of_the_remaining_cases():
    # by brute force on a fine grid: doctor 0 keeps one event among four cases
    found = deselect(three_doctors(), drop=(1,), everyone="no")
    u = np.linspace(-6, 6, 40_001)
    density = norm.pdf(u, 0, 0.7) * expit(-0.5 + u) * expit(0.5 - u) ** 3
    density /= density.sum()
    ratio = expit(-0.5 + u) / expit(-0.5)
    row = rows(found).loc[(1, "D00000")]
    # a step of the grid is a tenth of the SD: tails to three digits
    assert row["mean"] == pytest.approx(0.4 * ratio @ density, abs=1e-5)
    cumulative = np.cumsum(density)
    wanted = [0.4 * ratio[np.searchsorted(cumulative, tail)] for tail in (0.025, 0.975)]
    assert row[["lower", "upper"]].tolist() == pytest.approx(wanted, abs=1e-3)
    assert row["p_worse"] == pytest.approx(density[u > 0].sum(), abs=1e-3)
    assert row["p_worse"] + row["p_better"] == pytest.approx(1)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_other_families_have_their_own_posterior(family):
    outcome = np.array([3, 0, 1, 0, 2, 1, 0, 4, 1, 2], dtype=float)
    made = {"family": family}
    if family == "poisson":
        made["exposure"] = np.full(10, 2.0)
    else:
        made["sd_residual"] = 1.2
    found = deselect(three_doctors(outcome, **made), drop=(1,), everyone="no")
    kept = np.array([0.0, 1.0, 0.0, 2.0])
    u = np.linspace(-6, 6, 40_001)
    if family == "poisson":
        e = 2 * np.exp(-0.5)
        log = kept.sum() * u - 4 * e * np.exp(u)
        rate, overall = np.exp(u), outcome.sum() / 20
    else:
        e = -0.5
        log = -0.5 * (((kept[:, None] - e - u) / 1.2) ** 2).sum(axis=0)
        rate, overall = u, outcome.mean()
    density = norm.pdf(u, 0, 0.7) * np.exp(log - log.max())
    density /= density.sum()
    wanted = overall * (rate @ density) if family == "poisson" else overall + rate @ density
    row = rows(found).loc[(1, "D00000")]
    assert row["mean"] == pytest.approx(wanted, abs=1e-5)
    assert row["expected"] == pytest.approx(4 * e)
    if family == "gaussian":
        assert row["oe_rate"] == pytest.approx(overall + kept.mean() + 0.5)


def test_without_dropping_the_plug_in_agrees_with_the_fit():
    fitted = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age + sex"))
    honest = rows(deselect(fitted, drop=(1,), everyone="no")).loc[0]
    rates = standardize(fitted).to_frame()
    # E adds up to P in each draw there, in the posterior mean here: second order in what differs
    np.testing.assert_allclose(honest["expected"], rates["expected"], rtol=1e-4)
    # what is plugged in is the doctor SD and the case mix: a few percent of the rates' spread
    np.testing.assert_allclose(honest["mean"], rates["mean"], atol=0.006)
    flags = classify(standardize(fitted))
    np.testing.assert_allclose(honest["p_worse"], flags.p_worse, atol=0.06)


def test_a_rank_is_counted_among_the_others_as_they_were():
    before = np.array([0.1, 0.2, 0.3, 0.3])
    rank, better = _rank_alone(np.array([0.1, 0.05, 0.1, 0.25]), before, True)
    np.testing.assert_allclose(rank, [1, 1, 1.5, 3])
    np.testing.assert_allclose(better, [0, 0, 0, 2])
    same, _ = _rank_alone(before, before, True)
    np.testing.assert_allclose(same, pd.Series(before).rank())
    high, _ = _rank_alone(before, before, False)
    np.testing.assert_allclose(high, pd.Series(before).rank(ascending=False))


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_dropping_the_worst_never_harms_a_doctor_alone(direction):
    fitted = make_fit(n_cases=400)
    fitted = replace(fitted, cases=replace(fitted.cases, direction=direction))
    frame = rows(deselect(fitted, worst="residual", everyone="no"))
    sign = 1 if direction == "lower" else -1
    oe = np.stack([frame.loc[k, "oe_rate"] for k in range(4)])
    assert (sign * np.diff(oe, axis=0) <= 1e-12).all()
    p_worse = np.stack([frame.loc[k, "p_worse"] for k in range(4)])
    observed = np.stack([frame.loc[k, "observed"] for k in range(4)])
    # who has no bad outcome left drops a good one, and is then better off with more patients
    bad_one = np.diff(observed, axis=0) == (-1 if direction == "lower" else 0)
    assert bad_one.mean() > 0.5
    assert (np.diff(p_worse, axis=0)[bad_one] < 0).all()
    for name in ("rank_oe", "rank_pe"):
        ranks = np.stack([frame.loc[k, name] for k in range(4)])
        assert (np.diff(ranks, axis=0)[bad_one] <= 0).all(), name


def test_relabelled_doctors_have_the_same_results():
    labels = ["zoe", "amy", "bob"]
    one = rows(deselect(three_doctors(), everyone="no")).loc[2]
    other = rows(deselect(three_doctors(labels=labels), everyone="no")).loc[2]
    np.testing.assert_allclose(one["mean"].to_numpy(), other["mean"].to_numpy())


def test_when_everyone_drops_the_model_is_fitted_again():
    fitted = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    found = deselect(fitted, drop=(2,), draws=400, seed=3)
    frame = rows(found, "everyone")
    caseload = fitted.cases.caseload
    left = frame.loc[2, "cases"]
    np.testing.assert_array_equal(left, np.maximum(caseload.reindex(left.index) - 2, 1))
    again = ok.fit(_without_worst(fitted, 2), fitted.spec, draws=400, seed=3)
    np.testing.assert_allclose(frame.loc[2, "mean"], standardize(again).to_frame()["mean"])
    summary = found.summary()
    assert list(summary.index) == [("alone", 0), ("alone", 2), ("everyone", 0), ("everyone", 2)]
    assert summary.loc[("everyone", 2), "places_oe"] == pytest.approx(0)
    assert summary.loc[("alone", 2), "places_oe"] > 1
    assert (summary.loc[[("alone", 0), ("everyone", 0)], "won_raw"] == 0).all()


def _without_worst(fitted, k):
    """The cases without each surgeon's k worst outcomes, by pandas."""
    table = fitted.cases.frame.copy()
    x = fitted.design.matrix[:, 0]
    posterior = fitted.draws["posterior"]
    slope = posterior["coefficient_standardized"].to_numpy().reshape(-1)
    intercept = posterior["intercept_standardized"].to_numpy().reshape(-1)
    table["e"] = expit(intercept + x[:, None] * slope).mean(axis=1)
    table = table.sort_values(["died", "e"], ascending=[False, True], kind="stable")
    place = table.groupby("surgeon").cumcount()
    size = table.groupby("surgeon")["died"].transform("size")
    kept = table[place >= np.minimum(k, size - 1)].sort_index()
    return ok.Cases.from_frame(kept, outcome="died", doctor="surgeon", direction="lower")


def hba1c_panels(seed=7):
    """HbA1c of 50 doctors with 40 patients each: 4 % of the variance between doctors.

    Hofer and others (1999) found at most that, and doctors who looked better by dropping the
    patients with the highest HbA1c of the year before.
    """
    rng = np.random.default_rng(seed)
    doctor = np.repeat(np.arange(50), 40)
    lasting = rng.normal(0, 1.0, doctor.size)
    age = rng.normal(60, 10, doctor.size)
    level = 7.8 + 0.3 * rng.normal(size=50)[doctor] - 0.01 * (age - 60) + lasting
    table = pd.DataFrame(
        {
            "doctor": [f"D{j:02d}" for j in doctor],
            "age": age,
            "last_year": level + 0.9 * rng.normal(size=doctor.size),
            "hba1c": level + 0.9 * rng.normal(size=doctor.size),
        }
    )
    cases = ok.Cases.from_frame(table, outcome="hba1c", doctor="doctor", direction="lower")
    return ok.fit(cases, ok.ModelSpec(case_mix="age", family="gaussian"), draws=400)


def test_pruning_by_last_year_pays_although_case_mix_is_adjusted_for():
    found = deselect(hba1c_panels(), worst="column", column="last_year", drop=(1, 3), everyone="no")
    summary = found.summary().loc["alone"]
    assert summary.loc[3, "places_oe"] > summary.loc[1, "places_oe"] > 0
    assert summary.loc[3, "oe_rate"] < summary.loc[1, "oe_rate"] < 0
    assert summary.loc[3, "won_oe"] >= 2
    assert summary.loc[3, "lost_oe"] == 0


def test_results_describe_themselves_and_widen_with_the_level():
    found = deselect(three_doctors(), drop=(1,), everyone="no")
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    narrow, wide = (found.to_frame(level=level) for level in (0.5, 0.99))
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()


def test_the_flag_rule_may_name_a_threshold():
    fitted = three_doctors()
    strict = deselect(fitted, drop=(1,), everyone="no", rule=FlagRule(threshold=0.9))
    assert (rows(strict)["p_worse"] < 0.2).all()
    # the overall rate is .4
    one = rows(deselect(fitted, drop=(1,), everyone="no", rule=FlagRule(threshold=0.4)))
    other = rows(deselect(fitted, drop=(1,), everyone="no"))
    np.testing.assert_allclose(one["p_worse"], other["p_worse"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"drop": ()}, "drop must name"),
        ({"drop": (0, 1)}, "drop must be a whole number of at least 1; got 0"),
        ({"drop": (1, 1)}, "different"),
        ({"worst": "outcom"}, "Did you mean 'outcome'"),
        ({"worst": "column"}, "column goes with"),
        ({"column": "age"}, "column goes with"),
        ({"award_share": 10}, "Did you mean 0.1"),
        ({"rule": FlagRule(fdr=0.1)}, "fdr flags all"),
        ({"everyone": "yes"}, "everyone must be"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(SpecError, match=says):
        deselect(three_doctors(), **{"everyone": "no", **options})


def test_fits_of_which_no_patient_can_be_dropped_are_refused():
    with pytest.raises(SpecError, match="aggregated rows"):
        deselect(three_doctors(family="binomial", trials=np.full(10, 2.0)), everyone="no")
    with pytest.raises(SpecError, match="negative binomial"):
        deselect(make_fit("negative_binomial"), everyone="no")
    with pytest.raises(SpecError, match="which outcome is bad"):
        deselect(three_doctors(direction=None), everyone="no")


def test_dropping_every_event_leaves_nothing_to_fit():
    with pytest.raises(SpecError, match="Nothing can be fitted after everyone dropped 2"):
        deselect(three_doctors([1, 0, 1, 0, 0, 0, 0, 1, 0, 0]), drop=(2,))
