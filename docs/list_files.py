"""Print every module with its first line: `make files`, or `make files ROOM=tables`."""

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "outcomekpi"


def list_files(room: str = "") -> list[str]:
    """Return one line for each module of a room, or of all: path and meaning."""
    rows = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        meaning = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append(f"{path.relative_to(PACKAGE).as_posix():46} {meaning.partition(chr(10))[0]}")
    return rows


if __name__ == "__main__":
    print("\n".join(list_files(*sys.argv[1:2])))
