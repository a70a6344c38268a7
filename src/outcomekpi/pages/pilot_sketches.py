"""Which pictures the report on a pilot shows, and the words under each."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pages.sketches import Sketch
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.before_after import plot_before_after
from outcomekpi.plots.doctor_effects import plot_doctor_effects
from outcomekpi.plots.event_study import plot_event_study
from outcomekpi.plots.frontier import plot_frontier
from outcomekpi.plots.kitagawa import plot_kitagawa
from outcomekpi.plots.pilot_series import plot_counterfactual
from outcomekpi.plots.rows import rows_height

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_pilot", "sketch_pilot"]

CAPTIONS: dict[str, tuple[str, str]] = {
    "counterfactual": (
        "Observed, and without the program.",
        "Points are what was observed. The dashed line is what the model expects without the "
        "program, with its interval. The effect is the distance between the two lines after the "
        "start; it is right only as far as the dashed line would have come true.",
    ),
    "event_study": (
        "Treated against controls, by time since the start.",
        "Left of the dotted line the program had not begun: points near 0 there say that both "
        "groups moved alike, and wide bars say that the data could not have told. What lies right "
        "of it is the effect if they would have gone on moving alike.",
    ),
    "kitagawa": (
        "What the plain difference is made of.",
        "The plain before/after difference is the sum of the other bars. Only the first, the "
        "change in patients who are compared with their like, can be the program's; the others "
        "are other patients.",
    ),
    "slope": (
        "Before and after.",
        "Each line is a doctor or a group of patients. Lines that close up towards the middle "
        "are what luck alone does to extreme starts. Where it is known how patients were chosen, "
        "the diamond is the level that they would have come to by themselves.",
    ),
    "doctor_effects": (
        "Whose patients changed.",
        "Effect on the patients of each doctor, drawn in towards the mean as far as his cases say "
        "little. Lines that overlap show no difference between the doctors.",
    ),
    "frontier": (
        "The frontier at which nothing is left.",
        "How much of the change other explanations would have to make, two at a time and with the "
        "third on each line. On a line nothing is left for the program; above it they would have "
        "done more than all of it.",
    ),
}
BY_EXPOSURE = (
    "By time with the program.",
    "The effect in the first period with the program, the second, and so on. A program that "
    "needs time, or wears off, shows here; the last ones rest on few clusters.",
)
TWO_GROUPS = (
    "The two groups before and after.",
    "The dashed line, and the diamond, are where the group with the program would be, had it "
    "changed as the other did; the distance to its point is the effect, if it would have.",
)
HEIGHTS = {"counterfactual": 4.6, "event_study": 4.2, "slope": 4.8, "frontier": 5.0}


def draw_pilot(
    effect: PilotEffect, *, level: float = DEFAULT_LEVEL
) -> Mapping[str, "Callable[[Axes | None], Axes]"]:
    """Return what draws each picture that the findings allow, by the name of its table.

    An effect whose interval includes none has no frontier: there is nothing to explain away.
    """
    plots: dict[str, Callable[[Axes | None], Axes]] = {
        "counterfactual": lambda ax: plot_counterfactual(effect, level=level, ax=ax),
        "event_study": lambda ax: plot_event_study(effect, level=level, ax=ax),
        "kitagawa": lambda ax: plot_kitagawa(effect, level=level, ax=ax),
        "slope": lambda ax: plot_before_after(effect, level=level, ax=ax),
        "doctor_effects": lambda ax: plot_doctor_effects(effect, level=level, ax=ax),
        "frontier": lambda ax: plot_frontier(effect, level=level, ax=ax),
    }
    return {name: draw for name, draw in plots.items() if _has(effect, name, level)}


def _has(effect: PilotEffect, name: str, level: float) -> bool:
    table = effect.findings_at(level).tables.get(name)
    if table is None or table.empty:
        return False
    if name != "frontier":
        return True
    unclear = effect.design.rung > 0 and effect.main.excludes_null(level=level) is False
    return not unclear and bool((table["effect_left"].abs() > 0).any())


def sketch_pilot(effect: PilotEffect, *, level: float) -> list[Sketch]:
    """Sketch every picture of a pilot, in the order in which a reader needs them."""
    sketches = []
    for name, draw in draw_pilot(effect, level=level).items():
        heading, caption = CAPTIONS[name]
        if name == "event_study" and effect.design.rung == 6:
            heading, caption = BY_EXPOSURE
        if name == "slope" and effect.design.rung == 4:
            heading, caption = TWO_GROUPS
        rows = len(effect.findings_at(level).tables[name])
        height = rows_height(rows) if name == "doctor_effects" else HEIGHTS.get(name, 4.2)
        sketches.append(
            Sketch(
                name=name.replace("_", "-"),
                heading=heading,
                caption=caption,
                draw=draw,
                height=height,
                n_marks=0 if name == "frontier" else rows,
            )
        )
    return sketches
