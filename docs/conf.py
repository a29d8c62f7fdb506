"""Sphinx configuration: MyST pages and the docstrings of the public names."""

import recurra

project = "Recurra"
author = "The Recurra maintainers"
version = release = recurra.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
html_theme = "alabaster"
autodoc_typehints = "none"
exclude_patterns = ["_build"]
default_role = "code"


def _fields(app, what, name, obj, options, lines):
    """Our docstrings say `name: meaning` per argument, continued by indentation; make these lists that read well."""
    import re

    made, in_list = [], False
    for line in lines:
        text = line.strip().replace("*", "\\*")
        if re.match(r"^[a-z_][\w, ]*: ", line):
            made += ["", f"* {text}"] if not in_list else [f"* {text}"]
            in_list = True
        elif line.startswith("    ") and in_list:
            made.append(f"  {text}")
        else:
            made += ["", text] if in_list and text else [text]
            in_list = False
    lines[:] = [*made, ""]


def setup(app):
    app.connect("autodoc-process-docstring", _fields)
