"""How the documentation becomes a site: `make docs`, or python -m sphinx -W --keep-going -n docs build/docs.

Nothing is downloaded, and the pages load nothing from elsewhere.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.domains.python import PyObject
from sphinx.ext.napoleon import NumpyDocstring

import cipherlane

PACKAGE = Path(__file__).parents[1] / "python" / "cipherlane"

# The types of attributes are prose, such as "ndarray, shape (rows,)": no names to look up.
for field in PyObject.doc_field_types:
    if field.name == "variable":
        field.typerolename = ""

# A colon in the first line of a property's docstring is no type before it.
NumpyDocstring._consume_inline_attribute = lambda self: ("", self._consume_to_end())

project = "Cipherlane"
author = "the authors of Cipherlane"
version = release = cipherlane.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
language = "en"

# The pages are read on GitHub too: headings are linked to by the names that it gives them.
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]

# Single backticks in docstrings name things: links where the name is documented, code elsewhere.
default_role = "py:obj"
# Signatures also name classes of other packages and of inner modules, which have no page.
nitpick_ignore_regex = [("py:obj", ".*"), ("py:.*", r"(?!cipherlane\.).*"), ("py:class", r"cipherlane\.\w+\..*")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "members": True,
    # Of scikit-learn's routing of metadata, which its own pages explain.
    "exclude-members": "set_fit_request, set_score_request, set_predict_request, set_transform_request",
}
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Adapters are documented without the systems that they are for.
HOSTS = ("flwr", "lightgbm", "nvflare", "pandas", "phe", "pyarrow", "torch", "xgboost")
autodoc_mock_imports = [name for name in HOSTS if importlib.util.find_spec(name) is None]

html_theme = "furo"
html_title = f"Cipherlane {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def _adapters(_app: Any, name: str, source: list[str]) -> None:
    """List the adapters that there are, each a module or a package, on the page of their reference."""
    if name != "api/integrations":
        return
    for module in sorted(pkgutil.iter_modules([str(PACKAGE / "integrations")]), key=lambda module: module.name):
        path = PACKAGE / "integrations" / module.name
        text = (path / "__init__.py" if module.ispkg else path.with_suffix(".py")).read_text(encoding="utf-8")
        if "__all__ = " in text:
            title = f"cipherlane.integrations.{module.name}"
            source[0] += f"\n{title}\n{'-' * len(title)}\n\n.. automodule:: {title}\n   :imported-members:\n"


def _bars(_app: Any, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep the bars of magnitudes such as abs(v), which would be substitutions in reStructuredText."""
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[index] = re.sub(r"(?<![|`])\|([^|`]+)\|(?![|`])", r"\\|\1\\|", line)


def _blank_ends(_app: Any, doctree: nodes.document) -> None:
    """Drop the blank line with which examples end, so that doctest does not take the fence for output."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip("\n")
        block[:] = [nodes.Text(block.astext().rstrip("\n"))]


def setup(app: Any) -> None:
    """Connect what is done for single pages and docstrings."""
    app.connect("autodoc-process-docstring", _bars)
    app.connect("doctree-read", _blank_ends)
    app.connect("source-read", _adapters)
