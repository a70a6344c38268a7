"""Cumulative incidence against published estimates, another program, and a bootstrap."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_patients import charts, define

from outcomekpi.measures.assess import assess
from outcomekpi.measures.incidence import cumulative_incidence, incidence_curve

DECKS = [p / "shared" / "decks" / "competing_risks" for p in Path(__file__).parents[3:6]]
DECK = next((p for p in DECKS if p.is_dir()), None)


def at(curve, times):
    """Value of a step function at times."""
    place = np.searchsorted(curve["time"], times, side="right") - 1
    return np.where(place < 0, 0, curve["incidence"].to_numpy()[np.maximum(place, 0)])


@pytest.mark.skipif(DECK is None, reason="the published decks are not here")
def test_estimates_are_those_that_cmprsk_printed():
    data = pd.read_csv(DECK / "cmprsk_example.csv")
    printed = pd.read_csv(DECK / "cmprsk_example_estimates.csv", index_col=0)
    for label, row in printed.iterrows():
        group, cause = label.split()
        own = data[data["group"] == group]
        ours = own["cause"].map({0: 0, int(cause): 1}).fillna(2).to_numpy(dtype=int)
        curve = incidence_curve(own["time"].to_numpy(), ours)
        found = at(curve, [float(time) for time in printed.columns])
        assert np.abs(found - row.to_numpy()).max() <= 1e-6


def made(seed, n=60, levels=25):
    rng = np.random.default_rng(seed)
    return rng.integers(1, levels, n).astype(float), rng.integers(0, 3, n)


@pytest.mark.parametrize("seed", range(5))
def test_estimate_and_standard_error_equal_those_of_statsmodels(seed):
    from statsmodels.duration.survfunc import CumIncidenceRight

    time, cause = made(seed)
    # that program divides by zero where the last at risk have the event: the last is censored here
    time, cause = np.append(time, 99.0), np.append(cause, 0)
    theirs = CumIncidenceRight(time, cause)
    curve = incidence_curve(time, cause)
    place = np.searchsorted(theirs.times, curve["time"])
    assert np.abs(theirs.cinc[0][place] - curve["incidence"]).max() <= 1e-12
    assert np.abs(theirs.cinc_se[0][place] - curve["se"]).max() <= 1e-9


def test_without_censoring_the_standard_error_is_that_of_a_share():
    # everybody is followed to his event: the incidence is a plain share p, its error sqrt(pq/n)
    time, cause = made(9)
    cause = np.where(cause == 0, 2, cause)
    curve = incidence_curve(time, cause)
    share = np.array([((time <= t) & (cause == 1)).mean() for t in curve["time"]])
    assert np.abs(curve["incidence"] - share).max() <= 1e-12
    assert np.abs(curve["se"] - np.sqrt(share * (1 - share) / len(time))).max() <= 1e-12


def test_the_last_at_risk_may_have_the_event():
    curve = incidence_curve(np.array([1.0, 2.0]), np.array([2, 1]))
    assert curve["incidence"].tolist() == [0.5]
    assert curve["se"].tolist() == [np.sqrt(0.5 * 0.5 / 2)]


def test_death_competes_and_follow_up_is_used_up_to_its_end():
    # from discharge: a is back on day 10; b dies on day 5; c and d stay away, d seen for 20 days
    stay = ("2026-01-01", "2026-01-10", "hf")
    back = ("2026-01-20", "2026-01-20", "acute")
    late = ("2026-12-01", "2026-12-11", "hf")
    people = {
        "a": ("1950-01-01", {"encounters": [stay, back]}),
        "b": ("1950-01-01", {"encounters": [stay], "deaths": [("2026-01-15",)]}),
        "c": ("1950-01-01", {"encounters": [stay]}),
        "d": ("1950-01-01", {"encounters": [late]}),
    }
    find = {
        "stay": {"table": "encounters", "concepts": ["hf"], "by": "end"},
        "back": {"table": "encounters", "concepts": ["acute"], "after": "index"},
        "died": {"table": "deaths", "after": "index"},
    }
    rule = define(
        find=find, index={"find": "stay", "at": "end"}, event="back", competes=["died"], horizon=30
    )
    found = assess(charts(people), rule, start="2026-01-01", end="2026-12-31")
    assert found.to_frame()["verdict"].tolist() == [
        "reached", "not reached", "not reached", "not assessable",
    ]  # fmt: skip
    curve = cumulative_incidence(found)
    # day 5: one of four dies, .75 left; day 10: one of three is back, .75 / 3
    assert curve["day"].tolist() == [10.0]
    assert curve["incidence"].iloc[0] == pytest.approx(0.25)
