"""The notebooks: executed, the same as their twins, public names only, prose and numbers agree.

`pytest --nbmake notebooks` executes them; here stands what a reader relies on besides.
"""

import ast
import importlib.util
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

import outcomekpi as ok

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAY_IMPORT = {"math", "os", "pathlib", "re", "time", "dataclasses", "matplotlib", "numpy", "pandas"}
MAY_COMPARE_WITH = {"scipy", "statsmodels", "arviz"}
# 43 % [A-C1E1.before]: a documented figure with its ID
QUOTED = re.compile(r"([-−+]?\d[\d,]*(?:\.\d+)?)[^\d\[\]]{0,24}\[([AB]-[\w.]+)\]")
# a number that the prose claims: with a decimal point, a percent sign or thousands
CLAIMED = re.compile(
    r"(?<![\w.])(\d[\d,]*\.\d+|\.\d+|\d{1,3}(?:,\d{3})+|\d[\d,]*(?= ?%))(?![\w]*[a-zA-Z])"
)
NOT_PROSE = re.compile(
    r"`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>|10\.\d{4,}/\S+|[「“][^」”]*[」”]|^#.*$",
    flags=re.S | re.M,
)
# cells between a number of the prose and the code that proves it
NEAR = 10
# a picture of one point
POINT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9aw"
    "AAAABJRU5ErkJggg=="
)

by_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose_of(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def trees_of(notebook):
    return [ast.parse(cell.source) for cell in code_of(notebook)]


def nodes_of(notebook, kind):
    return [
        node for tree in trees_of(notebook) for node in ast.walk(tree) if isinstance(node, kind)
    ]


def test_there_are_seven_notebooks_with_their_twins():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{n:02d}" for n in range(1, 8)]
    assert {p.stem for p in FOLDER.glob("[0-9]*.py")} == {p.stem for p in NOTEBOOKS}


@by_notebook
def test_a_notebook_says_what_its_twin_says(path):
    twin = jupytext.read(path.with_suffix(".py"), fmt="py:percent")
    said = [(cell.cell_type, cell.source) for cell in twin.cells]
    assert [(cell.cell_type, cell.source) for cell in read(path).cells] == said


@by_notebook
def test_a_notebook_was_executed_once_from_top_to_bottom(path):
    cells = [cell for cell in code_of(read(path)) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    warned = [o.text for cell in cells for o in cell.outputs if o.get("name") == "stderr"]
    assert not warned
    assert path.stat().st_size < 1_500_000


@by_notebook
def test_a_notebook_uses_public_names_only(path):
    notebook = read(path)
    modules = {alias.name for node in nodes_of(notebook, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes_of(notebook, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in modules}
    assert packages <= MAY_IMPORT | MAY_COMPARE_WITH | {"outcomekpi"}
    assert not {name for name in modules if name.startswith("outcomekpi.")}
    used = {
        node.attr
        for node in nodes_of(notebook, ast.Attribute)
        if isinstance(node.value, ast.Name) and node.value.id == "ok"
    }
    assert used <= set(ok.__all__)
    hidden = {n.attr for n in nodes_of(notebook, ast.Attribute) if n.attr.startswith("_")}
    assert not hidden


@by_notebook
def test_functions_of_a_notebook_have_at_most_five_lines(path):
    long = [
        node.name
        for node in nodes_of(read(path), ast.FunctionDef)
        if node.end_lineno - node.lineno + 1 > 5
    ]
    assert not long


@by_notebook
def test_a_notebook_starts_with_its_settings_and_ends_with_its_provenance(path):
    notebook = read(path)
    cells = code_of(notebook)
    assert notebook.cells[0].source.startswith("# ")
    assert "parameters" in cells[0].metadata.get("tags", [])
    assert "SEED" in cells[0].source
    assert any("executed_with=" in cell.source for cell in cells[:3])
    end = "\n".join(cell.source for cell in cells[-3:])
    assert "ok.provenance(" in end
    assert "ok.cite(" in end


@pytest.fixture(scope="module")
def figures():
    return ok.datasets.load_documented_figures()


@by_notebook
def test_quoted_figures_are_those_of_the_table(path, figures):
    for number, name in QUOTED.findall(prose_of(read(path))):
        value = float(number.replace(",", "").replace("−", "-").lstrip("+"))
        assert name in figures.index, name
        assert abs(value) == figures.loc[name, "value"], f"{number} [{name}]"


@by_notebook
def test_every_other_number_of_the_prose_is_asserted_or_set(path):
    """Nearby, so that a number of another section cannot vouch for it; the summary looks at all."""
    cells = read(path).cells
    unproved = {
        (number, cell.id)
        for place, cell in enumerate(cells)
        if cell.cell_type == "markdown"
        for number in CLAIMED.findall(NOT_PROSE.sub(" ", QUOTED.sub(" ", cell.source)))
        if plain(number) not in numbers_near(cells, place)
    }
    assert not unproved


def numbers_near(cells, place):
    """Numbers in the code around a cell of prose; shares also in percent."""
    code = [
        (abs(other - place), c.source) for other, c in enumerate(cells) if c.cell_type == "code"
    ]
    settings = code[:1]
    near = code if place == 0 else [*settings, *(pair for pair in code if pair[0] <= NEAR)]
    text = re.sub(r"(?<=\d)_(?=\d)", "", "\n".join(source for _, source in near))
    said = {plain(number) for number in re.findall(r"\d[\d,]*\.?\d*|\.\d+", text)}
    return said | {f"{float(number) * 100:g}" for number in said if number.startswith("0.")}


def plain(number):
    """A number without separators, and with a digit before the point."""
    text = number.replace(",", "").rstrip(".")
    return f"0{text}" if text.startswith(".") else text


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed(path, kind, change):
    """A notebook with one output of a kind changed, in the first cell that is compared."""
    notebook = read(path)
    for cell in code_of(notebook):
        for output in cell.outputs:
            if kind in output.get("data", {}) and "varies" not in cell.metadata.get("tags", []):
                output["data"][kind] = change(output["data"][kind])
                return notebook
    raise AssertionError(f"no {kind} in {path.name}")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("text/plain", lambda text: text + "1"),
        ("text/html", lambda text: re.sub(r"(?<=<td>)\d", "8", text.replace("<td>8", "<td>9"))),
        ("image/png", lambda _: POINT),
    ],
)
def test_a_changed_line_table_or_picture_is_noticed(builder, kind, change):
    path = FOLDER / "04_health_points.ipynb"
    assert builder.compare(read(path), read(path)) == []
    assert builder.compare(read(path), changed(path, kind, change))


@by_notebook
def test_numbers_are_asserted_as_the_prose_shows_them(path):
    assertions = nodes_of(read(path), ast.Assert)
    assert len(assertions) >= 5
