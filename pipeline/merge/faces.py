"""Takes over the faces of builds: the table `faces` with crops and masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.merge.groups import Signature, groups_of
from facerefs.pipeline.merge.known_faces import ORIGINAL, KnownFaces, PhotoRows, with_original
from facerefs.pipeline.merge.originals import Original
from facerefs.pipeline.merge.photos import TakenPart
from facerefs.pipeline.runner.in_process import one_thread
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.runner.runner import Runner, count_rejected, part_fingerprint
from facerefs.pipeline.storage.copied import copied
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.part_writer import PartWriter
from facerefs.schemas.tables import FACES
from facerefs.stages.analyse import Analyse


@dataclass
class FacesOfBuilds:
    """Takes over what builds found in their photos, also where these have other near copies now.

    Of a group of near copies from several builds the rows follow from those of its photos, as `Analyse.process` says.
    Only where a build did not look at a photo, since it was the copy of another one, the group is analysed.
    """

    run: Runner
    originals: Sequence[Original]
    groups: Sequence[set[Signature]]  # of each build: the groups of copies that it analysed
    stage: Analyse
    analysed: int = 0  # photos that were analysed
    unreadable: int = 0  # of those: their bytes could not be had

    def take(self, parts: Sequence[TakenPart]) -> None:
        """Bring all parts of `faces` up to date that are taken over from these parts."""
        storage = self.run.storage
        inputs = AnalyseInput(storage)
        todo = []
        for taken in parts:
            before = storage.part("faces", taken.name)
            if before is None or before.fingerprint != part_fingerprint(self.stage, inputs.read(taken.name)):
                todo.append(taken)
        elsewhere = self._elsewhere(inputs, todo)
        kept = len(parts) - len(todo)
        with StageProgress(self.run.console, "faces", len(todo), kept, watch=self.run.watch) as progress:
            for taken in todo:
                rows = inputs.read(taken.name)
                own = self._rows(taken.original, taken.part)
                ids = pa.array(pc.unique(rows["id"]).to_pylist(), pa.string())
                others = elsewhere.filter(pc.is_in(elsewhere["image"], value_set=ids))
                known = KnownFaces.of(own, others, self.groups)
                with storage.writing("faces", taken.name, part_fingerprint(self.stage, rows)) as part:
                    count, rejected = self._write(part, rows, known)
                progress.part_done(count, rejected)

    def _elsewhere(self, inputs: AnalyseInput, todo: Sequence[TakenPart]) -> pa.Table:
        """The rows of all photos of these parts that are not in the parts from which these are taken over."""
        wanted: set[str] = set()
        for taken in todo:
            # A near copy may have been looked at in several builds.
            rows = inputs.read(taken.name)
            copies = pc.not_equal(rows["id"], rows["group"])
            own = self._storage(taken.original).read("faces", taken.part, ("image",))["image"]
            wanted |= set(rows["id"].to_pylist()) - set(own.to_pylist())
            wanted |= set(rows.filter(copies)["id"].to_pylist())
            wanted |= set(rows.filter(copies)["group"].to_pylist())
        found = [with_original(FACES.empty_table(), 0)]
        for number, original in enumerate(self.originals if wanted else ()):
            for name in original.storage.parts("faces"):
                images = original.storage.read("faces", name, ("image",))["image"]
                values = pa.array(sorted(wanted), pa.string())
                if pc.any(pc.is_in(images, value_set=values)).as_py():
                    rows = self._rows(number, name)
                    found.append(rows.filter(pc.is_in(rows["image"], value_set=values)))
        return pa.concat_tables(found)

    def _write(self, part: PartWriter, rows: pa.Table, known: KnownFaces) -> tuple[int, int]:
        """Write the rows of all groups of a part; returns their number and that of rejected ones."""
        count = rejected = first = 0
        waiting: list[PhotoRows] = []
        for group in groups_of(rows):
            found = known.rows_of_group(group)
            if found is not None:
                waiting += found
            else:
                made = self._analyse(rows.slice(first, len(group)))
                for faces in (self._copied(waiting, known, part), made):
                    part.add(faces)
                    count, rejected = count + len(faces), rejected + count_rejected(faces)
                waiting = []
            first += len(group)
        faces = self._copied(waiting, known, part)
        part.add(faces)
        return count + len(faces), rejected + count_rejected(faces)

    def _copied(self, photos: Sequence[PhotoRows], known: KnownFaces, part: PartWriter) -> pa.Table:
        """The rows of these photos, with their crops and masks in the tar of the part."""
        found = [FACES.empty_table()]
        for number, some in groupby(photos, key=lambda photo: photo.original):
            together = list(some)
            rows = known.faces.take(pa.array([at for photo in together for at in photo.rows], pa.int64()))
            keys = pa.array([photo.key for photo in together for _ in photo.rows], pa.string())
            rows = rows.drop_columns([ORIGINAL]).set_column(
                FACES.get_field_index("key"), FACES.field("key"), keys
            )
            for column in ("crop", "mask"):
                rows = copied(rows, column, f"{column}_sha256", self._storage(number), part)
            found.append(rows.cast(FACES))
        return pa.concat_tables(found)

    def _analyse(self, rows: pa.Table) -> pa.Table:
        self.analysed += len(rows)
        photos = self.run.storage.load_blobs(rows, Analyse.loads)
        self.unreadable += photos["photo"].null_count
        with one_thread():
            return self._ready.process(photos)

    @cached_property
    def _ready(self) -> Analyse:
        stage = replace(self.stage)
        stage.setup()
        return stage

    def _rows(self, number: int, name: str) -> pa.Table:
        return with_original(self._storage(number).read("faces", name), number)

    def _storage(self, number: int) -> Storage:
        return self.originals[number].storage
