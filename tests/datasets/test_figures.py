"""The documented figures: what the table must hold, and the prose that quotes it."""

import re
from pathlib import Path

import pytest

import outcomekpi as ok
from outcomekpi.datasets import figures as figures_module
from outcomekpi.declare.errors import StorageError

ROOT = Path(__file__).parents[2]
INVENTORY = ROOT.parent / "shared" / "seeds" / "inventory.md"
FIGURES = ok.datasets.load_documented_figures()
READINGS = {"level", "points", "relative", "unstated", "count", "time"}
COMPARISONS = {"<", "<=", "=", ">=", ">"}
SYMBOLS = {"以上": ">=", "≥": ">=", "≤": "<=", "<": "<", ">": ">", "超": ">", "以下": "<"}
NAMES = re.compile(r"HbA1c|PHQ-9|LDL-C|[一二三四五六七八九]级|三甲")
CHINESE = {"一": 1.0, "两": 2.0, "二": 2.0, "三": 3.0}
NUMBER = re.compile(r"\d+(?:\.\d+)?|[一两二三](?=年|个月|次)")
TAGGED = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)[^\d\[\]\n]{0,24}\[(?P<id>[AB]-[A-Z]*\d*\w*(?:\.\w+)?)\]"
)
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PAGES += [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "data" / "README.md"]


def numbers_of(text):
    """Numbers of a Chinese sentence, without those that are part of a name."""
    found = NUMBER.findall(NAMES.sub(" ", text))
    return [CHINESE[word] if word in CHINESE else float(word) for word in found]


def misquoted(text):
    """Tags ``43 % [A-C1E1.before]`` of a text whose number is not that of the table."""
    wrong = []
    for match in TAGGED.finditer(text):
        name, number = match["id"], float(match["number"])
        if name not in FIGURES.index or FIGURES.loc[name, "value"] != number:
            wrong.append(match[0])
    return wrong


def test_ids_are_unique_and_begin_with_their_source():
    assert FIGURES.index.is_unique
    assert (FIGURES.index.str[0] == FIGURES["source"]).all()


def test_no_cell_is_empty():
    texts = FIGURES.drop(columns="value")
    assert (texts.apply(lambda column: column.str.strip()) != "").all(axis=None)
    assert FIGURES["value"].notna().all()


def test_readings_comparisons_and_kinds_are_of_their_vocabularies():
    assert set(FIGURES["reading"]) == READINGS
    assert set(FIGURES["comparison"]) == COMPARISONS
    assert set(FIGURES["quotation_kind"]) == {"exact", "entry"}


def test_every_number_of_a_quotation_has_its_row():
    for quotation, rows in FIGURES.groupby("quotation"):
        assert sorted(numbers_of(quotation)) == sorted(rows["value"]), quotation


def test_the_translation_of_a_quotation_is_one_and_has_the_same_numbers():
    spelled = {"Two": 2.0, "one": 1.0}
    pattern = r"(?<![A-Za-z])\d+(?:\.\d+)?|\bTwo\b|\bone\b(?= year| free)"
    for _quotation, rows in FIGURES.groupby("quotation"):
        (english,) = set(rows["english"])
        found = re.findall(pattern, english.replace("class-4", "").replace("grade 3A", ""))
        numbers = {spelled[word] if word in spelled else float(word) for word in found}
        assert numbers == set(rows["value"]), english


def test_a_reading_in_points_is_one_that_the_source_says():
    says_so = FIGURES.index[FIGURES["unit"] == "percentage points"]
    assert list(says_so) == ["A-C1E2"]
    assert "27个百分点" in FIGURES.loc["A-C1E2", "quotation"]
    assert list(FIGURES.index[FIGURES["reading"] == "points"]) == ["A-C1E2"]


def test_changes_that_do_not_say_their_reading_name_both_in_what_is_not_stated():
    unstated = FIGURES[FIGURES["reading"] == "unstated"]
    assert {"A-C1E3", "A-C2E1", "B-CASE1", "B-CASE2.revisit", "A-C1R1.drop"} == set(unstated.index)
    assert unstated["not_stated"].str.contains("relative").all()
    assert unstated["not_stated"].str.contains("percentage points").all()


def test_a_limit_of_the_table_is_a_limit_of_the_sentence():
    for name, row in FIGURES[FIGURES["quotation_kind"] == "exact"].iterrows():
        around = re.search(
            rf"(.?)(?<![\d.]){row['value']:g}(?![\d.])[^,，、或(（]*", row["quotation"]
        )
        said = {SYMBOLS[sign] for sign in SYMBOLS if around and sign in around[0][:8]}
        if said:
            assert row["comparison"] in said, name


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "A-C1E1.before": 43.0,
        "A-C1E1.after": 68.0,
        "A-C1E2": 27.0,
        "A-C1E3": 34.0,
        "A-C2E1": 41.0,
        "A-C2E2": 92.0,
        "A-C1R1.hba1c_below": 7.0,
        "A-C1R1.drop": 0.8,
        "B-CAL.upper": 90.0,
        "B-CAL.lower": 60.0,
        "B-CASE2.revisit": 18.0,
        "A-E1.ldl": 2.6,
    }.items(),
)
def test_the_figures_that_the_notebooks_rest_on_have_their_values(name, value):
    assert FIGURES.loc[name, "value"] == value


@pytest.mark.skipif(not INVENTORY.exists(), reason="the notes on the sources are not here")
def test_the_table_agrees_with_the_notes_on_the_sources():
    notes = INVENTORY.read_text(encoding="utf-8")
    for name, row in FIGURES.iterrows():
        if row["quotation_kind"] == "exact":
            assert row["quotation"] in notes, name
            continue
        item = name.split(".")[0].replace("B-F1", "B-F1 ").strip()
        line = next(line for line in notes.splitlines() if re.search(rf"{item}\b", line))
        words = row["quotation"].split(" ")[0]
        assert f"{row['value']:g}" in line, name
        assert words in line or words in notes, name


@pytest.mark.skipif(not INVENTORY.exists(), reason="the notes on the sources are not here")
def test_every_number_quoted_in_the_notes_is_in_the_table():
    notes = INVENTORY.read_text(encoding="utf-8").split("## Exact quotations")[1]
    table = notes.split("## Ambiguities")[0]
    known = set(FIGURES["value"])
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    for line in lines[1:]:
        quotation = line.split("|")[2]
        assert set(numbers_of(quotation)) <= known, quotation


@pytest.mark.skipif(not INVENTORY.exists(), reason="the notes on the sources are not here")
def test_every_target_of_the_notes_is_in_the_table():
    lines = INVENTORY.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if re.match(r"\| B-\d\d ", line)]
    targets = [cells for cells in rows if len(cells) > 5 and re.search(r"\d", cells[4])]
    for cells in targets:
        name, target = cells[1].strip(), cells[4].replace("NHC 2025", "")
        if "see B-CASE2" in target:
            continue
        numbers = [float(number) for number in re.findall(r"\d+", target)]
        assert numbers == [FIGURES.loc[name, "value"]], (name, target)
    assert len(targets) == 17


def test_a_tag_with_another_number_is_found():
    assert misquoted("rose from 43 % [A-C1E1.before] to 69 % [A-C1E1.after]") == [
        "69 % [A-C1E1.after]"
    ]
    assert misquoted("41 % [A-C9E9]") == ["41 % [A-C9E9]"]
    assert misquoted("HbA1c below 7 % [A-C1R1.hba1c_below], 0.8 points [A-C1R1.drop]") == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: page.name
)
def test_prose_quotes_the_figures_as_they_are(page):
    assert misquoted(page.read_text(encoding="utf-8")) == []


def test_a_table_that_is_nowhere_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(figures_module, "CHECKOUT", tmp_path / "data" / "nowhere.csv")
    monkeypatch.setattr(figures_module, "files", lambda package: tmp_path)
    with pytest.raises(StorageError, match=r"neither in the package .* nor in a checkout"):
        figures_module.load_documented_figures()


def test_the_table_in_the_package_comes_first(monkeypatch, tmp_path):
    rows = figures_module.CHECKOUT.read_text(encoding="utf-8").splitlines()[:2]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / figures_module.NAME).write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setattr(figures_module, "files", lambda package: tmp_path)
    assert len(figures_module.load_documented_figures()) == 1


def test_the_codebook_names_every_column_reading_and_unit():
    codebook = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    names = [FIGURES.index.name, *FIGURES.columns, *set(FIGURES["reading"]), *set(FIGURES["unit"])]
    assert [name for name in names if f"`{name}`" not in codebook] == []
    assert f"{len(FIGURES)} rows" in codebook
