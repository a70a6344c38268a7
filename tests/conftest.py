"""What every test needs before PyMC or matplotlib are imported."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(20261)
