"""An evaluation: the same numbers as the verbs one by one, each computed once."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling import standardization


@pytest.fixture(scope="module")
def fit():
    cases = ok.datasets.load_synthetic_cases()
    return ok.fit(cases, ok.ModelSpec(case_mix="age"), draws=400)


@pytest.mark.parametrize("rule", [None, ok.FlagRule(probability=0.8), ok.FlagRule(threshold=0.2)])
def test_an_evaluation_holds_what_the_verbs_give(fit, rule):
    found = ok.evaluate(fit, rule)
    rates = ok.standardize(fit)
    by_hand = ok.doctor_table(
        fit,
        rates,
        ok.rank(rates),
        ok.classify(rates, ok.FlagRule(probability=rule.probability) if rule else None),
    )
    if rule is not None and rule.threshold is not None:
        by_hand["flag"] = ok.classify(rates, rule).flag
    pd.testing.assert_frame_equal(found.to_frame(), by_hand)
    assert "Evaluation of" in repr(found)


def test_tables_are_computed_once_and_nobody_can_change_them(fit, monkeypatch):
    found = ok.evaluate(fit)
    first = found.to_frame()
    first["cases"] = -1
    monkeypatch.setattr(standardization, "interval", None)  # a second time it would be called
    assert (found.to_frame()["cases"] > 0).all()
    with pytest.raises(TypeError):
        found.to_frame(level=0.8)


def test_a_report_takes_an_evaluation_or_its_parts(fit, tmp_path):
    found = ok.evaluate(fit, ok.FlagRule(threshold=0.2))
    one = ok.report(found, path=tmp_path / "one.html", checks=[])
    two = ok.report(
        found.fit,
        found.rates,
        found.ranks,
        found.flags,
        path=tmp_path / "two.html",
        checks=[],
        benchmark=found.against_benchmark.threshold,
    )
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(SpecError, match="an evaluation alone"):
        ok.report(found, found.rates, path=tmp_path / "three.html")
    with pytest.raises(SpecError, match="rates must be StandardizedRates"):
        ok.report(fit, path=tmp_path / "three.html")


def test_what_cannot_be_evaluated_is_refused(fit):
    with pytest.raises(SpecError, match="fit must be"):
        ok.evaluate(fit.cases)
    with pytest.raises(SpecError, match="rule must be"):
        ok.evaluate(fit, 0.95)
    assert np.isfinite(ok.evaluate(fit).to_frame()["reliability"]).all()
