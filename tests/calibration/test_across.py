"""Calibration across doctors against integrals, optimizers and worlds of known spread."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit
from statsmodels.stats.meta_analysis import combine_effects

from outcomekpi.calibration.across import (
    fit_group,
    group_log_likelihood,
    pool_effects,
)
from outcomekpi.calibration.assessment import assess_predictions


@pytest.mark.parametrize("tau", [0.05, 0.6, 2.0])
def test_the_likelihood_of_a_group_is_the_integral_over_the_doctors_effect(tau):
    events, size = np.array([0.0, 3, 40, 2]), np.array([5.0, 9, 400, 2])
    center = np.array([-1.0, 0.5, -2.0, 0.0])

    def each(y, n, c):
        mode = np.clip(np.log((y + 0.5) / (n - y + 0.5)) - c, -8 * tau, 8 * tau)
        return integrate.quad(
            lambda u: stats.binom.pmf(y, n, expit(c + u)) * stats.norm.pdf(u, 0, tau),
            -9 * tau, 9 * tau, points=[0.0, mode], limit=400,
        )[0]  # fmt: skip

    wanted = sum(np.log(each(*row)) for row in zip(events, size, center, strict=True))
    # 15 adaptive nodes: about 1e-5 of a log likelihood
    assert group_log_likelihood(events, size, center, tau) == pytest.approx(wanted, abs=1e-4)


def test_a_group_finds_shift_and_spread_of_its_world():
    rng = np.random.default_rng(1)
    size = rng.integers(2, 20, 2000).astype(float)
    offset = rng.normal(-1.5, 0.3, 2000)
    events = rng.binomial(size.astype(int), expit(offset + 0.4 + rng.normal(0, 0.7, 2000)))
    shift, error, tau = fit_group(events.astype(float), size, offset)
    assert shift == pytest.approx(0.4, abs=3.5 * error)
    assert error == pytest.approx(0.026, abs=0.006)
    assert tau == pytest.approx(0.7, abs=0.12)


def test_doctors_who_are_alike_have_no_spread():
    rng = np.random.default_rng(2)
    size = np.full(300, 40.0)
    events = rng.binomial(40, 0.2, 300).astype(float)
    shift, _, tau = fit_group(events, size, np.full(300, np.log(0.25)))
    assert tau < 0.12
    assert abs(shift) < 0.08


EFFECT = np.array([0.1, 0.3, -0.2, 0.6, 0.25, -0.4, 0.8])
VARIANCE = np.array([0.02, 0.05, 0.04, 0.10, 0.03, 0.08, 0.02])


def test_pooling_maximizes_the_restricted_likelihood():
    def negative(tau2):
        w = 1 / (VARIANCE + tau2)
        mean = (w * EFFECT).sum() / w.sum()
        return 0.5 * (-np.log(w).sum() + np.log(w.sum()) + (w * (EFFECT - mean) ** 2).sum())

    best = optimize.minimize_scalar(negative, bounds=(1e-6, 2), method="bounded",
                                    options={"xatol": 1e-10}).x  # fmt: skip
    mean, _, tau = pool_effects(EFFECT[:, None], VARIANCE[:, None])
    assert tau[0] ** 2 == pytest.approx(best, abs=1e-6)
    w = 1 / (VARIANCE + best)
    assert mean[0] == pytest.approx((w * EFFECT).sum() / w.sum(), abs=1e-6)


def test_pooling_is_close_to_the_moment_estimate_of_statsmodels():
    result = combine_effects(EFFECT, VARIANCE, method_re="iterated")
    mean, error, tau = pool_effects(EFFECT[:, None], VARIANCE[:, None])
    # Paule and Mandel's moments instead of restricted likelihood
    assert tau[0] ** 2 == pytest.approx(result.tau2, rel=0.3)
    assert mean[0] == pytest.approx(result.mean_effect_re, abs=0.02)
    assert error[0] == pytest.approx(result.sd_eff_w_re_hksj, rel=0.15)


def test_effects_that_are_alike_are_pooled_as_fixed():
    mean, error, tau = pool_effects(np.full((5, 1), 0.3), np.full((5, 1), 0.04))
    assert (mean[0], tau[0]) == pytest.approx((0.3, 0.0))
    assert error[0] == pytest.approx(np.sqrt(0.04 / 5))


def make_world(*, n_doctors=80, caseload=150, sd=0.5, seed=3):
    rng = np.random.default_rng(seed)
    doctor = np.repeat(np.arange(n_doctors), caseload)
    score = rng.normal(-1.0, 0.9, doctor.size)
    outcome = rng.random(doctor.size) < expit(score + rng.normal(0, sd, n_doctors)[doctor])
    return expit(score), outcome, doctor


def test_both_methods_find_the_diagonal_of_the_average_doctor_and_the_spread_of_the_others():
    rate, outcome, doctor = make_world()
    frame = assess_predictions(rate, outcome=outcome, doctor=doctor, replicates=100).across_doctors(
        level=0.9
    )
    assert frame["method"].value_counts().to_dict() == {"lines": 60, "groups": 10}
    inner = frame[frame["predicted"].between(0.08, 0.6)]
    for _, part in inner.groupby("method"):
        # SD .5 over 80 doctors: standard error of the mean .056 on the logit scale
        away = np.log(part["mean"] / (1 - part["mean"])) - np.log(
            part["predicted"] / (1 - part["predicted"])
        )
        assert away.abs().max() < 0.25
        assert part["tau"].mean() == pytest.approx(0.5, abs=0.12)
    assert (frame["new_lower"] < frame["lower"]).all()
    assert (frame["new_upper"] > frame["upper"]).all()


def test_the_interval_for_the_next_doctor_holds_nine_of_ten_doctors():
    """Curves of 4,000 new doctors at the middle tenth of risk, against the 90 % interval."""
    rate, outcome, doctor = make_world(n_doctors=200)
    found = assess_predictions(rate, outcome=outcome, doctor=doctor, replicates=100)
    frame = found.across_doctors(level=0.9).query("method == 'groups'").iloc[5]
    middle = np.log(frame["predicted"] / (1 - frame["predicted"]))
    truth = expit(middle + np.random.default_rng(9).normal(0, 0.5, 4000))
    inside = np.mean((frame["new_lower"] < truth) & (truth < frame["new_upper"]))
    # the spread itself is known to about 10 %, which moves the share by about .02
    assert inside == pytest.approx(0.9, abs=0.05)


def test_doctors_with_few_events_take_part_in_groups_but_not_in_lines():
    rate, outcome, doctor = make_world(n_doctors=60, caseload=12)
    frame = assess_predictions(
        rate, outcome=outcome, doctor=doctor, replicates=100
    ).across_doctors()
    assert set(frame["method"]) == {"groups"}
    assert (frame["doctors"] > 20).all()
