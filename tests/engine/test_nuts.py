"""NUTS gives the posterior in the common form, says how well it mixed, and refuses if it did not.

Values are tested in engine/test_engines_agree.py; here chains are short, or made by hand.
"""

from importlib.util import find_spec
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
import xarray as xr
from handmade import make_model

from outcomekpi.declare.errors import EngineError, OutcomeKPIWarning, SpecError
from outcomekpi.engine import nuts
from outcomekpi.engine.nuts import sample_nuts

STATS = {
    "lp",
    "acceptance_rate",
    "tree_depth",
    "reached_max_treedepth",
    "diverging",
    "energy",
    "n_steps",
    "step_size",
}


def sample_short(**world):
    """Two short chains, which may rightly warn that they are short."""
    with catch_warnings():
        simplefilter("ignore", OutcomeKPIWarning)
        return sample_nuts(
            make_model(n_cases=300, n_doctors=8),
            draws=400,
            seed=5,
            chains=2,
            tune=300,
            target_accept=0.95,
            **world,
        )


@pytest.fixture(scope="module")
def samples():
    return sample_short(sampler="pymc")


@pytest.mark.slow
def test_draws_come_chain_after_chain_for_every_quantity(samples):
    assert samples.n_chains == 2
    assert samples.intercept.shape == samples.sd_doctor.shape == (400,)
    assert samples.coefficient.shape == (400, 2)
    assert samples.doctor_effect.shape == (8, 400)
    assert samples.hospital_effect is None and samples.sd_residual is None


def test_pymc_reports_the_common_statistics(samples):
    assert set(samples.stats) == STATS
    assert all(values.shape == (400,) for values in samples.stats.values())


def test_diagnostics_name_the_sampler_and_how_it_mixed(samples):
    found = samples.diagnostics
    assert found["sampler"] == "pymc"
    assert found["chains"] == 2 and found["tune"] == 300
    assert 0.99 < found["r_hat_max"] < 1.1
    assert 0 < found["ess_bulk_min"] <= 2000
    assert found["divergences"] == samples.stats["diverging"].sum()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws(samples):
    again = sample_short(sampler="pymc")
    np.testing.assert_array_equal(again.doctor_effect, samples.doctor_effect)


def test_doctors_and_parameters_are_recovered(samples):
    """Loose: 300 cases and 400 draws; the mean of eight doctors' effects is near 0."""
    assert samples.intercept.mean() == pytest.approx(-1.2, abs=0.6)
    assert samples.coefficient.mean(axis=0) == pytest.approx([0.6, -0.3], abs=0.5)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nutpie") is None, reason="nutpie is not installed")
def test_nutpie_reports_the_same_names_and_is_chosen_where_installed():
    found = sample_short()
    assert found.diagnostics["sampler"] == "nutpie"
    assert set(found.stats) == STATS
    assert found.doctor_effect.shape == (8, 400)


def test_draws_must_divide_among_the_chains():
    with pytest.raises(SpecError, match="draws=1004"):
        sample_nuts(make_model(n_cases=60, n_doctors=4), draws=1002, seed=1)


def test_an_unknown_sampler_gets_a_hint():
    with pytest.raises(SpecError, match="Did you mean 'nutpie'"):
        sample_nuts(make_model(n_cases=60, n_doctors=4), draws=400, seed=1, sampler="nutpy")


def test_nutpie_is_asked_for_by_name_only_where_installed(monkeypatch):
    monkeypatch.setattr(nuts, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match="not installed"):
        sample_nuts(make_model(n_cases=60, n_doctors=4), draws=400, seed=1, sampler="nutpie")


def made_tree(*, shift=0.0, divergent=0, draws=100, n_doctors=4, n_terms=2):
    """Four chains of independent draws, the last one moved by ``shift``."""
    rng = np.random.default_rng(1)

    def values(*units):
        array = rng.normal(size=(4, draws, *units))
        array[3] += shift
        return array

    diverging = np.zeros((4, draws), dtype=bool)
    diverging.reshape(-1)[:divergent] = True
    chain = ("chain", "draw")
    posterior = {
        "intercept_standardized": (chain, values()),
        "coefficient_standardized": ((*chain, "term"), values(n_terms)),
        "sd_doctor": (chain, np.exp(values())),
        "doctor_effect": ((*chain, "doctor"), values(n_doctors)),
    }
    stats = {
        "logp": (chain, values()),
        "diverging": (chain, diverging),
        "maxdepth_reached": (chain, np.zeros((4, draws), dtype=bool)),
        "energy": (chain, values()),
    }
    return xr.DataTree.from_dict(
        {"posterior": xr.Dataset(posterior), "sample_stats": xr.Dataset(stats)}
    )


def sample_made(monkeypatch, **options):
    monkeypatch.setattr(nuts, "_run", lambda *args, **kwargs: made_tree(**options))
    return sample_nuts(make_model(n_cases=60, n_doctors=4), draws=400, seed=1)


def test_chains_that_do_not_mix_are_refused(monkeypatch):
    with pytest.raises(EngineError, match="R-hat"):
        sample_made(monkeypatch, shift=3.0)


def test_a_posterior_full_of_divergences_is_refused(monkeypatch):
    with pytest.raises(EngineError, match="80 of 400"):
        sample_made(monkeypatch, divergent=80)


def test_some_divergences_are_a_warning(monkeypatch):
    with pytest.warns(OutcomeKPIWarning, match="5 of 400"):
        samples = sample_made(monkeypatch, divergent=5)
    assert samples.diagnostics["divergences"] == 5


def test_names_of_nutpie_become_those_of_pymc(monkeypatch):
    samples = sample_made(monkeypatch)
    assert {"lp", "reached_max_treedepth"} <= set(samples.stats)


def test_independent_draws_have_r_hat_near_one_and_full_effective_size(monkeypatch):
    found = sample_made(monkeypatch).diagnostics
    # 4 chains of 100 independent normal draws, 8 quantities: sampling noise only
    assert found["r_hat_max"] < 1.05
    assert found["ess_bulk_min"] > 200


def test_a_model_without_covariates_has_no_coefficients(monkeypatch):
    from dataclasses import replace

    model = make_model(n_cases=60, n_doctors=4)
    model = replace(model, matrix=np.empty((60, 0)))
    tree = made_tree()
    monkeypatch.setattr(nuts, "_run", lambda *args, **kwargs: tree)
    assert sample_nuts(model, draws=400, seed=1).coefficient.shape == (400, 0)
