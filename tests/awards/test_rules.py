import inspect
import re

import numpy as np
import pytest
from made_rules import EachAboveBar, NinetySixty
from numpy.testing import assert_allclose

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule, rule_cycles
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting


class Answers:
    """A rule that returns whatever it was given."""

    def __init__(self, answer):
        self.answer = answer

    def decide(self, results):
        return self.answer


def some_results(replicates=3, units=2, cycles=4):
    return CycleResults(events=np.ones((replicates, units, cycles)), trials=np.array(10))


def test_trials_take_the_shape_of_events_so_that_their_sums_are_right():
    results = some_results()
    assert results.trials.sum(axis=1).tolist() == [[20] * 4] * 3
    by_unit = CycleResults(events=np.ones((1, 2, 3)), trials=np.array([[10], [40]]))
    assert by_unit.trials.sum() == 150


def test_a_cycle_without_cases_has_no_rate():
    results = CycleResults(events=np.array([[[0, 1]]]), trials=np.array([[[0, 2]]]))
    assert np.isnan(results.rates[0, 0, 0])
    assert results.rates[0, 0, 1] == 0.5


def test_the_latest_cycles_are_the_last_ones():
    events = np.arange(6).reshape(1, 1, 6)
    assert CycleResults(events=events, trials=np.array(9)).latest(2).events.tolist() == [[[4, 5]]]


@pytest.mark.parametrize(
    ("events", "trials", "message"),
    [
        (np.ones((2, 3)), 10, r"\(replicate, unit, cycle\); got \(2, 3\)"),
        (np.ones((2, 3, 4)), np.ones(5), r"broadcast to the shape of events, \(2, 3, 4\); got \(5"),
    ],
)
def test_counts_of_the_wrong_shape_are_refused(events, trials, message):
    with pytest.raises(CasesError, match=message):
        CycleResults(events=events, trials=trials)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones(2), r"shape \(3,\), or .* shape \(3, 2\); got \(2,\)"),
        (1, r"got \(\)"),
        (np.ones((3, 2, 4), dtype=bool), r"got \(3, 2, 4\)"),
        (np.array(["up", "", "down"]), "numbers or True and False; got <U4"),
        (np.array([0, np.nan, np.inf]), "2 of 3 are not, the first in replicate 1"),
    ],
)
def test_what_a_rule_returns_is_checked(answer, message):
    with pytest.raises(SpecError, match=message):
        apply_rule(Answers(answer), some_results())


def test_something_without_decide_is_no_rule():
    with pytest.raises(SpecError, match=r"decide\(results\).*float has none"):
        apply_rule(0.9, some_results())
    assert not isinstance(0.9, Rule)
    assert isinstance(NinetySixty(), Rule)


@pytest.mark.parametrize("cycles", [0, 2.0, True, "2"])
def test_the_number_of_cycles_of_a_rule_must_be_whole(cycles):
    rule = Answers(0)
    rule.cycles = cycles
    with pytest.raises(SpecError, match="cycles must be a whole number of at least 1"):
        rule_cycles(rule)


def test_the_example_of_a_rule_has_five_lines_and_works_in_both_methods():
    code = re.findall(r"(?:>>>|\.\.\.) (.*)", inspect.getdoc(Rule))
    rule_lines = code[code.index("@dataclass(frozen=True)") :]
    assert len(rule_lines) == 5
    names = {}
    exec("\n".join(code), names)
    setting = Setting(levels=(0.85, 0.95), caseloads=(20,))
    exact = operating_characteristics(names["TooEasy"](), setting, method="exact").to_frame()
    drawn = operating_characteristics(names["TooEasy"](), setting, method="simulated").to_frame()
    # P(X > 18)^2 for X ~ Bin(20, p)
    one_cycle = np.array([20 * 0.85**19 * 0.15 + 0.85**20, 20 * 0.95**19 * 0.05 + 0.95**20])
    assert_allclose(exact["fires"], one_cycle**2, rtol=1e-12)
    # 4 standard errors: a false alarm once in 16,000
    assert (abs(drawn["fires"] - exact["fires"]) < 4 * drawn["mc_error"]).all()


def test_a_rule_about_units_works_in_both_methods_too():
    setting = Setting(levels=(0.6, 0.7), caseloads=(20,), n_cycles=1, icc=0.1)
    exact = operating_characteristics(EachAboveBar(), setting, method="exact").to_frame()
    drawn = operating_characteristics(EachAboveBar(), setting, method="simulated").to_frame()
    assert (abs(drawn["fires"] - exact["fires"]) < 4 * drawn["mc_error"]).all()


GOOD = {"levels": (0.5, 0.9), "caseloads": (20,)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": (90,)}, r"levels must lie between 0 and 1; got 90. Did you mean 0.9\?"),
        ({"levels": ()}, "levels must name at least one"),
        ({"levels": "0.9"}, "levels must be several values.*got '0.9'"),
        ({"levels": (0.5, 0.5)}, "each value once; 0.5 is doubled"),
        ({"caseloads": (0,)}, "caseloads must be a whole number of at least 1; got 0"),
        ({"caseloads": (20.5,)}, "got 20.5"),
        ({"n_units": 0}, "n_units must be a whole number of at least 1; got 0"),
        ({"icc": 1.0}, "icc must be a number of at least 0 and below 1; got 1.0"),
        ({"icc": 5}, r"Did you mean 0.05\?"),
        ({"persistence": -0.1}, "persistence must lie between 0 and 1"),
        ({"upper": 0.6, "lower": 0.9}, r"lower=0.9 and upper=0.6. Are they swapped\?"),
        ({"amount": np.nan}, "amount must be a number of at least 0; got nan"),
        ({"amount": -1}, "amount must be a number of at least 0; got -1"),
        ({"horizon": 1}, "horizon must be at least n_cycles, 2; got 1"),
        ({"horizon": 1000}, "horizon must be a whole number between 1 and 100, or None; got 1000"),
        ({"replicates": 1}, "replicates must be a whole number of at least 2; got 1"),
        ({"n_indicators": True}, "n_indicators must be a whole number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(change, message):
    with pytest.raises(SpecError, match=message):
        Setting(**GOOD | change)


def test_levels_and_caseloads_may_be_arrays_or_single_numbers():
    setting = Setting(levels=np.linspace(0, 1, 3), caseloads=np.int64(20))
    assert setting.levels == (0.0, 0.5, 1.0)
    assert setting.caseloads == (20,)


@pytest.mark.parametrize("icc", [0.001, 0.05, 0.6])
def test_the_beta_distribution_has_the_variance_that_the_icc_says(icc):
    a, b = Setting(levels=(0.8,), caseloads=(20,), icc=icc).beta_shapes(0.8)
    assert a / (a + b) == pytest.approx(0.8)
    assert a * b / (a + b) ** 2 / (a + b + 1) == pytest.approx(icc * 0.8 * 0.2)


def test_nobody_differs_without_icc_and_at_the_ends():
    assert Setting(**GOOD).beta_shapes(0.5) is None
    assert Setting(**GOOD | {"icc": 0.1}).beta_shapes(1.0) is None
