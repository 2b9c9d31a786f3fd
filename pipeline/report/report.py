"""`facerefs report`: a page that shows what a build contains, how it was made, and what was rejected."""

from facerefs.pipeline.dataset.dataset_card import NOTICE
from facerefs.pipeline.report import histogram
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.page_template import render
from facerefs.pipeline.report.places import PhotoSections, Places
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
_HIDDEN = b'<meta name="faces" content="hidden">'
_HEAD_BYTES = 4096


def write_report(storage: Storage, blur: bool = False) -> None:
    """Write `report.html` into the build's folder: one file that loads nothing from outside.

    The same build gives the same bytes. blur: hide all faces, so that nobody can be recognised.
    """
    plan = read_plan(storage)
    album = Album(storage, blur)
    # The most important sections first: once the budget of pictures is spent, later sections have none.
    shown = PhotoSections(
        stages=stage_funnels(storage, album),
        samples=samples(storage, album),
        people=people(storage, album),
        labels=label_changes(storage, album),
        review=review(storage, album),
        duplicates=duplicates(storage, album),
        references=references(storage, album),
    )
    page = render(
        "report.html.j2",
        facts=facts(storage, plan),
        stages=shown.stages,
        samples=shown.samples,
        people=shown.people,
        labels=shown.labels,
        review=shown.review,
        duplicates=shown.duplicates,
        references=shown.references,
        places=Places(shown.photos()),
        histograms=distributions(storage, plan.get("config") or {}),
        runs=training_runs(storage, blur),
        blurred=blur,
        chart=histogram,
        notice=NOTICE,
    )
    storage.write_text(REPORT_FILE, page)


def hides_faces(storage: Storage) -> bool:
    """Whether the report that is there hides the faces: then one that a command writes anew does so, too."""
    return _HIDDEN in (storage.read_small(REPORT_FILE, _HEAD_BYTES) or b"")
