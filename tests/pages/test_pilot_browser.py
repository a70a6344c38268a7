"""The page on a pilot in a real browser: Debian's Chromium, driven by Playwright."""

import pytest
from browsers import DESKTOP, PHONE, opened
from made_pilot_effects import EVERY_TABLE, SCRIPT, failed_check, made_effect

import outcomekpi as ok

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pilots")
    figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    effect = ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"), draws=400)
    published = ok.report_pilot(
        effect, ok.sensitivity(effect, figures), path=folder / "published.html"
    )
    made = made_effect(
        outcome=SCRIPT + "x" * 120,
        tables={**EVERY_TABLE, "leave_one_out": EVERY_TABLE["doctor_effects"]},
        checks=(failed_check(),),
        program=ok.Program(name='" onmouseover="alert(2)', assignment="w" * 300),
    )
    hostile = ok.report_pilot(made, path=folder / "hostile.html", notes=("<b>note</b>",))
    return {"published": published, "hostile": hostile}


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["published", "hostile"])
def test_the_page_never_scrolls_sideways(browser, pages, name, viewport):
    with opened(browser, pages[name], viewport) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        sizes = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
        assert len(sizes) == {"published": 1, "hostile": 5}[name]
        assert all(size > 100 for size in sizes)


def test_names_notes_and_facts_are_inert(browser, pages):
    with opened(browser, pages["hostile"], DESKTOP) as page:
        page.mouse.move(300, 300)
        assert page.evaluate("document.scripts.length") == 1
        assert page.locator("body [onmouseover], main b:text('note')").count() == 0
        assert SCRIPT in page.locator("h1").inner_text()


def test_the_answer_is_on_the_first_screen_of_a_phone(browser, pages):
    with opened(browser, pages["published"], PHONE) as page:
        lead = page.locator(".lead strong")
        assert "The cause of it is not identified." in lead.inner_text()
        assert lead.bounding_box()["y"] + lead.bounding_box()["height"] < PHONE["height"]


def test_the_page_prints_whole(browser, pages):
    with opened(browser, pages["published"], DESKTOP) as page:
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 688, "height": 970})  # A4 less its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        assert page.pdf(format="A4").startswith(b"%PDF")
