"""Upload a complete local file to object storage; the object is there whole or not at all."""

import shutil
import time
from pathlib import Path

import pyarrow.fs as pafs

ATTEMPTS = 2  # of a whole file; each request in it has its own attempts (`facerefs.schemas.object_storage`)
_CHUNK_BYTES = 8 << 20
_PAUSE_S = 2.0


def upload(file: Path, filesystem: pafs.FileSystem, path: str) -> None:
    """Upload a file to a path, in several requests at once if it is large. Raises OSError after the last attempt."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _copy(file, filesystem, path)
            return
        except OSError as error:
            if attempt == ATTEMPTS or error.errno is not None:  # of this machine's disk
                raise
        time.sleep(_PAUSE_S * attempt)


def _copy(file: Path, filesystem: pafs.FileSystem, path: str) -> None:
    # Not `pafs.copy_files`, which ignores the error of the last request.
    with file.open("rb") as source, filesystem.open_output_stream(path) as target:
        try:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
        except BaseException as error:
            # Closing makes an object of what was written, unless a request has failed (an OSError without a number).
            if not isinstance(error, OSError) or error.errno is not None:
                target.close()
                filesystem.delete_file(path)
            raise
