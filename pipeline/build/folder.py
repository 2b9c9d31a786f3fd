"""The folder of a build: opened if there is one, refused if it holds something else."""

from pathlib import Path

from facerefs.pipeline.build import overrides
from facerefs.pipeline.build.build import BUILD_FILE
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage


def open_build(folder: Path) -> Storage:
    """The storage of a build that is there. Raises UserError if there is none."""
    if not (folder / BUILD_FILE).is_file():
        raise UserError(f"{folder} holds no build: make one with facerefs build SOURCE --out {folder}")
    return Storage(str(folder.absolute()))


def check_not_foreign(out: Path) -> None:
    """Raise UserError if `out` holds files that are of no build: we would mix ours with them.

    What a person decided of a build that is gone may lie there already.
    """
    if (
        out.is_dir()
        and not (out / BUILD_FILE).exists()
        and any(not path.name.startswith(".") and path.name != overrides.FILE for path in out.iterdir())
    ):
        raise UserError(f"{out} holds other files and no build: choose a new or empty folder for --out")


def check_new(out: Path) -> None:
    """Raise UserError unless `out` is a new or empty folder that can be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: choose a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {out} ({error.strerror}): choose another folder") from None
