"""Takes over the photos of builds: the tables `sources`, `downloads` and `images`, part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.config.config import Config
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.fetch import FetchInput, download_fingerprint
from facerefs.pipeline.merge.keys import Counts, Keys
from facerefs.pipeline.merge.originals import Original
from facerefs.pipeline.runner.partition import part_name
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.runner.runner import Runner, count_rejected, part_fingerprint
from facerefs.pipeline.storage.copied import copied
from facerefs.pipeline.storage.fingerprint import rows_digest, text_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural, shown
from facerefs.stages.sources.spellings import Spellings

_NAMED = 3


@dataclass(frozen=True)
class TakenPart:
    """A part of the result, and the part of a build from which it is taken over."""

    name: str
    original: int
    part: str  # its name in the original
    renamed: Mapping[str, str]  # new keys to those in the original, where they differ

    def earlier_keys(self, keys: pa.ChunkedArray) -> pa.Array:
        """The keys in the original of photos of the result."""
        return pa.array([self.renamed.get(key, key) for key in keys.to_pylist()], pa.string())


@dataclass
class TakenPhotos:
    """The parts that were taken over, and what became of the photos of each build."""

    parts: list[TakenPart] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # about names


def take_photos(run: Runner, originals: Sequence[Original], config: Config) -> TakenPhotos:
    """Bring `sources`, `downloads` and `images` up to date with the builds; what they have already is kept."""
    taken = TakenPhotos()
    with StageProgress(run.console, "list", 1, 0, watch=run.watch) as progress:
        for rows, part in _listed(originals, taken):
            original = originals[part.original]
            _take_sources(run.storage, original.storage, part, rows)
            progress.rows_listed(len(rows), count_rejected(rows))
        _remove_others(run.storage, "sources", {part.name for part in taken.parts})
        progress.part_done(0, 0)
    take_over = _TakeOver(run.storage, originals, config)
    todo = [part for part in taken.parts if not take_over.is_done(part)]
    with StageProgress(
        run.console, "photos", len(todo), len(taken.parts) - len(todo), watch=run.watch
    ) as progress:
        for part in todo:
            progress.part_done(*take_over.take(part))
    fetched = {part.name for part in taken.parts if len(take_over.to_fetch(part))}
    _remove_others(run.storage, "downloads", fetched)
    return taken


def _listed(originals: Sequence[Original], taken: TakenPhotos) -> Iterator[tuple[pa.Table, TakenPart]]:
    """The rows of `sources` of each part that is to be there, with the photos' places in their build."""
    keys, spellings = Keys(), Spellings()
    first: dict[str, int] = {}  # the first build that has a name
    shared: set[str] = set()
    for number, original in enumerate(originals):
        counts = Counts()
        taken.counts.append(counts)
        for name in original.storage.parts("sources"):
            rows = spellings.unified(original.storage.read("sources", name))
            for label in pc.unique(rows["label"]).drop_null().to_pylist():
                if first.setdefault(label, number) != number:
                    shared.add(label)
            images = original.storage.read("images", name, ("key", "id")).to_pylist()
            ids = {row["key"]: row["id"] for row in images}
            new = keys.of(rows.to_pylist(), ids, original.prefix if number else None, counts)
            old = rows["key"].to_pylist()
            renamed = {one: other for one, other in zip(new, old, strict=True) if one not in (None, other)}
            column = pa.array(new, pa.string())
            rows = rows.set_column(0, rows.schema.field("key"), column).filter(pc.is_valid(column))
            if len(rows):
                part = TakenPart(part_name(rows["key"].to_pylist()), number, name, renamed)
                taken.parts.append(part)
                yield rows, part
    taken.notes += [spellings.note] if spellings.note else []
    if shared:
        examples = ", ".join(str(shown(name)) for name in sorted(shared)[:_NAMED])
        more = ", ..." if len(shared) > _NAMED else ""
        taken.notes.append(
            f"{plural(len(shared), 'name')} in several builds, which count as the same people: {examples}{more}"
        )


def _take_sources(storage: Storage, original: Storage, taken: TakenPart, rows: pa.Table) -> None:
    # The place of a photo in a tar says nothing about its bytes; those of `images` do, and follow from the same rows.
    images = original.part("images", taken.part)
    ids = "" if images is None else images.columns.get("id", "")
    fingerprint = text_digest(rows_digest(rows), ids)
    before = storage.part("sources", taken.name)
    if before is None or before.fingerprint != fingerprint:
        with storage.writing("sources", taken.name, fingerprint) as part:
            part.add(copied(rows, "photo", None, original, part))


def _remove_others(storage: Storage, table: str, names: set[str]) -> None:
    for stale in storage.started_parts(table) - names:
        storage.remove_part(table, stale)


@dataclass(frozen=True)
class _TakeOver:
    storage: Storage
    originals: Sequence[Original]
    config: Config

    def is_done(self, taken: TakenPart) -> bool:
        """Whether `downloads` and `images` have the part already."""
        wanted = self.to_fetch(taken)
        if len(wanted) and not self._has("downloads", taken, download_fingerprint(self.config.fetch, wanted)):
            return False
        return self._has("images", taken, self._images_fingerprint(CrawlInput(self.storage).read(taken.name)))

    def take(self, taken: TakenPart) -> tuple[int, int]:
        """Take the part over; returns the number of rows of `images`, and of rejected ones."""
        wanted = self.to_fetch(taken)
        fingerprint = download_fingerprint(self.config.fetch, wanted)
        if len(wanted) and not self._has("downloads", taken, fingerprint):
            rows = self._rows("downloads", taken, wanted["key"])
            with self.storage.writing("downloads", taken.name, fingerprint) as part:
                part.add(copied(rows, "photo", "sha256", self._original(taken), part))
        listed = CrawlInput(self.storage).read(taken.name)
        rows = self._rows("images", taken, listed["key"])
        with self.storage.writing("images", taken.name, self._images_fingerprint(listed)) as part:
            if self.config.crawl.copy:
                part.add(copied(rows, "photo", "id", self._original(taken), part))
            else:
                at = rows.column_names.index("photo")
                part.add(rows.set_column(at, rows.schema.field("photo"), listed["photo"]))
        return len(rows), count_rejected(rows)

    def to_fetch(self, taken: TakenPart) -> pa.Table:
        """The rows of `sources` of the part that are in `downloads`."""
        return FetchInput(self.storage).read(taken.name)

    def _rows(self, table: str, taken: TakenPart, keys: pa.ChunkedArray) -> pa.Table:
        """The rows of the original with these keys, in their order."""
        rows = self._original(taken).read(table, taken.part)
        at = pc.index_in(taken.earlier_keys(keys), value_set=rows["key"].combine_chunks())
        return rows.take(at).set_column(0, rows.schema.field("key"), keys)

    def _original(self, taken: TakenPart) -> Storage:
        return self.originals[taken.original].storage

    def _images_fingerprint(self, rows: pa.Table) -> str:
        return part_fingerprint(self.config.crawl, rows)

    def _has(self, table: str, taken: TakenPart, fingerprint: str) -> bool:
        part = self.storage.part(table, taken.name)
        return part is not None and part.fingerprint == fingerprint
