"""Panels of units and periods with a known effect."""

import numpy as np
import pandas as pd


def made_panel(n_treated=8, n_controls=10, n_times=6, start=4, effect=2.0, seed=1, sd=0.5):
    """Units 0.. with levels of their own, a common path, and an effect from ``start`` on."""
    rng = np.random.default_rng(seed)
    count = n_treated + n_controls
    frame = pd.DataFrame(
        {
            "ward": np.repeat([f"w{one:03d}" for one in range(count)], n_times),
            "year": np.tile(np.arange(2001, 2001 + n_times), count),
        }
    )
    treated = np.repeat(np.arange(count) < n_treated, n_times)
    first = 2000 + start
    frame["start"] = np.where(treated, first, 0)
    level = np.repeat(rng.normal(50, 3, count), n_times)
    path = np.tile(np.cumsum(rng.normal(0.3, 0.5, n_times)), count)
    noise = rng.normal(0, sd, len(frame))
    frame["rate"] = level + path + noise + effect * (treated & (frame["year"] >= first))
    return frame


def staggered_panel(seed=1, effect=2.0):
    """Starts in 2003, 2005 and never."""
    frame = made_panel(n_treated=6, n_controls=14, start=3, seed=seed, effect=effect)
    late = frame["ward"].isin([f"w{one:03d}" for one in range(6, 11)])
    frame.loc[late, "start"] = 2005
    frame.loc[late & (frame["year"] >= 2005), "rate"] += effect
    return frame
