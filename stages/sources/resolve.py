"""Which source the text on the command line means."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from facerefs.schemas.object_storage import is_address
from facerefs.schemas.paths import text_of_path
from facerefs.stages.sources.kind import SourcePlace
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.registry import choices, local_kinds, service_of, settings_of
from facerefs.stages.sources.source import PhotoSource, SourceError
from facerefs.stages.web.limits import WebLimits


def absolute(text: str) -> str:
    """The source as it is to be remembered: a path from the root on, an address without its secrets."""
    service, asked = service_of(text)
    if service is not None:
        file = asked.strip()
        return f"{service.name}:" + (f"@{absolute(file[1:])}" if file.startswith("@") else asked)
    if is_address(text) and "." not in text.rstrip("/").rpartition("/")[2]:
        text = text.rstrip("/")  # only where its last name may be that of a file does the slash say something
    # abspath takes `..` away and leaves links as they are; pathlib has no such function.
    return shown_place(text) if "://" in text else os.path.abspath(text)  # noqa: PTH100


def open_source(
    text: str,
    labels_file: Path | None,
    settings: Mapping[str, Any],
    limits: WebLimits,
    out: Path | None = None,
    out_address: str | None = None,
) -> PhotoSource:
    """The source that a person means; `registry.py` has the kinds that there are.

    `labels_file` belongs to a folder of photos. `settings` are those of all kinds, by section. `out` is the folder of
    the build, or `out_address` its address in object storage: its files are not photos of the source.
    Raises SourceError if there is no such source, or nothing in it.
    """
    place = _place(text, limits)
    source = _open(text, settings, replace(place, labels_file=labels_file, out=out, out_address=out_address))
    if labels_file is not None and not hasattr(source, "labels"):
        raise SourceError(
            f"--identities belongs to a folder of photos, and {shown_place(text)} is none: it has names of its own"
        )
    return source


def _open(text: str, settings: Mapping[str, Any], place: SourcePlace) -> PhotoSource:
    service, _ = service_of(text)
    kinds = local_kinds() if service is None else [service]
    for kind in kinds:
        source = kind.open(place, settings_of(kind, settings))
        if source is not None:
            return source
    raise SourceError(
        f"{shown_place(text)} is neither a folder of photos nor a file that we know; SOURCE can be {_choices()}"
    )


def _place(text: str, limits: WebLimits) -> SourcePlace:
    service, asked = service_of(text)
    if service is not None or "://" in text:
        return SourcePlace(asked, limits)
    path, shown = Path(text), text_of_path(text)
    try:
        if path.is_dir():
            return SourcePlace(text, limits, path, tuple(_readable(path)))
        exists = path.exists()
    except OSError as error:
        raise SourceError(f"cannot look into {shown}: {error.strerror}") from error
    if not exists:
        raise SourceError(f"there is no file or folder {shown}; SOURCE can be {_choices()}")
    return SourcePlace(text, limits, path, (path,))


def _readable(folder: Path) -> list[Path]:
    """The files in a folder that some kind of source reads."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in files if any(kind.reads(path) for kind in local_kinds())]


def _choices() -> str:
    return ", ".join(example for example, _ in choices())
