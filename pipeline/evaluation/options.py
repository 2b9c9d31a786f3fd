"""The options of `facerefs evaluate`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `facerefs evaluate`, not yet checked. data: None judges folders without ground truth."""

    methods: tuple[str, ...]
    data: str | None = None
    protocol: str | None = None
    split: str = "test"
    out: Path | None = None
    reference_set: str | None = None
    references: Path | None = None
    names: Path | None = None
    size_px: int | None = None
    samples: int | None = None
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    cache: Path | None = None
    device: str | None = None
