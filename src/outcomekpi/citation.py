"""How to cite the package and the methods that a result used."""

from typing import Literal

from outcomekpi.errors import check_choice
from outcomekpi.origins import installed_versions

__all__ = ["cite"]

CITATION_TEXT = (
    "The outcomekpi developers (2026). outcomekpi: outcome-based evaluation of doctors "
    "(version {version}) [Python package]."
)
CITATION_BIBTEX = """@software{{outcomekpi,
  author  = {{{{The outcomekpi developers}}}},
  title   = {{outcomekpi: outcome-based evaluation of doctors}},
  year    = {{2026}},
  version = {{{version}}}
}}"""


def cite(*, style: Literal["text", "bibtex"] = "text") -> str:
    """Say how to cite the package, with the version that is installed.

    Parameters
    ----------
    style : "text" for a sentence, "bibtex" for an entry

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.cite(style="bibtex").splitlines()[0]
    '@software{outcomekpi,'
    """
    check_choice("style", style, ("text", "bibtex"))
    template = CITATION_TEXT if style == "text" else CITATION_BIBTEX
    return template.format(version=installed_versions().get("outcomekpi", "unknown"))
