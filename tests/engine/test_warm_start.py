"""The mode of a part of the doctors: the right part, and near the mode of all."""

import numpy as np
from worlds import gamma_counts, simulate

from outcomekpi.engine import engine as warm_start
from outcomekpi.engine.engine import build_target, some_doctors
from outcomekpi.engine.mode import find_mode


def test_small_data_have_no_part():
    assert some_doctors(simulate(counts=[50] * 10)) is None


def test_a_part_holds_whole_doctors_and_its_mode_is_near_that_of_all(monkeypatch):
    monkeypatch.setattr(warm_start, "_ALL_BELOW", 10_000)
    monkeypatch.setattr(warm_start, "_ROWS", 6_000)
    model = simulate("binomial", counts=gamma_counts(20_000, 200), sigma=0.4)
    part = some_doctors(model)
    assert part.n_doctors == 60
    assert np.array_equal(np.unique(part.doctor_code), np.arange(60))
    caseloads = np.bincount(part.doctor_code)
    assert np.isin(caseloads, np.bincount(model.doctor_code)).all()
    assert part.outcome.sum() <= model.outcome.sum() and (part.outcome <= part.trials).all()

    start = np.array([-1.0, 0.0, 0.0, np.log(0.3)])
    near = find_mode(build_target(part), start, start=np.zeros(60)).theta
    target = build_target(model)
    whole = find_mode(target, start, start=np.zeros(200))
    from_near = find_mode(target, near, start=np.zeros(200))
    sd = np.sqrt(np.diag(np.linalg.inv(whole.information)))
    # 30 % of the doctors: their estimates differ by sd * sqrt(1/.3 - 1) = 1.5 sd, give or take
    assert np.abs((near - whole.theta) / sd).max() < 5
    # both searches stop within .01 posterior SDs (decrement 1e-4)
    np.testing.assert_allclose(from_near.theta / sd, whole.theta / sd, atol=0.02)
    assert from_near.steps <= whole.steps
