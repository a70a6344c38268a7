"""Each unit or each patient alike: both are offered, named, and compared."""

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel, staggered_panel

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

CHECK = "units or patients counted alike"
NOT_CHOSEN = Program(selected_on_baseline=False)


def design(**changes):
    given = {"outcome": "x", "unit": "ward", "time": "year", "start": "start", "trials": "n"}
    return DifferenceInDifferences(**(given | {"direction": "lower"} | changes))


def unequal(frame=None, *, change=10.0, seed=3):
    """Events of small and large wards; the program harms small wards and helps large ones."""
    rng = np.random.default_rng(seed)
    frame = made_panel(effect=0.0) if frame is None else frame
    number = frame["ward"].str[1:].astype(int)
    large = number % 4 == 0
    frame["n"] = np.where(large, 4000, 100)
    on = (frame["start"] > 0) & (frame["year"] >= frame["start"])
    percent = frame["rate"] + on * np.where(large, -change, change)
    frame["x"] = rng.binomial(frame["n"], np.clip(percent / 100, 0, 1))
    return frame


def by_hand(frame, *, weight):
    """Callaway and Sant'Anna's average over starts and times, with weights of the units."""
    share = (100 * frame["x"] / frame["n"]).rename("share")
    wide = frame.assign(share=share).pivot(index="ward", columns="year", values="share")
    start = frame.groupby("ward")["start"].first()
    total = pairs = 0.0
    for one in sorted(set(start) - {0}):
        here, there = start == one, start == 0
        for year in range(one, wide.columns.max() + 1):
            change = wide[year] - wide[one - 1]
            gap = np.average(change[here], weights=weight[here]) - np.average(
                change[there], weights=weight[there]
            )
            total, pairs = total + gap * weight[here].sum(), pairs + weight[here].sum()
    return total / pairs


@pytest.mark.slow
@pytest.mark.parametrize("make", [made_panel, staggered_panel])
def test_patients_alike_are_the_weighted_mean_of_changes(make):
    frame = unequal(make(effect=0.0))
    size = frame.groupby("ward")["n"].sum().astype(float)
    units = compare_pilot(frame, design(), program=NOT_CHOSEN)
    patients = compare_pilot(frame, design(weights="patients"), program=NOT_CHOSEN)
    assert units.main.value == pytest.approx(by_hand(frame, weight=size * 0 + 1))
    assert patients.main.value == pytest.approx(by_hand(frame, weight=size))
    for effect, other in ((units, patients), (patients, units)):
        beside = effect.findings.estimates[-1]
        assert beside.value == pytest.approx(other.main.value)
        assert beside.name == other.main.name


@pytest.mark.slow
def test_the_weights_are_named_and_a_difference_fails_the_check():
    effect = compare_pilot(unequal(), design(), program=NOT_CHOSEN)
    assert "unit-weighted average effect on the treated" in effect.verdict()
    assert effect.findings.estimand.endswith("each unit counting alike")
    check = {one.name: one for one in effect.findings.checks}[CHECK]
    assert check.passed is False
    assert "patient-weighted average effect on the treated -" in check.verdict
    same = compare_pilot(unequal(change=0.0), design(), program=NOT_CHOSEN)
    assert {one.name: one for one in same.findings.checks}[CHECK].passed is True


@pytest.mark.slow
def test_units_of_one_size_have_one_effect():
    frame = unequal().assign(n=100, x=lambda f: f["x"] % 100)
    found = [compare_pilot(frame, design(weights=one)) for one in ("units", "patients")]
    assert found[0].main.value == found[1].main.value
    assert found[0].main.se == found[1].main.se
    assert CHECK not in {one.name for one in found[0].findings.checks}


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["2x2", "callaway_santanna", "etwfe", "event_study"])
def test_almost_equal_sizes_give_almost_the_error_of_equal_ones(estimator):
    frame = unequal().assign(n=100_000, x=lambda f: f["x"] * 10)
    frame.loc[frame["ward"] == "w001", "n"] = 100_001
    found = [
        compare_pilot(frame, design(weights=one, estimator=estimator), program=NOT_CHOSEN).main
        for one in ("units", "patients")
    ]
    assert found[0].value == pytest.approx(found[1].value, rel=1e-4)
    assert found[0].se == pytest.approx(found[1].se, rel=1e-4)


def test_the_error_of_patients_alike_is_that_of_a_weighted_regression():
    import statsmodels.formula.api as smf

    frame = unequal().assign(
        y=lambda f: 100 * f["x"] / f["n"],
        treated=lambda f: (f["start"] > 0) * 1,
        late=lambda f: (f["year"] >= 2004) * 1,
    )
    fit = smf.wls("y ~ treated * late", frame, weights=frame["n"]).fit(
        cov_type="cluster", cov_kwds={"groups": frame["ward"].astype("category").cat.codes}
    )
    found = compare_pilot(
        frame, design(weights="patients", estimator="2x2"), program=NOT_CHOSEN
    ).main
    assert found.value == pytest.approx(fit.params["treated:late"])
    assert found.se == pytest.approx(fit.bse["treated:late"])


@pytest.mark.slow
def test_rows_of_patients_count_as_their_numbers_do():
    rng = np.random.default_rng(8)
    wards = unequal(seed=4).assign(n=lambda f: np.where(f["n"] > 100, 60, 10))
    wards["x"] = rng.binomial(wards["n"], 0.5)
    rows = wards.loc[wards.index.repeat(wards["n"])].reset_index(drop=True)
    place = rows.groupby(["ward", "year"]).cumcount()
    rows["cured"] = (place < rows["x"]).astype(int)
    counted = compare_pilot(wards, design(weights="patients", estimator="2x2")).main
    listed = compare_pilot(
        rows,
        design(weights="patients", estimator="2x2", outcome="cured", trials=None, rows="patients"),
    ).main
    assert listed.value == pytest.approx(counted.value)
    assert listed.se == pytest.approx(counted.se)


@pytest.mark.slow
def test_randomization_weighs_changes_by_patients():
    frame = unequal()
    effect = compare_pilot(
        frame,
        design(weights="patients", estimator="2x2", inference="randomization"),
        program=NOT_CHOSEN,
        draws=300,
    )
    plain = compare_pilot(frame, design(weights="patients", estimator="2x2"), program=NOT_CHOSEN)
    assert effect.main.value == pytest.approx(plain.main.value)
    assert effect.findings.naive.value == pytest.approx(plain.findings.naive.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": None}, "name trials=, or pass rows='patients'"),
        ({"estimator": "etwfe", "family": "logit"}, "does not go with family='logit'"),
        ({"estimator": "2x2", "inference": "wild_bootstrap"}, "inference='wild_bootstrap'"),
        ({"weights": "wards"}, "weights must be one of"),
    ],
)
def test_weights_that_cannot_be_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        design(**({"weights": "patients"} | options))


def test_wards_of_a_public_case():
    from pathlib import Path

    path = Path(__file__).parents[4] / "shared" / "cases" / "did_small_and_large_wards.csv"
    if not path.exists():
        pytest.skip("the case is not beside this checkout")
    columns = {"outcome": "x", "trials": "n", "unit": "w", "time": "t", "start": "s"}
    frame = pd.read_csv(path)
    for options, wanted in (
        ({}, 0.427),
        ({"weights": "patients"}, -4.8287),
        ({"weights": "patients", "estimator": "2x2"}, -5.1968),
    ):
        found = compare_pilot(frame, DifferenceInDifferences(**columns, **options)).main
        assert found.value == pytest.approx(wanted, abs=1e-3)
