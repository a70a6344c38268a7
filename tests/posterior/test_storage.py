"""Saved fits come back as they were, and files that are not saved fits are refused."""

from dataclasses import fields, replace

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from handmade import make_fit

from outcomekpi.declare.errors import FormulaError, StorageError
from outcomekpi.model.design import replay_design
from outcomekpi.model.priors import (
    Exponential,
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Priors,
    Uniform,
)
from outcomekpi.posterior.storage import load_fit, save_fit
from outcomekpi.profiling.ranking import rank
from outcomekpi.profiling.standardization import standardize

FAMILIES = ["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]


def assert_same(found, wanted):
    """Equality of two values of any kind that a fit holds."""
    if isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    elif isinstance(wanted, pd.Index):
        assert found.equals(wanted) and found.dtype == wanted.dtype
    else:
        assert found == wanted


def assert_same_records(found, wanted, *, but=()):
    for field in fields(wanted):
        if field.name not in but:
            assert_same(getattr(found, field.name), getattr(wanted, field.name))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("nested", [False, True])
def test_a_saved_fit_comes_back_as_it_was(tmp_path, family, nested):
    fit = make_fit(family, nested=nested)
    loaded = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    assert (loaded.spec, loaded.engine) == (fit.spec, fit.engine)
    assert (loaded.diagnostics, loaded.provenance) == (fit.diagnostics, fit.provenance)
    assert_same_records(loaded.cases, fit.cases, but=("frame",))
    assert_same_records(loaded.design, fit.design)
    assert_same_records(loaded.model, fit.model)
    assert set(loaded.draws.children) == set(fit.draws.children)
    for name, group in fit.draws.children.items():
        xr.testing.assert_identical(loaded.draws[name].to_dataset(), group.to_dataset())


def test_draws_keep_their_type_dimension_order_and_layout(tmp_path):
    fit = make_fit()
    loaded = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    effect = loaded.draws["posterior"]["doctor_effect"]
    assert effect.dims == ("chain", "draw", "doctor")
    assert effect.dtype == np.float32
    by_doctor = effect.transpose("doctor", "chain", "draw").to_numpy()
    assert by_doctor.flags.c_contiguous


@pytest.mark.parametrize(
    "sd", [HalfNormal(0.4), HalfStudentT(4, 0.5), Exponential(2), Uniform(3), GammaPrecision()]
)
def test_every_prior_comes_back(tmp_path, sd):
    priors = Priors(intercept=Flat(), sd_doctor=sd, sd_hospital=sd)
    fit = make_fit(priors=priors)
    loaded = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    assert loaded.spec.priors == priors
    assert loaded.model.priors == fit.model.priors


def test_patients_and_raw_covariates_are_not_in_the_file(tmp_path):
    fit = make_fit()
    named = fit.cases.frame.assign(patient=[f"patient-{i}" for i in range(600)])
    fit = replace(fit, cases=replace(fit.cases, frame=named))
    path = save_fit(fit, tmp_path / "fit.nc")
    assert b"patient-" not in path.read_bytes()
    assert list(load_fit(path).cases.frame.columns) == ["y", "doctor"]


def test_labels_keep_leading_zeros_and_chinese_characters(tmp_path):
    fit = make_fit(n_doctors=3)
    doctors = pd.Index(["00123", "007", "王医生"], dtype="str")
    draws = fit.draws.copy()
    draws["posterior"] = xr.DataTree(
        draws["posterior"].to_dataset().assign_coords(doctor=doctors.to_numpy(dtype=object))
    )
    cases = replace(fit.cases, doctors=doctors)
    loaded = load_fit(save_fit(replace(fit, cases=cases, draws=draws), tmp_path / "fit.nc"))
    assert loaded.cases.doctors.tolist() == ["00123", "007", "王医生"]
    assert loaded.draws["posterior"]["doctor"].to_numpy().tolist() == doctors.tolist()


def test_many_doctors_and_a_long_log_fit_into_the_file(tmp_path):
    fit = make_fit(n_doctors=9000, n_cases=9000, draws=4)
    log = tuple(f"Row {i} was excluded." for i in range(9000))
    fit = replace(fit, cases=replace(fit.cases, log=log))
    loaded = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    assert loaded.cases.log == log
    assert len(loaded.cases.doctors) == 9000


def test_saving_replaces_an_older_file_and_leaves_no_scraps(tmp_path):
    path = tmp_path / "fit.nc"
    save_fit(make_fit(draws=40), path)
    save_fit(make_fit(draws=80), path)
    assert load_fit(path).draws["posterior"].sizes["draw"] == 20
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.nc"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_fit(make_fit(draws=40), tmp_path / "fit.nc")

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        save_fit(make_fit(draws=80), path)
    assert load_fit(path).draws["posterior"].sizes["draw"] == 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.nc"]


def test_a_missing_folder_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        save_fit(make_fit(draws=8), tmp_path / "nowhere" / "fit.nc")


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(StorageError, match="no file"):
        load_fit(tmp_path / "fit.nc")


def test_a_text_file_is_not_a_fit(tmp_path):
    path = tmp_path / "fit.nc"
    path.write_text("doctor,rate\nA,0.1\n")
    with pytest.raises(StorageError, match="cannot be read"):
        load_fit(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    path = save_fit(make_fit(), tmp_path / "fit.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StorageError):
        load_fit(path)


def test_another_netcdf_file_is_not_a_fit(tmp_path):
    path = tmp_path / "other.nc"
    xr.DataTree(xr.Dataset({"x": ("i", [1.0])})).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(StorageError, match="not a fit saved by outcomekpi"):
        load_fit(path)


def test_a_newer_format_asks_for_an_update(tmp_path):
    path = save_fit(make_fit(draws=8), tmp_path / "fit.nc")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(StorageError, match="format version 99"):
        load_fit(path)


@pytest.mark.parametrize(
    ("group", "variable"),
    [("posterior", "doctor_effect"), ("design", "matrix"), ("labels", "doctors")],
)
def test_a_missing_part_is_named(tmp_path, group, variable):
    path = save_fit(make_fit(draws=8), tmp_path / "fit.nc")
    with h5py.File(path, "r+") as file:
        del file[group][variable]
    with pytest.raises(StorageError, match="damaged"):
        load_fit(path)


def test_a_prior_of_an_unknown_kind_is_refused_and_not_looked_up(tmp_path):
    path = save_fit(make_fit(draws=8), tmp_path / "fit.nc")
    with h5py.File(path, "r+") as file:
        file.attrs["spec"] = file.attrs["spec"].replace("HalfNormal", "__import__")
    with pytest.raises(StorageError, match="damaged"):
        load_fit(path)


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_a_loaded_fit_judges_doctors_as_the_saved_one(tmp_path, family):
    fit = make_fit(family, nested=True)
    loaded = load_fit(save_fit(fit, tmp_path / "fit.nc"))
    one, other = (rank(standardize(each)).to_frame() for each in (fit, loaded))
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(fit.to_frame(), loaded.to_frame())


def test_a_loaded_fit_says_that_it_cannot_predict_other_cases(tmp_path):
    loaded = load_fit(save_fit(make_fit(draws=8), tmp_path / "fit.nc"))
    with pytest.raises(FormulaError, match="loaded from a file"):
        replay_design(loaded.design, make_fit(draws=8).cases.frame)
