"""How to cite the package and the methods that results used."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, StorageError, did_you_mean
from outcomekpi.lineage.origins import installed_versions
from outcomekpi.lineage.registry import Method, find_methods

__all__ = ["Reference", "cite", "find_reference", "load_references"]

Style = Literal["text", "bibtex"]

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
ALL = "all numbers"


# The sources of the methods, as they stand in references.bib
FILE = "references.bib"
ENTRY = re.compile(r"^@(\w+)\{(\w+),\n(.*?)^\}$", flags=re.DOTALL | re.MULTILINE)
FIELD = re.compile(r"(\w+)\s*=\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
ACCENTS = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303"}
LETTERS = {r"\O": "Ø", r"\o": "ø", r"\aa": "å", r"\ss": "ß", r"\i": "i"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One entry of the bibliography.

    Attributes
    ----------
    key : such as "normand1997"
    kind : "article", "book", "techreport" or "misc"
    fields : name -> value, as BibTeX has it
    bibtex : the whole entry, as it stands in the file
    """

    key: str
    kind: str
    fields: dict[str, str]
    bibtex: str

    def to_text(self) -> str:
        """Return one line: authors, year, title, where it appeared, DOI."""
        get = {name: plain_text(value) for name, value in self.fields.items()}
        authors = get.get("author", "").replace(" and ", "; ").replace("; others", " et al.")
        year = f"({get['year']})" if "year" in get else ""
        lead = " ".join(part for part in (authors, year) if part)
        volume = get.get("volume", "") + (f"({get['number']})" if "number" in get else "")
        places = (
            get.get("journal") or get.get("publisher") or get.get("institution"),
            volume,
            get.get("pages"),
            get.get("note"),
        )
        where = ", ".join(place for place in places if place)
        doi = f"doi:{get['doi']}" if "doi" in get else ""
        if "eprint" in get:
            doi = f"{get.get('archiveprefix', '')}:{get['eprint']}"
        return " ".join(f"{part.rstrip('.')}." for part in (lead, get["title"], where, doi) if part)


@cache
def load_references() -> dict[str, Reference]:
    """Return every entry of references.bib by its key, in the order of the file.

    Raises
    ------
    StorageError
        The file is not there: the installation is not whole.
    """
    here = Path(__file__)
    # in a wheel at the root of the package, in a checkout where the documentation is
    for path in (here.parents[1] / FILE, here.parents[3] / "docs" / FILE):
        if path.is_file():
            return parse_references(path.read_text(encoding="utf-8"))
    raise StorageError(
        f"{FILE} is neither in the package nor in docs/ of a checkout. Install outcomekpi again."
    )


def parse_references(text: str) -> dict[str, Reference]:
    """Read BibTeX whose entries begin and end on lines of their own."""
    return {
        found[2]: Reference(
            key=found[2],
            kind=found[1],
            fields={name.lower(): value for name, value in FIELD.findall(found[3])},
            bibtex=found[0],
        )
        for found in ENTRY.finditer(text)
    }


def find_reference(key: str) -> Reference:
    """Return the entry of a key.

    Raises
    ------
    SpecError
        There is no such entry.
    """
    known = load_references()
    if key not in known:
        raise SpecError(f"{FILE} has no entry {key!r}.{did_you_mean(key, known)}")
    return known[key]


def plain_text(value: str) -> str:
    """Turn a BibTeX value into plain text: accents as letters, no braces."""
    text = re.sub(r"\{?\\([\"'`^~])\{?(\\i|\w)\}?\}?", _compose, value)
    for command, letter in LETTERS.items():
        text = re.sub(rf"\{{?{re.escape(command)}(?![A-Za-z])\}}?", letter, text)
    text = text.replace(r"\&", "&").replace(r"\widehat", "").replace("$", "")
    text = text.replace("``", "“").replace("''", "”").replace("--", "–")
    return re.sub(r"[{}]", "", text)


def _compose(found: re.Match[str]) -> str:
    letter = "i" if found[2] == r"\i" else found[2]
    return normalize("NFC", letter + ACCENTS[found[1]])


def cite(*results: object, style: Style | None = None) -> str:
    """Say how to cite the package, and the sources of the methods that results used.

    Parameters
    ----------
    results : any results, such as a fit, rates, ranks, a funnel, a review, an effect of a pilot;
        what they hold (the fit of a classification, the design of an effect) counts too. Without
        one, the package alone is cited
    style : "text" for sentences, "bibtex" for entries; if it is not given, "bibtex" with results
        and "text" without

    Returns
    -------
    One text to print. With results, each entry follows a line that says what it was used for
    (``% used for: ...``), the package first, and the others once each, in the order of the
    registry of methods. Methods without a source of their own are named with the package.

    Raises
    ------
    SpecError
        The registry knows no result of that type.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.cite(style="bibtex").splitlines()[0]
    '@software{outcomekpi,'
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=200)
    >>> print(ok.cite(ok.rank(ok.standardize(fit)), style="text").splitlines()[0])
    The outcomekpi developers (2026). outcomekpi: outcome-based evaluation of doctors (version...
    """
    check_arguments(cite, locals())
    chosen = style or ("bibtex" if results else "text")
    package = CITATION_TEXT if chosen == "text" else CITATION_BIBTEX
    package = package.format(version=installed_versions().get("outcomekpi", "unknown"))
    if not results:
        return package
    methods = find_methods(*results)
    entries = [(package, _package_purposes(methods))]
    for key, purposes in _purposes(methods).items():
        reference = find_reference(key)
        text = reference.to_text() if chosen == "text" else reference.bibtex
        entries.append((text, "; ".join(purposes)))
    if chosen == "text":
        return "\n".join(f"{text} [Used for: {purpose}.]" for text, purpose in entries)
    return "\n\n".join(f"% used for: {purpose}\n{text}" for text, purpose in entries)


def _purposes(methods: tuple[Method, ...]) -> dict[str, list[str]]:
    """Key of a source -> what it was used for, with the place in the source where one is known."""
    purposes: dict[str, list[str]] = {}
    for method in methods:
        for source in method.sources:
            words = f"{method.name} ({source.place})" if source.place else method.name
            purposes.setdefault(source.key, []).append(words)
    return purposes


def _package_purposes(methods: tuple[Method, ...]) -> str:
    own = [method.name for method in methods if not method.sources]
    return f"{ALL}; its own: {', '.join(own)}" if own else ALL
