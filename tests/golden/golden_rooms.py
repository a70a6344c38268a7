"""Every call of every room, in one mapping."""

import calls_doctors
import calls_measures
import calls_patients
import calls_pilots
import calls_rules

MODULES = (calls_doctors, calls_measures, calls_patients, calls_pilots, calls_rules)
ROOMS = {room: calls for module in MODULES for room, calls in module.ROOMS.items()}
"""Room (name of the file of its values) -> call (names of what is called, and a note) -> call."""
SLOW = {call for module in MODULES for call in module.SLOW}
