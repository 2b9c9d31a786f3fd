"""The engines that made the masks of a set, and how many faces each of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage


def mask_counts(storage: Storage, samples: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """The number of photographed faces in these samples by the engine of their masks; empty without masks."""
    used = {face for row in samples for face in (row["target"], *row["references"])}
    faces = storage.scan("faces", ("id", "parser"))
    faces = faces.filter(pc.is_in(faces["id"], value_set=pa.array(sorted(used), pa.string())))
    return dict(sorted(Counter(faces["parser"].drop_null().to_pylist()).items()))
