"""An LMDB of images with the list beside it that BasicSR's programs read: `NAME.lmdb/data.mdb` and `meta_info.txt`."""

from typing import Any

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.images import check_size
from facerefs.pipeline.export.read_set import StoredImage

_MAP_BYTES = 16 << 20  # grows as it fills


class LmdbFile:
    """Writes images under their keys. The n-th line of `meta_info.txt` is the n-th image."""

    def __init__(self, out: ExportFolder, name: str) -> None:
        try:
            import lmdb
        except ImportError:
            raise UserError("this layout is written with lmdb, which is not here: pip install lmdb") from None
        self.name = name
        self._out = out
        self._full = lmdb.MapFullError
        self._map_bytes = _MAP_BYTES
        # Without a lock file, which would hold the number of this process, and synced only once, at the end.
        self._file: Any = lmdb.open(
            str(out.temporary(name)), map_size=_MAP_BYTES, lock=False, sync=False, metasync=False
        )
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, key: str, image: StoredImage, side_px: int) -> None:
        """Add an image, as it is. BasicSR decodes PNG, JPEG and WebP, whatever the list calls it."""
        check_size(image, side_px)
        while not self._put(key.encode(), image.data):
            self._map_bytes *= 2
            self._file.set_mapsize(self._map_bytes)
        self._lines.append(f"{key}.{image.extension} ({side_px},{side_px},3) 1\n")

    def _put(self, key: bytes, data: bytes) -> bool:
        """Whether the image found room."""
        try:
            with self._file.begin(write=True) as transaction:
                transaction.put(key, data)
        except self._full:
            return False
        return True

    def finish(self) -> None:
        """Give the LMDB its name."""
        self._file.sync(True)
        self._file.close()
        (self._out.temporary(self.name) / "meta_info.txt").write_text("".join(self._lines), encoding="utf-8")
        self._out.keep(self.name)
