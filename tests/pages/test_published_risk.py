"""The report says that a published risk entered with slope 1, and how far off it is."""

import re

import numpy as np
import pytest
from offset_worlds import read, world
from scipy.special import expit

import outcomekpi as ok
from outcomekpi.pages.published_risk import count_published_risk, explain_published_risk


def page_of(fit, path):
    rates = ok.standardize(fit)
    ok.report(fit, rates, ok.rank(rates), ok.classify(rates, ok.FlagRule()), path=path)
    text = re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def fit():
    frame, _, _ = world(n=3000, level=0.5)
    return ok.fit(
        read(frame.assign(risk=expit(frame["o"])), offset="risk", offset_scale="probability"),
        ok.ModelSpec(case_mix="x"),
        draws=1000,
    )


@pytest.mark.slow
def test_the_report_names_the_published_risk_wherever_adjustment_is_told(fit, tmp_path):
    page = page_of(fit, tmp_path / "report.html")
    assert "Adjusted for x, and risk, a published probability that enters with slope 1" in page
    assert "risk, a published probability, entered the model as an offset, with slope 1" in page
    assert "is adjusted for (x, and risk, a published probability that" in page


@pytest.mark.slow
def test_without_case_mix_nothing_is_not_what_was_adjusted_for(tmp_path):
    frame, _, _ = world(n=1500)
    page = page_of(ok.fit(read(frame), ok.ModelSpec(), draws=400), tmp_path / "report.html")
    assert "Nothing was adjusted for" not in page
    assert "Adjusted for o, a published linear predictor that enters with slope 1" in page


def test_the_published_number_of_events_stands_beside_the_observed_one(fit):
    [(label, text)] = count_published_risk(fit)
    expected, observed = expit(fit.cases.offset).sum(), fit.cases.outcome.sum()
    assert label == "Expected by risk"
    assert text == (
        f"{expected:,.1f} events; {observed:,.0f} were observed, "
        f"{observed / expected:.2f} times as many"
    )


def test_the_level_that_is_told_is_the_intercept(fit):
    [sentence] = explain_published_risk(fit, level=0.9)
    draws = fit.draws["posterior"]["intercept_standardized"].to_numpy()
    lower, upper = np.quantile(draws, [0.05, 0.95])
    assert "it is too low: outcomes lie" in sentence
    assert f"{draws.mean():.2f} from it in log odds (90% interval {lower:.2f} to {upper:.2f};" in (
        sentence
    )


@pytest.mark.parametrize(("level", "verdict"), [(-0.8, "too high"), (0.0, "about right")])
def test_a_published_risk_is_called_high_or_right(level, verdict):
    frame, _, _ = world(n=1500, level=level, sd=0.3)
    [sentence] = explain_published_risk(ok.fit(read(frame), ok.ModelSpec(), draws=400), level=0.95)
    assert f"For an average doctor it is {verdict}:" in sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "scale", "expected"),
    [
        ("poisson", "linear_predictor", " events; "),
        ("gaussian", "expected_value", "a mean of "),
        ("binomial", "linear_predictor", " events; "),
    ],
)
def test_every_family_has_its_words(family, scale, expected, tmp_path):
    frame, _, _ = world(family, n=1500)
    fit = ok.fit(read(frame, offset_scale=scale), ok.ModelSpec(family=family), draws=400)
    page = page_of(fit, tmp_path / "report.html")
    assert f"Expected by o {expected}" in page or expected in count_published_risk(fit)[0][1]
    if family == "poisson":
        total = (fit.cases.exposure * np.exp(frame["o"])).sum()
        assert f"{total:,.1f} events" in page


@pytest.mark.slow
def test_without_a_published_risk_nothing_is_said(tmp_path):
    frame, _, _ = world(n=900)
    cases = read(frame, offset=None, offset_scale=None)
    fit = ok.fit(cases, ok.ModelSpec(), draws=400)
    assert "published" not in page_of(fit, tmp_path / "report.html")
