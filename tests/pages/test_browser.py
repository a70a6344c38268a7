"""The report in a real browser: Debian's Chromium, driven by Playwright."""

import pytest
from browsers import CHROMIUM, DESKTOP, PHONE, opened
from made_reviews import made_review, made_table
from report_pages import HOSTILE, judged, made_fit

from outcomekpi.pages.document import report
from outcomekpi.pages.review_document import report_review

pytestmark = pytest.mark.slow

if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

N_MANY = 1200


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    labels = [*HOSTILE, "王医生", "x" * 200, "Dr. 10", "Dr. 9"]
    return report(*judged(made_fit(labels=labels)), path=path, checks=())


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "report.html"
    return report(*judged(made_fit(n_doctors=N_MANY)), path=path, checks=())


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    names = [*HOSTILE, "糖化血红蛋白达标率", "x" * 200]
    rates = {name: 0.4 + 0.57 * k / len(names) for k, name in enumerate(names)}
    table = made_table(rates, units=3, cases=60)
    table["unit"] = table["unit"].replace({"U0": "<b>心内科</b>", "U1": "y" * 150})
    found = made_review(table, reading="mean_achievement", target="goal")
    return report_review(found, path=tmp_path_factory.mktemp("review") / "report.html")


def column(page, label, noun="doctor"):
    """The visible values of one column of a table, as they are sorted by."""
    return page.evaluate(
        """([label, noun]) => {
          const table = document.getElementById(`${noun}-table`);
          const at = [...table.tHead.rows[0].cells].findIndex(c => c.textContent.trim() === label);
          return [...table.tBodies[0].rows].filter(row => !row.hidden)
            .map(row => row.cells[at].dataset.v ?? row.cells[at].textContent.trim());
        }""",
        [label, noun],
    )


def heading(page, label):
    return page.get_by_role("columnheader", name=label, exact=True)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["hostile", "many", "review"])
def test_the_page_never_scrolls_sideways_but_the_table_may(browser, request, name, viewport):
    with opened(browser, request.getfixturevalue(name), viewport) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate("window.scrollTo(500, 0)")
        assert page.evaluate("window.scrollX") == 0
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"]
        box = page.locator(".listing-box").first
        fits = box.evaluate("b => b.getBoundingClientRect().right <= innerWidth")
        assert fits
        if viewport is PHONE:
            assert box.evaluate("b => { b.scrollLeft = 99; return b.scrollLeft }") == 99


def test_every_picture_is_shown(browser, many):
    with opened(browser, many, DESKTOP) as page:
        sizes = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
        assert len(sizes) >= 6
        assert all(size > 100 for size in sizes)


def test_names_from_the_data_are_inert(browser, hostile):
    with opened(browser, hostile, DESKTOP) as page:
        page.mouse.move(300, 300)
        names = column(page, "Doctor")
        assert set(HOSTILE) <= set(names)
        assert page.evaluate("document.scripts.length") == 1
        assert page.locator("main [onmouseover], main [onerror]").count() == 0


def test_a_click_sorts_and_a_second_click_sorts_the_other_way(browser, many):
    with opened(browser, many, DESKTOP) as page:
        button = heading(page, "Cases").get_by_role("button")
        button.click()
        cases = [float(value) for value in column(page, "Cases")]
        assert cases == sorted(cases)
        assert heading(page, "Cases").get_attribute("aria-sort") == "ascending"
        button.click()
        cases = [float(value) for value in column(page, "Cases")]
        assert cases == sorted(cases, reverse=True)
        states = page.locator("#doctor-table th[aria-sort]").evaluate_all(
            "cells => cells.map(cell => cell.getAttribute('aria-sort'))"
        )
        assert sorted(set(states)) == ["descending", "none"]
        assert states.count("descending") == 1


def test_names_sort_as_people_read_them(browser, hostile):
    with opened(browser, hostile, DESKTOP) as page:
        heading(page, "Doctor").get_by_role("button").click()
        names = column(page, "Doctor")
        assert names.index("Dr. 9") < names.index("Dr. 10")


def test_the_first_order_is_worst_first_and_is_announced(browser, many):
    with opened(browser, many, DESKTOP) as page:
        rates = [float(value) for value in column(page, "Standardized rate, %")]
        assert rates == sorted(rates, reverse=True)
        sorted_by = heading(page, "Standardized rate, %").get_attribute("aria-sort")
        assert sorted_by == "descending"


def test_a_search_leaves_only_the_doctors_that_match(browser, many):
    with opened(browser, many, DESKTOP) as page:
        count = page.locator("#doctor-count")
        assert count.inner_text() == "1,200 of 1,200 doctors shown"
        page.get_by_label("Find a doctor").fill("d0007")
        assert sorted(column(page, "Doctor")) == [f"D0007{digit}" for digit in range(10)]
        assert count.inner_text() == "10 of 1,200 doctors shown"
        page.get_by_label("Find a doctor").fill("nobody at all")
        assert column(page, "Doctor") == []


def test_those_who_stand_out_can_be_shown_alone(browser, many):
    with opened(browser, many, DESKTOP) as page:
        page.get_by_label("only those who stand out").check()
        assert set(column(page, "Stands out")) == {"better", "worse"}


def test_a_search_finds_chinese_names(browser, hostile):
    with opened(browser, hostile, PHONE) as page:
        page.get_by_label("Find a doctor").fill("王")
        assert column(page, "Doctor") == ["王医生"]


def test_the_table_is_reached_searched_sorted_and_scrolled_by_keyboard(browser, many):
    with opened(browser, many, PHONE) as page:
        page.get_by_label("Find a doctor").focus()
        page.keyboard.type("D0001")
        assert len(column(page, "Doctor")) == 10
        page.keyboard.press("Control+A")
        page.keyboard.press("Delete")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "doctor-only"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "doctor-box"
        page.keyboard.press("End")
        for _ in range(100):  # scrolling is animated; the page's own policy forbids eval to wait
            if page.evaluate("document.getElementById('doctor-box').scrollTop") > 1000:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("document.getElementById('doctor-box').scrollTop") > 1000
        page.keyboard.press("Home")
        seen = []
        for _ in range(page.locator("#doctor-table thead button").count()):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.textContent.trim()"))
        assert seen[0] == "Doctor"
        assert seen[-1] == "Reliability"
        page.keyboard.press("Enter")
        values = [float(value) for value in column(page, "Reliability")]
        assert values == sorted(values)


def test_the_table_stands_without_scripts(browser, many):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(many.as_uri())
    assert page.locator("#doctor-table tbody tr").count() == N_MANY
    assert not page.locator("#doctor-tools").is_visible()
    page.context.close()


def test_print_shows_the_whole_table_and_no_controls(browser, hostile):
    with opened(browser, hostile, DESKTOP) as page:
        page.emulate_media(media="print")
        assert not page.locator("#doctor-tools").is_visible()
        box = page.locator("#doctor-box")
        assert box.evaluate("b => b.scrollHeight <= b.clientHeight")
        page.set_viewport_size({"width": 688, "height": 970})  # A4 less its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_names_of_indicators_and_units_are_inert(browser, review):
    with opened(browser, review, DESKTOP) as page:
        page.mouse.move(300, 300)
        assert set(HOSTILE) <= set(column(page, "Indicator", "indicator"))
        assert "<b>心内科</b>" in column(page, "Unit", "unit")
        assert page.evaluate("document.scripts.length") == 1
        assert page.locator("main [onmouseover], main [onerror]").count() == 0
        sizes = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
        assert len(sizes) == 2
        assert all(size > 100 for size in sizes)


def test_each_table_of_a_review_is_searched_and_sorted_by_itself(browser, review):
    with opened(browser, review, DESKTOP) as page:
        units = len(column(page, "Unit", "unit"))
        page.get_by_label("Find an indicator").fill("糖化")
        assert column(page, "Indicator", "indicator") == ["糖化血红蛋白达标率"]
        assert page.locator("#indicator-count").inner_text() == "1 of 10 indicators shown"
        assert len(column(page, "Unit", "unit")) == units
        page.get_by_label("Find a unit or indicator").fill("糖化")
        assert set(column(page, "Indicator", "unit")) == {"糖化血红蛋白达标率"}
        assert len(column(page, "Unit", "unit")) == 3
        page.get_by_label("Find an indicator").fill("")
        table = page.locator("#indicator-table")
        pooled = table.get_by_role("columnheader", name="Pooled, %", exact=True)
        before = [float(value) for value in column(page, "Pooled, %", "indicator")]
        assert before == sorted(before, reverse=True)
        assert pooled.get_attribute("aria-sort") == "descending"
        pooled.get_by_role("button").click()
        after = [float(value) for value in column(page, "Pooled, %", "indicator")]
        assert after == sorted(after)


def test_a_review_prints_whole(browser, review):
    with opened(browser, review, DESKTOP) as page:
        page.emulate_media(media="print")
        for noun in ("indicator", "unit"):
            assert not page.locator(f"#{noun}-tools").is_visible()
            box = page.locator(f"#{noun}-box")
            assert box.evaluate("b => b.scrollHeight <= b.clientHeight")
        page.set_viewport_size({"width": 688, "height": 970})  # A4 less its margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        assert page.pdf(format="A4").startswith(b"%PDF")
