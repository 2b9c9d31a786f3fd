"""Which source the text on the command line means."""

from pathlib import Path

from schemas.paths import text_of_path
from stages.sources.folder import open_folder
from stages.sources.source import Source, SourceError


def open_source(text: str, labels_file: Path | None = None) -> Source:
    """Find the source that a person means: a folder of photos, and perhaps a file that says who they show.

    Raises SourceError if there is no such source, or nothing in it.
    """
    path, shown = Path(text), text_of_path(text)
    try:
        if path.is_dir():
            return open_folder(path, labels_file)
        exists = path.exists()
    except OSError as error:
        raise SourceError(f"cannot look into {shown}: {error.strerror}") from error
    raise SourceError(
        f"{shown} is a file, not a folder of photos" if exists else f"there is no folder {shown}"
    )
