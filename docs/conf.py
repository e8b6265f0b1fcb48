"""How the manual is built: `make docs`, warnings as errors."""

from importlib.metadata import version as version_of

project = "mr-telemetry"
author = "the mr-telemetry authors"
copyright = "the mr-telemetry authors, MPL-2.0"
release = version_of("mr-telemetry")
version = release

extensions = ["myst_nb", "sphinx.ext.autodoc"]
# The tutorial is saved with its outputs, and a test runs it: the manual shows what is saved.
nb_execution_mode = "off"
myst_heading_anchors = 3

# Docstrings are plain text: a name between single backticks is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "mr-telemetry"
html_copy_source = False
html_show_sphinx = False


def setup(app: object) -> None:
    """Read docstrings as what they are: plain text."""
    app.connect("autodoc-process-docstring", from_plain_text)


def from_plain_text(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Make reStructuredText of a docstring: paragraphs, lists, and examples, which are indented."""
    found: list[str] = []
    is_example = False
    for line in lines:
        is_indented = line.startswith(" ")
        before = found[-1] if found else ""
        if line and not is_indented:
            is_example = False
        elif is_indented and not before:
            if not is_example:
                found += ["::", ""]
            is_example = True
        if is_example or not line:
            found.append(line)
        elif is_indented and not before.lstrip().startswith("- "):
            found.append(escaped(line.strip()))  # it goes on with its paragraph
        else:
            found.append(escaped(line))
    lines[:] = found


def escaped(line: str) -> str:
    """A line in which only single backticks mean something."""
    pieces = line.split("`")
    pieces[::2] = [piece.replace("*", r"\*").replace("|", r"\|") for piece in pieces[::2]]
    return "`".join(pieces)
