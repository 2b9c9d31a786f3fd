"""Fills the templates of `facerefs explore`: everything is escaped, and nothing is loaded from another host."""

from collections.abc import Callable, Mapping
from importlib import resources
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from facerefs.pipeline import text
from facerefs.pipeline.explore.views.view import words_of

Render = Callable[[str, Mapping[str, object]], str]
_PACKAGE = "facerefs.pipeline.explore"
_REPORT_CSS = "report.css"
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript"}


def page_template(common: Mapping[str, object]) -> Render:
    """A function from the name of a template and its values to a page. common: values of all pages."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": text.count,
        "figure": text.figure,
        "size": text.size,
        "plural": text.plural,
        "words": words_of,
        "query": _query,
    }

    def render(template: str, values: Mapping[str, object]) -> str:
        return environment.get_template(template).render({**common, **values})

    return render


def static_files() -> dict[str, tuple[str, bytes]]:
    """The scripts and styles of the page by name: content type and bytes. The styles of the report are among them."""
    files = {}
    folders = (
        resources.files(_PACKAGE) / "static",
        resources.files("facerefs.pipeline.report") / "templates",
    )
    for folder in folders:
        for file in folder.iterdir():
            kind = STATIC_TYPES.get("." + file.name.rpartition(".")[2])
            if kind is not None and (folder is folders[0] or file.name == _REPORT_CSS):
                files[file.name] = (kind, file.read_bytes())
    return files


def _query(values: Mapping[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value})
