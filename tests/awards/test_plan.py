"""Cases that awards need, and the table by caseload and reliability."""

import inspect
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_results import made_rates

from outcomekpi.awards.awards import (
    AbsoluteRule,
    PercentileRule,
    PosteriorRule,
    ProportionalRule,
    RelativeRule,
)
from outcomekpi.awards.choice import choose_threshold
from outcomekpi.awards.misclassification import misclassify
from outcomekpi.awards.normal_cuts import cut_misclassification
from outcomekpi.awards.plan import caseload_misclassification, plan_awards
from outcomekpi.declare.errors import SpecError
from outcomekpi.operating.award_scenarios import tabulate_awards
from outcomekpi.profiling.caseload import plan_caseload
from outcomekpi.profiling.reliability import Reliability

SHARES = ["sensitivity", "specificity", "ppv", "npv", "misclassified"]
KNOWN = {"mean": 0.68, "sd": 0.08}


def made_reliability(n_doctors=30):
    rng = np.random.default_rng(6)
    signal = rng.gamma(20, 1 / 20 / 33, (2, 200))
    names = [f"D{number}" for number in range(n_doctors)]
    cases = pd.Series(rng.integers(20, 200, n_doctors), index=pd.Index(names, name="doctor"))
    share = cases.to_numpy() * signal[..., None]
    return Reliability(
        method="latent",
        draws=xr.DataArray(
            share / (1 + share), dims=("chain", "draw", "doctor"), coords={"doctor": names}
        ),
        estimate=cases / (cases + 33),
        cases=cases,
        signal_per_case=xr.DataArray(signal, dims=("chain", "draw")),
        signal_estimate=1 / 33,
    )


@pytest.mark.parametrize(
    ("mean", "sd", "cases"),
    [(0.68, 0.08, 77), (0.20, 0.03, 412)],
)
def test_the_cases_for_reliability_seven_tenths_are_those_of_the_table(mean, sd, cases):
    plan = plan_awards(mean=mean, sd=sd, reliability=0.7)
    assert round(plan.to_frame().loc[("reliability", 0.7), "cases"]) == cases
    assert f"reliability 0.7: {cases}" in repr(plan)


@pytest.mark.parametrize(
    "cut",
    [{"share": 0.1}, {"bar": 0.75, "direction": "higher"}, {"bar": 0.6, "direction": "lower"}],
)
def test_at_the_cases_planned_each_goal_is_just_reached(cut):
    goals = {"ppv": (0.7, 0.85), "sensitivity": 0.85, "misclassified": (0.05, 0.1)}
    plan = plan_awards(**KNOWN, reliability=(), **goals, **cut)
    bar = {"share": 0.1}
    if "bar" in cut:
        distance = (cut["bar"] - 0.68) / 0.08
        bar = {"bar": distance if cut["direction"] == "higher" else -distance}
    for (goal, wanted), row in plan.to_frame().iterrows():
        reached = getattr(cut_misclassification(row["reliability"], **bar), goal).item()
        assert reached == pytest.approx(wanted, abs=1e-9)
        assert row["cases"] / (row["cases"] + 33) == pytest.approx(row["reliability"])


def test_the_exact_column_is_the_enumeration_at_the_cases_rounded_up():
    plan = plan_awards(**KNOWN, ppv=0.7, misclassified=0.1, bar=0.75, direction="higher")
    frame = plan.to_frame()
    n = int(np.ceil(frame.loc[("ppv", 0.7), "cases"]))
    found = caseload_misclassification(n, **KNOWN, bar=0.75, direction="higher")
    assert frame.loc[("ppv", 0.7), "exact"] == found.ppv.item()
    assert np.isnan(frame.loc[("reliability", 0.7), "exact"])
    # beta rates are not normal and counts have steps: .03 is what that costs here
    assert frame.loc[("ppv", 0.7), "exact"] == pytest.approx(0.7, abs=0.03)
    assert frame.loc[("misclassified", 0.1), "exact"] == pytest.approx(0.1, abs=0.03)


def test_a_high_ppv_of_a_strict_rule_says_that_hardly_anybody_is_awarded():
    plan = plan_awards(
        **KNOWN, reliability=(), ppv=0.8, bar=0.75, probability=0.8, direction="higher"
    )
    row = plan.to_frame().iloc[0]
    assert row["cases"] < 10
    assert row["awarded"] < 0.001


def test_an_estimated_reliability_gives_the_plan_of_the_profiling_room_and_its_interval():
    estimated = made_reliability()
    plan = plan_awards(estimated, reliability=(0.7, 0.9), ppv=0.7, share=0.1)
    frame = plan.to_frame()
    same = plan_caseload(estimated, targets=(0.7, 0.9)).to_frame()
    for name in ("cases", "lower", "upper", "doctors"):
        np.testing.assert_allclose(frame.loc["reliability", name], same[name])
    assert (frame["lower"] < frame["cases"]).all() and (frame["cases"] < frame["upper"]).all()
    assert frame["exact"].isna().all()
    narrow = plan.to_frame(level=0.5)
    assert (narrow["lower"] >= frame["lower"]).all() and (narrow["upper"] <= frame["upper"]).all()


def test_doctors_that_do_not_differ_need_endless_cases():
    estimated = made_reliability()
    zero = Reliability(
        method="anova",
        draws=estimated.draws,
        estimate=estimated.estimate,
        cases=estimated.cases,
        signal_per_case=0 * estimated.signal_per_case,
        signal_estimate=0.0,
    )
    frame = plan_awards(zero, reliability=0.7, ppv=0.5, share=0.1).to_frame()
    assert np.isinf(frame["cases"]).all()
    assert (frame["doctors"] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs reliability"),
        ({"mean": 0.5}, "both mean= and sd="),
        ({"mean": 0.5, "sd": 0.6}, "between 0 and sqrt"),
        ({**KNOWN, "reliability": ()}, "needs a goal"),
        ({**KNOWN, "reliability": 70}, r"Did you mean 0\.7"),
        ({**KNOWN, "ppv": 0.7}, "either share= or bar="),
        ({**KNOWN, "ppv": 0.7, "share": 0.1, "bar": 0.7}, "not both"),
        ({**KNOWN, "ppv": 0.7, "bar": 0.75}, "say which rates are awarded"),
        ({**KNOWN, "ppv": 0.7, "bar": 75, "direction": "higher"}, r"Did you mean 0\.75"),
    ],
)
def test_plans_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        plan_awards(**arguments)


def test_a_bar_needs_the_rates_that_it_is_compared_with():
    with pytest.raises(SpecError, match="give them"):
        plan_awards(made_reliability(), ppv=0.7, bar=0.7, direction="higher")
    with pytest.raises(SpecError, match="not both"):
        plan_awards(made_reliability(), **KNOWN)


# scenarios ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "cut"),
    [
        (AbsoluteRule(bar=0.75, direction="higher"), {"bar": 0.75}),
        (AbsoluteRule(bar=0.6, direction="lower"), {"bar": 0.6}),
        (
            PosteriorRule(bar=0.75, probability=0.7, direction="higher", prior=(0.68, 0.08)),
            {"bar": 0.75, "probability": 0.7},
        ),
    ],
)
def test_scenarios_agree_with_the_enumeration_within_monte_carlo_error(rule, cut):
    found = tabulate_awards(rule, **KNOWN, cases=(25, 77), replicates=1500, amount=100)
    long = found.long_frame()
    exact = caseload_misclassification((25, 77), **KNOWN, direction=rule.direction, **cut)
    wanted = exact.to_frame()
    for _, row in long[long["measure"].isin([*SHARES, "awarded"])].iterrows():
        # 36 comparisons: 4.5 standard errors
        error = max(4.5 * row["mc_error"], 1e-12)
        assert row["mean"] == pytest.approx(wanted.loc[row["cases"], row["measure"]], abs=error)
    frame = found.to_frame()
    over = 100 * 50 * (wanted["awarded"] * wanted["wrong_money"]).to_numpy()
    error = long.loc[long["measure"] == "overpaid", "mc_error"].to_numpy()
    assert (np.abs(frame["overpaid"].to_numpy() - over) < 4.5 * error + 1e-9).all()
    assert frame["reliability"].to_numpy() == pytest.approx([25 / 58, 0.7])


def test_the_best_tenth_of_many_doctors_follows_the_closed_form():
    rule = PercentileRule(share=0.1, direction="higher")
    found = tabulate_awards(
        rule, mean=0.5, sd=0.008, cases=4000, n_doctors=500, replicates=100
    ).to_frame()
    formula = cut_misclassification(found["reliability"].to_numpy(), share=0.1).to_frame()
    # 5,000 awards: standard error .007; .4 % of the doctors share the count at the edge
    for name in SHARES:
        assert found[name].item() == pytest.approx(formula[name].item(), abs=0.025), name


def test_with_many_doctors_an_estimated_prior_does_as_well_as_the_true_one():
    rule = PosteriorRule(bar=0.75, probability=0.7, direction="higher")
    wanted = caseload_misclassification(
        77, **KNOWN, bar=0.75, probability=0.7, direction="higher"
    ).to_frame()
    found = tabulate_awards(rule, **KNOWN, cases=77, n_doctors=2000, replicates=40).to_frame()
    # 16,000 deserving doctors: standard error .004
    for name in SHARES:
        assert found[name].item() == pytest.approx(wanted[name].item(), abs=0.016), name


def test_more_cases_and_more_spread_send_less_money_astray():
    for rule in (
        RelativeRule(factor=1.1, direction="higher"),
        ProportionalRule(share=0.2, direction="higher"),
    ):
        frame = tabulate_awards(
            rule, mean=0.68, sd=(0.05, 0.1), cases=(20, 80, 320), replicates=100
        ).to_frame()
        assert frame.shape[0] == 6
        for _, part in frame.groupby(level="sd"):
            assert part["ppv"].is_monotonic_increasing
            assert part["misclassified"].is_monotonic_decreasing


def test_shares_of_graded_awards_are_weighed_by_money():
    rule = ProportionalRule(share=0.2, direction="higher", prior=(0.68, 0.08))
    found = tabulate_awards(rule, **KNOWN, cases=77, n_doctors=40, replicates=200, amount=10)
    row, money = found.to_frame().iloc[0], 10 * 40
    assert row["awarded"] == pytest.approx(0.2)
    assert row["ppv"] == pytest.approx(1 - row["overpaid"] / (0.2 * money))
    assert row["sensitivity"] == pytest.approx(1 - row["withheld"] / (0.2 * money))
    assert row["misclassified"] == pytest.approx((row["overpaid"] + row["withheld"]) / money)
    long = found.long_frame().set_index("measure")
    assert (long["mc_error"] > 0).drop("awarded").all()
    assert ((long["lower"] <= long["mean"]) & (long["mean"] <= long["upper"])).all()


@dataclass(frozen=True)
class OfIndicator:
    def decide(self, results):
        return np.ones(results.events.shape[0])


def test_scenarios_that_cannot_be_are_refused():
    rule = PercentileRule(share=0.1, direction="higher")
    with pytest.raises(SpecError, match="at least one SD"):
        tabulate_awards(rule, mean=0.5, sd=(), cases=10)
    with pytest.raises(SpecError, match="between 0 and sqrt"):
        tabulate_awards(rule, mean=0.5, sd=0.7, cases=10)
    with pytest.raises(SpecError, match="about the indicator"):
        tabulate_awards(OfIndicator(), mean=0.5, sd=0.1, cases=10)


def test_scenarios_describe_themselves():
    rule = AbsoluteRule(bar=0.75, direction="higher")
    found = tabulate_awards(rule, **KNOWN, cases=(25, 77), replicates=50)
    assert "misclassified at reliability 0.43" in repr(found)
    assert "<table" in found._repr_html_()


def test_the_columns_of_each_result_are_the_ones_that_its_docstring_names():
    rates = made_rates(12, direction="lower")
    rule = AbsoluteRule(bar=0.1, direction="lower")
    wrong = misclassify(rates, rule)
    choice = choose_threshold(rates, by="fdr", bar=0.1, fdr=0.1)
    tables = [
        (cut_misclassification(0.7, share=0.1), "to_frame"),
        (wrong, "to_frame"),
        (wrong, "doctors_frame"),
        (choice, "to_frame"),
        (choice, "doctors_frame"),
        (plan_awards(**KNOWN), "to_frame"),
        (tabulate_awards(rule, **KNOWN, cases=20, replicates=20), "to_frame"),
    ]
    for result, method in tables:
        documented = set()
        for listed in re.findall(r"``([^`]+)``", inspect.getdoc(getattr(type(result), method))):
            documented |= {column.strip() for column in listed.split(",")}
        columns = set(getattr(result, method)().columns)
        assert columns <= documented, f"{type(result).__name__}.{method}"
