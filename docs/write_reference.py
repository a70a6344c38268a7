"""Write docs/reference.md: every public name with the first line of its docstring."""

import inspect
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


def main() -> None:
    """Write the page beside this file."""
    parts = [
        "# Reference\n\nWritten by `make docs` from the docstrings; `help(outcomekpi.fit)` and the "
        "like show the whole text: arguments, shapes, units, formulas, sources, examples.\n"
    ]
    for heading, belongs in GROUPS:
        names = [n for n in sorted(outcomekpi.__all__) if belongs(getattr(outcomekpi, n))]
        rows = "\n".join(f"| `{name}` | {first_line(name)} |" for name in names)
        parts.append(f"## {heading}\n\n| name | meaning |\n|---|---|\n{rows}\n")
    Path(__file__).with_name("reference.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
