"""Who is awarded by mistake, in closed form: by reliability and by caseload."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from outcomekpi.awards.beta_posteriors import known_prior
from outcomekpi.awards.normal_cuts import cut_misclassification
from outcomekpi.awards.plan import caseload_misclassification
from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.tiers import median_cut_misclassification

MEASURES = ["sensitivity", "specificity", "ppv", "npv"]


def test_a_median_cut_misclassifies_arccos_of_the_root_over_pi():
    reliability = np.linspace(0, 1, 21)
    found = cut_misclassification(reliability, share=0.5).misclassified
    np.testing.assert_allclose(found, np.arccos(np.sqrt(reliability)) / np.pi, atol=1e-12)
    np.testing.assert_allclose(found, median_cut_misclassification(reliability), atol=1e-12)
    assert cut_misclassification(0.5, share=0.5).misclassified.item() == pytest.approx(0.25)


def test_at_reliability_seven_tenths_two_fifths_of_the_top_tenth_bonuses_go_wrong():
    found = cut_misclassification(0.7, share=0.1).to_frame().iloc[0]
    assert round(found["wrong_money"], 2) == 0.40
    assert found["ppv"] == found["sensitivity"]
    # P(T > z | Z > z) by one-dimensional quadrature
    z, root = stats.norm.isf(0.1), np.sqrt(0.7)

    def density(t):
        return stats.norm.pdf(t) * stats.norm.sf((z - root * t) / np.sqrt(0.3))

    assert found["ppv"] == pytest.approx(integrate.quad(density, z, 12)[0] / 0.1, rel=1e-9)


def test_perfect_results_award_exactly_the_deserving_and_noise_awards_anybody():
    for cut in ({"share": 0.2}, {"bar": 0.7}, {"bar": 0.7, "probability": 0.8}):
        perfect = cut_misclassification(1.0, **cut).to_frame().iloc[0]
        np.testing.assert_allclose(perfect[MEASURES].astype(float), 1.0)
        assert perfect["misclassified"] == pytest.approx(0, abs=1e-12)
    noise = cut_misclassification(0.0, share=0.2)
    assert noise.ppv.item() == pytest.approx(0.2)
    assert noise.misclassified.item() == pytest.approx(2 * 0.2 * 0.8)
    nobody = cut_misclassification(0.0, bar=0.7, probability=0.8)
    assert nobody.awarded.item() == 0
    assert np.isnan(nobody.ppv.item())


@pytest.mark.parametrize(
    "cut", [{"share": 0.15}, {"bar": 0.8}, {"bar": -0.4}, {"bar": 0.8, "probability": 0.7}]
)
def test_the_formulas_agree_with_simulated_doctors(cut):
    rng = np.random.default_rng(12)
    size, reliability = 400_000, 0.6
    truth = rng.normal(size=size)
    result = truth + rng.normal(0, np.sqrt(1 / reliability - 1), size)
    if "share" in cut:
        awarded = result > np.quantile(result, 1 - cut["share"])
        deserving = truth > stats.norm.isf(cut["share"])
    else:
        deserving = truth > cut["bar"]
        p = stats.norm.sf(cut["bar"], reliability * result, np.sqrt(1 - reliability))
        awarded = p > cut["probability"] if "probability" in cut else result > cut["bar"]
    found = cut_misclassification(reliability, **cut).to_frame().iloc[0]
    # 400,000 doctors, of whom 5 % and more are in each group: standard errors below .0035
    simulated = {
        "sensitivity": awarded[deserving].mean(),
        "specificity": (~awarded[~deserving]).mean(),
        "ppv": deserving[awarded].mean(),
        "npv": (~deserving[~awarded]).mean(),
        "misclassified": (awarded != deserving).mean(),
        "awarded": awarded.mean(),
    }
    for name, value in simulated.items():
        assert found[name] == pytest.approx(value, abs=0.012), name


@settings(max_examples=50)
@given(
    share=st.floats(0.01, 0.99),
    pair=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_more_reliable_results_never_misclassify_more(share, pair):
    found = cut_misclassification(np.sort(pair), share=share)
    assert found.misclassified[1] <= found.misclassified[0] + 1e-12
    assert found.ppv[1] >= found.ppv[0] - 1e-12


@settings(max_examples=50)
@given(
    reliability=st.floats(0.05, 1),
    pair=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    probability=st.one_of(st.none(), st.floats(0.05, 0.95)),
)
def test_a_higher_bar_never_awards_more(reliability, pair, probability):
    low, high = sorted(pair)
    easy = cut_misclassification(reliability, bar=low, probability=probability)
    hard = cut_misclassification(reliability, bar=high, probability=probability)
    assert hard.awarded.item() <= easy.awarded.item() + 1e-12
    assert hard.deserving <= easy.deserving


# by caseload, on counts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cut", "direction"),
    [
        ({"bar": 0.75}, "higher"),
        ({"bar": 0.75, "probability": 0.7}, "higher"),
        ({"bar": 0.6}, "lower"),
        ({"share": 0.1}, "higher"),
        ({"share": 0.1}, "lower"),
    ],
)
def test_the_exact_table_agrees_with_simulated_counts(cut, direction):
    rng = np.random.default_rng(5)
    a, b = known_prior(0.68, 0.08)
    truth = rng.beta(a, b, 400_000)
    events = rng.binomial(77, truth)
    better = 1 if direction == "higher" else -1
    if "share" in cut:
        bar = np.quantile(better * truth, 0.9)
        deserving = better * truth > bar
        awarded = better * events >= np.quantile(better * events, 0.9, method="inverted_cdf")
    else:
        deserving = better * (truth - cut["bar"]) > 0
        awarded = better * (events / 77 - cut["bar"]) >= 0
    if "probability" in cut:
        awarded = stats.beta(a + events, b + 77 - events).sf(cut["bar"]) > cut["probability"]
    found = caseload_misclassification(77, mean=0.68, sd=0.08, direction=direction, **cut)
    row = found.to_frame().loc[77]
    assert row["reliability"] == pytest.approx(0.7)
    # 400,000 doctors, of whom 5 % and more are in each group: standard errors below .0035
    assert row["awarded"] == pytest.approx(awarded.mean(), abs=0.006)
    assert row["deserving"] == pytest.approx(deserving.mean(), abs=0.006)
    assert row["ppv"] == pytest.approx(deserving[awarded].mean(), abs=0.012)
    assert row["sensitivity"] == pytest.approx(awarded[deserving].mean(), abs=0.012)
    assert row["misclassified"] == pytest.approx((awarded != deserving).mean(), abs=0.006)


def test_counts_and_normal_theory_agree_where_caseloads_are_large():
    exact = caseload_misclassification(
        (2000, 8000), mean=0.5, sd=0.02, direction="higher", bar=0.52
    )
    normal = cut_misclassification(exact.reliability, bar=1.0)
    # beta rates with this small an SD are close to normal; counts have steps of 1/2000
    for name in (*MEASURES, "misclassified", "awarded"):
        np.testing.assert_allclose(getattr(exact, name), getattr(normal, name), atol=0.012)


def test_a_share_of_nobody_is_missing_and_not_what_rounding_leaves_of_it():
    # 9 SD below the mean everybody deserves the award: of the others nothing can be said
    low = cut_misclassification(np.linspace(0, 1, 101), bar=-9.0)
    assert low.deserving == 1
    assert np.isnan(low.specificity).all()
    # without information nobody reaches a bar above the mean with certainty
    assert np.isnan(cut_misclassification(0.0, bar=1.0, probability=0.9).ppv).all()


def test_tables_are_indexed_by_what_is_known():
    by_reliability = cut_misclassification([0.3, 0.7], share=0.1)
    assert by_reliability.to_frame().index.name == "reliability"
    by_cases = caseload_misclassification((25, 100), mean=0.2, sd=0.03, direction="lower", bar=0.17)
    assert by_cases.to_frame().index.tolist() == [25, 100]
    assert "misclassified at reliability 0.3" in repr(by_reliability)
    assert "below 0.17" in repr(by_cases)
    assert "<table" in by_cases._repr_html_()
    many = cut_misclassification(np.linspace(0.1, 0.9, 20), share=0.1)
    assert many._repr_html_().split("<tbody>")[1].count("<tr>") == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reliability": 0.7}, "either share or bar"),
        ({"reliability": 0.7, "share": 0.1, "bar": 0.0}, "not both"),
        ({"reliability": 1.2, "share": 0.1}, r"in \[0, 1\]"),
        ({"reliability": 0.7, "share": 10}, r"Did you mean 0\.1"),
        ({"reliability": 0.7, "share": 0.1, "probability": 0.9}, "give bar, not share"),
        ({"reliability": 0.7, "bar": np.inf}, "finite number"),
        ({"reliability": 0.7, "bar": 0.0, "probability": 95}, "between 0 and 1"),
    ],
)
def test_cuts_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        cut_misclassification(**arguments)


def test_caseloads_that_cannot_be_are_refused():
    known = {"mean": 0.68, "sd": 0.08, "direction": "higher"}
    with pytest.raises(SpecError, match="whole numbers from 1"):
        caseload_misclassification((0, 10), share=0.1, **known)
    with pytest.raises(SpecError, match="either share or bar"):
        caseload_misclassification(10, **known)
    with pytest.raises(SpecError, match=r"Did you mean 0\.75"):
        caseload_misclassification(10, bar=75, **known)
    with pytest.raises(SpecError, match=r"Did you mean 0\.68"):
        caseload_misclassification(10, share=0.1, mean=68, sd=0.08, direction="higher")
