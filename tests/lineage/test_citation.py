"""How the package is cited, and the methods that results used."""

import datetime
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_results import PROVENANCE, made_rates

import outcomekpi as ok
from outcomekpi.lineage.citation import (
    find_reference,
    load_references,
    parse_references,
    plain_text,
)
from outcomekpi.lineage.registry import Use, find_methods, load_methods, parts_of

ROOT = Path(__file__).parents[2]
FAST = {"engine": "quadrature", "family": "bernoulli", "doctor_effects": "normal"}


def keys(text):
    """Keys of the entries of a BibTeX text, in their order."""
    return re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)


def rates_of(**model):
    return replace(made_rates(12), provenance=replace(PROVENANCE, model=model))


@pytest.fixture(scope="module")
def fit():
    return ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=200)


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(3)
    months = pd.period_range("2023-01", periods=36, freq="M").astype(str)
    return pd.DataFrame({"month": months, "rate": rng.normal(50, 2, 36), "cases": 200})


def compare(series, **options):
    design = ok.InterruptedSeries(outcome="rate", time="month", start="2024-07", **options)
    return ok.compare_pilot(series, design)


# the package --------------------------------------------------------------------------------------


def test_the_citation_names_the_version_that_is_installed():
    assert f"(version {ok.__version__})" in ok.cite()
    assert ok.cite(style="bibtex").startswith("@software{outcomekpi,")
    assert "{{The outcomekpi developers}}" in ok.cite(style="bibtex")
    with pytest.raises(ok.SpecError, match="Did you mean 'bibtex'"):
        ok.cite(style="bibtx")


def test_the_citation_file_fulfils_what_its_format_requires():
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    required = {"cff-version", "message", "title", "authors"}
    allowed = required | {"abstract", "type", "version", "date-released", "license", "keywords"}
    assert required <= set(found) <= allowed
    assert found["cff-version"] == "1.2.0"
    assert found["type"] in ("software", "dataset")
    # an author is a person with family-names, or an entity with a name
    assert all({"name"} == set(one) or "family-names" in one for one in found["authors"])
    assert isinstance(found["date-released"], datetime.date)
    assert len(set(found["keywords"])) == len(found["keywords"])


def test_the_citation_file_says_what_cite_says():
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    bibtex = ok.cite(style="bibtex")
    assert f"title   = {{{found['title']}}}" in bibtex
    assert f"version = {{{found['version']}}}" in bibtex
    assert f"year    = {{{found['date-released'].year}}}" in bibtex
    assert found["authors"][0]["name"] in bibtex


# what results used --------------------------------------------------------------------------------


def test_a_fit_cites_its_model_and_the_fast_engine_and_no_markov_chain(fit):
    cited = keys(ok.cite(fit))
    assert cited[:2] == ["outcomekpi", "normand1997"]
    assert {"pinheiro1995", "louis1982", "tierney1986", "vehtari2024"} <= set(cited)
    assert not {"hoffman2014", "abrilpla2023", "harville1977"} & set(cited)


def test_rates_and_ranks_know_the_engine_of_their_fit(fit):
    rates = ok.standardize(fit)
    for result in (rates, ok.rank(rates), ok.classify(rates), ok.funnel_limits(rates)):
        assert set(keys(ok.cite(fit))) <= set(keys(ok.cite(result)))
    assert "laird1989" in keys(ok.cite(ok.rank(rates)))


def test_every_result_of_a_fit_keeps_its_record(fit):
    rates = ok.standardize(fit)
    made = (
        *(ok.rank(rates), ok.funnel_limits(rates), ok.r_values(rates), ok.report_card(rates)),
        *(ok.reliability(fit), ok.exact_test(fit), ok.describe_variation(fit)),
        *(ok.divergence_test(fit, draws=200), ok.misclassify_tiers(rates, shares=(0.5, 0.5))),
    )
    for result in made:
        assert ok.provenance(result) is fit.provenance
    assert ok.count_limits(pd.Series([3]), pd.Series([2.0])).provenance is None


def test_the_no_u_turn_sampler_is_cited_where_it_ran():
    cited = keys(ok.cite(rates_of(engine="nuts", family="bernoulli")))
    assert {"hoffman2014", "papaspiliopoulos2007", "abrilpla2023", "vehtari2021"} <= set(cited)
    assert not {"pinheiro1995", "vehtari2024"} & set(cited)


def test_measurements_cite_the_linear_mixed_model():
    cited = keys(ok.cite(rates_of(**FAST | {"family": "gaussian"})))
    assert {"lindley1972", "harville1977", "vehtari2024"} <= set(cited)
    assert "pinheiro1995" not in cited


def test_a_fit_with_doctor_means_and_half_t_priors_cites_them():
    spec = ok.ModelSpec(mundlak=True, priors=ok.Priors(sd_doctor=ok.HalfStudentT(3, 1.0)))
    assert {"mundlak1978", "gelman2006"} <= used_by(spec)
    assert not {"mundlak1978", "gelman2006"} & used_by(ok.ModelSpec())


def used_by(record):
    """Keys that the registry leads to from one record, whether or not it is a result."""
    return {
        source.key
        for method in load_methods()
        for use in method.uses
        for part in parts_of(record)
        if use.result == type(part).__name__ and use.holds(part)
        for source in method.sources
    }


def test_the_funnel_cites_overdispersion_where_it_was_allowed_for():
    rates = rates_of(**FAST)
    plain, additive, multiplicative, predictive = (
        set(keys(ok.cite(ok.funnel_limits(rates, overdispersion=kind))))
        for kind in ("none", "additive", "multiplicative", "predictive")
    )
    assert additive - plain == {"spiegelhalter2005overdispersion", "dersimonian1986"}
    assert multiplicative - plain == {"spiegelhalter2005overdispersion"}
    assert predictive == plain
    assert "spiegelhalter2005funnel" in plain


def test_flags_cite_losses_and_false_discoveries_only_where_these_decided():
    rates = rates_of(**FAST)
    assert "muller2004" not in keys(ok.cite(ok.classify(rates)))
    assert "muller2004" in keys(ok.cite(ok.classify(rates, rule=ok.FlagRule(fdr=0.1))))
    by_losses = ok.FlagRule(loss_false_flag=4, loss_missed=1)
    assert "muller2004" in keys(ok.cite(ok.classify(rates, rule=by_losses)))


def test_reliability_cites_the_method_that_was_chosen(fit):
    assert "he2019" in keys(ok.cite(ok.reliability(fit, method="iur")))
    assert "he2019" not in keys(ok.cite(ok.reliability(fit)))


def test_a_series_cites_what_its_method_needs(series):
    reml, bayes = (set(keys(ok.cite(compare(series, method=name)))) for name in ("reml", "bayes"))
    assert {"lopezbernal2017", "kenward1997"} <= reml
    assert "lopezbernal2017" in bayes
    assert "kenward1997" not in bayes
    assert "wolfinger1993" not in reml
    counts = ok.compare_pilot(
        series.assign(events=series["rate"].round()),
        ok.InterruptedSeries(
            outcome="events", time="month", start="2024-07", family="binomial", trials="cases"
        ),
    )
    assert {"kenward1997", "wolfinger1993"} <= set(keys(ok.cite(counts)))


def test_patients_before_and_after_cite_the_split_only_where_there_is_one():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "period": np.repeat(["old", "new"], 200),
            "doctor": np.tile(np.repeat(list("ABCDEFGH"), 25), 2),
            "age": rng.normal(60, 9, 400),
            "good": rng.integers(0, 2, 400),
        }
    )
    settings = {"outcome": "good", "period": "period", "after": "new", "doctor": "doctor"}
    plain = keys(ok.cite(ok.compare_pilot(frame, ok.BeforeAfter(**settings))))
    split = keys(ok.cite(ok.compare_pilot(frame, ok.BeforeAfter(**settings, case_mix="age"))))
    assert {"bell2002", "pustejovsky2018"} <= set(plain)
    assert set(split) - set(plain) == {"kitagawa1955", "mackinnon2023"}
    frame.loc[[210, 250, 300], "good"] = np.nan
    missing = keys(ok.cite(ok.compare_pilot(frame, ok.BeforeAfter(**settings))))
    assert {"manski1990", "horowitz2000"} == set(missing) - set(plain)


def test_published_figures_cite_priors_of_biases_only_where_these_were_used():
    figures = ok.PublishedFigures(unit="percent", before=43, after=68, years=2)
    with_priors, without = (
        keys(ok.cite(ok.compare_pilot(figures, ok.PublishedAggregates(priors=priors))))
        for priors in (ok.AggregatePriors(), None)
    )
    assert set(with_priors) - set(without) >= {"greenland2005"}
    assert "vanderweele2017" in without


@pytest.mark.parametrize(
    ("design", "wanted", "unwanted"),
    [
        ({"estimator": "callaway_santanna"}, {"callaway2021"}, {"sun2021", "wooldridge2023"}),
        ({"estimator": "event_study"}, {"sun2021"}, {"callaway2021"}),
        ({"estimator": "etwfe", "family": "logit", "trials": "n"}, {"wooldridge2023"}, {"sun2021"}),
        ({"inference": "wild_bootstrap"}, {"cameron2008"}, {"callaway2021"}),
        ({}, set(), {"callaway2021", "sun2021", "wooldridge2023", "cameron2008"}),
    ],
)
def test_every_estimator_of_differences_has_its_own_source(design, wanted, unwanted):
    made = ok.DifferenceInDifferences(
        outcome="y", unit="unit", time="time", start="start", **{"estimator": "2x2"} | design
    )
    assert wanted <= used_by(made)
    assert not unwanted & used_by(made)


@pytest.mark.parametrize(
    ("design", "wanted", "unwanted"),
    [
        ({}, {"hussey2007", "kenny2022", "kenward1997"}, set()),
        ({"effect": "constant"}, {"hussey2007", "kenward1997"}, {"kenny2022"}),
        (
            {"effect": "constant", "inference": "randomization"},
            {"hussey2007"},
            {"kenny2022", "kenward1997"},
        ),
    ],
)
def test_a_stepped_wedge_cites_its_effect_model_and_its_errors(design, wanted, unwanted):
    made = ok.SteppedWedge(outcome="y", unit="ward", time="t", start="s", **design)
    assert wanted <= used_by(made)
    assert not unwanted & used_by(made)


def test_a_rule_within_a_result_is_cited_with_it():
    setting = ok.Setting(levels=(0.7,), caseloads=(20,))
    qof = ok.operating_characteristics(ok.programs.QofRule(), setting)
    posterior = ok.operating_characteristics(
        ok.PosteriorRule(bar=0.6, probability=0.8, direction="higher", prior=(0.6, 0.1)), setting
    )
    assert "qof2025" in keys(ok.cite(qof))
    assert "qof2025" not in keys(ok.cite(posterior))
    assert not {"kleinman1973", "morris1983"} & set(keys(ok.cite(posterior)))


def test_regression_to_the_mean_cites_the_way_that_was_taken():
    closed = ok.regression_to_mean(
        cutoff=40, side="below", population=ok.BaselinePopulation(mean=60, sd=15, reliability=0.5)
    )
    assert keys(ok.cite(closed))[1:] == ["barnett2005"]
    sweep = ok.sweep_population_means([8.0, 8.5, 9.0], [7.0, 8.0, 9.0], means=[7.0])
    assert keys(ok.cite(sweep))[1:] == ["mee1991", "ostermann2008"]


# the form of a citation ---------------------------------------------------------------------------


def test_each_source_is_cited_once_in_the_order_of_the_registry(fit):
    rates = ok.standardize(fit)
    results = (fit, rates, ok.rank(rates), ok.funnel_limits(rates, overdispersion="additive"))
    text = ok.cite(*results)
    assert ok.cite(*reversed(results)) == text == ok.cite(*results, *results)
    assert len(set(keys(text))) == len(keys(text))
    in_order = [s.key for m in find_methods(*results) for s in m.sources]
    assert keys(text)[1:] == list(dict.fromkeys(in_order))


def test_each_entry_follows_a_line_that_says_what_it_was_used_for(fit):
    text = ok.cite(ok.funnel_limits(ok.standardize(fit), overdispersion="additive"))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("@"):
            assert lines[number - 1].startswith("% used for: ")
    assert "% used for: overdispersion of the funnel\n@article{spiegelhalter2005over" in text
    # a source of two methods is there once, for both
    assert "% used for: hierarchical model of doctors; indirect standardization\n" in text
    assert parse_references(text).keys() == set(keys(text))


def test_a_place_in_the_source_is_named_where_one_is_known(fit):
    assert "(section 5)\n@article{trefethen2014," in ok.cite(fit)


def test_methods_of_this_package_are_named_with_it():
    text = ok.cite(ok.classify(rates_of(**FAST)))
    assert text.splitlines()[0] == (
        "% used for: all numbers; its own: flags by posterior probability"
    )


def test_with_results_bibtex_is_what_comes_unless_text_is_asked_for(fit):
    assert ok.cite(fit) == ok.cite(fit, style="bibtex")
    text = ok.cite(fit, style="text")
    assert not text.count("@")
    assert text.startswith(ok.cite())
    assert len(text.splitlines()) == len(keys(ok.cite(fit)))
    assert "doi:10.1080/01621459.1997.10474036" in text


def test_what_is_no_result_is_refused_with_its_position(fit):
    with pytest.raises(ok.SpecError, match="no result of type DataFrame \\(result 2 of 2\\)"):
        ok.cite(fit, pd.DataFrame())


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"unit": "percent"}, True),
        ({"unit": ["fraction", "percent"]}, True),
        ({"unit": "fraction"}, False),
        ({"unit": {"none_of": ["fraction"]}}, True),
        ({"unit": {"contains": "perc"}}, True),
        ({"unit": {"longer_than": 7}}, False),
        ({"before": {"given": True}}, True),
        ({"change": {"given": True}}, False),
        ({"change": {"given": False}}, True),
        ({"before": 43.0, "after": 68.0}, True),
        ({"before": 43.0, "after": 69.0}, False),
        ({"nothing.of.the.kind": {"given": False}}, False),
        ({}, True),
    ],
)
def test_a_condition_holds_where_it_says(when, holds):
    figures = ok.PublishedFigures(unit="percent", before=43, after=68)
    assert Use(result="PublishedFigures", when=when).holds(figures) is holds


# the bibliography ---------------------------------------------------------------------------------


def test_a_reference_reads_as_one_line_without_commands():
    assert find_reference("muller2004").to_text().startswith("Müller, Peter; Parmigiani, Giovanni;")
    assert find_reference("silber2010").to_text().startswith("Silber, Jeffrey H.;")
    assert "et al. (2010)." in find_reference("silber2010").to_text()
    for reference in load_references().values():
        text = reference.to_text()
        assert not re.search(r"[{}\\$]|  |\.\.", text), text
        assert "\n" not in text


def test_accents_of_bibtex_become_letters():
    assert plain_text(r"M{\"u}ller, Sk{\"o}ld, Jos{\'e}, Roc{\'\i}o, H{\aa}vard, {\O}rregaard") == (
        "Müller, Sköld, José, Rocío, Håvard, Ørregaard"
    )


def test_an_unknown_key_gets_a_hint():
    with pytest.raises(ok.SpecError, match="Did you mean 'normand1997'"):
        find_reference("normand1998")


def test_the_bibliography_comes_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["docs/references.bib"] == "outcomekpi/references.bib"
