"""The script that measures the house counts what it says it counts."""

import ast
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parents[2]


def script():
    spec = spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def body(names, constant):
    return "\n".join(
        f"    {name} = first({name}, {constant}) + {i}" for i, name in enumerate(names)
    )


def test_blocks_of_one_shape_are_one_pair_however_long():
    measures = script()
    one = ast.parse(f"def f(first):\n{body('abcdefgh', 1)}")
    two = ast.parse(f"def g(other):\n    start = other()\n{body('uvwxyzab', 7)}")
    short = ast.parse(f"def h(other):\n{body('abcde', 1)}")
    assert len(measures.repeated_pairs([("one", one), ("two", two), ("short", short)])) == 1
    assert measures.repeated_pairs([("one", one), ("short", short)]) == []


def test_lists_of_fields_are_counted_apart_from_steps():
    measures = script()
    fields = "\n".join(f"    {name}: float" for name in "abcdefg")
    both = [(name, ast.parse(f"class {name}:\n{fields}")) for name in ("One", "Two")]
    assert measures.repeated_pairs(both) == []
    assert len(measures.repeated_pairs(both, declared=True)) == 1


def test_a_level_is_fixed_unless_it_is_a_default_of_level():
    tree = ast.parse(
        "def f(*, level=DEFAULT_LEVEL): return g(level)\n"
        "class A:\n    level: float = DEFAULT_LEVEL\n"
        "def h(width=DEFAULT_LEVEL):\n    return g(DEFAULT_LEVEL)\n"
    )
    assert script().fixed_levels(tree) == [4, 5]


def test_every_test_file_stands_in_the_folder_of_a_room():
    assert script().stray_tests(ROOT) == []


def test_no_level_is_fixed_but_as_a_default_of_level():
    measures = script()
    fixed = {
        path.name: lines
        for path in measures.modules(ROOT)
        if (lines := measures.fixed_levels(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert not fixed
