"""Fills the templates of the pages: one file each, that loads nothing from outside."""

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facerefs.pipeline import text


def render(template: str, **values: object) -> str:
    """The page of a template, with the styles and the script of all pages. The same values give the same bytes.

    The page's policy names both by their hashes, so that nothing else runs in it, whatever a name holds.
    """
    css, script = (_own_file(name) for name in ("report.css", "report.js"))
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            css=Markup(css),  # noqa: S704 - our own file
            css_sha256=_sha256(css),
            script=Markup(script),  # noqa: S704 - so is this
            script_sha256=_sha256(script),
        )
    )


def _own_file(name: str) -> str:
    folder = resources.files("facerefs.pipeline.report") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache  # it compiles each template once, which takes a second of all of them
def _environment() -> Environment:
    """The templates' environment: all output is escaped, and invisible characters are replaced."""
    environment = Environment(
        loader=PackageLoader("facerefs.pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": text.count,
        "size": text.size,
        "figure": text.figure,
        "path": text.path,
        "plural": text.plural,
    }
    return environment
