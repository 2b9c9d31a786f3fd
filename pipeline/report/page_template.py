"""Fills the templates of the pages: one file each, without scripts, that loads nothing from outside."""

import base64
import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facerefs.pipeline import text


def render(template: str, **values: object) -> str:
    """The page of a template, with the styles of all pages. The same values give the same bytes."""
    css = (
        resources.files("facerefs.pipeline.report")
        .joinpath("templates", "report.css")
        .read_text(encoding="utf-8")
    )
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            css=Markup(css),  # noqa: S704 - our own file
            css_sha256=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        )
    )


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
