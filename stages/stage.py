"""What a stage is: a dataclass whose fields are its configuration, and one method that does the work.

A stage knows nothing of Ray, of files or of other stages: Arrow tables in, an Arrow table out.

What it writes follows from three things alone, and is done again if one of them changes: the values of the columns
in `reads`; the settings that differ from their defaults; and `version`. So a new setting whose default does what was
done before redoes nothing in anybody's build, and who changes a default, or what the same settings give, raises
`version`.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import pyarrow as pa

SHARED: Mapping[str, bool] = {"shared": True}
"""Metadata of a field that several stages have from one section of the configuration: no setting of a stage's own."""


class PartStage(Protocol):
    """A stage that sees a few rows of one part at a time, and runs on many parts at once.

    A blob column X named in `loads` arrives as bytes (null where they cannot be read), and its reference as
    `X_at`. A blob column that the stage writes may be bytes, which go into the part's tar; a `BUNDLE` of named
    files, which go there side by side; or a reference to bytes that stay where they lie.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]]  # table -> columns; `facerefs.pipeline.inputs` joins them
    writes: ClassVar[str]
    loads: ClassVar[tuple[str, ...]]
    version: ClassVar[int]  # raise it for other rows from the same configuration, and for a changed default
    cpus: ClassVar[float]

    @property
    def gpus(self) -> float:
        """GPUs that one worker takes."""

    def setup(self) -> None:
        """Load models, once per worker."""

    def process(self, rows: pa.Table) -> pa.Table:
        """Turn input rows into output rows, in order; a row's fault becomes a rejected row, never an error."""


class WholeStage(Protocol):
    """A stage that sees the columns it asks for of whole tables, once, with all cores."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]]  # table -> columns; `part` is the name of a row's part
    writes: ClassVar[str]
    version: ClassVar[int]

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Turn whole tables into one."""
