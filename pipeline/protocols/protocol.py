"""A protocol: everything that decides the samples and figures of a test set, in one YAML file with one hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from facerefs.pipeline.config.read_settings import read_yaml
from facerefs.pipeline.errors import UserError

_FILES = Path(__file__).parent / "files"


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Photos:
    """Where the photos of a protocol come from, and by what they are known.

    command: makes them, with PHOTOS as the folder; None if they are to be downloaded. sha256: of the list of their
    relative paths and SHA-256 (`photos_sha256`); None if nobody has noted it.
    """

    about: str
    command: str | None = None
    count: int | None = None
    sha256: str | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class GivenFile:
    """A published file that a protocol needs: the option that takes it, and its SHA-256 if it is known."""

    option: str
    about: str
    sha256: str | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Judging:
    """How outputs are judged: the split, the settings of `facerefs evaluate`, and the SHA-256 of its networks."""

    split: str = "test"
    settings: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Protocol:
    """A test set that is the same for everybody. build: settings of the build; stages: the versions of its stages."""

    name: str
    about: str
    source: str
    photos: Photos
    build: Mapping[str, Any]
    stages: Mapping[str, int]
    files: tuple[GivenFile, ...] = ()
    evaluate: Judging = Judging()

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides samples and figures; texts for people do not count."""
        tree = asdict(self)
        for described in (tree, tree["photos"], *tree["files"]):
            del described["about"]
        del tree["source"]
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def tree(self) -> dict[str, Any]:
        """The settings of the build, nested."""
        return {
            name: dict(section) if isinstance(section, Mapping) else section
            for name, section in self.build.items()
        }

    @property
    def known_as(self) -> str:
        """Its name and its hash, as a build notes them."""
        return f"{self.name} {self.hash}"


def shipped() -> tuple[str, ...]:
    """The names of the protocols that come with facerefs."""
    return tuple(sorted(path.stem for path in _FILES.glob("*.yaml")))


def read_protocol(name: str) -> Protocol:
    """The protocol of a name, or of a YAML file. Raises UserError in one sentence."""
    path = _FILES / f"{name}.yaml" if name in shipped() else Path(name)
    if name not in shipped() and path.suffix not in (".yaml", ".yml"):
        raise UserError(f"there is no protocol {name!r}: choose {', '.join(shipped())}, or give a .yaml file")
    try:
        return TypeAdapter(Protocol).validate_python(read_yaml(path, "shard.recipe=severe"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no protocol: {place}: {first['msg']:.200}") from None


def as_yaml(protocol: Protocol) -> str:
    """The protocol as YAML, without unset fields."""
    return yaml.safe_dump(_stated(asdict(protocol)), sort_keys=False, width=100)


def _stated(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _stated(value) for name, value in tree.items() if value not in (None, (), {})}
    return [_stated(value) for value in tree] if isinstance(tree, list | tuple) else tree
