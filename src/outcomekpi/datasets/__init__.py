"""Tables to try the package on: real patients from an extra, and simulated ones."""

from outcomekpi.datasets.completion import simulate_history
from outcomekpi.datasets.medpar import load_medpar
from outcomekpi.datasets.pilots import PilotTruth, simulate_pilot
from outcomekpi.datasets.simulated import Truth, simulate_cases
from outcomekpi.datasets.synthetic import load_synthetic_cases

__all__ = [
    "PilotTruth",
    "Truth",
    "load_medpar",
    "load_synthetic_cases",
    "simulate_cases",
    "simulate_history",
    "simulate_pilot",
]
