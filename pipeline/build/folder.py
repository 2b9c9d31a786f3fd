"""The folder of a build: opened if there is one, refused if it holds something else."""

from pathlib import Path

from pyarrow.fs import FileType

from facerefs.pipeline.build import overrides
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.object_storage import sentence_of


def open_build(place: str | Path) -> Storage:
    """The storage of a build that is there, in a folder or at an address. Raises UserError if there is none."""
    storage = storage_at(place)
    if not storage.exists(BUILD_FILE):
        raise UserError(f"{place} holds no build: make one with facerefs build SOURCE --out {place}")
    return storage


def storage_at(place: str | Path) -> Storage:
    """The storage in a folder or at an address, which may be empty. Raises UserError if it cannot be reached."""
    storage = Storage.at(place)
    if storage.is_local:
        return storage
    bucket = storage.root.partition("/")[0]
    try:
        storage.files(
            ".facerefs"
        )  # lists nothing; the answer to a question about one file does not say why it failed
        kind = storage.filesystem.get_file_info(bucket).type
    except OSError as error:
        raise UserError(sentence_of(error, storage.address)) from None
    if kind == FileType.NotFound:
        raise UserError(f"{place}: there is no bucket {bucket}: make it, or correct the address")
    return storage


def check_not_foreign(storage: FileStore) -> None:
    """Raise UserError if a folder holds files that are of no build: we would mix ours with them.

    What a person decided of a build that is gone may lie there already.
    """
    if storage.exists(BUILD_FILE):
        return
    if storage.is_local and Path(storage.root).exists() and not Path(storage.root).is_dir():
        raise UserError(f"{storage.root} is a file, not a folder: choose another")
    others = (name for name in storage.entries("") if not name.startswith(".") and name != overrides.FILE)
    if next(others, None) is not None:
        raise UserError(
            f"{storage.address} holds other files and no build: choose a new or empty folder for --out"
        )


def check_new(out: Path) -> None:
    """Raise UserError unless `out` is a new or empty folder that can be written."""
    check_local(out, "OUT")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: choose a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {out} ({error.strerror}): choose another folder") from None
