"""The pictures of a report, drawn off screen and put into the file as data."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outcomekpi.pages.sketches import Sketch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "draw_pictures"]

VECTOR_UP_TO = 150  # doctors; beyond, a bitmap is smaller than the drawing
DPI = 200  # as large as slides and papers want it
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


def draw_pictures(sketches: Sequence[Sketch], *, folder: Path | None = None) -> list[Picture]:
    """Draw pictures in matplotlib's own style, whatever the caller has set, and change nothing.

    Parameters
    ----------
    sketches : what is drawn
    folder : where each picture is written as PNG too, under the name of its sketch; None: nowhere
    """
    return [_draw(sketch, folder) for sketch in sketches]


def _draw(sketch: Sketch, folder: Path | None) -> Picture:
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, SHRUNK * sketch.height), layout="constrained")
        FigureCanvasAgg(figure)
        sketch.draw(figure.add_subplot())
        content = BytesIO()
        kind = "png" if sketch.n_marks > VECTOR_UP_TO else "svg+xml"
        if kind == "png":
            _save_png(figure, content)
        else:
            figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        if folder is not None:
            bitmap = content
            if kind != "png":
                figure.set_layout_engine("none")  # everything has its place by now
                _save_png(figure, bitmap := BytesIO())
            (folder / f"{sketch.name}.png").write_bytes(bitmap.getvalue())
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


def _save_png(figure: "Figure", content: BytesIO) -> None:
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
