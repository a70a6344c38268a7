from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import made_rates

from outcomekpi.declare.errors import OutcomeKPIWarning, SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.classification import FlagRule, classify, discoveries


def rates_with(draws, *, reference=0.1, direction="lower"):
    """Rates whose draws are (doctor, sample) as given."""
    draws = np.asarray(draws, dtype=float)
    rates = made_rates(draws.shape[0], direction=direction)
    shaped = draws.T[None]
    array = rates.draws[:1].isel(draw=np.zeros(draws.shape[1], dtype=int)).copy(data=shaped)
    return replace(rates, draws=array, reference_rate=reference)


def test_a_flag_needs_more_than_the_required_probability():
    # 19 of 20 draws beyond: exactly .95, which is not more than .95
    exactly = [[0.2] * 19 + [0.05], [0.2] * 20]
    flags = classify(rates_with(exactly), FlagRule(probability=0.95)).flag
    assert list(flags) == ["", "worse"]


def test_a_rate_at_the_threshold_is_on_neither_side():
    found = classify(rates_with([[0.1] * 10, [0.2] * 10]), FlagRule(threshold=0.1))
    assert found.p_worse.iloc[0] == 0
    assert found.p_better.iloc[0] == 0


def test_draws_of_single_precision_make_no_ties_with_the_benchmark():
    rates = rates_with([[0.1] * 10, [0.2] * 10])
    rates = replace(rates, draws=rates.draws.astype("float32"))
    found = classify(rates)
    np.testing.assert_array_equal(found.p_worse + found.p_better, 1.0)


@pytest.mark.parametrize(
    ("family", "threshold", "message"),
    [
        ("bernoulli", 25.0, "between 0 and 1; got 25. Did you mean 0.25"),
        ("binomial", 0.0, "between 0 and 1; got 0"),
        ("poisson", -0.5, "above 0 for counts; got -0.5"),
    ],
)
def test_a_threshold_that_no_rate_can_have_is_refused(family, threshold, message):
    with pytest.raises(SpecError, match=message):
        classify(made_rates(family=family), FlagRule(threshold=threshold))


def test_one_false_flag_is_singular():
    # three doctors, each flagged with probability two thirds
    found = classify(rates_with([[0.2, 0.2, 0.05]] * 3), FlagRule(probability=0.5))
    assert repr(found).endswith("; 1 false flag expected")


def test_the_threshold_is_the_overall_rate_unless_given():
    rates = made_rates(12)
    assert classify(rates).threshold == rates.reference_rate
    assert classify(rates, FlagRule(threshold=0.07)).threshold == 0.07


def test_directions_mirror_each_other():
    one = classify(made_rates(30, direction="lower"))
    two = classify(made_rates(30, direction="higher"))
    np.testing.assert_array_equal(one.p_worse, two.p_better)
    assert list(one.flag.replace({"worse": "better", "better": "worse"})) == list(two.flag)


def test_losses_replace_the_probability():
    assert FlagRule(loss_false_flag=3, loss_missed=1).required_probability == 0.75
    rates = made_rates(60)
    by_loss = classify(rates, FlagRule(loss_false_flag=3, loss_missed=1))
    by_probability = classify(rates, FlagRule(probability=0.75))
    assert list(by_loss.flag) == list(by_probability.flag)


@given(st.floats(0.01, 0.3), st.floats(0.0, 0.2))
def test_a_higher_threshold_never_raises_the_probability_of_exceeding_it(threshold, more):
    rates = made_rates(8)
    low = classify(rates, FlagRule(threshold=threshold))
    high = classify(rates, FlagRule(threshold=threshold + more))
    assert (high.p_worse <= low.p_worse).all()
    assert (high.p_better >= low.p_better).all()


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=9),
    st.floats(0.01, 0.5),
)
def test_discoveries_are_the_largest_set_within_the_rate(p_wrong, fdr):
    p_wrong = np.array(p_wrong)
    found = discoveries(p_wrong, fdr)
    if found.any():
        assert p_wrong[found].mean() <= fdr + 1e-12
    # brute force over the number flagged, most certain first
    ordered = np.sort(p_wrong)
    possible = [k for k in range(1, p_wrong.size + 1) if ordered[:k].mean() <= fdr]
    if possible and (p_wrong == ordered[max(possible) - 1]).sum() == 1:
        assert found.sum() == max(possible)


def test_the_false_discovery_rate_bounds_the_expected_share_of_wrong_flags():
    rates = made_rates(200)
    found = classify(rates, FlagRule(fdr=0.05))
    flagged = (found.flag != "").sum()
    assert flagged > 0
    assert found.expected_false_flags / flagged <= 0.05
    looser = classify(rates, FlagRule(fdr=0.2))
    assert (looser.flag != "").sum() >= flagged


def test_expected_false_flags_add_up_what_speaks_against_the_flags():
    found = classify(rates_with([[0.2] * 19 + [0.05], [0.2] * 20]), FlagRule(probability=0.9))
    assert found.expected_false_flags == pytest.approx(0.05)


def test_flags_from_observed_over_expected_come_with_a_warning():
    rates = replace(made_rates(12), measure="O/E")
    with pytest.warns(OutcomeKPIWarning, match="take the observed events as certain"):
        classify(rates)


def test_classification_is_refused_without_a_direction():
    with pytest.raises(SpecError, match="direction"):
        classify(made_rates(12, direction=None))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"probability": 1.0}, "probability"),
        ({"probability": 95}, "probability"),
        ({"threshold": float("nan")}, "threshold"),
        ({"loss_missed": 1}, "both"),
        (
            {"loss_missed": 1, "loss_false_flag": -1},
            "loss_false_flag must be a number above 0, or None; got -1",
        ),
        ({"fdr": 0.0}, "fdr"),
        ({"fdr": 0.1, "loss_missed": 1, "loss_false_flag": 1}, "not both"),
    ],
)
def test_impossible_rules_are_refused(rule, message):
    with pytest.raises(SpecError, match=message):
        FlagRule(**rule)


def test_columns_and_probabilities_come_from_the_draws():
    rates = made_rates(12)
    found = classify(rates)
    frame = found.to_frame(level=0.9)
    assert list(frame.columns) == ["mean", "lower", "upper", "p_worse", "p_better", "flag"]
    values = flatten_draws(rates.draws)
    np.testing.assert_allclose(frame["p_worse"], (values > rates.reference_rate).mean(axis=1))
    np.testing.assert_allclose(frame["lower"], np.quantile(values, 0.05, axis=1))
    assert "false flags expected" in repr(found)
    assert "Classification" in found._repr_html_()
