"""The interface of a stage: a dataclass whose fields are its settings, with one method that does the work.

A stage knows nothing about Ray, files or other stages: its input and output are Arrow tables.

Its output depends only on three things, and is computed again if one of them changes: the values of the columns
in `reads`; the settings that differ from their defaults; and `version`. So a new setting whose default keeps the
old behaviour recomputes nothing in existing builds. Raise `version` if you change a default, or the output for the
same settings.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import pyarrow as pa

from facerefs.stages.room import IN_MEMORY, Room

SHARED: Mapping[str, bool] = {"shared": True}
"""Metadata of a field that several stages take from one shared section of the configuration."""


class PartStage(Protocol):
    """A stage that processes a few rows of one part at a time, and many parts in parallel.

    For a blob column X named in `loads`, the stage gets the bytes in `X` (null if they cannot be read) and the blob
    reference in `X_at`. A blob column that the stage writes may hold bytes, which are stored in the part's tar; a
    `BUNDLE` of named files, which are stored there next to each other; or a reference to bytes that stay in place.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]]  # table -> columns; `facerefs.pipeline.inputs` joins them
    writes: ClassVar[str]
    loads: ClassVar[tuple[str, ...]]
    version: ClassVar[int]  # raise it if the same settings give other rows, or if a default changes
    cpus: ClassVar[float]

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""

    def setup(self) -> None:
        """Load models, once per worker."""

    def process(self, rows: pa.Table) -> pa.Table:
        """Turn input rows into output rows, in order; a fault of a row gives a rejected row, never an exception."""


class WholeStage(Protocol):
    """A stage that processes whole tables at once, with all cores; it gets the columns in `reads`.

    The room changes where arrays lie and how many rows are processed at once, never the rows that come out.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]]  # table -> columns; `part` is the name of a row's part
    writes: ClassVar[str]
    version: ClassVar[int]

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """Turn whole tables, which may be memory-mapped, into one table; what grows with the rows is in the room."""
