"""Names in any script: which installed font can draw them, and what to say when none can.

Matplotlib falls back glyph by glyph through a list of families. The list is set on the texts
of one Axes and never in ``rcParams``, so that a user's own figures keep their font.
"""

from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width, name
from warnings import warn

from outcomekpi.declare.errors import OutcomeKPIWarning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontEntry

__all__ = ["apply_fonts", "display_name"]

PLACEHOLDER = "\N{WHITE SQUARE}"
_PLACEHOLDER_FONT = "Last Resort"  # covers every character with a box, which helps nobody


def display_name(label: object, *, width: int = 28) -> str:
    """Return a label that draws as it is written: one line, no mathematics, ``width`` at most."""
    text = "".join(char for char in " ".join(str(label).split()) if char.isprintable())
    taken = 0
    for position, char in enumerate(text):
        taken += 2 if east_asian_width(char) in "WF" else 1
        if taken > width:
            text = text[: max(position - 1, 1)].rstrip() + "…"
            break
    return text.replace("$", r"\$")


def apply_fonts(ax: "Axes") -> None:
    """Give the texts of ``ax`` a font for every character, or a placeholder and one warning."""
    from matplotlib import rcParams
    from matplotlib.text import Text

    texts = [text for text in ax.findobj(Text) if not text.get_text().isascii()]
    wanted = frozenset(char for text in texts for char in text.get_text() if ord(char) > 127)
    if not wanted:
        return
    base = tuple(rcParams["font.family"])
    fallback, missing = _families_for(wanted, base)
    if missing:
        _warn_missing(name(min(missing), "unnamed").split()[0], "".join(sorted(missing)[:8]))
        _replace(ax, texts, missing)
    if fallback:
        families = [*base, *fallback]
        ax.tick_params(axis="both", which="both", labelfontfamily=families)
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label, *texts):
            text.set_fontfamily(families)


@cache
def _families_for(
    wanted: frozenset[str], base: tuple[str, ...]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families to append to ``base`` for ``wanted``, and the characters nobody can draw."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = []
    for family in base:
        try:
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # a family in rcParams that is not installed
            continue
        fonts.append(get_font(path))
    left = {char for char in wanted if not any(_draws(font, char) for font in fonts)}
    chosen: list[str] = []
    while left:
        covered, entry = _best_font(frozenset(left))
        if not covered or entry is None:
            break
        chosen.append(entry.name)
        left -= covered
    return tuple(chosen), frozenset(left)


def _draws(font: Any, char: str) -> bool:
    return bool(font.get_char_index(ord(char)))


def _best_font(wanted: frozenset[str]) -> "tuple[frozenset[str], FontEntry | None]":
    """Return the installed font that draws most of ``wanted``, the plainest first."""
    from matplotlib.ft2font import FT2Font

    best: tuple[frozenset[str], FontEntry | None] = (frozenset(), None)
    for entry in sorted(_installed(), key=_plainness):
        try:
            font = FT2Font(entry.fname)
        except (OSError, RuntimeError):  # a broken or unreadable font file is no candidate
            continue
        covered = frozenset(char for char in wanted if _draws(font, char))
        if len(covered) > len(best[0]):
            best = covered, entry
        if len(covered) == len(wanted):
            break
    return best


def _plainness(entry: "FontEntry") -> tuple[bool, bool, float, bool, str]:
    weight = entry.weight if isinstance(entry.weight, int | float) else 400
    odd = any(word in entry.name for word in ("Mono", "Serif", "Condensed", "Ming", "Kai"))
    return entry.style != "normal", odd, abs(weight - 400), entry.stretch != "normal", entry.name


def _installed() -> "list[FontEntry]":
    """Fonts that matplotlib knows, and those installed since it last looked."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # not a font that matplotlib can read
                continue
    return [entry for entry in fontManager.ttflist if not entry.name.startswith(_PLACEHOLDER_FONT)]


def _replace(ax: "Axes", texts: list[Any], missing: frozenset[str]) -> None:
    table = {ord(char): PLACEHOLDER for char in missing}
    for axis in (ax.xaxis, ax.yaxis):
        labels = [text.get_text() for text in axis.get_ticklabels()]
        if any(missing.intersection(label) for label in labels):
            axis.set_ticks(axis.get_ticklocs(), [label.translate(table) for label in labels])
    for text in texts:
        text.set_text(text.get_text().translate(table))


_WARNED: set[str] = set()


def _warn_missing(script: str, characters: str) -> None:
    """Warn once per script, not once per glyph and picture."""
    if script in _WARNED:
        return
    _WARNED.add(script)
    warn(
        f"No installed font has the characters {characters!r}; they are drawn as {PLACEHOLDER}. "
        "Install a font that has them, for Chinese, Japanese or Korean for example Noto Sans CJK "
        "(Debian: fonts-noto-cjk) or WenQuanYi Micro Hei (Debian: fonts-wqy-microhei), "
        "and start Python again.",
        OutcomeKPIWarning,
        stacklevel=4,
    )
