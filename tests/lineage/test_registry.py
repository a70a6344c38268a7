"""The registry of methods agrees with documentation, bibliography, code and tests."""

import ast
import inspect
import re
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import outcomekpi as ok
from outcomekpi.lineage.citation import load_references, plain_text
from outcomekpi.lineage.registry import CONDITIONS, find_methods, load_methods, result_types

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "methods"
PACKAGE = ROOT / "src" / "outcomekpi"
METHODS = {method.id: method for method in load_methods()}
PARTS = ("*As implemented", "*Source", "*Edge cases", "*Compared with", "*Tests")
# what goes into a method, and records of versions
NOT_COMPUTED = {"Cases", "CycleHistory", "CycleResults", "Environment", "Provenance", "Scenario"}
NOT_COMPUTED |= {"Indicator", "PointRule", "Records", "TierRule"}

by_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def anchor(heading):
    """Return the fragment that a heading gets on a page: as GitHub writes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections():
    """Every section of every page of methods, by page and fragment."""
    found = {}
    for page in sorted(PAGES.glob("*.md")):
        if page.name != "REGISTRY.md":
            for section in re.split(r"(?m)^## ", page.read_text(encoding="utf-8"))[1:]:
                found[f"{page.name}#{anchor(section.splitlines()[0])}"] = section
    return found


SECTIONS = sections()
by_section = pytest.mark.parametrize("place", SECTIONS)


def public_classes():
    """Records that a user can get or make: public ones, and those of the programs."""
    names = [getattr(ok, name) for name in ok.__all__]
    names += [getattr(ok.programs, name) for name in dir(ok.programs)]
    return {one.__name__: one for one in names if inspect.isclass(one)}


def returned_classes():
    """Names of the records that public functions return."""
    found = set()
    for name in ok.__all__:
        function = getattr(ok, name)
        if inspect.isfunction(function):
            returned = function.__annotations__.get("return")
            kinds = typing.get_args(returned) or (returned,)
            found |= {kind.__name__ for kind in kinds if is_dataclass(kind)}
    return found


CLASSES = public_classes()


@by_section
def test_every_section_has_its_five_parts(place):
    missing = [part.lstrip("*") for part in PARTS if part not in SECTIONS[place]]
    assert not missing


@by_section
def test_every_section_names_tests_that_exist(place):
    named = SECTIONS[place].split("*Tests")[1]
    files = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", named)
    assert files, "name a test file"
    for file in files:
        assert (ROOT / file).is_file(), file


@by_section
def test_every_section_has_a_method_in_the_registry(place):
    assert place in {method.page for method in METHODS.values()}


@by_method
def test_every_method_has_its_section(method):
    assert method.page in SECTIONS


@by_method
def test_every_method_names_tests_that_exist(method):
    assert method.tests
    for file in method.tests:
        assert (ROOT / file).is_file(), file


@by_method
def test_every_source_of_a_method_is_in_the_bibliography(method):
    keys = {source.key for source in (*method.sources, *method.background)}
    assert keys <= set(load_references())
    assert len(keys) == len(method.sources) + len(method.background), "a source named twice"


@by_method
def test_the_section_of_a_method_names_its_sources(method):
    section = re.sub(r"\s+", " ", SECTIONS[method.page])
    for source in (*method.sources, *method.background):
        fields_ = load_references()[source.key].fields
        if "author" in fields_ and not fields_["author"].startswith("{"):
            surname = plain_text(fields_["author"]).split(",")[0]
            assert surname in section, source.key
            assert fields_["year"] in section, source.key


def test_ids_and_names_are_unique():
    names = [method.name for method in METHODS.values()]
    assert len(METHODS) == len(load_methods())
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_result_is_known_to_the_registry(name):
    is_result = hasattr(CLASSES[name], "to_frame") or name in returned_classes()
    if not is_result or name in NOT_COMPUTED:
        pytest.skip("no result of a method")
    assert name in result_types()


def uses():
    for method in METHODS.values():
        for use in method.uses:
            for path, wish in use.when.items() or [("", None)]:
                yield pytest.param(
                    use.result, path, wish, id=f"{method.id}: {use.result}.{path} {wish}"
                )


@pytest.mark.parametrize(("result", "path", "wish"), list(uses()))
def test_every_condition_can_be_asked(result, path, wish):
    assert result in CLASSES
    kind = CLASSES[result]
    if not path:
        return
    first = path.split(".")[0]
    types_ = typing.get_type_hints(kind)
    told = {name for name, one in vars(kind).items() if isinstance(one, property)}
    assert first in {field.name for field in fields(kind)} | told
    if "." not in path and first in types_:
        assert_values_exist(types_[first], wish)
    if isinstance(wish, dict):
        assert set(wish) <= set(CONDITIONS)


def assert_values_exist(annotation, wish):
    """A wish that names values must name some that the attribute can have."""
    options = set()
    for kind in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(kind) is typing.Literal:
            options |= set(typing.get_args(kind))
        elif isinstance(kind, typing.TypeAliasType):
            options |= set(typing.get_args(kind.__value__))
    if options and not isinstance(wish, dict):
        assert set(wish if isinstance(wish, list) else [wish]) <= options


def test_every_option_that_changes_the_method_is_told_apart():
    """The options of estimators, engines and inference: each value leads to some method."""
    for result, attribute in (
        ("InterruptedSeries", "method"),
        ("DifferenceInDifferences", "estimator"),
        ("BeforeAfter", "inference"),
        ("StandardizedRates", "measure"),
        ("OperatingCharacteristics", "method"),
        ("DensityTest", "method"),
        ("DoctorEffects", "engine"),
    ):
        options = set(typing.get_args(typing.get_type_hints(CLASSES[result])[attribute]))
        wishes = [
            use.when[attribute]
            for method in METHODS.values()
            for use in method.uses
            if use.result == result and attribute in use.when
        ]
        told = {one for wish in wishes for one in (wish if isinstance(wish, list) else [wish])}
        # least squares of a series: segmented regression, without anything on top
        assert options - told <= {"quasi", "independent"}, result


def references_in_docstrings():
    """Every author and year in the section References of any docstring of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                continue
            text = ast.get_docstring(node) or ""
            if "\nReferences\n---" not in text:
                continue
            listed = text.split("\nReferences\n---")[1].split("\n\n")[0]
            flat = re.sub(r"\s+", " ", listed).replace("et al.", "et al")
            flat = re.sub(r"\b[A-Z]\.", "", flat)  # initials
            for match in re.finditer(r"([^.()]*?)\((\d{4})\)", flat):
                name = getattr(node, "name", path.stem)
                yield pytest.param(match[1].strip(), match[2], id=f"{name}: {match[1]}{match[2]}")


@pytest.mark.parametrize(("authors", "year"), list(references_in_docstrings()))
def test_every_reference_of_a_docstring_belongs_to_a_tested_method(authors, year):
    cited = {
        source.key for method in METHODS.values() for source in method.sources + method.background
    }
    fitting = [
        key
        for key in cited
        if load_references()[key].fields.get("year") == year
        and plain_text(load_references()[key].fields["author"]).split(",")[0] in authors
    ]
    assert fitting, "add it to docs/references.bib and to a method of the registry"


@pytest.mark.parametrize("key", load_references())
def test_every_entry_of_the_bibliography_is_whole(key):
    reference = load_references()[key]
    assert "title" in reference.fields
    assert reference.bibtex.count("{") == reference.bibtex.count("}")
    if reference.kind == "article":
        assert {"author", "journal", "year"} <= set(reference.fields)
    if "doi" in reference.fields:
        assert re.fullmatch(r"10\.\d{4,5}/[^\s{}]+[^\s{}.,;]", reference.fields["doi"])


def test_no_entry_is_there_twice():
    text = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    dois = [one.fields["doi"] for one in load_references().values() if "doi" in one.fields]
    assert sorted(keys) == sorted(load_references())
    assert len(set(dois)) == len(dois)


def test_every_method_has_a_row_in_the_registry_page():
    page = (PAGES / "REGISTRY.md").read_text(encoding="utf-8")
    missing = [
        method.name for method in METHODS.values() if f"[{method.name}]({method.page})" not in page
    ]
    assert not missing, "run: make docs"


def test_types_are_told_by_name_alone_because_no_name_is_used_twice():
    seen = {}
    for name, kind in CLASSES.items():
        assert seen.setdefault(name, kind) is kind
    assert not any(isinstance(kind, types.GenericAlias) for kind in CLASSES.values())


def test_fits_behind_an_answer_are_no_methods_of_an_effect():
    """A comparison of means draws an event study beside it, and does not rest on it."""
    pytest.importorskip("diff_diff", reason="the extra 'did' is not installed")
    from made_panels import made_panel

    design = ok.DifferenceInDifferences(outcome="rate", unit="ward", time="year", start="start")
    found = {method.id for method in find_methods(ok.compare_pilot(made_panel(), design))}
    assert "group-time-effects" in found
    assert "event-study" not in found
