"""What a kind of source is: its name, its settings, and how it is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from facerefs.stages.sources.source import PhotoSource
from facerefs.stages.web.limits import WebLimits

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class SourcePlace:
    """What the person gave as SOURCE: a request to a service, a remote address, a local file or a local folder."""

    text: str
    """As it was written; for a service, what follows its name and the colon."""
    limits: WebLimits
    path: Path | None = None
    """The local file or folder; None for a service and for a remote address."""
    files: tuple[Path, ...] = ()
    """The local file alone; or the files in the local folder that one of the kinds reads."""
    labels_file: Path | None = None
    out: Path | None = None
    """The folder of the build, which is left out where it lies in the source."""
    out_address: str | None = None
    """The address of the build, if it is in object storage."""

    @property
    def folder(self) -> Path | None:
        """The local folder, or the one that the local file lies in."""
        return self.path if self.path is None or self.path.is_dir() else self.path.parent

    @property
    def is_remote(self) -> bool:
        """Whether it is an address that fsspec may understand."""
        return self.path is None and "://" in self.text


@dataclass(frozen=True)
class NoSettings:
    """The settings of a kind of source that has none."""


def _reads_nothing(_: Path) -> bool:
    return False


@dataclass(frozen=True)
class SourceKind(Generic[Settings]):
    """One way to give photos to `facerefs build`; `registry.py` lists them all."""

    name: str
    """One word. A service is asked by it, as in `commons:Q76`, and its settings are the section of this name."""
    example: str
    """What to write as SOURCE, for help and documentation."""
    photos: str
    """Which photos that gives, in one sentence."""
    settings: type[Settings]
    """A frozen dataclass, or NoSettings."""
    open: Callable[[SourcePlace, Settings], PhotoSource | None]
    """The source at a place; None if the place is of another kind. Raises SourceError for what is wrong with it."""
    section: str = ""
    """The section of its settings, if it is not its name: several kinds may share one."""
    is_service: bool = False
    """Whether SOURCE begins with its name and a colon."""
    reads: Callable[[Path], bool] = _reads_nothing
    """Whether a file that lies in a folder, perhaps beside photos, is for this kind to read."""

    @property
    def settings_section(self) -> str:
        """The section of the configuration that holds its settings."""
        return self.section or self.name
