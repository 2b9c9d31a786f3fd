"""The funnel: what each stage took in and let go on, and why it rejected the others, with examples."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.funnel import Step, funnel
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject

_EXAMPLES = 4
_REFUSED = (Reject.COPY, Reject.SESSION)


@dataclass(frozen=True)
class Example:
    """A row that was rejected."""

    picture: Picture | None
    key: str
    detail: str | None


@dataclass(frozen=True)
class Reason:
    """Why rows did not go on, and some of them."""

    code: str
    sentence: str
    count: int
    examples: list[Example]


@dataclass(frozen=True)
class Stage:
    """One stage's bar. Widths are shares of the widest stage's rows, 0 to 1."""

    name: str
    does: str
    unit: str
    rows: int
    passed: int
    width: float
    passed_width: float
    reasons: list[Reason]
    refused: list[Reason]  # of `select`: references that are copies or of the session, which are no targets


@dataclass(frozen=True)
class _Place:
    """Where a stage's rejected rows are: the table, the columns of the face or photo and of the detail."""

    table: str
    subject: str
    detail: str
    does: str
    of_photos: bool = False


_PLACES = {
    "list": _Place("sources", "key", "reject_detail", "reads the list of photos", of_photos=True),
    "fetch": _Place("downloads", "key", "reject_detail", "asks the hosts for the photos", of_photos=True),
    "crawl": _Place("images", "key", "reject_detail", "reads and decodes every photo", of_photos=True),
    "dedupe": _Place("duplicates", "key", "why", "keeps the best copy of each photo", of_photos=True),
    "analyse": _Place("faces", "id", "reject_detail", "finds, aligns and measures faces"),
    "cluster": _Place("identities", "face", "why", "decides who is who"),
    "select": _Place("pairs", "target", "reject_detail", "finds references for every face"),
    "shard": _Place("samples", "target", "reject_detail", "degrades and packs the samples"),
}


def stages(storage: Storage, album: Album) -> list[Stage]:
    """The stages in order."""
    steps = funnel(storage)
    widest = max(1, *(step.rows for step in steps))
    return [_stage(storage, album, step, widest) for step in steps]


def _stage(storage: Storage, album: Album, step: Step, widest: int) -> Stage:
    place = _PLACES[step.stage]
    table = storage.scan(place.table, (place.subject, place.detail, "reject"))
    refused = {reason: pc.sum(pc.equal(table.column("reject"), reason.value)).as_py() for reason in _REFUSED}
    return Stage(
        name=step.stage,
        does=place.does,
        unit=step.unit,
        rows=step.rows,
        passed=step.passed,
        width=step.rows / widest,
        passed_width=step.passed / widest,
        reasons=[_reason(table, album, place, code, number) for code, number in step.reasons.items()],
        refused=[_reason(table, album, place, code, count) for code, count in refused.items() if count],
    )


def _reason(table: pa.Table, album: Album, place: _Place, code: str, number: int) -> Reason:
    table = table.filter(pc.equal(table.column("reject"), code))
    examples = []
    for at in spread(range(len(table)), _EXAMPLES):
        row = table.slice(at, 1).to_pylist()[0]
        subject, detail = row[place.subject], row[place.detail]
        picture = album.photo(subject) if place.of_photos else album.face(subject)
        key = subject if place.of_photos else album.origin(subject).key
        examples.append(Example(picture, key, detail))
    return Reason(str(code), Reject(code).sentence, number, examples)
