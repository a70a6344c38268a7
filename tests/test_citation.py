"""How the package is cited, and the methods that a result used."""

import pytest

from outcomekpi.citation import cite
from outcomekpi.errors import SpecError


def test_the_citation_names_the_version_that_is_installed():
    from outcomekpi import __version__

    assert f"(version {__version__})" in cite()
    assert cite(style="bibtex").startswith("@software{outcomekpi,")
    assert "{{The outcomekpi developers}}" in cite(style="bibtex")
    with pytest.raises(SpecError, match="Did you mean 'bibtex'"):
        cite(style="bibtx")
