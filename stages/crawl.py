"""Crawl: read, check and hash every photo of a source; reject what is not a photo."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import IMAGES, MAX_BLOB_BYTES, loaded
from facerefs.stages.images.decode import PILLOW_PIXELS, DecodeError, DecodeLimits, decode
from facerefs.stages.images.detail import detail_scale
from facerefs.stages.images.hashing import detail_hash, perceptual_hashes
from facerefs.stages.images.local_difference import thumbnail

_DETAIL_CHARACTERS = 300


@dataclass(frozen=True)
class Crawl:
    """Reads, decodes and hashes photos; those of a local source are not copied unless `copy` is set."""

    copy: bool = False
    """Whether photos of a local source are copied into the build; false reads them where they are."""
    max_bytes: Annotated[int, Ge(1), Le(MAX_BLOB_BYTES)] = DecodeLimits.max_bytes
    """Maximum size of a photo in bytes; larger files are rejected."""
    max_pixels: Annotated[int, Ge(1), Le(PILLOW_PIXELS)] = DecodeLimits.max_pixels
    """Maximum number of pixels of a photo, width times height; larger photos are rejected before they are decoded."""
    min_side_px: Annotated[int, Ge(1)] = DecodeLimits.min_side_px
    """Minimum length in pixels of the shorter side of a photo."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sources": ("key", "sha256", "photo", "modified_ns", "reject"),  # a changed photo is read again
        "downloads": ("key", "sha256", "photo", "reject"),
    }
    writes: ClassVar[str] = "images"
    loads: ClassVar[tuple[str, ...]] = ("photo",)
    version: ClassVar[int] = 4
    cpus: ClassVar[float] = 1.0
    gpus: ClassVar[float] = 0

    def setup(self) -> None:
        """No models to load."""
        import cv2

        cv2.setNumThreads(1)  # a worker has one core

    def process(self, rows: pa.Table) -> pa.Table:
        """Rows of `IMAGES`. rows: listed photos, with the bytes in `photo` and their location in `photo_at`.

        In the result `photo` is the location, or with `copy` the bytes to store (null if rejected).
        """
        images = [self._image(row) for row in rows.to_pylist()]
        return pa.Table.from_pylist(images, loaded(IMAGES) if self.copy else IMAGES)

    def _image(self, row: dict[str, Any]) -> dict[str, Any]:
        data, place = row["photo"], row["photo_at"]
        size = None if place is None else place["length"]
        image = {
            "key": row["key"],
            "id": None if data is None else hashlib.sha256(data).hexdigest(),
            "bytes": size,
            "photo": None if self.copy else place,
        }
        try:
            image |= self._facts(data, size)
        except DecodeError as error:
            return image | {"reject": error.reject, "reject_detail": error.detail[:_DETAIL_CHARACTERS]}
        return image | {"photo": data} if self.copy else image

    def _facts(self, data: bytes | None, size: int | None) -> dict[str, Any]:
        """Format, size and hashes of a photo. Raises DecodeError if it is missing, too large or not an image."""
        if size is not None and size > self.max_bytes:
            raise DecodeError(Reject.TOO_MANY_BYTES, f"{size} bytes, at most {self.max_bytes}")
        if data is None and size is None:
            raise DecodeError(Reject.UNREADABLE, "it is a link that leads out of the folder, or nowhere")
        if data is None:
            raise DecodeError(Reject.UNREADABLE, "its bytes could not be had")
        photo = decode(data, DecodeLimits(self.max_bytes, self.max_pixels, self.min_side_px))
        phash, phash_mirror = perceptual_hashes(photo.pixels)
        return {
            "format": photo.format,
            "width": photo.width,
            "height": photo.height,
            "phash": phash,
            "phash_mirror": phash_mirror,
            "detail_hash": detail_hash(photo.pixels),
            "thumbnail": thumbnail(photo.pixels),
            "detail_scale": detail_scale(photo.pixels),
        }
