"""Saved fits that were damaged or tampered with are refused, each in one message."""

import json

import h5py
import numpy as np
import pytest
from handmade import make_fit

from outcomekpi.declare.errors import StorageError
from outcomekpi.posterior.storage import LENGTH, load_fit, save_fit, seal


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Bytes of one saved fit of each family, by doctors in hospitals and by doctors alone."""
    folder = tmp_path_factory.mktemp("saved")
    kinds = {
        "bernoulli": False, "binomial": True, "poisson": False, "negative_binomial": False,
        "gaussian": True,
    }  # fmt: skip
    return {
        family: save_fit(make_fit(family, nested=nested, draws=40), folder / "fit.nc").read_bytes()
        for family, nested in kinds.items()
    }


def refused(path):
    with pytest.raises(StorageError) as caught:
        load_fit(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 700
    return message


# damage to bytes: HDF5 would read much of it without a word


@pytest.mark.parametrize("seed", range(25))
def test_a_changed_byte_is_refused(seed, saved, tmp_path):
    path = tmp_path / "fit.nc"
    content = bytearray(saved["bernoulli"])
    rng = np.random.default_rng(seed)
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    assert "damaged or was changed" in refused(path)


CHANGES = {
    "cut off at once": lambda b: b[:10],
    "without its last byte": lambda b: b[:-1],
    "without its checksum": lambda b: b[:-LENGTH],
    "cut off in the middle": lambda b: b[: len(b) // 2],
    "cut off near the end": lambda b: b[: len(b) - 2 * LENGTH],
    "empty": lambda b: b"",
    "a byte more": lambda b: b + b"\n",
    "twice": lambda b: b + b,
    "zeros in the middle": lambda b: b[:5000] + bytes(4096) + b[9096:],
    "blocks exchanged": lambda b: b[:4096] + b[8192:12288] + b[4096:8192] + b[12288:],
    "another checksum": lambda b: b[:-65] + b"0" * 64 + b"\n",
    "a checksum in capitals": lambda b: b[:-LENGTH] + b[-LENGTH:].upper(),
    "a byte moved to the front": lambda b: b[1:] + b[:1],
    "line ends translated": lambda b: b.replace(b"\n", b"\r\n"),
    "read as text": lambda b: b.decode("latin-1").encode(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_bytes_that_were_lost_or_moved_are_refused(change, saved, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(CHANGES[change](saved["gaussian"]))
    refused(path)


def test_the_body_of_one_fit_with_the_checksum_of_another_is_refused(saved, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(saved["poisson"][:-LENGTH] + saved["bernoulli"][-LENGTH:])
    assert "its checksum does not fit" in refused(path)


# content: edited with the library, and sealed again as somebody would who wants it to be read


def put(name, value, place=0):
    def change(file):
        values = file[name][...]
        values.reshape(-1)[place] = value
        file[name][...] = values

    return change


def replace(name, make):
    def change(file):
        values = make(file[name][...])
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        for key in ("_FillValue",):
            if key in attributes and np.issubdtype(np.asarray(values).dtype, np.floating):
                file[name].attrs[key] = attributes[key]

    return change


def document(part, key, value):
    def change(file):
        content = json.loads(file.attrs[part])
        content[key] = value
        file.attrs[part] = json.dumps(content)

    return change


def attribute(name, value):
    def change(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return change


def delete(name):
    def change(file):
        del file[name]

    return change


def labels(name, position, text):
    def change(file):
        file[name][position] = text

    return change


DAMAGE = [
    # draws
    ("bernoulli", put("posterior/sd_doctor", -0.1), "sd_doctor has draws below 0"),
    ("binomial", put("posterior/sd_hospital", -1e-9), "sd_hospital has draws below 0"),
    ("gaussian", put("posterior/sd_residual", -2.0), "sd_residual has draws below 0"),
    ("negative_binomial", put("posterior/dispersion", -1.0), "dispersion has draws below 0"),
    ("bernoulli", put("posterior/sd_doctor", np.nan), "sd_doctor holds values that are missing"),
    ("bernoulli", put("posterior/sd_doctor", np.inf), "sd_doctor holds values that are missing"),
    ("bernoulli", put("posterior/intercept", np.nan), "intercept holds"),
    ("bernoulli", put("posterior/intercept_standardized", -np.inf), "intercept_standardized"),
    ("bernoulli", put("posterior/coefficient", np.nan), "coefficient holds"),
    ("bernoulli", put("posterior/coefficient_standardized", np.nan), "coefficient_standardized"),
    ("poisson", put("posterior/doctor_effect", np.nan, 7), "doctor_effect holds"),
    ("poisson", put("posterior/doctor_effect", np.inf, 7), "doctor_effect holds"),
    ("binomial", put("posterior/hospital_effect", np.nan), "hospital_effect holds"),
    ("gaussian", put("posterior/sd_residual", np.nan), "sd_residual holds"),
    ("bernoulli", delete("posterior/doctor_effect"), "lack doctor_effect"),
    ("bernoulli", delete("posterior/sd_doctor"), "lack sd_doctor"),
    ("bernoulli", delete("posterior/intercept"), "lack intercept"),
    ("gaussian", delete("posterior/sd_residual"), "lack sd_residual"),
    ("negative_binomial", delete("posterior/dispersion"), "lack dispersion"),
    ("binomial", delete("posterior/hospital_effect"), "lack hospital_effect"),
    ("binomial", delete("posterior/sd_hospital"), "lack sd_hospital"),
    ("bernoulli", labels("posterior/doctor", 0, "D999"), "doctors of the draws are not those"),
    ("bernoulli", labels("posterior/term", 0, "sex"), "terms of the draws are not those"),
    ("binomial", labels("posterior/hospital", 0, "H99"), "hospitals of the draws are not those"),
    ("bernoulli", delete("posterior"), "posterior"),
    # outcomes
    ("bernoulli", put("observed_data/outcome", 2.0), "that the family bernoulli cannot have"),
    ("bernoulli", put("observed_data/outcome", 0.5), "that the family bernoulli cannot have"),
    ("bernoulli", put("observed_data/outcome", -1.0), "that the family bernoulli cannot have"),
    ("bernoulli", put("observed_data/outcome", np.nan), "observed_data/outcome holds"),
    ("binomial", put("observed_data/outcome", 99.0), "that the family binomial cannot have"),
    ("binomial", put("observed_data/outcome", 0.5), "that the family binomial cannot have"),
    ("poisson", put("observed_data/outcome", -1.0), "that the family poisson cannot have"),
    ("poisson", put("observed_data/outcome", 1.5), "that the family poisson cannot have"),
    ("negative_binomial", put("observed_data/outcome", -3.0), "cannot have"),
    ("gaussian", put("observed_data/outcome", np.inf), "observed_data/outcome holds"),
    ("gaussian", put("observed_data/outcome", np.nan), "observed_data/outcome holds"),
    ("bernoulli", delete("observed_data/outcome"), "outcome"),
    ("bernoulli", delete("observed_data"), "observed_data"),
    ("binomial", put("constant_data/trials", 0.0), "trials are not whole numbers from 1"),
    ("binomial", put("constant_data/trials", 2.5), "trials are not whole numbers from 1"),
    ("binomial", put("constant_data/trials", np.nan), "trials holds"),
    ("binomial", delete("constant_data/trials"), "trials"),
    ("poisson", put("constant_data/exposure", 0.0), "exposure is not above 0"),
    ("poisson", put("constant_data/exposure", -3.0), "exposure is not above 0"),
    ("poisson", put("constant_data/exposure", np.inf), "exposure holds"),
    ("poisson", delete("constant_data/exposure"), "exposure"),
    # doctors and hospitals
    ("bernoulli", put("constant_data/doctor_code", 99), "labels that are not listed"),
    ("bernoulli", put("constant_data/doctor_code", -1), "labels that are not listed"),
    ("binomial", put("constant_data/hospital_code", 77), "labels that are not listed"),
    ("bernoulli", replace("constant_data/doctor_code", np.zeros_like), "a doctor has no rows"),
    ("binomial", replace("constant_data/hospital_code", np.zeros_like), "a hospital has no rows"),
    ("bernoulli", labels("labels/doctors", 0, "D001"), "must be unique"),
    ("bernoulli", labels("labels/doctors", 0, "D999"), "doctors of the draws are not those"),
    ("bernoulli", delete("labels/doctors"), "doctors"),
    ("binomial", delete("labels/hospitals"), "hospital"),
    ("bernoulli", delete("constant_data/doctor_code"), "doctor_code"),
    # design
    ("bernoulli", put("design/scale", 0.0), "design/scale is not above 0"),
    ("bernoulli", put("design/scale", -1.0), "design/scale is not above 0"),
    ("bernoulli", put("design/scale", np.nan), "design/scale holds"),
    ("bernoulli", put("design/center", np.inf), "design/center holds"),
    ("bernoulli", put("design/matrix", np.nan), "design/matrix holds"),
    ("bernoulli", labels("design/term", 0, "frailty"), "a term comes twice"),
    ("bernoulli", delete("design/matrix"), "matrix"),
    ("bernoulli", delete("design/doctor_level"), "doctor_level"),
    ("bernoulli", delete("design"), "design"),
    # words
    ("bernoulli", document("cases", "direction", "sideways"), "direction is 'sideways'"),
    ("bernoulli", document("cases", "direction", 1), "direction is 1"),
    ("bernoulli", document("cases", "direction", ["lower"]), "direction is"),
    ("bernoulli", document("cases", "missing", "guess"), "missing is 'guess'"),
    ("bernoulli", document("cases", "event", 3), "event is 3"),
    ("bernoulli", document("cases", "roles", {"doctor": "doctor"}), "no column has the role"),
    ("bernoulli", document("cases", "roles", {}), "no column has the role"),
    ("bernoulli", document("cases", "roles", "outcome"), "content is damaged"),
    ("binomial", document("cases", "roles", {"outcome": "y", "doctor": "d"}), "disagree"),
    ("bernoulli", document("model", "family", "poison"), "'poison' is none of"),
    ("bernoulli", document("model", "family", "gaussian"), "lack sd_residual"),
    ("poisson", document("model", "family", "bernoulli"), "cannot have"),
    ("bernoulli", document("model", "doctor_effects", "cauchy"), "'cauchy' is none of"),
    ("bernoulli", document("model", "doctor_effects", "student_t"), "disagree"),
    ("bernoulli", document("model", "priors", {}), "content is damaged"),
    ("bernoulli", document("spec", "family", "poisson"), "disagree"),
    ("bernoulli", document("spec", "unknown", 1), "content is damaged"),
    ("bernoulli", document("provenance", "unknown", 1), "content is damaged"),
    ("bernoulli", document("diagnostics", "pareto_k", [1]), "diagnostics are not"),
    ("bernoulli", attribute("diagnostics", "[1]"), "diagnostics are not"),
    ("bernoulli", attribute("diagnostics", "{"), "content is damaged"),
    ("bernoulli", attribute("cases", "[" * 99999), "content is damaged"),
    ("bernoulli", attribute("cases", None), "content is damaged"),
    ("bernoulli", attribute("spec", "null"), "content is damaged"),
    ("bernoulli", attribute("engine", "guess"), "'guess' is none of"),
    ("bernoulli", attribute("engine", None), "content is damaged"),
    ("bernoulli", attribute("format", "another"), "not a fit saved by outcomekpi"),
    ("bernoulli", attribute("format", 1), "not a fit saved by outcomekpi"),
    ("bernoulli", attribute("format_version", 1), "Fit the model and save it again"),
    ("bernoulli", attribute("format_version", 3), "Update outcomekpi"),
    ("bernoulli", attribute("format_version", "two"), "Fit the model and save it again"),
    ("bernoulli", attribute("format_version", None), "Fit the model and save it again"),
]


def edited(saved, family, change, path):
    """Write a fit without its checksum, and edit it."""
    path.write_bytes(saved[family][:-LENGTH])
    with h5py.File(path, "r+") as file:
        change(file)


@pytest.mark.parametrize(
    ("family", "change", "words"),
    DAMAGE,
    ids=[f"{place}: {words}" for place, (_, _, words) in enumerate(DAMAGE)],
)
def test_content_that_no_fit_can_have_is_refused_even_with_a_checksum(
    family, change, words, saved, tmp_path
):
    path = tmp_path / "fit.nc"
    edited(saved, family, change, path)
    seal(path)
    assert words in refused(path)


def test_there_are_many_kinds_of_damage():
    assert len(DAMAGE) + len(CHANGES) >= 100


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "gaussian"])
def test_a_draw_that_was_made_nicer_is_refused(family, saved, tmp_path):
    path = tmp_path / "fit.nc"
    edited(saved, family, put("posterior/doctor_effect", 0.0, slice(None)), path)
    path.write_bytes(path.read_bytes() + saved[family][-LENGTH:])
    assert "its checksum does not fit" in refused(path)


@pytest.mark.parametrize(
    "family", ["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]
)
def test_whole_files_are_read_and_other_programs_read_them_too(family, saved, tmp_path):
    import xarray as xr

    path = tmp_path / "fit.nc"
    path.write_bytes(saved[family])
    assert load_fit(path).model.family == family
    tree = xr.open_datatree(path, engine="h5netcdf")
    assert tree["posterior"].sizes["draw"] == 10
    tree.close()
    with h5py.File(path) as file:
        assert "posterior" in file


def test_a_file_sealed_again_without_a_change_is_read(saved, tmp_path):
    path = tmp_path / "fit.nc"
    edited(saved, "bernoulli", lambda file: None, path)
    seal(path)
    assert load_fit(path).model.family == "bernoulli"
