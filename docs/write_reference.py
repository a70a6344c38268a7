"""Write what would drift if it were written by hand, each from its source.

docs/reference.md comes from the docstrings, the stub for type checkers from public_names.py, the
tables of docs/methods/REGISTRY.md from the registry that the package reads, and from the pages
beside it.
"""

import inspect
import re
from pathlib import Path

import outcomekpi
from outcomekpi.lineage.citation import find_reference, plain_text
from outcomekpi.lineage.registry import Source, load_methods
from outcomekpi.public_names import ROOMS

GROUPS = (
    ("Functions", lambda value: inspect.isfunction(value)),
    ("Records and errors", lambda value: inspect.isclass(value)),
    ("Other names", lambda value: not (inspect.isfunction(value) or inspect.isclass(value))),
)
OTHER = {
    "DEFAULT_LEVEL": "Probability of every interval unless the caller says otherwise.",
    "__version__": "Version of the package.",
    "datasets": "Example tables, real and simulated, and the documented figures: "
    + ", ".join(f"`{name}`" for name in sorted(outcomekpi.datasets.__all__) if name.islower())
    + ".",
    "programs": "Rules of programs with money behind them, as functions (QOF, VBP, Stars, ...).",
}


def first_line(name: str) -> str:
    """Return the meaning of a public name, safe inside a table."""
    value = getattr(outcomekpi, name)
    text = OTHER.get(name) or (inspect.getdoc(value) or "").splitlines()[0]
    return text.replace("|", "\\|")


def list_methods(folder: Path) -> str:
    """Return the table of pages of methods, each with its sections."""
    rows = ["| page | methods |", "|---|---|"]
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, flags=re.M)
        sections = re.findall(r"^## (.+)$", text, flags=re.M)
        if title and page.name != "REGISTRY.md":
            rows.append(f"| [{title[1]}]({page.name}) | {' · '.join(sections)} |")
    return "\n".join(rows)


def list_registry(folder: Path) -> str:
    """Return the table of methods: page, sources, what each was compared with, tests."""
    rows = ["| method | sources | compared with | tests |", "|---|---|---|---|"]
    for method in load_methods():
        sources = [cite_source(source) for source in method.sources]
        sources += [f"({cite_source(source)})" for source in method.background]
        tests = [f"`{test.removeprefix('tests/')}`" for test in method.tests]
        cells = (
            f"[{method.name}]({method.page})",
            "; ".join(sources) or "this package",
            compared_with(folder, method.page),
            ", ".join(tests),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def cite_source(source: Source) -> str:
    """Return a source in short: authors, year with DOI, and the place in it or its pages."""
    fields = find_reference(source.key).fields
    names = plain_text(fields.get("author", fields["title"])).split(" and ")
    first = names[0].split(",")[0]
    short = f"{first} et al." if len(names) > 2 else " and ".join(n.split(",")[0] for n in names)
    words = " ".join(part for part in (short, fields.get("year", "")) if part)
    if "doi" in fields:
        words = f"[{words}](https://doi.org/{fields['doi']})"
    elif "eprint" in fields:
        words = f"[{words}](https://arxiv.org/abs/{fields['eprint']})"
    place = source.place or plain_text(fields.get("pages", ""))
    return f"{words}, {place}" if place else words


def compared_with(folder: Path, place: str) -> str:
    """Return the first sentence of what a section says about comparisons."""
    page, fragment = place.split("#")
    sections = re.split(r"(?m)^## ", (folder / page).read_text(encoding="utf-8"))[1:]
    own = next(one for one in sections if anchor_of(one.splitlines()[0]) == fragment)
    found = re.search(
        r"\*Compared with\.\*(.*?)(?:\n\n|\s\*[A-Z][a-z ]+\.\*|\Z)", own, flags=re.DOTALL
    )
    text = re.sub(r"\s+", " ", found[1]).strip()
    return re.split(r"(?<=[\w)`%])\. (?=[A-Z`\d])", text)[0].rstrip(".").replace("|", "\\|")


def anchor_of(heading: str) -> str:
    """Return the fragment of a heading, as GitHub writes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def write_table(page: Path, mark: str, table: str) -> None:
    """Put a table between its two marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    marked = re.compile(f"{begin}.*{end}", flags=re.DOTALL)
    text = page.read_text(encoding="utf-8")
    page.write_text(marked.sub(lambda _: f"{begin}\n{table}\n{end}", text), encoding="utf-8")


def list_stub() -> str:
    """Return the public names as type checkers read them, from where each lives."""
    lines = [
        f"from outcomekpi.{module} import {name} as {name}"
        for module, names in sorted(ROOMS.items())
        for name in sorted(names.split())
    ]
    return "\n".join(
        [
            "# Written by `make reference` from public_names.py: what type checkers see.",
            "from outcomekpi import datasets as datasets",
            *lines,
            "from outcomekpi import programs as programs",
            "",
            "__version__: str",
            "",
        ]
    )


def write_names(page: Path) -> None:
    """Write the reference of public names."""
    parts = [
        "# Reference\n\nWritten by `make docs` from the docstrings; `help(outcomekpi.fit)` and the "
        "like show the whole text: arguments, shapes, units, formulas, sources, examples.\n"
    ]
    for heading, belongs in GROUPS:
        names = [n for n in sorted(outcomekpi.__all__) if belongs(getattr(outcomekpi, n))]
        rows = "\n".join(f"| `{name}` | {first_line(name)} |" for name in names)
        parts.append(f"## {heading}\n\n| name | meaning |\n|---|---|\n{rows}\n")
    page.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    docs = Path(__file__).parent
    write_names(docs / "reference.md")
    stub = Path(outcomekpi.__file__).with_suffix(".pyi")
    stub.write_text(list_stub(), encoding="utf-8")
    write_table(docs / "methods" / "REGISTRY.md", "methods", list_registry(docs / "methods"))
    write_table(docs / "methods" / "REGISTRY.md", "pages", list_methods(docs / "methods"))
