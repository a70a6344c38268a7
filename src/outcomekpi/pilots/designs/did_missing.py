"""What missing outcomes of the treated could have done to the effect, at worst and at best."""

from dataclasses import replace

import numpy as np

from outcomekpi.pilots.data.panel import PanelColumns, PanelData, read_panel
from outcomekpi.pilots.designs.did_controls import limit_controls
from outcomekpi.pilots.designs.did_estimation import estimate_effect
from outcomekpi.pilots.designs.did_options import DidOptions

__all__ = ["bound_missing"]


def bound_missing(
    data: object,
    panel: PanelData,
    columns: PanelColumns,
    options: DidOptions,
    *,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """Effect if every missing outcome of the treated after the start had been 0, and if 1.

    Returns
    -------
    effects with 0 and with 1, in percentage points; None unless outcomes of patients are 0 or 1
    and more of the treated are missing after the start than before
    """
    before, after = panel.missing["treated"]
    if columns.rows != "patients" or not panel.is_share or after <= before:
        return None
    found = []
    for value in (0.0, 1.0):
        filled = replace(columns, fill=value)
        full = limit_controls(read_panel(data, filled), options)
        answer = estimate_effect(full, filled, options, draws=draws, rng=rng)
        found.append(answer.main.value)
    return found[0], found[1]
