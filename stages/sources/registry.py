"""The kinds of sources that there are. A new one adds its import and its name in SOURCES."""

from collections.abc import Mapping
from typing import Any

from facerefs.stages.sources.bucket.photos import BUCKET
from facerefs.stages.sources.folder import FOLDER
from facerefs.stages.sources.kind import NoSettings, SourceKind
from facerefs.stages.sources.lists.url_list import LISTS
from facerefs.stages.sources.lists.vggface import VGG_FACE
from facerefs.stages.sources.parquet import PARQUET
from facerefs.stages.sources.services.commons import COMMONS
from facerefs.stages.sources.services.openverse import OPENVERSE
from facerefs.stages.sources.tars import TARS
from facerefs.stages.sources.training_sets.training_set import TRAINING_SET

SOURCES: tuple[SourceKind[Any], ...] = (
    TRAINING_SET,
    VGG_FACE,
    FOLDER,
    TARS,
    PARQUET,
    BUCKET,
    LISTS,
    COMMONS,
    OPENVERSE,
)
"""In the order in which a folder or file is offered to them: the first that takes it opens it."""


def sections() -> dict[str, type]:
    """The settings of all kinds: a dataclass for each section of the configuration."""
    return {kind.settings_section: kind.settings for kind in SOURCES if kind.settings is not NoSettings}


def default_settings() -> dict[str, Any]:
    """The default settings of all kinds, by section."""
    return {section: settings() for section, settings in sections().items()}


def settings_of(kind: SourceKind[Any], settings: Mapping[str, Any]) -> Any:
    """The settings of one kind, out of those of all by section."""
    return NoSettings() if kind.settings is NoSettings else settings[kind.settings_section]


def service_of(text: str) -> tuple[SourceKind[Any] | None, str]:
    """The service that SOURCE means and what it is asked for; None and the text as it is for any other source."""
    name, colon, asked = text.partition(":")
    for kind in SOURCES:
        if colon and kind.is_service and kind.name == name.lower():
            return kind, asked
    return None, text


def local_kinds() -> list[SourceKind[Any]]:
    """All kinds but the services: those of folders, files and remote addresses."""
    return [kind for kind in SOURCES if not kind.is_service]


def choices() -> list[tuple[str, str]]:
    """What SOURCE may be: for each kind an example and which photos it gives; the most usual one first."""
    kinds = sorted(SOURCES, key=lambda kind: kind is not FOLDER)
    return [(kind.example, kind.photos) for kind in kinds]
