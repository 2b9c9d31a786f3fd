"""`facerefs report`: a page that shows what a build contains, how it was made, and what was rejected."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facerefs.pipeline import text
from facerefs.pipeline.dataset.dataset_card import NOTICE
from facerefs.pipeline.report import histogram
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.review.review import review
from facerefs.pipeline.report.sections.distributions import distributions
from facerefs.pipeline.report.sections.duplicates import duplicates
from facerefs.pipeline.report.sections.facts import facts, read_plan
from facerefs.pipeline.report.sections.labels import label_changes
from facerefs.pipeline.report.sections.people import people
from facerefs.pipeline.report.sections.references import references
from facerefs.pipeline.report.sections.rejects import stage_funnels
from facerefs.pipeline.report.sections.samples import samples
from facerefs.pipeline.report.sections.training import training_runs
from facerefs.pipeline.storage.folder import Storage

REPORT_FILE = "report.html"


def write_report(storage: Storage) -> None:
    """Write `report.html` into the build's folder: one file without scripts that loads nothing from outside.

    The same build gives the same bytes.
    """
    plan = read_plan(storage)
    album = Album(storage)
    css = (
        resources.files("facerefs.pipeline.report")
        .joinpath("templates", "report.css")
        .read_text(encoding="utf-8")
    )
    # The most important sections first: once the budget of pictures is spent, later sections have none.
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            facts=facts(storage, plan),
            stages=stage_funnels(storage, album),
            samples=samples(storage, album),
            people=people(storage, album),
            labels=label_changes(storage, album),
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


def environment() -> Environment:
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
