import re
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from made_fits import fit_with_draws
from made_results import made_rates
from report_pages import HOSTILE, Outline, judged, made_fit, written

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.pages.bar import name_bar
from outcomekpi.pages.document import report
from outcomekpi.pages.listing import list_doctors
from outcomekpi.pages.masking import mask_counts
from outcomekpi.pages.numbers import decimal, probability, rate_style
from outcomekpi.pages.sketches import sketch_funnel


def test_the_report_returns_the_path_and_answers_in_its_first_sentence(tmp_path):
    fit = made_fit()
    results = judged(fit)
    path = report(*results, path=str(tmp_path / "deep" / "r.html"), checks=())
    assert path == tmp_path / "deep" / "r.html"
    n_flagged = int((results[3].flag != "").sum())
    assert n_flagged > 1
    assert f"<strong>{n_flagged} of 8 doctors stand out.</strong>" in path.read_text("utf-8")


def test_the_report_loads_nothing_from_anywhere(page):
    outline = Outline(page)
    links = [value for _, name, value in outline.attributes if name in ("src", "href", "action")]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert "link" not in outline.tags
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:image/[^\"]*", "", page))
    policy = next(value for _, name, value in outline.attributes if value.startswith("default-src"))
    assert "default-src 'none'" in policy


def test_every_inner_link_has_its_target_and_no_id_is_used_twice(page):
    outline = Outline(page)
    targets = [value[1:] for _, name, value in outline.attributes if name == "href"]
    assert set(targets) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))


def test_the_report_has_every_section_that_was_promised(page):
    for anchor in (
        *("answer", "asked", "cases", "doctors", "pictures", "checks", "model", "reading"),
        *("limits", "provenance"),
    ):
        assert f'<h2 id="{anchor}">' in page
    for name in ("funnel", "caterpillar", "ranks", "shrinkage", "reliability", "sd"):
        assert f'<figure id="figure-{name}">' in page


def test_hostile_names_are_text_everywhere(tmp_path):
    page = written(made_fit(labels=HOSTILE), tmp_path, title="<script>alert(0)</script>")
    outline = Outline(page)
    assert outline.tags.count("script") == 1
    assert outline.tags.count("img") == outline.tags.count("figure")
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    text = "".join(outline.text)
    for label in HOSTILE:
        assert label in text


def test_the_table_has_every_doctor_once_with_the_numbers_of_doctors_csv(tmp_path):
    results = judged(made_fit(n_doctors=15))
    fit, rates, ranks, flags = results
    table = ok.doctor_table(fit, rates, ranks, flags)
    page = report(*results, path=tmp_path / "r.html", checks=()).read_text("utf-8")
    body = page[page.index("<tbody") : page.index("</tbody>")]
    rows = re.findall(r"<tr.*?</tr>", body, flags=re.S)
    assert len(rows) == 15
    for row in rows:
        doctor = re.search(r'<th scope="row">(.*?)</th>', row)[1]
        values = [float(v) for v in re.findall(r'data-v="([^"]+)"', row)]
        wanted = table.loc[doctor]
        names = ["cases", "observed", "expected", "rate", "rate_lower", "rate_upper", "p_worse"]
        assert np.allclose(values[:7], wanted[names].astype(float), rtol=1e-5)
        assert (f'class="{wanted["flag"]}"' in row) == bool(wanted["flag"])


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "word"), [("lower", "above"), ("higher", "below")])
def test_the_worse_side_follows_the_direction(tmp_path, direction, word):
    fit = made_fit(direction=direction)
    page = written(fit, tmp_path)
    assert f"Stands out as worse: a rate {word}" in page
    rates = ok.standardize(fit).to_frame()["mean"]
    worst = rates.idxmax() if direction == "lower" else rates.idxmin()
    first = re.search(r'<th scope="row">(.*?)</th>', page)[1]
    assert first == worst


def test_when_nobody_stands_out_the_report_says_so_and_names_who_comes_closest(tmp_path):
    near = made_fit(seed=4)
    even = fit_with_draws(
        doctor_code=near.cases.doctor_code,
        outcome=near.cases.outcome,
        effect=np.random.default_rng(1).normal(0, 0.5, (8, 200)),
        intercept=np.full(200, -1.0),
        sd_doctor=0.5,
    )
    page = written(even, tmp_path, rule=ok.FlagRule(threshold=even.cases.outcome.mean()))
    assert "None of 8 doctors stands out." in page
    assert "Closest to it come D0000" in page
    assert 'id="doctor-only"' not in page


def test_without_checks_the_report_says_that_none_were_run(page):
    assert "No checks of the model were run" in page


def test_a_failed_check_is_named_before_the_verdicts(tmp_path):
    table = ok.CheckResult(name="a", passed=True, verdict="v", table=made_rates(3).to_frame())
    failed = ok.CheckResult(
        name="Bends < badly", passed=False, verdict="p < .01", table=table.table
    )
    page = written(made_fit(), tmp_path, checks=[table, failed])
    assert "1 of 2 checks failed: Bends &lt; badly." in page
    assert '<li class="failed"><strong>Bends &lt; badly: failed.</strong> p &lt; .01' in page


@pytest.mark.slow
def test_quick_checks_run_by_themselves_on_a_small_table(tmp_path):
    fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    page = report(*judged(fit), path=tmp_path / "r.html").read_text("utf-8")
    assert page.count('<li class="passed">') + page.count('<li class="failed">') == 4
    assert 'id="figure-calibration"' in page
    assert 'id="figure-predictive"' in page


@pytest.mark.slow
def test_all_priors_that_were_used_are_printed(tmp_path):
    fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    page = written(fit, tmp_path)
    for prior in (
        fit.model.priors.intercept,
        fit.model.priors.coefficient,
        fit.model.priors.sd_doctor,
    ):
        assert str(prior) in page


@pytest.mark.slow
def test_a_prior_that_looks_at_the_data_is_not_called_one_from_before(tmp_path):
    cases = ok.datasets.load_synthetic_cases()
    page = written(ok.fit(cases, ok.ModelSpec(), draws=400), tmp_path)
    assert "centered at the rate observed in these very cases" in page
    assert "before the data" not in page.split("<h3>Priors</h3>")[1]
    apart = ok.ModelSpec(priors=ok.Priors(intercept=ok.Normal(-2.0, 1.0)))
    page = written(ok.fit(cases, apart, draws=400), tmp_path)
    assert "is centered at" not in page


@pytest.mark.slow
def test_what_was_excluded_is_told(tmp_path):
    frame = ok.datasets.load_synthetic_cases().frame.copy()
    frame.loc[frame.index[:7], "died"] = np.nan
    cases = ok.Cases.from_frame(
        frame, outcome="died", doctor="surgeon", direction="lower", missing="drop"
    )
    page = written(ok.fit(cases, ok.ModelSpec(), draws=400), tmp_path)
    assert cases.log
    for line in cases.log:
        assert line.split("'")[0] in page
    assert "Nothing was excluded" not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "column", "unit"),
    [
        ("poisson", "Standardized rate, per 100 patient-days", "over patient-days"),
        ("gaussian", "Standardized mean, in y", "60."),
    ],
)
def test_counts_and_measurements_are_written_in_their_units(tmp_path, family, column, unit):
    page = written(made_fit(family=family), tmp_path)
    assert column in page
    assert unit in page
    table = page[page.index('id="doctor-table"') : page.index("</table>")]
    assert "rate, %" not in table
    assert ("Observed" in table) == (family == "poisson")


def test_means_are_not_described_as_rates_of_events(tmp_path):
    page = written(made_fit(family="gaussian"), tmp_path)
    words = " ".join(Outline(page).text)
    assert "plus the overall mean" in words
    assert "(the overall mean)" in words
    for wrong in ("overall rate", "standardized rate", "raw rate", "expected events"):
        assert wrong not in words


def test_the_funnel_of_overdispersed_counts_admits_that_its_limits_are_narrow():
    rates = made_rates(20)
    flags = ok.classify(rates)
    said = {
        family: sketch_funnel(
            replace(rates, family=family), flags, ok.funnel_limits(replace(rates, family=family))
        )[0].caption
        for family in ("poisson", "negative_binomial")
    }
    assert "chance alone carries a doctor farther" in said["negative_binomial"]
    assert "chance alone carries a doctor farther" not in said["poisson"]


def test_one_event_is_one_event(tmp_path):
    fit = made_fit(n_doctors=12, seed=4)
    page = written(fit, tmp_path, rule=ok.FlagRule(probability=0.6))
    assert "; 1 event in" in page
    assert not re.search(r"\b1 (events|cases|flags|places)\b", page)


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(tmp_path):
    results = judged(made_fit())
    first = report(*results, path=tmp_path / "a.html", checks=()).read_bytes()
    assert report(*results, path=tmp_path / "b.html", checks=()).read_bytes() == first


def test_a_report_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    results = judged(made_fit())
    (tmp_path / "r.html").write_text("before")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("outcomekpi.tables.files.os.replace", fail)
    with pytest.raises(StorageError, match="No space left"):
        report(*results, path=tmp_path / "r.html", checks=())
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text() == "before"


def test_a_folder_is_refused_as_the_name_of_a_report(tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        report(*judged(made_fit()), path=tmp_path, checks=())


def test_results_of_different_doctors_are_refused(tmp_path):
    fit, rates, ranks, _ = judged(made_fit())
    other = judged(made_fit(labels=[f"other {n}" for n in range(8)]))
    with pytest.raises(SpecError, match="different doctors"):
        report(fit, rates, ranks, other[3], path=tmp_path / "r.html", checks=())


def test_a_threshold_of_the_flags_is_never_called_the_benchmark(tmp_path):
    page = written(made_fit(), tmp_path, rule=ok.FlagRule(threshold=0.4))
    words = " ".join(Outline(page).text)
    assert "benchmark" not in words.lower()
    assert "Stands out as worse: a rate above 40.0%" in words
    assert "worse than the threshold" in words
    assert "The line in the interval marks the threshold of 40.0%; both probabilities" in words
    hints = [value for _, name, value in Outline(page).attributes if name == "title"]
    assert "worse than the threshold of 40.0%" in hints


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [None, 0.4])
def test_a_benchmark_is_never_called_a_threshold(tmp_path, benchmark):
    rule = ok.FlagRule(threshold=benchmark)
    page = written(made_fit(), tmp_path, rule=rule, benchmark=benchmark)
    words = " ".join(Outline(page).text)
    assert "threshold" not in words.lower()
    assert "marks the benchmark of" in words


def test_a_report_about_a_threshold_says_what_the_other_files_are_about(tmp_path):
    page = written(made_fit(), tmp_path, rule=ok.FlagRule(threshold=0.4), benchmark=0.3)
    words = " ".join(Outline(page).text)
    assert "30.0% of cases; p_worse and p_better in doctors.csv are about it" in words
    assert "all probabilities in this report about the threshold" in words


def test_doctors_with_small_counts_are_withheld_and_two_more():
    rates = made_rates(30)
    shown = mask_counts(rates, below=11).shown
    assert shown.any() and not shown.all()
    assert (rates.observed[shown] >= 11).all()
    assert ((rates.cases - rates.observed)[shown] >= 11).all()
    one = made_rates(6)
    one.observed.iloc[:] = [30, 5, 40, 50, 60, 35]
    one.cases.iloc[:] = [130, 100, 100, 140, 160, 100]
    # the caseloads 100 and 100 are of one class, 130 to 160 of the next
    hidden = mask_counts(one, below=11).hidden
    assert hidden.tolist() == [False, True, True, False, False, True]


@pytest.mark.slow
def test_a_published_report_shows_no_small_count_anywhere(tmp_path):
    fit = made_fit(n_doctors=20)
    mask = mask_counts(ok.standardize(fit), below=11)
    assert mask.hidden.any() and not mask.hidden.all()
    page = written(fit, tmp_path, suppress_below=11, checks=None)
    listing = page[page.index("<tbody") : page.index("</tbody>")]
    named = re.findall(r'<th scope="row">(.*?)</th>', listing)
    assert sorted(named) == sorted(mask.hidden.index[mask.shown])
    assert "All 4 checks" in page or "of 4 checks failed" in page
    assert "The numbers behind it" not in page
    assert "with fewer than 11 events, cases, or cases without the event" in page
    sentences = re.findall(r"(\d+) events in (\d+) cases", page)
    assert all(int(events) >= 11 and int(n) - int(events) >= 11 for events, n in sentences)


@pytest.mark.parametrize("below", [0, 1, -3, 2.5, True, "11"])
def test_a_senseless_bound_for_small_counts_is_refused(below):
    with pytest.raises(SpecError, match="suppress_below"):
        mask_counts(made_rates(6), below=below)


def test_a_very_long_list_keeps_everyone_who_stands_out(monkeypatch):
    # by its name, because the attribute ``report`` of the package is the verb
    monkeypatch.setattr(import_module("outcomekpi.pages.listing"), "ROWS_AT_MOST", 10)
    fit = made_fit(n_doctors=40)
    _, rates, ranks, flags = judged(fit, ok.FlagRule(probability=0.999))
    listing = list_doctors(
        ok.doctor_table(fit, rates, ranks, flags),
        fit,
        flags,
        style=rate_style(fit, rates),
        mask=mask_counts(rates, below=None),
        level=0.95,
        bar=name_bar(flags, None, rate_style(fit, rates)),
    )
    surest = np.maximum(flags.p_worse, flags.p_better).nlargest(10).min()
    assert len(listing.rows) == 10
    assert all(max(flags.p_worse[r.name], flags.p_better[r.name]) >= surest for r in listing.rows)
    assert "30 doctors" in listing.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("average", ["population", "median"])
def test_the_report_names_what_doctors_are_compared_with_and_shows_the_sums(tmp_path, average):
    fit = made_fit(n_doctors=20)
    rates = ok.standardize(fit, average_doctor=average)
    results = fit, rates, ok.rank(rates), ok.classify(rates)
    page = report(*results, path=tmp_path / "r.html", checks=()).read_text("utf-8")
    words = " ".join(" ".join(Outline(page).text).split())
    totals = rates.totals()
    expected, observed = totals.loc["expected", "mean"], totals.loc["observed", "mean"]
    assert f"together: {observed:,.0f} observed, {expected:,.1f} expected (95% interval" in words
    assert f"{totals.loc['predicted', 'mean']:,.1f} predicted (95% interval" in words
    whose = {"population": "these doctors would have had on average", "median": "effect of 0"}
    other = whose[{"population": "median", "median": "population"}[average]]
    assert whose[average] in words
    assert other not in words
    hints = [value for _, name, value in Outline(page).attributes if name == "title"]
    assert any(whose[average] in hint for hint in hints)
    hidden = report(*results, path=tmp_path / "h.html", checks=(), suppress_below=11)
    assert "together:" not in hidden.read_text("utf-8")


def test_sums_of_measurements_are_shown_as_means(tmp_path):
    page = written(made_fit(family="gaussian"), tmp_path)
    assert "Mean of all cases: 60." in page or "Mean of all cases: 59." in page


def test_numbers_are_written_as_people_read_them():
    assert decimal(-0.001, 1) == "0.0"
    assert decimal(12345.678, 1) == "12,345.7"
    assert decimal(np.nan, 1) == "–"
    assert probability(1.0) == "> 99.9%"
    assert probability(0.0) == "< 0.1%"
    assert probability(0.5) == "50.0%"


def test_a_level_outside_zero_and_one_is_refused_before_any_work(tmp_path):
    with pytest.raises(SpecError, match=r"Did you mean 0\.95"):
        report(*judged(made_fit()), path=tmp_path / "r.html", level=95)


@pytest.mark.slow
def test_the_callers_matplotlib_settings_neither_change_nor_matter(tmp_path):
    import matplotlib

    results = judged(made_fit())
    plain = report(*results, path=tmp_path / "a.html", checks=()).read_bytes()
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        assert report(*results, path=tmp_path / "b.html", checks=()).read_bytes() == plain
        assert dict(matplotlib.rcParams) == before
