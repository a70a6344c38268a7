"""The verb, its result and its words, with a design made by hand."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.ladder.checklist import QUESTIONS
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Rung, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.pilots.ladder.verdicts import CLAIMS, RUNGS, word_verdict


@dataclass(frozen=True)
class Doubling:
    """Rung 2 with a known answer."""

    rung: ClassVar[Rung] = 2
    effect: float = 2.0
    se: float | None = 0.1

    def estimate(self, data, *, program, draws, rng):
        ratio = Estimate(
            name="rate ratio",
            unit="ratio",
            value=self.effect,
            scale="log",
            se=self.se,
            origin="normal",
        )
        naive = Estimate(name="naive difference", unit="points", value=float(data["y"].mean()))
        return Findings(
            estimand="effect on y",
            estimates=(ratio,),
            naive=naive,
            assumptions=("nothing else happened",),
            threats=(Threat(name="history", direction="either", tipping="1 point a month"),),
            facts={"seasonality": None, "points": "3 before, 3 after"},
            direction="higher",
        )


FRAME = pd.DataFrame({"y": [1.0, 2.0, 3.0]})


def test_a_normal_ratio_has_the_interval_of_its_logarithm():
    effect = compare_pilot(FRAME, Doubling())
    row = effect.to_frame(level=0.95).loc["rate ratio"]
    assert row["lower"] == pytest.approx(2 * np.exp(-1.959964 * 0.1), rel=1e-6)
    assert row["upper"] == pytest.approx(2 * np.exp(1.959964 * 0.1), rel=1e-6)
    assert row["null"] == 1


def test_the_naive_estimate_stands_last_and_may_have_no_interval():
    frame = compare_pilot(FRAME, Doubling()).to_frame()
    assert frame.index[-1] == "naive difference"
    assert np.isnan(frame.loc["naive difference", ["lower", "upper"]].astype(float)).all()


def test_a_clear_effect_is_worded_as_its_rung_allows():
    verdict = compare_pilot(FRAME, Doubling()).verdict()
    assert CLAIMS[2][0] in verdict
    assert CLAIMS[2][1] in verdict
    assert "for the better" in verdict


def test_an_unclear_effect_is_neither_shown_nor_denied():
    verdict = compare_pilot(FRAME, Doubling(effect=1.05)).verdict()
    assert "do not show" in verdict
    assert "that there is none" in verdict


def test_every_rung_has_a_name_and_a_claim():
    assert set(RUNGS) == set(CLAIMS) == set(range(7))


@pytest.mark.parametrize(
    ("item", "status"),
    [("points", "answered"), ("seasonality", "not applicable"), ("harms", "missing")],
)
def test_the_checklist_tells_answered_from_missing_and_not_applicable(item, status):
    checklist = compare_pilot(FRAME, Doubling()).checklist.set_index("item")
    assert checklist.loc[item, "status"] == status
    assert list(checklist.index) == list(QUESTIONS)


def test_what_the_user_says_answers_the_checklist():
    program = Program(selected_on_baseline=True, assignment="volunteers", harms="none looked for")
    checklist = compare_pilot(FRAME, Doubling(), program=program).checklist.set_index("item")
    assert checklist.loc["assignment", "answer"] == "volunteers; selected on their baseline"
    assert checklist.loc["harms", "status"] == "answered"


def test_an_estimate_takes_one_source_of_uncertainty():
    with pytest.raises(SpecError, match="one of se, draws and limits"):
        Estimate(name="x", unit="points", value=1.0, se=1.0, draws=np.ones(3))


def test_limits_from_a_test_inversion_follow_the_level():
    estimate = Estimate(
        name="x", unit="points", value=1.0, limits=lambda level: (1 - level, 1 + level)
    )
    assert estimate.interval(level=0.5) == (0.5, 1.5)
    assert word_verdict(4, estimate, direction=None, level=0.5).startswith("These data show")


def test_an_effect_without_interval_says_so():
    assert "no interval" in repr(compare_pilot(FRAME, Doubling(se=None)))
    assert "95% interval 1.64" in repr(compare_pilot(FRAME, Doubling()))


def test_something_that_is_no_design_is_refused():
    with pytest.raises(SpecError, match="design must be one of"):
        compare_pilot(FRAME, "before and after")


def test_other_tables_than_pandas_are_read():
    import polars

    effect = compare_pilot(polars.DataFrame({"y": [1.0, 2.0, 3.0]}), Doubling())
    assert effect.findings.naive.value == 2.0


def test_the_same_data_have_the_same_provenance_and_other_data_another():
    first, second = (compare_pilot(FRAME, Doubling()).provenance.data_hash for _ in range(2))
    assert first == second != compare_pilot(FRAME + 1, Doubling()).provenance.data_hash
