"""HbA1c in mmol/mol never meets a bar in percent, unnoticed."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.programs.sources import source_a_base
from outcomekpi.tables.hba1c import hba1c_to_percent


def records(values):
    """Readings of month 0 and 12 of each patient."""
    n = len(values) // 2
    table = pd.DataFrame(
        {"patient": np.repeat(range(n), 2), "month": [0, 12] * n, "hba1c": np.array(values, float)}
    )
    return ok.PatientRecords(
        patients=pd.DataFrame({"patient": range(n), "diabetes": True, "doctor": "A"}),
        measurements=table,
        months=12,
    )


# printed tables of NGSP: 42 mmol/mol are 6.0 %, 48 are 6.5 %, 64 are 8.0 %, 86 are 10.0 %
@pytest.mark.parametrize(
    ("mmol", "percent"), [(42, 6.0), (48, 6.5), (53, 7.0), (64, 8.0), (86, 10)]
)
def test_the_master_equation_gives_the_printed_pairs(mmol, percent):
    assert hba1c_to_percent(mmol) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize(
    ("values", "bar", "message"),
    [
        ([65, 50, 70, 60], 7.0, r"are in mmol/mol \(median 62.5\), the bar of 7 is in percent"),
        ([8.1, 6.7, 8.6, 7.6], 53, "are in percent .* the bar of 53 is in mmol/mol"),
        ([8.1, 6.7, 70, 60], 7.0, "are in two units: 2 of 4 are 20 or more"),
    ],
)
def test_goals_refuse_readings_in_another_unit_than_the_bar(values, bar, message):
    for goal in (
        ok.DropGoal(measure="hba1c", drop=0.8, below=bar),
        ok.RunGoal(bars=(("hba1c", bar),), months=1),
    ):
        with pytest.raises(CasesError, match=message):
            goal.judge(records(values))


def test_both_in_mmol_per_mol_are_judged_as_both_in_percent():
    mmol = np.array([65, 50, 70, 60.0])
    goal = ok.DropGoal(measure="hba1c", drop=8.75, below=53)
    percent = ok.DropGoal(measure="hba1c", drop=0.8, below=7.0)
    judged = goal.judge(records(mmol))["verdict"].tolist()
    assert judged == percent.judge(records(hba1c_to_percent(mmol)))["verdict"].tolist()


def ladder(**settings):
    given = {"drop": 0.8, "sbp_below": 140, "dbp_below": 90, "months": 6, "years": 1}
    return ok.reward_ladder(**(given | settings))


def test_a_ladder_with_a_bar_in_mmol_per_mol_is_refused_until_it_is_said():
    with pytest.raises(SpecError, match=r"53 mmol/mol are 7.0 %. Say hba1c_unit='mmol/mol'"):
        ladder(hba1c_below=53)
    assert ladder(hba1c_below=53, drop=9, hba1c_unit="mmol/mol")[0].goal.below == 53
    with pytest.raises(SpecError, match="7 % are 53 mmol/mol"):
        ladder(hba1c_below=7, hba1c_unit="mmol/mol")


def test_criteria_and_indicators_refuse_the_other_unit():
    with pytest.raises(CasesError, match="in mmol/mol"):
        source_a_base([50.0, 48.0], [60.0, 70.0])
    with pytest.raises(SpecError, match="nobody has"):
        source_a_base([6.9], [7.9], bar=53)
    with pytest.raises(SpecError, match="nobody has"):
        ok.ReadingBelow(measure="hba1c", below=53)
