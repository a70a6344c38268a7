"""A headless browser at desktop and phone width."""

import shutil
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")


CHROMIUM = shutil.which("chromium")


ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


DESKTOP = {"width": 1280, "height": 900}


PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@contextmanager
def opened(browser, path, viewport):
    """Open a report; any console message, script error, dialog or request fails the test."""
    page = browser.new_page(viewport=viewport)
    trouble = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))

    def note(request):
        if request.url != path.as_uri() and not request.url.startswith("data:"):
            trouble.append(request.url)

    page.on("request", note)
    try:
        page.goto(path.as_uri())
        yield page
        assert not trouble
    finally:
        page.close()
