"""`facerefs report`: the page that shows what a build holds, how it came about, and what was left out."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.readme import NOTICE
from pipeline.report import histogram, text
from pipeline.report.album import Album
from pipeline.report.distributions import distributions
from pipeline.report.duplicates import duplicates
from pipeline.report.facts import facts, read_plan
from pipeline.report.labels import labels
from pipeline.report.people import people
from pipeline.report.references import references
from pipeline.report.rejects import stages
from pipeline.report.review import review
from pipeline.report.samples import samples
from pipeline.report.training import training_runs
from pipeline.storage import Storage

REPORT_FILE = "report.html"


def write_report(storage: Storage) -> None:
    """Write `report.html` into the build's folder: one file, without scripts, that loads nothing.

    It is a function of the build alone: the same build gives the same bytes.
    """
    plan = read_plan(storage)
    album = Album(storage)
    css = resources.files("pipeline.report").joinpath("report.css").read_text(encoding="utf-8")
    # In the order of importance: what comes later goes without pictures if there are too many.
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            facts=facts(storage, plan),
            stages=stages(storage, album),
            samples=samples(storage, album),
            people=people(storage, album),
            labels=labels(storage, album),
            review=review(storage, album),
            duplicates=duplicates(storage, album),
            references=references(storage, album),
            histograms=distributions(storage, plan.get("config") or {}),
            runs=training_runs(storage),
            chart=histogram,
            notice=NOTICE,
            css=Markup(css),  # noqa: S704 - our own file
            css_sha256=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        )
    )
    storage.write_text(REPORT_FILE, page)


def _environment() -> Environment:
    """Everything that is printed is escaped, and cleaned of what cannot be seen."""
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."),
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
