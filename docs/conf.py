"""How Sphinx builds the site: ``sphinx-build -W docs docs/_build``."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser import __version__  # noqa: E402

project = "ser"
copyright = "ser contributors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

# A `name` in a docstring is a link where the site describes it, and code where it does not.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc says what a parameter is
napoleon_google_docstring = False
napoleon_use_ivar = True

myst_heading_anchors = 3  # links to headings, as GitHub makes them
html_theme = "furo"
html_title = f"ser {release}"
html_favicon = "icon.png"
html_show_sourcelink = False


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    """Begin the first page with the README; what lies outside ``docs`` can be downloaded."""
    text = source[0]
    if page == "index":
        readme = (PROJECT / "README.md").read_text(encoding="utf-8")
        # Links are relative to where they stand, which is one folder further down here.
        readme = re.sub(r"\]\((?!https?:|docs/)", "](../", readme).replace("](docs/", "](")
        text = f"{readme}\n{text}"
    source[0] = text.replace("](../", "](path:../")


def setup(app: Sphinx) -> None:
    """Let Sphinx call what is above."""
    app.connect("source-read", _read)
