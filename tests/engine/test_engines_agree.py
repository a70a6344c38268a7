"""The fast engine and NUTS give the same posterior of every doctor and parameter.

Tolerances: means within .05 posterior SD, SDs within 5 %, each plus three Monte Carlo errors of
both engines. Short chains have a large Monte Carlo error, so the quick sets see gross faults;
`make validate` runs long chains on every set and writes benchmarks/engines_agree.md.
"""

from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
from engine_agreement import BENCHMARKS, agreement

from outcomekpi.declare.errors import OutcomeKPIWarning
from outcomekpi.engine.draws_tree import PosteriorSamples


def made_samples(*, shift=0.0, scale=1.0, seed=1, n=8000):
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(5, n))
    effects[2] = shift + scale * effects[2]
    return PosteriorSamples(
        intercept=rng.normal(size=n),
        coefficient=rng.normal(size=(n, 2)),
        sd_doctor=rng.gamma(20.0, 0.02, n),
        doctor_effect=effects,
        n_chains=4,
    )


def test_two_samples_of_one_posterior_agree():
    table = agreement.compare_samples(made_samples(seed=1), made_samples(seed=2))
    assert table["agrees"].all()
    assert len(table) == 4 + 5


@pytest.mark.parametrize(("shift", "scale"), [(0.15, 1.0), (0.0, 1.15), (0.0, 0.85)])
def test_a_doctor_whose_mean_or_spread_is_off_is_found(shift, scale):
    wrong = made_samples(seed=1, shift=shift, scale=scale)
    table = agreement.compare_samples(wrong, made_samples(seed=2))
    assert table.index[~table["agrees"]].tolist() == ["doctor 3"]


def compare(name, **sizes):
    with catch_warnings():
        simplefilter("ignore", OutcomeKPIWarning)  # a stray divergence is not the question here
        return agreement.compare_engines(name, **sizes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["surgical", "few doctors"])
def test_the_engines_agree_on_quick_sets(name):
    found = compare(name, draws=8000, nuts_draws=6000, sampler="pymc")
    assert found.disagreements.empty, found.disagreements.to_string()


@pytest.mark.validate
def test_the_engines_agree_on_every_set_with_long_chains():
    names = ["surgical", *agreement.SETS]
    found = [compare(name, draws=8000, nuts_draws=24000) for name in names]
    agreement.write_table(found, BENCHMARKS)
    wrong = [f"{one.name}:\n{one.disagreements}" for one in found if len(one.disagreements)]
    assert not wrong, "\n".join(wrong)
