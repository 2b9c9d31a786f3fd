"""A chance for every pair of faces, which is the same in every set that holds both."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from facerefs.schemas.arrays import UInt64s
from facerefs.schemas.splitmix import GOLDEN, mixed, numbers
from facerefs.stages.references.face_arrays import Block

_WORD_BYTES = 8


def hashed(texts: pa.ChunkedArray) -> UInt64s:
    """A 64-bit number for each text, by its bytes alone."""
    data = texts.combine_chunks().cast(pa.binary())
    lengths = pc.binary_length(data)
    width = -(-(pc.max(lengths).as_py() or 1) // _WORD_BYTES) * _WORD_BYTES
    padded = pc.ascii_rpad(data.cast(pa.string()), width, "\0").cast(pa.binary()).cast(pa.binary(width))
    words = np.frombuffer(padded.buffers()[1], np.uint64)[: len(padded) * width // _WORD_BYTES]
    number = np.asarray(lengths.to_numpy(), np.uint64)
    lengths = number.copy()
    for i, word in enumerate(words.reshape(len(padded), -1).T):
        # A longer text elsewhere must not change this one's number.
        number = np.where(i * _WORD_BYTES < lengths, mixed(number + GOLDEN ^ word), number)
    return number


def chances(seed: int, faces: UInt64s, block: Block) -> NDArray[np.float64]:
    """Uniform in [0, 1), for each pair of a block (P, t, n), from the seed and the `hashed` ids of both faces."""
    target = numbers(block.targets(faces), np.array([seed], np.uint64))
    pair = mixed(target[:, :, None] + block.references(faces)[:, None])
    return np.asarray((pair >> np.uint64(11)) * 2.0**-53, np.float64)
