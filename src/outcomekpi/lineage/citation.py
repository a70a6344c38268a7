"""How to cite the package and the methods that results used."""

from typing import Literal, get_args

from outcomekpi.declare.errors import check_choice
from outcomekpi.lineage.bibliography import find_reference
from outcomekpi.lineage.origins import installed_versions
from outcomekpi.lineage.registry import Method, find_methods

__all__ = ["cite"]

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
    chosen = style or ("bibtex" if results else "text")
    check_choice("style", chosen, get_args(Style))
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
