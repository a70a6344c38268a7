from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_histories import made_history, read_history, three_years
from scipy.stats import beta

from outcomekpi.datasets import simulate_history
from outcomekpi.declare.errors import SpecError
from outcomekpi.review.review import review_thresholds
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.tables.history import CycleHistory

RATE = ReviewRule(reading="raw_rate")
CONJUGATE = ReviewJudgment(model="conjugate")


def row_of(events, trials, *, rule=RATE, judgment=CONJUGATE, **named):
    """The single row of a review of one indicator."""
    history = made_history(events, trials, **named)
    return review_thresholds(history, rule, judgment=judgment).to_frame().iloc[0]


@pytest.fixture(scope="module")
def review():
    return review_thresholds(three_years(), ReviewRule(reading="share_of_doctors"))


# --- the closed form -----------------------------------------------------------------------------


@pytest.mark.parametrize("events", [[[93, 91]], [[95, 90]], [[50, 55]], [[88, 80]]])
def test_one_unit_is_reviewed_by_the_beta_distribution(events):
    row = row_of(events, 100)
    exact = beta(1 + np.sum(events), 1 + 200 - np.sum(events))
    # 2000 evenly spaced quantiles: exact to half a step
    assert row["p_too_easy"] == pytest.approx(exact.sf(0.9), abs=3e-4)
    assert row["p_too_hard"] == pytest.approx(exact.cdf(0.6), abs=3e-4)
    assert row["mean"] == pytest.approx(exact.mean(), abs=1e-4)
    assert [row["lower"], row["upper"]] == pytest.approx(exact.interval(0.95), abs=1e-3)


def test_the_conjugate_review_pools_units_and_the_cycles_under_review_only():
    several = row_of([[5, 40, 38], [9, 50, 55]], [[50, 50, 50], [60, 60, 60]])
    single = row_of([[90, 93]], 110, first=2024)
    assert several["p_too_easy"] == pytest.approx(single["p_too_easy"], abs=1e-3)
    assert several["mean"] == pytest.approx(single["mean"], abs=1e-4)


def test_a_single_unit_falls_back_to_the_closed_form_and_says_so():
    found = review_thresholds(made_history([[93, 91]], 100), RATE)
    assert found.to_frame()["model"].tolist() == ["conjugate"]
    assert "a single unit has nothing to share strength with" in found.log[-1]


def test_the_loss_based_cut_off_decides():
    chance = row_of([[92, 92]], 100)["p_too_easy"]
    losses = {"too easy": chance - 0.02, "leave alone": chance + 0.02}
    for verdict, cut in losses.items():
        judgment = ReviewJudgment(model="conjugate", loss_false_change=cut, loss_missed=1 - cut)
        assert row_of([[92, 92]], 100, judgment=judgment)["verdict"] == verdict


def test_the_fdr_takes_the_largest_set_whose_mean_error_is_small_enough():
    tables = [
        pd.DataFrame({"kpi": name, "unit": "U", "year": [2024, 2025], "hits": hits, "n": 100})
        for name, hits in {"A": 97, "B": 93, "C": 92, "D": 90, "E": 40}.items()
    ]
    history = read_history(pd.concat(tables).assign(goal=np.nan))
    plain = review_thresholds(history, RATE, judgment=CONJUGATE).to_frame()
    wrong = 1 - plain[["p_too_easy", "p_too_hard"]].max(axis=1).to_numpy()
    share = np.cumsum(np.sort(wrong)) / np.arange(1, 6)
    fdr = (share[3] + share[2]) / 2  # between taking three and four of the five
    judged = review_thresholds(history, RATE, judgment=replace(CONJUGATE, fdr=float(fdr)))
    assert sum(verdict != "leave alone" for verdict in judged.verdicts) == 3
    assert judged.verdicts[4] == "too hard"


# --- verdicts of the rule and how wrong they are -------------------------------------------------


@pytest.mark.parametrize(
    ("events", "verdict", "wrong"),
    [
        ([[95, 96]], "too easy", lambda easy, hard: 1 - easy),
        ([[55, 50]], "too hard", lambda easy, hard: 1 - hard),
        ([[95, 85]], "leave alone", lambda easy, hard: easy + hard),
        ([[60, 58]], "leave alone", lambda easy, hard: easy + hard),
    ],
)
def test_the_rule_is_wrong_with_the_probability_of_the_other_verdicts(events, verdict, wrong):
    row = row_of(events, 100)
    assert row["rule_verdict"] == verdict
    assert row["p_rule_wrong"] == pytest.approx(wrong(row["p_too_easy"], row["p_too_hard"]))


def test_with_one_cycle_the_rule_cannot_say_and_the_evidence_still_speaks():
    row = row_of([[99]], 100)
    assert row["rule_verdict"] == "cannot say"
    assert np.isnan(row["p_rule_wrong"])
    assert row["verdict"] == "too easy"
    assert (
        "The rule cannot say: it needs 2 consecutive cycles and there is 1 cycle."
        in (row["sentence"])
    )


def test_a_missing_earlier_cycle_silences_the_rule_alone():
    row = row_of([[95, 0, 96]], [[100, 0, 100]])
    assert (row["rule_verdict"], row["verdict"]) == ("cannot say", "too easy")
    assert "no data in 2024, and it needs consecutive cycles" in row["sentence"]


def test_a_missing_latest_cycle_silences_both():
    frame = pd.DataFrame(
        {
            "kpi": ["A", "A", "B", "B", "B"],
            "unit": "U",
            "year": [2023, 2024, 2023, 2024, 2025],
            "hits": [97, 97, 97, 97, 97],
            "n": 100,
            "goal": np.nan,
        }
    )
    found = review_thresholds(read_history(frame), RATE, judgment=CONJUGATE).to_frame()
    assert found.loc["A", ["rule_verdict", "verdict"]].tolist() == ["cannot say"] * 2
    assert found.loc["B", ["rule_verdict", "verdict"]].tolist() == ["too easy"] * 2
    assert np.isnan(found.loc["A", "completion"])
    assert "no data in 2025, the latest cycle" in found.loc["A", "sentence"]


def test_an_indicator_that_ended_long_ago_has_no_numbers_and_no_error():
    frame = pd.DataFrame(
        {
            "kpi": ["A", "B", "B", "B"],
            "unit": "U",
            "year": [2023, 2023, 2024, 2025],
            "hits": 97,
            "n": 100,
            "goal": np.nan,
        }
    )
    found = review_thresholds(read_history(frame), RATE, judgment=CONJUGATE)
    assert np.isnan(found.to_frame().loc["A", "mean"])
    assert found.cycles_frame().loc[("A", "2024"), "denominator"] == 0


@pytest.mark.parametrize(
    ("events", "trials", "reason"),
    [
        ([[4, 4]], 4, "only 8 cases in the cycles under review"),
        ([[48, 97]], [[50, 100]], "the denominator changed from 50 in 2023 to 100 in 2024"),
    ],
)
def test_too_little_data_and_changed_denominators_silence_both_with_the_reason(
    events, trials, reason
):
    row = row_of(events, trials)
    assert (row["rule_verdict"], row["verdict"]) == ("cannot say", "cannot say")
    assert reason in row["sentence"]


def test_the_limits_of_silence_are_arguments():
    judgment = ReviewJudgment(model="conjugate", fewest=8, largest_change=float("inf"))
    assert row_of([[4, 4]], 4, judgment=judgment)["rule_verdict"] == "too easy"
    assert row_of([[48, 97]], [[50, 100]], judgment=judgment)["rule_verdict"] == "too easy"


# --- the readings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "counts", "target", "message"),
    [
        ("raw_rate", "doctors", None, r"ReviewRule\(reading='share_of_doctors'\) is the reading"),
        ("mean_achievement", "doctors", 0.8, "needs patients"),
        ("share_of_doctors", "events", None, "compares each unit with its target"),
        ("mean_achievement", "events", None, "1 of 1 indicators have rows without one: 'Washing'"),
    ],
)
def test_readings_that_the_counts_cannot_give_are_refused(reading, counts, target, message):
    history = made_history([[8, 9], [7, 7]], 10, counts=counts, target=target)
    with pytest.raises(SpecError, match=message):
        review_thresholds(history, ReviewRule(reading=reading))


def test_a_share_of_one_unit_and_a_target_for_counted_doctors_are_refused():
    with pytest.raises(SpecError, match="only one unit"):
        review_thresholds(
            made_history([[8, 9]], 10, target=0.8), ReviewRule(reading="share_of_doctors")
        )
    with pytest.raises(SpecError, match="no use"):
        review_thresholds(
            made_history([[8, 9], [7, 7]], 10, counts="doctors"),
            ReviewRule(reading="share_of_doctors", target=0.8),
        )


def test_a_target_of_the_rule_stands_in_for_a_column_of_targets():
    events, trials = [[90, 95], [70, 60], [85, 85]], 100
    rule = ReviewRule(reading="share_of_doctors")
    own = row_of(events, trials, rule=rule, target=0.8)
    lent = row_of(events, trials, rule=replace(rule, target=0.8))
    pd.testing.assert_series_equal(own, lent)
    assert own["completion"] == pytest.approx(2 / 3)


def test_counted_doctors_are_reviewed_without_a_proposed_target():
    row = row_of([[19, 20], [9, 10]], [[20, 20], [10, 10]], counts="doctors",
                 rule=ReviewRule(reading="share_of_doctors"))  # fmt: skip
    assert row["completion"] == 1.0
    assert np.isnan(row["target_mean"])
    assert "it takes the numbers of patients behind each doctor" in row["sentence"]


def test_every_reading_comes_from_the_same_rates():
    history = three_years()
    found = {
        reading: review_thresholds(history, ReviewRule(reading=reading))
        for reading in ("raw_rate", "share_of_doctors", "mean_achievement")
    }
    for name in range(6):
        one, two, three = (found[reading].indicators[name] for reading in found)
        np.testing.assert_array_equal(one.rates, two.rates)
        rows = one.reviewed_rows
        weight = one.table.trials[rows]
        np.testing.assert_allclose(one.pooled, weight @ one.rates[rows] / weight.sum())
        target = two.table.target[rows][:, None]
        np.testing.assert_allclose(two.pooled, (two.rates[rows] >= target).mean(axis=0))
        np.testing.assert_allclose(three.pooled, (three.rates[rows] / target).mean(axis=0))


# --- tables --------------------------------------------------------------------------------------


def test_the_table_of_cycles_holds_what_was_counted(review):
    frame = review.cycles_frame()
    counts = simulate_history()
    name, part = "HbA1c below 7%", counts[counts["indicator"] == "HbA1c below 7%"]
    for year, rows in part.groupby("year"):
        line = frame.loc[(name, str(year))]
        assert line["observed"] == (rows["reached"] / rows["patients"] >= 0.6).mean()
        assert line["denominator"] == rows["patients"].sum()
        assert line["units"] == 8


def test_wider_levels_give_wider_intervals_and_change_nothing_else(review):
    narrow, wide = review.to_frame(level=0.5), review.to_frame(level=0.99)
    for prefix in ("", "next_", "target_"):
        known = wide[f"{prefix}mean"].notna()
        assert (wide.loc[known, f"{prefix}lower"] <= narrow.loc[known, f"{prefix}lower"]).all()
        assert (wide.loc[known, f"{prefix}upper"] >= narrow.loc[known, f"{prefix}upper"]).all()
    same = ["mean", "verdict", "p_rule_wrong", "proposed"]
    pd.testing.assert_frame_equal(narrow[same], wide[same])


@pytest.mark.parametrize("table", ["to_frame", "cycles_frame", "ratchet_frame"])
def test_the_columns_are_the_ones_that_the_docstring_names(review, table):
    method = getattr(review, table)
    documented = type(review).__dict__[table].__doc__.replace("\n", " ")
    for column in method().columns:
        assert f"{column}" in documented, column


def test_the_review_shows_itself_in_one_line_and_a_short_table(review):
    assert "\n" not in repr(review)
    assert len(repr(review)) < 300
    assert "6 indicators; by the rule 1 too easy, 1 too hard" in repr(review)
    assert review._repr_html_().count("<tr") == 8


def test_the_same_seed_gives_the_same_review_and_another_one_nearly_so(review):
    again = review_thresholds(three_years(), review.rule)
    pd.testing.assert_frame_equal(review.to_frame(), again.to_frame())
    other = review_thresholds(three_years(), review.rule, seed=1).to_frame()
    # Monte Carlo error of the mean of 2000 draws, 5 of them
    spread = review.draws.std(axis=1) * 5 / np.sqrt(2000) + 1e-3
    assert (np.abs(other["mean"] - review.to_frame()["mean"]) < spread).all()
    assert again.provenance.data_hash == review.provenance.data_hash
    assert again.provenance.seed == 20261


@pytest.mark.parametrize(
    ("settings_", "message"),
    [({"draws": 50}, "at least 100"), ({"seed": -1}, "seed must be"), ({"draws": True}, "draws")],
)
def test_settings_that_cannot_be_are_refused(settings_, message):
    with pytest.raises(SpecError, match=message):
        review_thresholds(three_years(), RATE, **settings_)


def test_the_wrong_kinds_of_arguments_are_named():
    with pytest.raises(SpecError, match=r"history must be CycleHistory, as CycleHistory\.from_fr"):
        review_thresholds(simulate_history(), RATE)
    with pytest.raises(SpecError, match="rule must be ReviewRule"):
        review_thresholds(three_years(), "raw_rate")


# --- sentences -----------------------------------------------------------------------------------


def test_a_sentence_says_what_was_seen_what_the_rule_says_and_what_to_do(review):
    sentence = review.to_frame().loc["Follow-up call", "sentence"]
    assert sentence.startswith("Follow-up call: the share on target was 37.5% in 2024 and 50% in")
    assert "The rule calls it too hard; the probability that this is wrong is 2%." in sentence
    assert "open the adjustment, the bar is too hard" in sentence
    assert "instead of 60% is expected to bring it to 78%" in sentence
    assert "units miss the present target and would reach this one" in sentence
    assert "in the next year" in sentence


def test_a_sentence_never_calls_a_probability_certain(review):
    for sentence in review.to_frame()["sentence"]:
        assert "wrong is 0%" not in sentence
        assert "probability 100%" not in sentence


def test_quarters_are_called_quarters_and_a_rule_of_years_is_told():
    frame = made_history([[75, 76]], 100).frame.assign(
        kpi="A", year=["2025Q1", "2025Q2"], goal=np.nan
    )
    history = read_history(frame, numerator="numerator", denominator="denominator")
    found = review_thresholds(history, RATE, judgment=CONJUGATE)
    assert "in the next quarter" in found.to_frame()["sentence"].iloc[0]
    assert "look like cycles of a quarter (2025Q2)" in found.log[0]
    stated = replace(RATE, cycle_length="quarter")
    assert "quarter" not in " ".join(review_thresholds(history, stated, judgment=CONJUGATE).log)


def test_a_clear_case_is_left_alone_in_so_many_words():
    assert "Leave it alone." in row_of([[75, 76]], 100)["sentence"]


def test_a_review_that_falls_short_names_what_was_missing():
    sentence = row_of([[91, 91]], 100)["sentence"]
    assert "The rule calls it too easy; the probability that this is wrong is 3" in sentence
    assert "short of the 80% that a change needs: leave it alone for now." in sentence


# --- laws ----------------------------------------------------------------------------------------


def relabelled(frame, seed):
    """The same counts under other names, in other orders."""
    rng = np.random.default_rng(seed)
    names = {}
    for column in ("indicator", "department"):
        labels = sorted(frame[column].unique())
        names[column] = dict(
            zip(labels, [f"X{i}" for i in rng.permutation(len(labels))], strict=True)
        )
    shuffled = frame.sample(frac=1, random_state=seed)
    return shuffled.replace(names["indicator"]).replace(names["department"]), names


@given(st.integers(0, 10_000))
@settings(max_examples=3)
def test_renaming_and_reordering_indicators_and_units_changes_no_number(seed):
    frame = simulate_history()
    frame = frame[frame["indicator"].isin(["Pain scored daily", "Follow-up call"])]
    columns = {
        "indicator": "indicator",
        "unit": "department",
        "cycle": "year",
        "numerator": "reached",
        "denominator": "patients",
        "target": "target",
        "counts": "events",
    }
    other, names = relabelled(frame, seed)
    rule = ReviewRule(reading="share_of_doctors")
    first, second = (
        review_thresholds(CycleHistory.from_frame(table, **columns), rule, draws=400)
        for table in (frame, other)
    )
    table = first.to_frame().rename(index=names["indicator"]).sort_index()
    numbers = table.columns.drop("sentence")
    pd.testing.assert_frame_equal(table[numbers], second.to_frame()[numbers])
    ratchet = first.ratchet_frame().rename(index=names["indicator"], level=0)
    ratchet = ratchet.rename(index=names["department"], level=1).sort_index()
    pd.testing.assert_frame_equal(ratchet, second.ratchet_frame().sort_index())


@given(
    st.lists(st.integers(0, 30), min_size=4, max_size=4),
    st.floats(0.61, 0.98),
    st.floats(0.61, 0.98),
)
@settings(max_examples=15)
def test_raising_the_upper_bar_never_makes_an_indicator_easier(events, one, two):
    history = made_history(np.reshape(events, (2, 2)), 30)
    rows = []
    for upper in sorted((one, two)):
        found = review_thresholds(
            history, ReviewRule(reading="raw_rate", upper=upper), judgment=CONJUGATE, draws=200
        )
        rows.append(found.to_frame().iloc[0])
    low, high = rows
    assert high["p_too_easy"] <= low["p_too_easy"]
    for column in ("rule_verdict", "verdict"):
        assert (high[column] == "too easy") <= (low[column] == "too easy")


def test_an_extreme_indicator_is_reviewed_without_a_warning():
    for events in (0, 30):
        row = row_of(np.full((4, 3), events), 30, judgment=ReviewJudgment())
        assert row["model"] == "hierarchical"
        assert row["verdict"] == ("too easy" if events else "too hard")
