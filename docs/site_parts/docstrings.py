"""Docstrings as they are written here: an entry is ``name : one sentence``, over several lines.

The usual converters take the first line for a type and the rest for a description, which would cut
sentences in two. Here an entry stays whole.
"""

import re
from textwrap import dedent

from sphinx.application import Sphinx

LISTED = {"Parameters", "Attributes", "Raises", "Warns"}
PLAIN = {"Notes", "References", "Examples", "See Also"}
EITHER = {"Returns", "Yields"}
NAMED = re.compile(r"[\w, ]+ : ")
BAR = re.compile(r"(``[^`]*``)|\|")
"""A bar outside of code: an absolute value or a condition, which reStructuredText would replace."""
ENTRY = re.compile(r"^(\S[^:]*?)(?: : (.*))?$")


def split_sections(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Return (heading, lines) of each section; the text before the first has the heading ""."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    skip = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if skip:
            skip = False
        elif line in LISTED | PLAIN | EITHER and re.fullmatch(r"-+", following):
            sections.append((line, []))
            skip = True
        else:
            sections[-1][1].append(line)
    return sections


def list_entries(lines: list[str]) -> list[str]:
    """Return a section of entries as a bullet list, each entry with all its lines."""
    written: list[str] = []
    for line in lines:
        match = ENTRY.match(line)
        if match:
            meaning = f" – {match[2]}" if match[2] else " –"
            written += ["", f"* **{match[1]}**{meaning}"]
        else:
            written.append(f"  {line.strip()}" if line.strip() else "")
    return written


def convert(lines: list[str]) -> list[str]:
    """Return a docstring as reStructuredText."""
    written: list[str] = []
    for heading, section in split_sections(lines):
        if heading:
            written += ["", f".. rubric:: {heading}", ""]
        named = heading in EITHER and NAMED.match("".join(section[:1]))
        written += list_entries(section) if named or heading in LISTED else section
    return [BAR.sub(lambda match: match[1] or r"\|", line) for line in written]


def process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Convert a docstring in place, as Sphinx asks for it."""
    lines[:] = convert(dedent("\n".join(lines)).splitlines())


def setup(app: Sphinx) -> dict[str, bool]:
    """Convert every docstring."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
