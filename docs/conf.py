"""How the documentation is built: offline, warnings are errors, nothing loaded from anywhere.

sphinx-build -W --keep-going -b html docs docs/_build/html
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import outcomekpi

project = "outcomekpi"
author = "The outcomekpi developers"
copyright = "2026, The outcomekpi developers"
release = version = outcomekpi.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "site_parts.docstrings",
    "site_parts.equations",
    "site_parts.mirrored_files",
    "site_parts.page_tree",
    "site_parts.reference_pages",
]
exclude_patterns = ["_build", "site_parts", "**.ipynb_checkpoints"]
keep_warnings = False
nitpicky = False

# notebooks are shown as committed: their outputs were made by notebooks/build.py
nb_execution_mode = "off"
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
add_module_names = False

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "outcomekpi"
html_static_path = ["site_parts/static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
