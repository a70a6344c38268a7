"""The pictures of a report, drawn off screen and put into the file as data."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from outcomekpi.pages.sketches import Sketch

__all__ = ["Picture", "draw_pictures"]

VECTOR_UP_TO = 150  # doctors; beyond, a bitmap is smaller than the drawing
DPI = 160
WIDTH = 5.6  # inches; narrower than a picture on paper, so that its words can be read on a phone
SHRUNK = 0.9
STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "svg.hashsalt": "outcomekpi",
    "svg.fonttype": "path",
    "figure.facecolor": "white",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: a data URI, its size in CSS pixels, and what it shows."""

    name: str
    heading: str
    caption: str
    alt: str
    uri: str
    width: int
    height: int


def draw_pictures(sketches: Sequence[Sketch]) -> list[Picture]:
    """Draw pictures in matplotlib's own style, whatever the caller has set, and change nothing."""
    return [_draw(sketch) for sketch in sketches]


def _draw(sketch: Sketch) -> Picture:
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, SHRUNK * sketch.height), layout="constrained")
        FigureCanvasAgg(figure)
        sketch.draw(figure.add_subplot())
        content = BytesIO()
        if sketch.n_marks > VECTOR_UP_TO:
            kind = "png"
            figure.savefig(content, format=kind, dpi=DPI, metadata={"Software": None})
        else:
            kind = "svg+xml"
            figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    encoded = b64encode(content.getvalue()).decode("ascii")
    return Picture(
        name=f"figure-{sketch.name}",
        heading=sketch.heading,
        caption=sketch.caption,
        alt=f"{sketch.heading} {sketch.caption}",
        uri=f"data:image/{kind};base64,{encoded}",
        width=round(WIDTH * 96),
        height=round(SHRUNK * sketch.height * 96),
    )
