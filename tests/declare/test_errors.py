import pytest
from handmade import make_fit
from made_results import made_rates

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ok.fit([1, 2], ok.ModelSpec()), "cases must be Cases, as Cases.from_frame"),
        (lambda: ok.fit(ok.datasets.load_synthetic_cases(), "age"), "spec must be ModelSpec"),
        (lambda: ok.standardize(made_rates()), "fit must be Fit, as fit"),
        (lambda: ok.rank(make_fit("bernoulli")), "rates must be StandardizedRates"),
        (lambda: ok.classify(make_fit("bernoulli")), "rates must be StandardizedRates"),
        (lambda: ok.classify(made_rates(), 0.95), "rule must be FlagRule.*got float"),
        (
            lambda: ok.FlagRule(probability="high"),
            "probability must lie .*; got 'high'",
        ),
        (
            lambda: ok.FlagRule(threshold=True),
            "threshold must be a finite number.*got True",
        ),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named_with_what_makes_the_right_one(call, message):
    with pytest.raises(SpecError, match=message):
        call()


def test_results_in_the_wrong_order_are_told_apart(tmp_path):
    fit = make_fit("bernoulli")
    rates = ok.standardize(fit)
    flags, ranks = ok.classify(made_rates()), ok.rank(made_rates())
    with pytest.raises(SpecError, match=r"ranks must be Ranks, as rank.rates. gives.*got Class"):
        ok.report(fit, rates, flags, ranks, path=tmp_path / "r.html")
    assert not list(tmp_path.iterdir())
