"""The tree of pages, kept out of the pages so that they read well in the repository too."""

import re
from pathlib import Path

import nbformat
from sphinx.application import Sphinx

TREE = {
    "index": (
        ("Learn", ("tutorials", "howto/index", "glossary")),
        ("Guides", ("evaluate", "thresholds", "pilot")),
        ("Know", ("refusals", "peers", "methods/REGISTRY", "benchmarks/README")),
        ("Look up", ("reference", "data/README", "中文说明 <project/README.zh-CN>")),
        ("Project", ("project/ARCHITECTURE", "project/CONTRIBUTING", "project/CHANGELOG")),
    ),
    "tutorials": (("", ("tutorials/*",)),),
    "howto/index": (
        (
            "",
            (
                "csv",
                "priors",
                "published_risk",
                "few_doctors",
                "many_doctors",
                "chinese",
                "bigger_machine",
            ),
        ),
    ),
    "methods/REGISTRY": (("", ("*",)),),
    "benchmarks/README": (("", ("*",)),),
    "data/README": (("", ("*",)),),
    "reference": (("", ("api/*",)),),
}
"""Page -> its branches, each a caption and the pages on it, as seen from the page."""


def write_branch(caption: str, pages: tuple[str, ...], itself: str) -> str:
    """Return one branch as a hidden list of pages."""
    listed = [page for page in pages if page != itself]
    options = [":hidden:", ":glob:"] + ([f":caption: {caption}"] if caption else [])
    return "\n".join(["", "```{toctree}", *options, "", *listed, "```", ""])


def plant(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append its branches to a page."""
    docs = Path(app.srcdir)
    for caption, pages in TREE.get(docname, ()):
        there = tuple(page for page in pages if "*" not in page or any_match(docs, docname, page))
        source[0] += write_branch(caption, there, Path(docname).name)


def list_notebooks(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the titles of the notebooks to the page on tutorials."""
    if docname == "tutorials":
        for path in sorted((Path(app.srcdir) / "tutorials").glob("*.ipynb")):
            first = nbformat.read(path, as_version=4).cells[0].source
            title = re.search(r"^# (.+)$", first, flags=re.M)
            words = title[1] if title else path.stem
            source[0] += f"\n{int(path.stem[:2])}. [{words}](tutorials/{path.name})"
        source[0] += "\n"


def any_match(docs: Path, docname: str, pattern: str) -> bool:
    """Say whether a pattern finds a page, so that no branch is empty."""
    return any((docs / docname).parent.glob(pattern))


def setup(app: Sphinx) -> dict[str, bool]:
    """Plant while pages are read."""
    app.connect("source-read", list_notebooks)
    app.connect("source-read", plant)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
