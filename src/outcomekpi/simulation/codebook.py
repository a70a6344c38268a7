"""The codebook of a synthetic hospital, written from what the knobs say about themselves."""

from dataclasses import Field, fields, is_dataclass
from typing import Any

import pandas as pd

from outcomekpi.indicators.measures import UNIT
from outcomekpi.simulation.presets import PRESET_SOURCES, community_centers, tertiary_hospital
from outcomekpi.simulation.scenario import Scenario

__all__ = ["scenario_codebook"]

WORDS = {
    "doctors.sorted_by": (
        "what a patient's need is: recorded comorbidity, or severity that nobody records", "word",
        "assumption, recorded need, so that adjustment can work",
    ),
    "improvement.enroll_on": (
        "measure whose month 0 reading decides who is enrolled; empty enrolls everybody", "word",
        "assumption, no program unless a study asks for one",
    ),
}  # fmt: skip


def scenario_codebook() -> pd.DataFrame:
    """List every knob of a synthetic hospital with its meaning, unit, range, default and source.

    Returns
    -------
    DataFrame, one row per knob. ``knob`` (bundle and name), ``meaning, unit, lowest, highest``
    (allowed), ``default, source``; for each preset its value, ``tertiary_hospital`` and
    ``community_centers``, and where it differs from the default its source,
    ``tertiary_hospital_source`` and ``community_centers_source``. Values as text, with six
    significant digits.

    Notes
    -----
    ``data/scenario_codebook.csv`` is this table.

    Examples
    --------
    >>> from outcomekpi import scenario_codebook
    >>> scenario_codebook().set_index("knob").loc["hba1c.sd_within", "default"]
    '0.4'
    """
    scenarios = {
        "default": Scenario(),
        "tertiary_hospital": tertiary_hospital(),
        "community_centers": community_centers(),
    }
    rows = []
    for one in fields(Scenario):
        if is_dataclass(one.type):
            for inner in fields(one.type):
                rows.append(_describe(f"{one.name}.{inner.name}", inner, one, scenarios))
        elif one.name != "name":
            rows.append(_describe(one.name, one, one, scenarios))
    return pd.DataFrame(rows)


def _describe(
    path: str, knob: Field[Any], bundle: Field[Any], scenarios: dict[str, Scenario]
) -> dict[str, str]:
    facts = knob.metadata
    if path in WORDS:
        meaning, unit, source = WORDS[path]
    else:
        meaning, unit, source = facts["meaning"], facts["unit"], facts["source"]
        unit = unit.replace(UNIT, bundle.metadata.get("unit", UNIT))
        source = bundle.metadata.get("sources", {}).get(knob.name, source)
    values = {name: _show(_look_up(scenario, path)) for name, scenario in scenarios.items()}
    row = {
        "knob": path,
        "meaning": meaning,
        "unit": unit,
        "lowest": _show_bound(facts.get("low")),
        "highest": _show_bound(facts.get("high")),
        "default": values["default"],
        "source": source,
    }
    for preset in ("tertiary_hospital", "community_centers"):
        row[preset] = values[preset]
        changed = values[preset] != values["default"]
        row[f"{preset}_source"] = PRESET_SOURCES[preset][path] if changed else ""
    return row


def _look_up(scenario: Scenario, path: str) -> object:
    value: object = scenario
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _show(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"


def _show_bound(bound: float | None) -> str:
    return "" if bound is None or abs(bound) == float("inf") else f"{bound:g}"
