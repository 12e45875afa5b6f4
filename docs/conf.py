"""The site: `sphinx-build -W -b html docs OUT`. What Sphinx itself does not do is in `_ext`, one file an idea."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]  # `_ext`, and the svref of this checkout

from svref import __version__  # noqa: E402

project, author, copyright, release = "svref", "The svref authors", "the svref authors", __version__
html_title = f"svref {release}"
language = "en"
root_doc = "index"
exclude_patterns = ["_ext", "_static", "examples", "figures", "playground", "**/*.svg"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "_ext.contents",
    "_ext.katex",
    "_ext.equations",
    "_ext.sources",
    "_ext.api",
    "_ext.commands",
    "_ext.variants",
    "_ext.reach",
    "_ext.playground",
]

# Markdown as GitHub reads it: formulas between dollars, links to headings by GitHub's anchors.
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "source": None}
myst_dmath_double_inline = False

# Docstrings: numpydoc. A name between single backticks becomes a link where there is such a name, else code.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what goes in and out, in words
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Domain", "Equals"]
napoleon_preprocess_types = False
python_display_short_literal_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_domain_indices = False  # its buttons need JavaScript, and the pages "Python: ..." list the modules
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": False,
    "light_css_variables": {"color-brand-primary": "#0b5394", "color-brand-content": "#0b5394"},
    "dark_css_variables": {"color-brand-primary": "#8ec5ff", "color-brand-content": "#8ec5ff"},
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
highlight_language = "text"
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. |\$ ", True
