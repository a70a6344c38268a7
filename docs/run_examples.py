"""Run the code of documentation pages and write what it says under it.

A block of ``python`` runs in one session per page, a block of ``sh`` runs its lines that start with
``outcomekpi``; both in an empty folder. The block of ``text`` that follows, if one does, is what
came out: printed lines, or the message of an error that the package raised on purpose. So a page
cannot promise a sentence that the package does not say: tests/house/test_docs.py compares.

    python docs/run_examples.py [PAGE ...]    writes the blocks of text anew
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path
from typing import Any

from outcomekpi.cli import main
from outcomekpi.declare.errors import OutcomeKPIError, OutcomeKPIWarning

DOCS = Path(__file__).parent
WIDTH = 86
BLOCK = re.compile(
    r"^```(?P<kind>python|sh)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<text>.*?)^```\n)?",
    flags=re.M | re.S,
)


def list_pages() -> list[Path]:
    """Return the pages whose code is run."""
    return [*sorted((DOCS / "howto").glob("*.md")), DOCS / "refusals.md"]


def run_python(code: str, names: dict[str, Any]) -> None:
    """Run a block; errors and warnings of the package print their kind and their message."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", OutcomeKPIWarning)
        warnings.showwarning = show_warning
        try:
            exec(compile(code, "<page>", "exec"), names)
        except OutcomeKPIError as error:
            print(f"{type(error).__name__}: {error}")


def show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Print a warning as the pages show it."""
    print(f"{category.__name__}: {message}")


def run_shell(code: str) -> None:
    """Run the lines of a block that call the command line of the package."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith("outcomekpi "):
            main(shlex.split(line)[1:])


def fold(text: str) -> str:
    """Wrap long sentences, leave tables alone."""
    lines = text.rstrip().splitlines()
    folded = [
        line if len(line) <= WIDTH or "  " in line.strip() else textwrap.fill(line, WIDTH)
        for line in lines
    ]
    return "\n".join(folded) + "\n"


def run_block(block: re.Match[str], names: dict[str, Any]) -> str:
    """Return a block as it should be written: the code, and what it says now."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if block["kind"] == "python":
            run_python(block["code"], names)
        else:
            run_shell(block["code"])
    if block["text"] is None:
        if said.getvalue().strip():
            raise ValueError(f"nothing shows what this says:\n{block[0]}\n{said.getvalue()}")
        return block[0]
    head = block[0].partition("\n```text\n")[0]
    return f"{head}\n```text\n{fold(said.getvalue())}```\n"


def run_page(page: Path) -> str:
    """Return the text of a page with every block of text as its code says it now."""
    names: dict[str, Any] = {}
    text = page.read_text(encoding="utf-8")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return BLOCK.sub(lambda block: run_block(block, names), text)
        finally:
            os.chdir(before)


if __name__ == "__main__":
    for page in [Path(name) for name in sys.argv[1:]] or list_pages():
        page.write_text(run_page(page), encoding="utf-8")
