"""Keeps what was made of local photos that lie elsewhere now, since their source was moved or copied."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.runner.runner import PartInputs, part_fingerprint
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.tables import IMAGES
from facerefs.stages.stage import PartStage


@dataclass(frozen=True)
class MovedPhotos:
    """Adapts the parts of `images` and `faces` to other paths of the same photos: the same keys, the same bytes.

    Without it these parts would be made again, since a row of `images` says where its photo lies.
    """

    storage: Storage
    crawl: PartStage
    analyse: PartStage
    _analysed: list[str] = field(default_factory=list)

    @contextmanager
    def followed(self, name: str) -> Iterator[None]:
        """The block writes a part of `sources` anew; if only paths are other ones then, later parts stay finished."""
        if not self._is_current(self.crawl, self._crawl_input, name):
            yield
            return
        before = self._crawl_input.read(name)
        is_analysed = self._is_current(self.analyse, self._analyse_input, name)
        yield
        after = self._crawl_input.read(name)
        if _paths(before) == _paths(after) or not self._is_same(name, before, after):
            return
        images = _moved(self.storage.read("images", name), before, after)
        self._replace(self.crawl, self._crawl_input, name, images)
        if is_analysed:
            self._analysed.append(name)

    def finish(self) -> None:
        """Adapt `faces`, once all parts of `images` are: the copies of a photo may be in other parts."""
        inputs = AnalyseInput(self.storage)
        for name in self._analysed:
            self._replace(self.analyse, inputs, name, self.storage.read("faces", name))

    @cached_property
    def _crawl_input(self) -> PartInputs:
        return CrawlInput(self.storage)

    @cached_property
    def _analyse_input(self) -> PartInputs:
        """As it was before any part was adapted."""
        return AnalyseInput(self.storage)

    def _is_current(self, stage: PartStage, inputs: PartInputs, name: str) -> bool:
        part = self.storage.part(stage.writes, name)
        return part is not None and part.fingerprint == part_fingerprint(stage, inputs.read(name))

    def _replace(self, stage: PartStage, inputs: PartInputs, name: str, rows: pa.Table) -> None:
        fingerprint = part_fingerprint(stage, inputs.read(name))
        self.storage.replace_rows(stage.writes, name, rows, fingerprint)

    def _is_same(self, name: str, before: pa.Table, after: pa.Table) -> bool:
        """Whether keys and bytes are those of before. The bytes are read, but not decoded."""
        if not before.select(["key", "sha256"]).equals(after.select(["key", "sha256"])):
            return False
        images = self.storage.read("images", name, ("key", "id")).to_pylist()
        ids = {row["key"]: row["id"] for row in images}
        return all(
            place is None if old is None else self._has_bytes(place, ids.get(key))
            for key, old, place in zip(
                after["key"].to_pylist(), before["photo"].to_pylist(), after["photo"].to_pylist(), strict=True
            )
        )

    def _has_bytes(self, place: dict[str, Any] | None, sha256: str | None) -> bool:
        data = None if place is None else self.storage.read_blob(**place)
        return data is not None and hashlib.sha256(data).hexdigest() == sha256


def _paths(rows: pa.Table) -> list[str | None]:
    return [None if place is None else place["path"] for place in rows["photo"].to_pylist()]


def _moved(images: pa.Table, before: pa.Table, after: pa.Table) -> pa.Table:
    """The rows of `images` with the new places of photos; photos that the build has copied stay where they are."""
    old, new = (
        dict(zip(rows["key"].to_pylist(), rows["photo"].to_pylist(), strict=True)) for rows in (before, after)
    )
    places = [
        new[row["key"]] if row["photo"] == old.get(row["key"]) else row["photo"]
        for row in images.select(["key", "photo"]).to_pylist()
    ]
    at = images.column_names.index("photo")
    return images.set_column(at, IMAGES.field("photo"), pa.array(places, IMAGES.field("photo").type))
