"""Public names that compute, and those of them that need no value of their own."""

import inspect
import re

import outcomekpi as ok
from outcomekpi import datasets, programs
from outcomekpi.public_names import HOME

ACTS = ("decide", "estimate", "judge", "pass_probability", "from_frame", "precision", "columns")
"""A class with one of these methods computes; other classes hold what is asked or was found."""
WITHOUT_NUMBERS = {
    "Rule": "a protocol",
    "cite": "words",
    "from_fhir": "records as they came",
    "from_his": "records as they came",
    "provenance": "versions and hashes of the machine",
    "pseudonymize": "names",
    "read_indicator": "a definition",
    "report": "a page; its numbers come from the verbs before it",
    "report_pilot": "a page",
    "report_review": "a page",
    "shipped_indicators": "names",
    "write_indicator": "a definition",
}
"""Public names that compute no numbers, with the reason; plots are left out by their name."""


def computing_names():
    """Names of public functions, and of classes that act, in no particular order."""
    rooms = dict.fromkeys(HOME, ok) | {
        name: room for room in (programs, datasets) for name in room.__all__
    }
    for name, room in rooms.items():
        value = getattr(room, name)
        acts = inspect.isclass(value) and any(callable(getattr(value, act, None)) for act in ACTS)
        if acts or (inspect.isfunction(value) and not name.startswith("plot_")):
            yield name


def named_in(calls):
    """Words of the names of calls."""
    return {word for call in calls for word in re.findall(r"\w+", call)}
