"""The funnel: for each stage its rows, how many passed, and why the others were rejected, with examples."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.dataset.came_back import duplicates_after_analysis
from facerefs.pipeline.dataset.funnel import FunnelStep, funnel
from facerefs.pipeline.report.album import Album
from facerefs.pipeline.report.sampling import spread
from facerefs.pipeline.report.thumbnails import Picture
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject

_EXAMPLES = 4
_REFUSED_REFERENCES = (Reject.COPY, Reject.SESSION)


@dataclass(frozen=True)
class RejectedExample:
    """A rejected row."""

    picture: Picture | None
    key: str
    detail: str | None


@dataclass(frozen=True)
class RejectReason:
    """A reject reason, the number of rows with it, and examples."""

    code: str
    sentence: str
    count: int
    examples: list[RejectedExample]


@dataclass(frozen=True)
class StageFunnel:
    """One stage of the funnel. Widths are shares, 0 to 1, of the rows of the stage with most rows."""

    name: str
    does: str
    unit: str
    rows: int
    passed: int
    width: float
    passed_width: float
    reasons: list[RejectReason]
    refused: list[
        RejectReason
    ]  # of `select`: references that are copies or of the same session (not targets)


@dataclass(frozen=True)
class _RejectTable:
    """Where the rejected rows of a stage are: the table, and its columns with the face or photo and with the detail."""

    table: str
    subject: str
    detail: str
    does: str
    of_photos: bool = False


_TABLES = {
    "list": _RejectTable("sources", "key", "reject_detail", "lists the photos of the source", of_photos=True),
    "fetch": _RejectTable("downloads", "key", "reject_detail", "downloads the photos", of_photos=True),
    "crawl": _RejectTable("images", "key", "reject_detail", "reads and decodes every photo", of_photos=True),
    "dedupe": _RejectTable("duplicates", "key", "why", "keeps the best copy of each photo", of_photos=True),
    "analyse": _RejectTable("faces", "id", "reject_detail", "finds, aligns and measures the faces"),
    "cluster": _RejectTable("identities", "face", "why", "groups faces into people"),
    "select": _RejectTable("pairs", "target", "reject_detail", "chooses references for each face"),
    "split": _RejectTable("splits", "target", "reject_detail", "puts each target into its published split"),
    "shard": _RejectTable("samples", "target", "reject_detail", "degrades faces and writes the samples"),
}


def stage_funnels(storage: Storage, album: Album) -> list[StageFunnel]:
    """The stages of a build, in order."""
    steps = funnel(storage)
    widest = max(1, *(step.rows for step in steps))
    return [_stage(storage, album, step, widest) for step in steps]


def _stage(storage: Storage, album: Album, step: FunnelStep, widest: int) -> StageFunnel:
    place = _TABLES[step.stage]
    columns = (place.subject, place.detail, "reject")
    if place.table == "duplicates":
        table = duplicates_after_analysis(storage, columns)
    else:
        table = storage.scan(place.table, columns)
    refused = {
        reason: pc.sum(pc.equal(table.column("reject"), reason.value)).as_py()
        for reason in _REFUSED_REFERENCES
    }
    return StageFunnel(
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


def _reason(table: pa.Table, album: Album, place: _RejectTable, code: str, number: int) -> RejectReason:
    table = table.filter(pc.equal(table.column("reject"), code))
    examples = []
    for at in spread(range(len(table)), _EXAMPLES):
        row = table.slice(at, 1).to_pylist()[0]
        subject, detail = row[place.subject], row[place.detail]
        picture = album.photo(subject) if place.of_photos else album.face(subject)
        key = subject if place.of_photos else album.origin(subject).key
        examples.append(RejectedExample(picture, key, detail))
    return RejectReason(str(code), Reject(code).sentence, number, examples)
