"""The documentation: it builds, loads nothing, names everything, and its code runs."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from run_examples import list_pages, run_page

import outcomekpi as ok

pytestmark = pytest.mark.slow

pytest.importorskip("sphinx", reason="the dependency group 'docs' is not installed")
pytest.importorskip("myst_nb", reason="the dependency group 'docs' is not installed")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADS = {
    "script": "src", "img": "src", "iframe": "src", "embed": "src", "object": "data",
    "audio": "src", "video": "src", "source": "src", "track": "src", "link": "href",
}  # fmt: skip
ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//|^(?!data:|mailto:)[a-z][a-z+.-]*:", flags=re.I)
CHROMIUM = shutil.which("chromium")


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it that can be led to."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.places = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag in LOADS and found.get(LOADS[tag]):
            self.loads.append(found[LOADS[tag]])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    return folder / "html", done


@pytest.fixture(scope="module")
def site(build):
    folder, done = build
    if not (folder / "index.html").exists():
        pytest.fail(done.stderr[-3000:])
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_the_site_builds_without_a_warning(build):
    _, done = build
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stderr.strip()


def test_pages_load_nothing_from_anywhere_else(site, pages):
    assert len(pages) > 60
    loaded = {(path.name, link) for path, page in pages.items() for link in page.loads}
    assert not [pair for pair in loaded if ELSEWHERE.match(pair[1])]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        for link in re.findall(r"url\(\s*['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)", text):
            assert not ELSEWHERE.match("".join(link)), f"{sheet.name}: {link}"
    scripts = {link for _, link in loaded if link.partition("?")[0].endswith(".js")}
    assert not [link for link in scripts if "mathjax" in link.lower() or "require" in link]


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_a_browser_asks_for_local_files_alone_and_no_page_is_wider_than_a_phone(site):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    shown = ["index", "methods/engine", "api/pilots", "glossary", "peers", "reference", "pilot"]
    shown += [f"tutorials/{path.stem}" for path in (site / "tutorials").glob("*.html")]
    asked = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 390, "height": 844})
        view.on("request", lambda request: asked.append(request.url))
        wide = {}
        for name in shown:
            view.goto((site / f"{name}.html").as_uri())
            width = view.evaluate("document.documentElement.scrollWidth")
            wide |= {name: width} if width > 390 else {}
        browser.close()
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert not wide


def test_links_within_the_site_lead_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if ELSEWHERE.match(link) or link.startswith("mailto:"):
                continue
            target, _, place = unquote(link).partition("#")
            there = (path.parent / target).resolve() if target else path
            if not there.exists() or (
                place and there in pages and place not in pages[there].places
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_each_public_name_has_its_entry(pages):
    places = set().union(*(page.places for page in pages.values()))
    wanted = {f"outcomekpi.{name}" for name in ok.__all__ if name not in ("datasets", "programs")}
    for room in ("datasets", "programs"):
        wanted |= {f"outcomekpi.{room}.{name}" for name in getattr(ok, room).__all__}
    assert not wanted - places


@pytest.mark.parametrize("name", ["standardize", "AbsoluteRule", "compare_pilot"])
def test_an_entry_holds_the_whole_docstring(site, name):
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    entry = re.search(rf'id="outcomekpi\.{name}".*?</dd></dl>', text, flags=re.S)[0]
    plain = re.sub(r"<[^>]+>", "", entry)
    first = inspect.getdoc(getattr(ok, name)).splitlines()[0]
    assert first.replace("'", "’") in plain
    for heading in re.findall(r"^(\w+)\n-+$", inspect.getdoc(getattr(ok, name)), flags=re.M):
        assert heading in plain


def test_the_table_of_all_names_leads_to_the_entries(site, pages):
    listed = re.findall(
        r"^\| `(\w+)` \|", (DOCS / "reference.md").read_text(encoding="utf-8"), flags=re.M
    )
    links = pages[site / "reference.html"].links
    linked = {link.partition("outcomekpi.")[2] for link in links if link.startswith("api/")}
    assert len(listed) > 100
    assert not set(listed) - linked


def test_every_notebook_is_a_page_with_its_output(site, pages):
    listed = pages[site / "tutorials.html"].links
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert notebooks
    for path in notebooks:
        assert f"tutorials/{path.stem}.html" in listed
        page = (site / "tutorials" / f"{path.stem}.html").read_text(encoding="utf-8")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        drawn = sum(
            "image/png" in output.get("data", {})
            for cell in cells
            for output in cell.get("outputs", ())
        )
        assert page.count("<img") >= drawn, "a figure is not shown"


def test_equations_are_drawn_and_not_spelled(site):
    drawn = 0
    for path in (site / "methods").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        drawn += text.count("<math")
        spelled = re.sub(r"<(code|pre)\b.*?</\1>", "", text, flags=re.S)
        assert not re.search(r"\\(frac|sum|sigma|bar|text)\b|\$\$", spelled), path.name
    assert drawn > 300


@pytest.mark.parametrize("page", list_pages(), ids=lambda path: path.stem)
def test_the_code_of_a_page_says_what_stands_under_it(page):
    assert run_page(page) == page.read_text(encoding="utf-8"), "run: docs/run_examples.py"


def test_a_page_that_promises_something_else_is_found(tmp_path):
    page = tmp_path / "page.md"
    refused = "```python\nimport outcomekpi as ok\nok.FlagRule(probability=95)\n```\n\n```text\n"
    page.write_text(f"{refused}SpecError: all is well.\n```\n", encoding="utf-8")
    shown = " ".join(run_page(page).split())
    assert "FieldError: FlagRule.probability must lie strictly between 0 and 1; got 95." in shown
    page.write_text("```python\nprint(1)\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match="nothing shows"):
        run_page(page)


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_the_glossary_has_every_word_of_the_readme_and_a_chinese_term_for_each():
    rows = rows_of((DOCS / "glossary.md").read_text(encoding="utf-8"))
    words = {each.strip() for row in rows for each in row[0].split(",")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Words")[2].partition("\n## ")[0]
    used = {each.strip() for row in rows_of(table) for each in row[0].split(",")} - {"word"}
    assert used
    assert not used - words
    chinese = [row for row in rows if row[0] not in ("word",)]
    assert all(len(row) == 3 for row in chinese)
    latin = {row[0] for row in chinese if not re.search(r"[\u4e00-\u9fff]", row[1])}
    assert not latin
    assert len(words) == sum(len(row[0].split(",")) for row in rows) - rows.count(rows[0]) + 1


def test_the_chinese_readme_has_the_same_code_and_the_same_words():
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    blocks = [re.findall(r"^```.*?^```", text, flags=re.M | re.S) for text in (english, chinese)]
    assert blocks[0] == blocks[1]
    words = [[row[0] for row in rows_of(text)[1:]] for text in (english, chinese)]
    assert words[0] == words[1]
    assert len(re.findall(r"^## ", english, flags=re.M)) == len(
        re.findall(r"^## ", chinese, flags=re.M)
    )


def test_versions_of_peers_are_those_that_were_run():
    text = (DOCS / "peers.md").read_text(encoding="utf-8")
    pins = dict(
        line.split(" ;")[0].split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    )
    rows = {row[0].lower(): row for row in rows_of(text)}
    for name in ("pymc", "statsmodels", "diff-diff", "pyfixest"):
        assert rows[name][1] == pins[name].strip(), name
        assert rows[name][-1].startswith("R")
    known = [row[-1] for row in rows_of(text) if row[0] not in ("package",)]
    assert all(re.match(r"[TMRD]\b", each) for each in known)


def test_measured_numbers_of_the_comparison_are_those_of_the_benchmarks():
    text = " ".join((DOCS / "peers.md").read_text(encoding="utf-8").split())
    agree = rows_of((ROOT / "benchmarks" / "engines_agree.md").read_text(encoding="utf-8"))[1:]
    fast, slow = ([float(row[at]) for row in agree] for at in (-2, -1))
    assert f"on the {len(agree)} data sets" in text
    assert f"{min(fast):.2f} to {max(fast):.1f} s" in text
    assert f"{min(slow):.0f} to {max(slow):.0f} s" in text
    speed = {
        row[0].split(" ")[0]: float(row[3])
        for row in rows_of((ROOT / "benchmarks" / "speed.md").read_text(encoding="utf-8"))[1:]
    }
    assert f"{speed['10,000,000']:g} times faster than the whole posterior at ten million" in text
    assert f"{speed['5,000']:g} times faster at five thousand" in text
