"""Whether two photos show the same faces in one shot: for photos that differ only in some place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from facerefs.schemas.tables import FACES
from facerefs.stages.copies.copy_rule import COPY, CopyRule
from facerefs.stages.copies.face_features import FACE_FEATURES, FaceFeatures

_FEATURES = pa.schema([FACES.field(name) for name in FACE_FEATURES])


def same_faces(faces: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each measured face is a copy of one of the others, by the copy rule with the embedder's calibration.

    Rows of `FACES`; those without an embedding were not measured. Two photos without a measured face show the same.
    False if the embedder has no calibration: what is not known makes no copy.
    """
    one, other = ([face for face in rows if face.get("embedding") is not None] for rows in (faces, others))
    if not one or not other:
        return not one and not other
    try:
        rule = CopyRule().calibrated(one[0]["embedder"])
    except ValueError:
        return False
    features = FaceFeatures.of(pa.Table.from_pylist([*one, *other], _FEATURES))
    a, b = (index.ravel() for index in np.indices((len(one), len(other))))
    kinds = rule.kinds(*features.pairs(a, b + len(one)).evidence).reshape(len(one), len(other))
    return bool((kinds == COPY).any(axis=1).all())
