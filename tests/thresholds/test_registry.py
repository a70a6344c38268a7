"""Every method of this room has its source and its test in the registry."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("review", "operating", "awards", "criteria", "programs", "calibration", "gaming")


def sections():
    for name in PAGES:
        text = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        for section in re.split(r"(?m)^## ", text)[1:]:
            yield pytest.param(section, id=f"{name}: {section.splitlines()[0]}")


@pytest.mark.parametrize("section", list(sections()))
def test_every_method_names_its_source_and_a_test(section):
    for part in ("*As implemented", "*Source", "*Tests"):
        assert part in section, part
    for path in re.findall(r"`(tests/[\w/]+\.py)`", section):
        assert (ROOT / path).exists(), path
