"""The page on a pilot: its words, its numbers, its gaps, and that names are inert."""

import re

import numpy as np
import pytest
from made_pilot_effects import EVERY_TABLE, SCRIPT, failed_check, made_effect
from report_pages import HOSTILE, Outline

import outcomekpi as ok
from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.pages.pilot_answer import answer_pilot_in_one_paragraph
from outcomekpi.pages.pilot_ledger import complete_ledger, sensitivity_table
from outcomekpi.pilots.ladder.checklist import QUESTIONS
from outcomekpi.pilots.ladder.frameworks import FRAMEWORKS, TARGET_TRIALS, USUAL_THREATS
from outcomekpi.pilots.ladder.verdicts import CLAIMS, RUNGS


def written(effect, folder, **options):
    path = ok.report_pilot(effect, path=folder / "pilot.html", **options)
    return path.read_text(encoding="utf-8")


def words_of(page):
    return re.sub(r"\s+", " ", " ".join(Outline(page).text))


@pytest.fixture(scope="module")
def figures():
    return ok.PublishedFigures(before=43, after=68, unit="percent", years=2)


@pytest.fixture(scope="module")
def published(figures):
    return ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"), draws=1000)


@pytest.fixture(scope="module")
def page(published, figures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return written(published, folder, sensitivity=ok.sensitivity(published, figures))


def test_43_to_68_percent_says_a_change_and_that_its_cause_is_not_identified(page):
    lead = re.search(r'<p class="lead"><strong>(.*?)</strong>', page, flags=re.S)[1]
    assert lead.startswith(
        "These data show a change, for the better (risk difference 25 percentage"
    )
    assert lead.endswith("The cause of it is not identified.")


@pytest.mark.parametrize(
    "words",
    [
        "risk ratio 1.58",
        "With at least 29 independent patients per period",
        "Nothing is left with a rise of 25 points (12.5 a year) without the program",
        "64.5 % of the patients without the outcome (36.8 % of all) leaving the count",
        "risk ratios of 2.54 each (E-value)",
        "What they cannot say",
        "Where they say nothing",
        "What one would have to know",
        "The frontier at which nothing is left.",
    ],
)
def test_43_to_68_percent_says_the_numbers_of_the_note_and_its_gaps(page, words):
    assert words in words_of(page)


def test_the_page_never_says_that_the_program_did_it(published, page):
    heading = re.search(r"<h1>(.*?)</h1>", page)[1]
    assert heading == "Published figures before and after the program"
    assert "effect of the program is" not in words_of(page).lower()


def test_the_page_has_every_section_and_every_link_its_target(page):
    outline = Outline(page)
    targets = [value[1:] for _, name, value in outline.attributes if name == "href"]
    assert set(targets) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    for anchor in ("effect", "pictures", "threats", "sensitivity", "checklist", "limits"):
        assert f'<h2 id="{anchor}">' in page


def test_the_page_loads_nothing_from_anywhere(page):
    outline = Outline(page)
    links = [value for _, name, value in outline.attributes if name in ("src", "href")]
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:image/[^\"]*", "", page))


def test_the_same_effect_gives_the_same_bytes(published, figures, page, tmp_path):
    again = written(published, tmp_path, sensitivity=ok.sensitivity(published, figures))
    assert again == page


@pytest.mark.parametrize("rung", range(7))
def test_every_rung_is_worded_as_it_may_be_and_no_stronger(rung, tmp_path):
    effect = made_effect(rung=rung)
    text = words_of(written(effect, tmp_path))
    claim, caution = CLAIMS[rung]
    assert claim in text
    assert caution in text
    assert RUNGS[rung] in text
    assert TARGET_TRIALS[rung] in text
    assert "naive difference 8 percentage points (95% interval" in text
    for other in set(range(7)) - {rung}:
        assert f"These data show {CLAIMS[other][0]} for" not in text


def test_an_unclear_effect_is_neither_shown_nor_denied(tmp_path):
    text = words_of(written(made_effect(se=4.0), tmp_path))
    assert "These data do not show a change after adjustment" in text
    assert "That there was no effect is not shown either" in text


def test_the_checklist_is_answered_missing_or_not_applicable(tmp_path):
    effect = made_effect(
        facts={"points": "3 before, 3 after", "seasonality": None},
        program=ok.Program(harms="falls were counted: none", selected_on_baseline=False),
    )
    counts = effect.checklist["status"].value_counts()
    text = words_of(written(effect, tmp_path))
    assert (
        f"{counts['answered']} of {len(QUESTIONS)} questions are answered, {counts['missing']} are "
        "missing, 1 do not apply"
    ) in text
    assert "Falls were counted: none." in text
    missing = written(effect, tmp_path).split("<h3>Missing</h3>")[1].split("<h3>Answered")[0]
    assert QUESTIONS["ramp_up"] in missing
    assert FRAMEWORKS["ramp_up"] in missing
    assert QUESTIONS["harms"] not in missing


def test_every_question_is_asked_by_a_guideline():
    assert set(FRAMEWORKS) == set(QUESTIONS)
    known = ("TREND", "SQUIRE 2.0", "EPOC-ITS", "ROBINS-I", "TARGET 2025")
    for item, asked in FRAMEWORKS.items():
        assert all(part.strip().startswith(known) for part in asked.split(";")), item
    everything = " ".join(FRAMEWORKS.values())
    assert all(name in everything for name in known)


def test_the_checklist_names_versions_seed_and_data():
    answer = made_effect().checklist.set_index("item").loc["software", "answer"]
    assert "outcomekpi" in answer
    assert "seed 20261" in answer
    assert made_effect().provenance.data_hash in answer


def test_the_ledger_lists_the_usual_threats_whether_assessed_or_not():
    ledger = complete_ledger(made_effect(rung=4))
    assert set(USUAL_THREATS) <= set(ledger.index)
    assert not ledger.loc["gaming", "is_assessed"]
    assert "not assessed" in ledger.loc["gaming", "tipping"]
    assert ledger.loc["history", "is_assessed"]


def test_spillover_is_asked_only_where_there_are_controls():
    assert "spillover" in complete_ledger(made_effect(rung=4)).index
    assert "spillover" not in complete_ledger(made_effect(rung=1)).index


def test_patients_not_selected_on_their_baseline_have_no_open_regression_to_the_mean():
    said = made_effect(program=ok.Program(selected_on_baseline=False))
    assert "regression to the mean" not in complete_ledger(said).index
    assert "regression to the mean" in complete_ledger(made_effect()).index


def test_sensitivity_lists_threats_numbers_and_what_could_not_be_done(published, figures):
    found = ok.sensitivity(published, figures)
    table = sensitivity_table(published, found)
    assert list(table.columns) == ["kind", "what", "mean", "lower", "upper", "unit", "words"]
    tipping = table[table["kind"] == "tipping"].set_index("what")
    assert tipping.loc["trend a year", "mean"] == pytest.approx(12.5)
    assert tipping.loc["attrition", "mean"] == pytest.approx(0.645, abs=5e-4)
    threats = table[table["kind"] == "threat"]
    assert "12.5 a year" in threats["words"].iloc[0]


def test_failed_checks_and_notes_stand_first(tmp_path):
    text = words_of(written(made_effect(checks=(failed_check(),)), tmp_path, notes=("few points",)))
    first = text.index("Read this first")
    assert first < text.index("Few points.") < text.index("Missing outcomes: more are missing")
    assert text.index("Missing outcomes: more") < text.index("What the data say")


def test_one_paragraph_holds_verdict_naive_failures_and_gaps():
    words = answer_pilot_in_one_paragraph(made_effect(checks=(failed_check(),)), level=0.95)
    assert words.startswith("These data show a change after adjustment, for the better")
    assert "naive difference 8 percentage points" in words
    assert "Failed check: missing outcomes." in words
    assert "questions of the checklist could not be answered" in words
    assert "\n" not in words


def test_the_break_that_undoes_a_difference_in_differences_stands_in_its_verdict():
    from outcomekpi.pilots.ladder.findings import Threat

    broken = Threat(name="trends", direction="either", tipping="a break of .4 undoes it (M = .4)")
    words = answer_pilot_in_one_paragraph(made_effect(rung=4, threats=(broken,)), level=0.95)
    assert "A break of .4 undoes it (M = .4)." in words


def test_an_effect_that_may_be_none_has_no_frontier_to_explain_it_away():
    from outcomekpi.pages.pilot_sketches import draw_pilot

    for se, drawn in ((1.0, True), (4.0, False)):
        effect = made_effect(se=se)
        whole = ok.sensitivity(effect, base=0.4).add_to(effect)
        assert ("frontier" in draw_pilot(whole)) == drawn


def test_every_picture_has_its_words_and_names_are_inert(tmp_path):
    tables = {**EVERY_TABLE, "leave_one_out": EVERY_TABLE["slope"][["unit", "before"]]}
    effect = made_effect(outcome=SCRIPT, tables=tables)
    page = written(effect, tmp_path, title=HOSTILE[0])
    outline = Outline(page)
    assert outline.tags.count("img") == 5
    assert outline.tags.count("script") == 1
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page
    assert "王医生" in page


def test_infinite_bounds_and_rounding_dust_are_written_for_readers(page):
    assert ">any<" in page
    assert "1e-09" not in page
    assert not re.search(r"\b(nan|inf)\b", words_of(page).split("Where the numbers come")[0])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_an_impossible_level_is_refused(published, tmp_path, level):
    with pytest.raises(SpecError):
        written(published, tmp_path, level=level)


def test_a_folder_is_no_name_for_a_page(published, tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        ok.report_pilot(published, path=tmp_path)


def test_something_else_than_an_effect_is_refused(tmp_path):
    with pytest.raises(SpecError, match="effect must be PilotEffect"):
        ok.report_pilot({"effect": 1}, path=tmp_path / "x.html")


def test_the_level_of_the_page_is_the_level_of_its_intervals(published, tmp_path):
    text = words_of(written(published, tmp_path, level=0.8))
    lower, upper = published.main.interval(level=0.8)
    assert f"{lower:,.4g} to {upper:,.4g}" in text
    assert np.isfinite([lower, upper]).all()
