"""Tables to try the package on: real patients from an extra, and simulated ones."""

from outcomekpi.datasets.figures import load_documented_figures
from outcomekpi.datasets.r_tables import load_medpar, load_seatbelts
from outcomekpi.simulation.made.cases import Truth, simulate_cases
from outcomekpi.simulation.made.completion import simulate_history
from outcomekpi.simulation.made.pilots import PilotTruth, simulate_pilot
from outcomekpi.simulation.made.rollouts import RolloutTruth, simulate_rollout
from outcomekpi.simulation.made.synthetic import load_synthetic_cases

__all__ = [
    "PilotTruth",
    "RolloutTruth",
    "Truth",
    "load_documented_figures",
    "load_medpar",
    "load_seatbelts",
    "load_synthetic_cases",
    "simulate_cases",
    "simulate_history",
    "simulate_pilot",
    "simulate_rollout",
]
