"""Who can be compared with whom: controls, starts and clusters of a panel, and their refusals."""

from dataclasses import replace
from typing import TYPE_CHECKING

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.panel import PanelData
from outcomekpi.tables.columns import count_of, list_values

if TYPE_CHECKING:
    from outcomekpi.pilots.designs.did import DifferenceInDifferences

__all__ = ["FEWEST_CLUSTERS", "check_covariates", "limit_controls"]

FEWEST_CLUSTERS = 2


def check_covariates(panel: PanelData, covariates: tuple[str, ...]) -> None:
    """Refuse covariates with which no control is like any treated.

    Raises
    ------
    CasesError
        A covariate with one value, or whose values of treated and controls do not overlap.
    """
    is_treated = panel.frame["treated"] == 1
    for name in covariates:
        values = panel.frame[name]
        if values.nunique() == 1:
            raise CasesError(
                f"Covariate {name!r} has one value, {values.iloc[0]:g}, in every row: it adjusts "
                "for nothing. Leave it out."
            )
        here, there = values[is_treated], values[~is_treated]
        if here.min() > there.max() or here.max() < there.min():
            raise CasesError(
                f"Covariate {name!r} tells treated and controls apart: it runs from "
                f"{here.min():g} to {here.max():g} in the treated and from {there.min():g} to "
                f"{there.max():g} in the controls, so that no control is like any treated. Leave "
                "it out, or add controls that overlap."
            )


def limit_controls(panel: PanelData, design: "DifferenceInDifferences") -> PanelData:
    """Refuse a panel without controls; where all are treated in turn, keep what has some.

    Raises
    ------
    CasesError
        No controls, several starts for a 2x2, one cluster on a side.
    """
    starts = [panel.times[one - 1] for one in panel.starts]
    if panel.n_controls == 0:
        panel = _late_as_controls(panel, design, starts)
    if design.estimator == "2x2" and len(panel.starts) > 1:
        raise CasesError(
            f"estimator='2x2' needs one start; {count_of(len(starts), 'start')} found: "
            f"{list_values(starts)}. With several, a plain regression compares the later treated "
            "with the earlier ones: use estimator='callaway_santanna' or 'etwfe'."
        )
    _check_clusters(panel, design)
    return panel


def _late_as_controls(
    panel: PanelData, design: "DifferenceInDifferences", starts: list[str]
) -> PanelData:
    if len(starts) == 1:
        raise CasesError(
            f"Difference in differences needs controls: all {len(panel.units):,} units start at "
            f"{starts[0]}. Without controls, add up the units and use InterruptedSeries; with two "
            "periods, BeforeAfter."
        )
    if design.control == "never_treated":
        raise CasesError(
            f"control='never_treated' needs units without a start; all {len(panel.units):,} have "
            f"one, from {starts[0]} to {starts[-1]}. Pass control='not_yet_treated' to compare "
            "with units that start later."
        )
    last = panel.starts[-1]
    frame = panel.frame[panel.frame["time"] < last].copy()
    frame.loc[frame["start"] == last, ["start", "treated", "after"]] = 0
    note = (
        f"No unit was never treated: units that start at {starts[-1]} are the controls, and times "
        "from then on, when nobody is left to compare with, are left out."
    )
    return replace(
        panel,
        frame=frame.reset_index(drop=True),
        times=panel.times[: last - 1],
        notes=(*panel.notes, note),
    )


def _check_clusters(panel: PanelData, design: "DifferenceInDifferences") -> None:
    treated, controls = panel.treated_clusters, panel.control_clusters
    if controls == 0:
        raise CasesError(
            f"Every one of {panel.n_clusters:,} clusters has a treated unit: no cluster is left to "
            "tell how much clusters change by themselves. Name a smaller cluster."
        )
    if treated == controls == 1:
        raise CasesError(
            "One treated and one control cluster: no data tell how much a cluster changes by "
            "itself, and an interval would run from -inf to inf. If the rows are patients, "
            "ControlledBeforeAfter compares them as the units and says what that leaves out; with "
            "many periods, ControlledSeries judges by the scatter before the start."
        )
    if design.inference == "randomization":
        return
    if min(treated, controls) < FEWEST_CLUSTERS:
        side = "treated" if treated < FEWEST_CLUSTERS else "control"
        raise CasesError(
            f"One {side} cluster ({treated:,} treated, {controls:,} controls): its own change "
            f"cannot be told from chance, and inference={design.inference!r} would give a much "
            "too narrow interval. Pass estimator='2x2', inference='randomization', which compares "
            "with every other choice of the treated cluster (at least 20 clusters for a 95 % "
            "interval), or use SyntheticControl."
        )
