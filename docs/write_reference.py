"""Write docs/reference.md and the table of files in ARCHITECTURE.md, from the docstrings."""

import ast
import inspect
import re
from pathlib import Path

import outcomekpi

GROUPS = (
    ("Functions", lambda value: inspect.isfunction(value)),
    ("Records and errors", lambda value: inspect.isclass(value)),
    ("Other names", lambda value: not (inspect.isfunction(value) or inspect.isclass(value))),
)
OTHER = {
    "DEFAULT_LEVEL": "Probability of every interval unless the caller says otherwise.",
    "__version__": "Version of the package.",
    "datasets": "Example tables: `load_medpar`, `load_synthetic_cases`, `simulate_cases`.",
}


def first_line(name: str) -> str:
    """Return the meaning of a public name, safe inside a table."""
    value = getattr(outcomekpi, name)
    text = OTHER.get(name) or (inspect.getdoc(value) or "").splitlines()[0]
    return text.replace("|", "\\|")


def list_files() -> str:
    """Return the table of modules, each with the first line of its docstring."""
    package = Path(outcomekpi.__file__).parent
    rows = ["| file | what it holds |", "|---|---|"]
    for path in sorted(package.rglob("*.py"), key=lambda p: (p.parent != package, p)):
        meaning = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if meaning:
            first = meaning.splitlines()[0].replace("|", "\\|")
            rows.append(f"| `{path.relative_to(package).as_posix()}` | {first} |")
    return "\n".join(rows)


def write_files(page: Path) -> None:
    """Put the table of modules between its two marks."""
    text = page.read_text(encoding="utf-8")
    begin, end = "<!-- files: begin -->", "<!-- files: end -->"
    table = f"{begin}\n{list_files()}\n{end}"
    marked = re.compile(f"{begin}.*{end}", flags=re.DOTALL)
    page.write_text(marked.sub(lambda _: table, text), encoding="utf-8")


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
    write_files(docs.parent / "ARCHITECTURE.md")
