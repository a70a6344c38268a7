"""The simulated pilot: the same every time, built as it was asked, true to its truth."""

import numpy as np
import pytest

from outcomekpi.datasets import simulate_pilot
from outcomekpi.declare.errors import SpecError


def test_the_same_seed_gives_the_same_pilot_and_another_seed_another():
    assert simulate_pilot(seed=3)[0].equals(simulate_pilot(seed=3)[0])
    assert not simulate_pilot(seed=3)[0].equals(simulate_pilot(seed=4)[0])


def test_patients_stay_as_asked_and_come_once_a_period():
    frame, _ = simulate_pilot(n_doctors=10, n_patients=20, stay=0.25)
    assert not frame.duplicated(["patient", "period"]).any()
    assert (frame["patient"].value_counts() == 2).sum() == 10 * 5


def test_control_is_an_hba1c_below_7_and_both_are_missing_together():
    frame, _ = simulate_pilot(missing=(0.0, 0.2))
    known = frame.dropna()
    assert (known["controlled"] == (known["hba1c"] < 7)).all()
    assert (frame["hba1c"].isna() == frame["controlled"].isna()).all()
    lost = frame["controlled"].isna().groupby(frame["period"]).mean()
    assert lost["before"] == 0
    assert lost["after"] == pytest.approx(0.2, abs=0.05)


def test_the_difference_in_a_large_pilot_is_the_true_one():
    frame, truth = simulate_pilot(n_doctors=200, n_patients=200, seed=5)
    rates = frame.groupby("period")["controlled"].mean()
    # 40,000 patients a period, alike on average: standard error .004
    assert rates["after"] - rates["before"] == pytest.approx(truth.risk_difference, abs=0.015)
    assert truth.by_doctor.mean() == pytest.approx(truth.risk_difference, abs=1e-9)


def test_controls_have_no_program_and_no_effect():
    frame, truth = simulate_pilot(controls=True)
    without = frame.loc[frame["program"] == 0, "doctor"].unique()
    assert len(without) == 12
    assert (truth.doctor_effect[without] == 0).all()
    assert set(frame.loc[frame["program"] == 0, "start"]) == {0}
    assert set(truth.by_doctor.index) == set(frame.loc[frame["program"] == 1, "doctor"])


def test_patients_get_worse_by_the_shift_of_the_case_mix():
    same, worse = simulate_pilot(seed=1)[0], simulate_pilot(seed=1, mix_shift=0.5)[0]
    after = same["period"] == "after"
    assert np.allclose(worse["severity"] - same["severity"], 0.5 * after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_hospitals": 30}, "each hospital has a doctor"),
        ({"stay": 1.5}, "stay must lie between 0 and 1; got 1.5"),
        ({"n_patients": 0}, "n_patients must be a whole number of at least 1; got 0"),
    ],
)
def test_options_that_make_no_pilot_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        simulate_pilot(**options)
