"""What every page shares: its template, its style, its safety, and how it is written to disk."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from outcomekpi.declare.errors import StorageError
from outcomekpi.lineage.citation import cite
from outcomekpi.tables.files import write_text_atomic

__all__ = ["check_target", "render_page", "write_page"]

Page = Literal["doctors", "indicators", "pilot"]


def check_target(path: str | Path) -> Path:
    """Return the path of a page that is to be written, or refuse a folder.

    Raises
    ------
    StorageError
        The path is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise StorageError(f"A report needs the name of a file; {str(target)!r} is a folder.")
    return target


def render_page(page: Page, context: Mapping[str, Any]) -> str:
    """Fill the template of a page; every value is escaped, and only the page's own script may run.

    Parameters
    ----------
    page : its template, which extends ``page.html.j2``
    context : what the template and the template it extends write; a missing value is an error
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    folder = files("outcomekpi.pages").joinpath("templates")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("outcomekpi.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{page}.html.j2").render(
        **context,
        citation=cite(),
        bibtex=cite(style="bibtex"),
        style=style,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode("ascii"),
    )


def write_page(target: Path, text: str) -> Path:
    """Write a page whole or not at all; its folder is made if need be.

    Raises
    ------
    StorageError
        The file or its folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(target, text)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"The report cannot be written to {str(target)!r}: {error.strerror or error}."
        ) from error
    return target
