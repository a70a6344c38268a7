"""How the house stands: lines, levels that are fixed, repeated shapes, tests that mirror rooms.

Run: ``python benchmarks/house.py`` (a few seconds; ``--list levels|pairs|fields|tests`` to see the
places, ``--at PATH`` for another checkout).
"""

import argparse
import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
WINDOW = 6
"""Statements in a row that make a repetition."""


def modules(root):
    """Python files of the package."""
    return sorted((root / "src" / "outcomekpi").rglob("*.py"))


def count_lines(root):
    """Lines and files, in all and by room."""
    rooms = defaultdict(lambda: [0, 0])
    for path in modules(root):
        room = path.relative_to(root / "src" / "outcomekpi").parent.as_posix()
        rooms[room][0] += path.read_text(encoding="utf-8").count("\n")
        rooms[room][1] += 1
    return dict(rooms)


def fixed_levels(tree):
    """Lines that read DEFAULT_LEVEL other than as the default of a parameter or field ``level``."""
    allowed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            given = [*node.args.posonlyargs, *node.args.args]
            plain = zip(
                given[len(given) - len(node.args.defaults) :], node.args.defaults, strict=True
            )
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            for argument, default in (*plain, *named):
                if argument.arg == "level" and default is not None:
                    allowed.add(id(default))
        elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "level":
            allowed.add(id(node.value))
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
        and node.id == "DEFAULT_LEVEL"
        and isinstance(node.ctx, ast.Load)
        and id(node) not in allowed
    ]


class _Shape(ast.NodeTransformer):
    """Replaces names and constants, so that statements of one shape look alike."""

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(id="x", ctx=node.ctx), node)

    def visit_Attribute(self, node):
        self.generic_visit(node)
        node.attr = "a"
        return node

    def visit_Constant(self, node):
        return ast.copy_location(ast.Constant(value=0), node)

    def visit_JoinedStr(self, node):
        return ast.copy_location(ast.Constant(value=0), node)

    def visit_keyword(self, node):
        self.generic_visit(node)
        node.arg = node.arg and "k"
        return node

    def visit_arg(self, node):
        return ast.copy_location(ast.arg(arg="x"), node)


def shapes(tree):
    """Shape and line of each statement, block by block; docstrings and imports are left out."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            lines = []
            for one in block:
                is_text = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
                if is_text or isinstance(one, ast.Import | ast.ImportFrom):
                    continue
                head = ast.unparse(one).splitlines()[0] if hasattr(one, "body") else None
                if head is None:
                    copy = ast.parse(ast.unparse(one)).body[0]
                    head = ast.unparse(_Shape().visit(copy))
                lines.append((head, one.lineno))
            yield lines


def is_declared(key):
    """Whether statements only name fields or constants: a list of names says no step twice."""
    return all(re.match(r"x(: .+| = 0)$", shape) for shape in key)


def repeated_pairs(trees, *, declared=False):
    """Pairs of places that share at least six statements of one shape in a row, without overlap.

    Pairs that share nothing but declarations of fields and constants, or the others.
    """
    seen = defaultdict(list)
    for name, tree in trees:
        for block, lines in enumerate(shapes(tree)):
            for start in range(len(lines) - WINDOW + 1):
                key = tuple(shape for shape, _ in lines[start : start + WINDOW])
                seen[key].append((name, block, start, lines[start][1]))
    pairs, steps = {}, set()
    for key, places in seen.items():
        for i, one in enumerate(places):
            for other in places[i + 1 :]:
                if one[:2] == other[:2] and abs(one[2] - other[2]) < WINDOW:
                    continue
                pairs.setdefault((one[:2], other[:2]), (one, other))  # however long the run
                if not is_declared(key):
                    steps.add((one[:2], other[:2]))
    return [
        ((a[0], a[3]), (b[0], b[3]))
        for pair, (a, b) in pairs.items()
        if (pair not in steps) == declared
    ]


def stray_tests(root):
    """Test files that stand in no folder of a room."""
    package = root / "src" / "outcomekpi"
    rooms = {path.parent.relative_to(package).as_posix() for path in modules(root)}
    own = {"house", "golden"}  # about the house as a whole
    return [
        path.relative_to(root).as_posix()
        for path in sorted((root / "tests").rglob("test_*.py"))
        if path.parent.relative_to(root / "tests").as_posix() not in rooms | own
        or path.parent == root / "tests"
    ]


def measure(root):
    """All measures of a checkout."""
    trees = [
        (path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in modules(root)
    ]
    levels = [
        f"{name}:{line}"
        for name, tree in trees
        if not name.endswith("intervals.py")
        for line in fixed_levels(tree)
    ]
    return {
        "rooms": count_lines(root),
        "levels": levels,
        "pairs": repeated_pairs(trees, declared=False),
        "fields": repeated_pairs(trees, declared=True),
        "tests": stray_tests(root),
        "n_tests": len(list((root / "tests").rglob("test_*.py"))),
    }


def page(found):
    """The table, as Markdown."""
    lines = sum(n for n, _ in found["rooms"].values())
    files = sum(n for _, n in found["rooms"].values())
    fixed = {place.partition(":")[0] for place in found["levels"]}
    rows = [
        "# How the house stands",
        "",
        "Written by `python benchmarks/house.py`. A level is fixed where `DEFAULT_LEVEL` is read",
        "other than as the default of a parameter or field `level`; two places repeat each other",
        f"where {WINDOW} statements in a row have one shape (names and constants replaced); where",
        "those only declare fields of records or constants, they are counted apart.",
        "",
        "| what | |",
        "|---|---|",
        f"| lines and files of `src` | {lines:,} in {files} |",
        f"| places that fix a level | {len(found['levels'])} in {len(fixed)} files |",
        f"| pairs of places of one shape | {len(found['pairs'])} |",
        f"| the same, fields and constants alone | {len(found['fields'])} |",
        f"| test files that mirror a room | {found['n_tests'] - len(found['tests'])} of "
        f"{found['n_tests']} |",
        "",
        "| room | lines | files |",
        "|---|---|---|",
    ]
    for room, (n, count) in sorted(found["rooms"].items(), key=lambda item: -item[1][0]):
        rows.append(f"| `{room}` | {n:,} | {count} |")
    return "\n".join(rows) + "\n"


def main():
    """Print or write the page, or list places."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", choices=["levels", "pairs", "fields", "tests"])
    parser.add_argument("--at", type=Path, default=ROOT)
    options = parser.parse_args()
    found = measure(options.at)
    if options.list:
        print("\n".join(map(str, found[options.list])))
        return
    print(page(found))
    if options.at == ROOT:
        Path(__file__).with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
