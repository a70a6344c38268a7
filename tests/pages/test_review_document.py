import re
from dataclasses import replace

import numpy as np
import pytest
from made_reviews import made_history, made_review, made_table, target_review, usual_review
from report_pages import HOSTILE, Outline
from scipy.stats import binom

from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.operating.operating import operating_characteristics
from outcomekpi.operating.settings import Setting
from outcomekpi.pages.review_answer import answer_review_in_one_line, is_unsupported
from outcomekpi.pages.review_chance import tell_chance, trial_table
from outcomekpi.pages.review_document import report_review
from outcomekpi.pages.review_masking import mask_history, publish_review
from outcomekpi.pages.review_trial import true_completion, try_rule
from outcomekpi.review.review import ReviewRule


def written(review, tmp_path, **choices):
    operating = choices.pop("operating", None)
    if operating is None and "suppress_below" not in choices:
        operating = small_trial(review)
    path = report_review(review, operating, path=tmp_path / "review.html", **choices)
    return path.read_text(encoding="utf-8")


def small_trial(review):
    """A trial that takes no time, for tests that are about the words of the page."""
    setting = Setting(levels=(0.55, 0.65, 0.85, 0.95), caseloads=(40,), n_indicators=4)
    return operating_characteristics(ReviewRule(reading="raw_rate"), setting)


def words_of_page(page):
    return re.sub(r"\s+", " ", " ".join(Outline(page).text))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(usual_review(), tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def target_page(tmp_path_factory):
    return written(target_review(), tmp_path_factory.mktemp("targets"))


def test_the_first_sentence_is_the_answer(page):
    table = usual_review().to_frame()
    changes = table["verdict"].isin(["too easy", "too hard"]).sum()
    assert changes == 2
    assert "<strong>2 of 4 indicators need a change of their bars.</strong>" in page
    for name in ("easy", "hard"):
        assert f"<strong>{name}</strong>: Completion was" in page


def test_the_page_loads_nothing_from_anywhere(page):
    outline = Outline(page)
    links = [value for _, name, value in outline.attributes if name in ("src", "href", "action")]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert "link" not in outline.tags
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:image/[^\"]*", "", page))
    policy = next(value for _, _, value in outline.attributes if value.startswith("default-src"))
    assert "default-src 'none'" in policy


def test_the_page_has_every_section_and_every_link_its_target(page):
    for anchor in (
        *("answer", "dashboard", "indicators", "targets", "chance", "asked", "history", "model"),
        *("reading", "limits", "provenance"),
    ):
        assert f'<h2 id="{anchor}">' in page
    outline = Outline(page)
    targets = [value[1:] for _, name, value in outline.attributes if name == "href"]
    assert set(targets) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert '<figure id="figure-dashboard">' in page
    assert '<figure id="figure-operating">' in page


def test_hostile_names_are_text_everywhere(tmp_path):
    rates = dict(zip(HOSTILE, np.linspace(0.4, 0.97, len(HOSTILE)), strict=True))
    table = made_table(rates, cases=40)
    table["unit"] = table["unit"].replace("U1", "<i>Surgery</i>")
    review = made_review(table, reading="share_of_doctors", target="goal")
    page = written(review, tmp_path, title="<script>alert(0)</script>")
    outline = Outline(page)
    assert outline.tags.count("script") == 1
    assert "i" not in outline.tags[: outline.tags.index("table")]
    assert outline.tags.count("img") == outline.tags.count("figure")
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    text = "".join(outline.text)
    for label in (*HOSTILE, "<i>Surgery</i>"):
        assert label in text


def test_the_table_has_both_verdicts_and_the_numbers_of_review_csv(page):
    table = usual_review().to_frame()
    body = page[page.index('id="indicator-table"') :]
    rows = re.findall(r"<tr.*?</tr>", body[body.index("<tbody") : body.index("</tbody>")], re.S)
    assert len(rows) == len(table)
    for row in rows:
        wanted = table.loc[re.search(r'<th scope="row">(.*?)</th>', row)[1]]
        said = re.findall(r'<td class="left">(.*?)</td>', row)
        assert said == [wanted["verdict"], wanted["rule_verdict"]]
        values = [float(value) for value in re.findall(r'data-v="([^"]+)"', row)]
        names = ["p_rule_wrong", "completion", "mean", "lower", "upper", "p_too_easy", "p_too_hard"]
        assert values[:7] == pytest.approx(wanted[names].astype(float).tolist(), rel=1e-5)


def test_every_indicator_has_its_sentence_without_its_name_twice(page):
    table = usual_review().to_frame()
    for name, row in table.iterrows():
        words = row["sentence"].removeprefix(f"{name}: ")
        assert f"<dt>{name}</dt><dd>{words[0].upper()}{words[1:20]}" in page


def test_a_rule_that_goes_beyond_the_evidence_is_named_with_its_probability(tmp_path):
    counts = made_table({"near": 0.9, "fine": 0.75}, units=1)
    counts.loc[counts["indicator"] == "near", "reached"] = 109  # of 120: 90.8% in every cycle
    review = made_review(counts)
    table = review.to_frame()
    assert table.loc["near", "rule_verdict"] == "too easy"
    assert table.loc["near", "verdict"] == "leave alone"
    assert list(table.index[is_unsupported(table)]) == ["near"]
    line = answer_review_in_one_line(table)
    wrong = table.loc["near", "p_rule_wrong"]
    assert "None of 2 indicators needs a change of its bar." in line
    assert "Of the others" not in written(review, tmp_path)
    assert f"would also change near (wrong with probability {100 * wrong:.1f}%)" in line
    page = written(review, tmp_path)
    assert "The written rule would change these; the evidence falls short of it" in page
    assert "would change 1; for 1 of them the evidence falls short" in words_of_page(page)


def test_the_mistake_is_called_one_only_where_it_is_more_likely_than_not():
    table = usual_review().to_frame().head(2).copy()
    table["rule_verdict"], table["verdict"] = "too easy", "leave alone"
    from outcomekpi.pages.review_answer import _context

    table["p_rule_wrong"] = [0.9, 0.8]
    assert "2 of them most probably by mistake" in _context(table)
    table["p_rule_wrong"] = [0.9, 0.3]
    assert "for 2 of them the evidence falls short" in _context(table)
    assert "and 1 would most probably be a mistake" in _context(table)
    table["p_rule_wrong"] = [0.2, 0.3]
    assert "mistake" not in _context(table)


def test_what_the_rule_misses_is_counted():
    table = usual_review().to_frame()
    table["rule_verdict"] = "leave alone"
    from outcomekpi.pages.review_answer import _context

    assert "would change none. It would miss 2." in _context(table)


@pytest.mark.slow
def test_one_cycle_leaves_the_rule_silent_and_says_so(tmp_path):
    page = written(made_review(made_table(cycles=(2025,))), tmp_path)
    words = words_of_page(page)
    assert "The rule as written cannot say anything about this history." in words
    assert "Only one cycle (2025): a rule that needs consecutive cycles cannot fire." in words
    assert "the data under review (1 cycle) do not show that it is wrong" in words


def test_too_little_data_is_not_called_fine(tmp_path):
    table = made_table({"tiny": 0.6}, units=1, cases=3)
    review = made_review(table)
    page = written(review, tmp_path)
    assert "<strong>Nothing can be said about the indicator.</strong>" in page
    assert answer_review_in_one_line(review.to_frame()) == (
        "Nothing can be said about the indicator."
    )


def test_proposed_targets_come_with_those_who_pay(target_page):
    review = target_review()
    ratchet = review.ratchet_frame()
    losers = int(ratchet["ratchet"].astype(bool).sum())
    assert losers > 0
    words = words_of_page(target_page)
    assert f"{losers} of {len(ratchet)} pairs of unit and indicator would lose" in words
    assert target_page.count('<tr class="hard" data-s="U') == (ratchet["change"] == "loses").sum()
    for name, row in review.to_frame().iterrows():
        shown = f'<td class="left">{name}</td><td class="left">{row["verdict"]}</td>'
        assert shown in target_page
        assert f"<td>{100 * row['proposed']:.1f}%</td>" in target_page
        gain, lose = ratchet.loc[name, ["p_gains", "p_loses"]].sum()
        assert f"<td>{gain:.1f}</td><td>{lose:.1f}</td>" in target_page
    assert "as it may be observed, will call for" in words
    assert "the share as observed can lie outside the interval of the true one" in words


def test_without_targets_the_page_says_what_a_proposal_needs(page):
    assert "No target can be proposed" in page
    assert 'id="unit-table"' not in page


def test_the_rule_is_tried_at_the_caseloads_of_the_history():
    table = made_table({"small": 0.8, "middle": 0.8, "large": 0.8}, units=1)
    table["patients"] = table["indicator"].map({"small": 20, "middle": 50, "large": 200})
    table["reached"] = (0.8 * table["patients"]).astype(int)
    operating = try_rule(made_review(table))
    assert operating.setting.caseloads == (20, 50, 200)
    assert operating.setting.n_indicators == 3
    assert operating.method == "exact"
    frame = trial_table(operating, level=0.95).set_index(["true_completion", "caseload"])
    # the table of the note: exact probabilities that two cycles in a row trigger, to 3 decimals
    note = {0.85: (0.031, 0.013, 0.000), 0.90: (0.153, 0.186, 0.217), 0.95: (0.541, 0.804, 0.995)}
    for level, wanted in note.items():
        found = [frame.loc[(level, n), "fires_up"] for n in (20, 50, 200)]
        assert found == pytest.approx(wanted, abs=5e-4)
    words = tell_chance(made_review(table), operating, level=0.95)
    assert "With 50 cases in a cycle (the median here)" in words[0]
    assert "1.3% if it truly stands at 85%" in words[0]
    assert "19.6% if it truly stands at 95%" in words[0]


def test_levels_behind_a_share_on_target_give_that_share():
    operating = try_rule(target_review())
    shares = true_completion(operating)
    assert operating.setting.n_units == 6
    assert operating.setting.icc > 0
    assert {0.55, 0.65, 0.85, 0.95} <= set(shares.round(6))
    rng = np.random.default_rng(1)
    level = float(shares.index[(shares - 0.65).abs().argmin()])
    shapes = operating.setting.beta_shapes(level)
    drawn = (rng.beta(*shapes, 200_000) >= operating.rule.target).mean()
    # binomial standard error of the share of 200,000 draws is .001
    assert drawn == pytest.approx(0.65, abs=0.004)


def test_achievement_is_tried_at_rates_that_are_that_share_of_the_target():
    review = made_review(reading="mean_achievement", target="goal")
    shares = true_completion(try_rule(review))
    assert shares.to_numpy() == pytest.approx(shares.index.to_numpy() / 0.7, abs=1e-9)


def test_false_changes_of_many_indicators_are_counted_together():
    review = made_review(made_table(units=1, cases=20))
    words = " ".join(tell_chance(review, try_rule(review), level=0.95))
    twice = binom.sf(18, 20, 0.85) ** 2  # more than 90% of 20, in two independent cycles
    wanted = 100 * (1 - (1 - twice) ** 4)
    assert "If all 4 indicators truly stood at 85%" in words
    assert f"by luck with probability {wanted:.1f}%" in words


def test_an_indicator_with_a_small_count_is_left_out_of_everything(tmp_path):
    table = made_table({"rare": 0.97, "common": 0.7}, units=2, cases=90)
    review = made_review(table, reading="share_of_doctors", target="goal")
    page = written(review, tmp_path, suppress_below=11)
    listing = page[page.index('id="indicator-table"') :]
    assert set(re.findall(r'<th scope="row">(rare|common)</th>', listing)) == {"common"}
    words = "1 indicator with a count below 11 (reached, not reached, or in all) left out: rare"
    assert words in page
    assert page.replace(words, "").count("rare") == page.count("rarely") + page.count("rarer")


def test_no_number_of_a_published_review_depends_on_what_is_left_out():
    results, hashes = [], set()
    for rare in (0.97, 0.99):
        table = made_table({"common": 0.7, "usual": 0.8, "zz rare": rare}, units=2, cases=90)
        review = made_review(table, reading="share_of_doctors", target="goal")
        published, mask = publish_review(review, below=11)
        assert mask.withheld == ("zz rare",)
        frames = [published.to_frame(), published.cycles_frame(), published.ratchet_frame()]
        results.append([*frames, trial_table(try_rule(published), level=0.95)])
        hashes.add(published.provenance.data_hash)
    assert all(one.equals(other) for one, other in zip(*results, strict=True))
    assert len(hashes) == 1


def test_units_are_added_up_where_the_reading_pools_them():
    table = made_table({"rare": 0.9, "common": 0.7}, units=4, cases=60)
    review = made_review(table, reading="raw_rate")
    published, mask = publish_review(review, below=11)
    assert mask.added_up == ("rare",) and not mask.withheld
    rare = published.history.frame.query("indicator == 'rare'")
    assert set(rare["unit"]) == {"all"}
    whole = review.history.frame.query("indicator == 'rare'").groupby("cycle")["numerator"].sum()
    assert rare.set_index("cycle")["numerator"].to_dict() == whole.to_dict()
    assert published.history.frame.query("indicator == 'common'")["unit"].nunique() == 4


def test_a_history_of_nothing_but_small_counts_is_refused():
    history = made_history(made_table({"rare": 0.97}, units=2, cases=90))
    with pytest.raises(SpecError, match="no indicator is left"):
        mask_history(history, "share_of_doctors", below=11)


def test_operating_characteristics_of_the_whole_history_are_not_published(tmp_path):
    review = made_review(made_table({"common": 0.7}))
    with pytest.raises(SpecError, match="Leave operating out"):
        report_review(review, try_rule(review), path=tmp_path / "r.html", suppress_below=10)


@pytest.mark.parametrize("below", [0, 1, 2.5, True, "11"])
def test_a_senseless_bound_for_small_counts_is_refused(below):
    with pytest.raises(SpecError, match="suppress_below"):
        mask_history(made_history(made_table()), "raw_rate", below=below)


def test_remarks_on_the_history_are_printed_and_escaped(tmp_path):
    table = made_table({"a <b>": 0.7, "fine": 0.75})
    gap = table[~((table["indicator"] == "a <b>") & (table["year"] == 2024))]
    page = written(made_review(gap), tmp_path)
    assert "a &lt;b&gt;: no data in" in page
    assert "Nothing is missing" not in page


def test_nothing_missing_is_said_so(page):
    assert "Nothing is missing, nothing changed beyond what is usual" in page


def test_the_question_names_reading_rule_losses_and_provenance(tmp_path):
    rule = ReviewRule(reading="raw_rate", strict=False, upper=0.95, cycles=1)
    words = words_of_page(written(made_review(rule=rule, fdr=0.1), tmp_path))
    assert "at or above 95% in the last cycle is too easy, at or below 60% too hard" in words
    assert "share of wrong changes at most 10%" in words
    record = usual_review().provenance
    usual = words_of_page(written(usual_review(), tmp_path))
    for fact in (record.data_hash, record.spec_hash, str(record.seed), record.created):
        assert fact in usual
    assert "a change that is wrong 4, one that is missed 1" in usual


def test_the_same_review_gives_the_same_bytes(tmp_path):
    first = written(usual_review(), tmp_path)
    assert written(usual_review(), tmp_path) == first


def test_a_folder_and_other_objects_are_refused(tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        report_review(usual_review(), path=tmp_path)
    with pytest.raises(SpecError, match="review must be ThresholdReview"):
        report_review("review", path=tmp_path / "r.html")
    with pytest.raises(SpecError, match="operating must be OperatingCharacteristics"):
        report_review(usual_review(), "rule", path=tmp_path / "r.html")


def test_doctors_are_not_called_patients(tmp_path):
    from outcomekpi.review.review import ReviewJudgment, review_thresholds
    from outcomekpi.tables.history import CycleHistory

    table = made_table(units=1, cases=40)
    history = CycleHistory.from_frame(
        table,
        indicator="indicator",
        cycle="year",
        numerator="reached",
        denominator="patients",
        counts="doctors",
    )
    review = review_thresholds(
        history,
        ReviewRule(reading="share_of_doctors"),
        judgment=ReviewJudgment(model="conjugate"),
        draws=200,
    )
    page = written(review, tmp_path, operating=try_rule(review))
    assert "With 40 doctors in a cycle (the median here)" in page
    assert "Doctors counted" in page
    assert "Patients counted" not in page


def test_a_trial_that_was_simulated_says_how_exact_it_is(tmp_path):
    setting = replace(small_trial(None).setting, replicates=500)
    operating = operating_characteristics(
        ReviewRule(reading="raw_rate"), setting, method="simulated"
    )
    page = written(usual_review(), tmp_path, operating=operating)
    assert "simulated (500 replicates each; the largest Monte Carlo standard error is" in page
