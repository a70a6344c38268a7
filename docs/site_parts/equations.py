"""Equations as MathML, which browsers draw themselves: no script, no font, nothing to load."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

SIZED = re.compile(r"\\([bB])ig(?![a-zA-Z])")
"""Larger delimiters that do not say whether they open or close, which docutils wants to know."""
ACCENTED = re.compile(r"\\(?:bar|hat|tilde|overline)\s*(?:\\[a-zA-Z]+|[a-zA-Z]|\{[^{}]*\})(?=[_^])")
"""A letter with an accent and an index, which docutils would set under the letter."""
LOG = logging.getLogger(__name__)


def convert(node: nodes.Element, *, block: bool) -> str:
    """Return an equation as MathML; one that cannot be converted is a warning of the build."""
    tex = SIZED.sub(r"\\\1igl", node.astext().strip())
    tex = ACCENTED.sub(r"{\g<0>{}}", tex)
    try:
        return str(tex2mathml(tex, as_block=block))
    except MathError as problem:
        LOG.warning("equation %r: %s", tex, problem, location=node)
        return f"<code>{tex}</code>"


def visit_inline(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write an equation inside a sentence."""
    translator.body.append(convert(node, block=False))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write an equation on a line of its own."""
    translator.body.append(f'<div class="equation">{convert(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; conf.py chooses it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
