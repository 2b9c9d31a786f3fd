"""Which source the text on the command line means."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from facerefs.schemas.paths import text_of_path
from facerefs.stages.sources.folder import open_folder
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.services.commons import CommonsSettings
from facerefs.stages.sources.services.openverse import OpenverseSettings
from facerefs.stages.sources.source import NoPhotosError, PhotoSource, SourceError
from facerefs.stages.web.limits import WebLimits

_LONGEST_FIRST_LINE = 10_000
_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_SERVICES = ("commons", "openverse")
_NAMED_IN_NOTE = 3


@dataclass(frozen=True)
class SourceSettings:
    """What the sources can be told; each looks at its own."""

    columns: ColumnNames = field(default_factory=ColumnNames)
    commons: CommonsSettings = field(default_factory=CommonsSettings)
    openverse: OpenverseSettings = field(default_factory=OpenverseSettings)


def absolute(text: str) -> str:
    """The source as it is to be remembered: a path from the root on, an address without its secrets."""
    service, asked = _service(text)
    if service is not None:
        file = asked.strip()
        return f"{service}:" + (f"@{absolute(file[1:])}" if file.startswith("@") else asked)
    # abspath takes `..` away and leaves links as they are; pathlib has no such function.
    return shown_place(text) if "://" in text else os.path.abspath(text)  # noqa: PTH100


def open_source(
    text: str, labels_file: Path | None, settings: SourceSettings, limits: WebLimits
) -> PhotoSource:
    """Find the source that a person means.

    A folder of photos, tars, Parquet files or lists; one of these files; a list at a remote address that fsspec
    understands; `commons:` or `openverse:` with a name. `labels_file` belongs to a folder of photos.

    Raises SourceError if there is no such source, or nothing in it.
    """
    source = _open(text, labels_file, settings, limits)
    if labels_file is not None and not hasattr(source, "labels"):
        raise SourceError(
            f"--identities belongs to a folder of photos, and {shown_place(text)} is none: it has names of its own"
        )
    return source


def _open(text: str, labels_file: Path | None, settings: SourceSettings, limits: WebLimits) -> PhotoSource:
    service, asked = _service(text)
    if service == "commons":
        from facerefs.stages.sources.services.commons import open_commons

        return open_commons(asked, settings.commons, limits)
    if service == "openverse":
        from facerefs.stages.sources.services.openverse import open_openverse

        return open_openverse(asked, settings.openverse, limits)
    if "://" in text:
        return _open_list([text], settings)
    path, shown = Path(text), text_of_path(text)
    try:
        if path.is_dir():
            return _open_folder(path, labels_file, settings)
        exists = path.exists()
    except OSError as error:
        raise SourceError(f"cannot look into {shown}: {error.strerror}") from error
    if not exists:
        raise SourceError(f"there is no file or folder {shown}")
    return _open_files([path], path.parent, settings)


def _service(text: str) -> tuple[str | None, str]:
    """The public service that is meant, if one is, and what it is asked for."""
    service, colon, asked = text.partition(":")
    return (service.lower(), asked) if colon and service.lower() in _SERVICES else (None, text)


def _open_folder(root: Path, labels_file: Path | None, settings: SourceSettings) -> PhotoSource:
    """A folder of photos; or, if it has none, one of files that hold photos or say where they are."""
    files = sorted(path for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
    others = [path for path in files if path.suffix.lower() in (".tar", ".parquet") or _is_listing(path)]
    try:
        source = open_folder(root, labels_file)
    except NoPhotosError:
        if not others:
            raise
        return _open_files(others, root, settings)
    unread = [path for path in others if labels_file is None or path.resolve() != labels_file.resolve()]
    return replace(source, notes=_notes_on(unread))


def _notes_on(unread: Sequence[Path]) -> tuple[str, ...]:
    if not unread:
        return ()
    names = ", ".join(text_of_path(path.name) for path in unread[:_NAMED_IN_NOTE])
    if len(unread) == 1:
        return (f"{names} in it is not read: give it as SOURCE if it lists or holds photos",)
    more = f" and {len(unread) - _NAMED_IN_NOTE} more" if len(unread) > _NAMED_IN_NOTE else ""
    return (f"{names}{more} in it are not read: give one as SOURCE if it lists or holds photos",)


def _open_files(files: list[Path], root: Path, settings: SourceSettings) -> PhotoSource:
    """Files of the first kind that is there: img2dataset puts lists in Parquet beside its tars."""
    tars = [path for path in files if ".tar" in path.name.lower()[-8:]]
    if tars:
        from facerefs.stages.sources.tars import open_tars

        return open_tars(tars, settings.columns)
    parquets = [path for path in files if path.suffix.lower() == ".parquet"]
    if parquets:
        return _open_parquets(parquets, root, settings)
    from facerefs.stages.sources.lists.vggface import looks_like_vggface, open_vggface

    if len(files) > 1 and looks_like_vggface(root):
        return open_vggface(root)
    lists = [str(path) for path in files if _is_list(path.name)]
    if lists:
        return _open_list(lists, settings)
    raise SourceError(
        f"{text_of_path(str(files[0]))} is neither a folder of photos nor a file that we know: lists end in "
        ".csv, .tsv, .jsonl, .parquet or .txt, perhaps with .gz or the like, photos come in .tar or .parquet"
    )


def _open_parquets(files: list[Path], root: Path, settings: SourceSettings) -> PhotoSource:
    from facerefs.stages.sources.parquet import holds_photos, open_parquet

    photos = [path for path in files if holds_photos(path, settings.columns)]
    lists = [path for path in files if path not in set(photos)]
    if photos and lists:
        raise SourceError(
            f"{text_of_path(str(root))} mixes Parquet files that hold photos, such as {text_of_path(photos[0].name)}, "
            f"with others that hold none, such as {text_of_path(lists[0].name)}: give each kind a folder of its own"
        )
    if photos:
        return open_parquet(photos, settings.columns)
    return _open_list([str(path) for path in lists], settings)


def _open_list(paths: list[str], settings: SourceSettings) -> PhotoSource:
    from facerefs.stages.sources.lists.url_list import open_url_lists

    return open_url_lists(paths, settings.columns)


def _is_listing(path: Path) -> bool:
    """Whether a file in a folder is a list; a text file might be anything, and is one if it begins like one."""
    if path.suffix.lower() != ".txt":
        return _is_list(path.name)
    with path.open("rb") as file:
        first = file.readline(_LONGEST_FIRST_LINE)
    return b"://" in first or b"\t" in first


def _is_list(name: str) -> bool:
    name = name.lower()
    stem = next((name.removesuffix(ending) for ending in _COMPRESSED if name.endswith(ending)), name)
    return stem.endswith(_LISTS)
