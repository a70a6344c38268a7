"""Fixtures that several tests of pages share."""

from browsers import browser
from report_pages import page

__all__ = ["browser", "page"]
