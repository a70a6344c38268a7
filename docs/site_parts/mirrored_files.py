"""Files that live elsewhere in the repository and are pages of the site as well.

Notebooks, benchmark tables and the documents beside the README are copied before pages are read,
and links between files of the repository become links between pages. So every link works where the
files are browsed in the repository, and on the site.
"""

import os
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
MIRRORS = (
    ("notebooks/[0-9]*.ipynb", "tutorials"),
    ("benchmarks/*.md", "benchmarks"),
    ("data/*.md", "data"),
    ("README.zh-CN.md", "project"),
    ("ARCHITECTURE.md", "project"),
    ("CHANGELOG.md", "project"),
    ("CONTRIBUTING.md", "project"),
)
# what has no page of its own is told on another one
STAND_INS = {"README.md": "docs/index.md", "notebooks/README.md": "docs/tutorials.md"}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(?=[)#])")


def list_mirrors() -> dict[str, str]:
    """Return each file's path in the repository -> the path of its copy, both from its root."""
    copies = {}
    for pattern, folder in MIRRORS:
        for path in sorted(ROOT.glob(pattern)):
            copies[path.relative_to(ROOT).as_posix()] = f"docs/{folder}/{path.name}"
    return copies


def copy_files(app: Sphinx) -> None:
    """Bring the copies up to date, and remove those whose origin is gone."""
    copies = list_mirrors()
    for folder in {folder for _, folder in MIRRORS}:
        (DOCS / folder).mkdir(exist_ok=True)
        for path in (DOCS / folder).iterdir():
            if f"docs/{folder}/{path.name}" not in copies.values():
                path.unlink(missing_ok=True)
    for origin, copy in copies.items():
        text = rewrite_links((ROOT / origin).read_text(encoding="utf-8"), origin, copy)
        write_changed(ROOT / copy, text)


def write_changed(target: Path, text: str) -> None:
    """Write a file if it is new or another one, whole: two builds may run side by side."""
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    (DOCS / "_build").mkdir(exist_ok=True)
    new = DOCS / "_build" / f"{os.getpid()}-{target.name}"
    new.write_text(text, encoding="utf-8")
    new.replace(target)


def rewrite_links(text: str, origin: str, page: str) -> str:
    """Return a text with its links to files as seen from its page; mirrored files have pages."""
    pages = list_mirrors() | STAND_INS

    def point(match: re.Match[str]) -> str:
        meant = normpath(f"{PurePosixPath(origin).parent}/{match[1]}")
        meant = f"{meant}/README.md" if (ROOT / meant / "README.md").is_file() else meant
        if meant.startswith("notebooks/") and not (ROOT / meant).exists():
            meant = "notebooks/README.md"  # not written yet: the page that lists them all
        return relpath(pages.get(meant, meant), PurePosixPath(page).parent.as_posix())

    return LINK.sub(point, text)


def rewrite_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Point the links of a page that lives in docs/ to the pages of mirrored files."""
    page = Path(app.env.doc2path(docname)).resolve().relative_to(ROOT).as_posix()
    if page not in list_mirrors().values():
        source[0] = rewrite_links(source[0], page, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Copy before anything is read, rewrite pages while they are."""
    app.connect("builder-inited", copy_files)
    app.connect("source-read", rewrite_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
