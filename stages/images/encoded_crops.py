"""The image files of crops, each encoded once, however many samples show it."""

import hashlib
import io
from collections import OrderedDict

from facerefs.stages.images.encode import ImageFormat, encode_crop

_MAX_BYTES = 256 << 20  # of files that are kept: some 1,400 faces of 512 px


class EncodedCrops:
    """Encodes crops as samples hold them. The files that were asked for last are kept, up to `max_bytes` together."""

    def __init__(self, image_format: ImageFormat, jpeg_quality: int, max_bytes: int = _MAX_BYTES) -> None:
        self._format = image_format
        self._jpeg_quality = jpeg_quality
        self._left = max_bytes
        self._files: OrderedDict[bytes, bytes] = OrderedDict()  # by the SHA-256 of the crop

    def file_of(self, crop: bytes) -> bytes | None:
        """The image file of a crop (PNG); None if the crop is damaged."""
        digest = hashlib.sha256(crop).digest()
        if digest in self._files:
            self._files.move_to_end(digest)
            return self._files[digest]
        if not is_sound(crop):
            return None
        file = self._files[digest] = encode_crop(crop, self._format, self._jpeg_quality)
        self._left -= len(file)
        while self._left < 0:
            self._left += len(self._files.popitem(last=False)[1])
        return file


def is_sound(png: bytes) -> bool:
    """Whether a crop or a mask is still as it was stored, by PNG's checksums: a disk may have damaged it since."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png)) as image:
            image.verify()
    except (OSError, ValueError, SyntaxError):
        return False
    return True
