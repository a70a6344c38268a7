"""The API reference: one page per room of the package, written from the list of public names."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

from sphinx.application import Sphinx

import outcomekpi
from outcomekpi.public_names import ROOMS
from site_parts.mirrored_files import write_changed

API = Path(__file__).parents[1] / "api"
GROUND = "ground"
TITLES = {
    GROUND: "Cases, checks, errors, citation",
    "adjustment": "Risk adjustment",
    "profiling": "Judging doctors",
    "thresholds": "Thresholds and rewards",
    "pilots": "Pilots",
    "plots": "Plots",
    "report": "Reports",
    "datasets": "Example data",
    "programs": "Rules of programs",
}
"""Page -> its title; a room that is not listed is called by its name."""
LIBRARIES = {"datasets": "outcomekpi.datasets", "programs": "outcomekpi.programs"}
CONSTANTS = {
    "DEFAULT_LEVEL": "Probability of every interval unless the caller says otherwise: {!r}.",
    "__version__": "Version of the package, a string.",
}


def group_names() -> dict[str, list[str]]:
    """Return page -> the public names on it: functions first, each kind in the order of rooms."""
    pages: dict[str, list[str]] = {}
    for module, names in ROOMS.items():
        page = module.split(".")[0] if "." in module or is_room(module) else GROUND
        pages.setdefault(page, []).extend(names.split())
    pages.setdefault(GROUND, []).append("__version__")
    for names in pages.values():
        names.sort(key=lambda name: inspect.isclass(getattr(outcomekpi, name)))
    return pages


def is_room(module: str) -> bool:
    """Say whether a module is a package with modules of its own."""
    return hasattr(import_module(f"outcomekpi.{module}"), "__path__")


def describe(name: str, module: str = "outcomekpi") -> str:
    """Return the directive that shows one name."""
    value = getattr(import_module(module), name)
    if name in CONSTANTS:
        return f".. py:data:: {module}.{name}\n\n   {CONSTANTS[name].format(value)}\n"
    if inspect.isclass(value):
        return f".. autoclass:: {module}.{name}\n   :members:\n   :member-order: bysource\n"
    return f".. autofunction:: {module}.{name}\n"


def write_page(page: str, directives: list[str], meaning: str, module: str = "") -> str:
    """Write one page unless it stands there already; return its file's name."""
    title = TITLES.get(page, page.replace("_", " ").capitalize())
    head = f"{title}\n{'=' * 2 * len(title)}\n\n{meaning}\n\n"
    if module:
        head += f".. py:module:: outcomekpi.{module}\n\n"
    text, target = head + "\n".join(directives), API / f"{page}.rst"
    write_changed(target, text)
    return target.name


def first_line(module: str) -> str:
    """Return the first line of a module's docstring."""
    return (inspect.getdoc(import_module(module)) or "").splitlines()[0]


def write_pages(app: Sphinx) -> None:
    """Write every page, and remove those of rooms that are gone."""
    API.mkdir(exist_ok=True)
    written = set()
    for page, names in group_names().items():
        meaning = "What everything else stands on."
        if page != GROUND:
            meaning = first_line(f"outcomekpi.{page}")
        written.add(write_page(page, [describe(name) for name in names], meaning))
    for page, module in LIBRARIES.items():
        # autodoc imports names as users write them: ok.programs.x
        sys.modules[f"outcomekpi.{page}"] = getattr(outcomekpi, page)
        names = [describe(name, f"outcomekpi.{page}") for name in list_library(page)]
        written.add(write_page(page, names, first_line(module), module=page))
    for path in API.iterdir():
        if path.name not in written:
            path.unlink(missing_ok=True)


def list_library(page: str) -> list[str]:
    """Return the public names of a module whose functions are called as ``ok.module.name``."""
    return list(getattr(outcomekpi, page).__all__)


def link_names(app: Sphinx, docname: str, source: list[str]) -> None:
    """Link each name in the table of all names to its entry."""
    if docname == "reference":
        source[0] = re.sub(r"^\| `(\w+)` \|", link_name, source[0], flags=re.M)


def link_name(match: re.Match[str]) -> str:
    """Return the first cell of a row of the table, as a link."""
    return f"| {{py:obj}}`{match[1]} <outcomekpi.{match[1]}>` |"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before anything is read."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
