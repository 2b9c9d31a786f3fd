"""Index any WebDataset tar by one pass over its headers."""

import os

import numpy as np

from facerefs.schemas.tar_members import TarDamagedError, plain_files
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.columns import MAX_KEY_BYTES, MAX_SAMPLE_BYTES, SampleColumns
from facerefs.trainers.stream.shards.files import is_hidden, split_name

_MAX_MEMBERS = 20_000_000


def scan_tar(descriptor: int, shown: str) -> tuple[SampleColumns, str | None]:
    """The samples of an open tar, and a sentence about damage (None if there is none).

    A sample is a run of adjacent files whose names are the same up to the first dot; hidden files are skipped. For a
    damaged tar, the samples before the damage are returned. Raises StreamError if there are none, or if a name, a
    sample or the number of files is too large.
    """
    keys: list[bytes] = []
    ranges: list[tuple[int, int]] = []
    end = 0
    damage: str | None = None
    size = os.fstat(descriptor).st_size  # so that a tar without an end marker is also read
    try:
        for number, member in enumerate(plain_files(descriptor, 0, size)):
            key, _ = split_name(member.name)
            if is_hidden(key):
                end = member.end if end == member.header else end
                continue
            if len(key) > MAX_KEY_BYTES or number == _MAX_MEMBERS:
                raise StreamError(
                    f"{shown} has a name of {len(key)} bytes as its file {number}: pack it anew"
                )
            # macOS puts a hidden file before each file. Anything else between two files of a sample ends it.
            if keys and keys[-1] == key and end == member.header:
                ranges[-1] = (ranges[-1][0], member.end)
            else:
                keys.append(key)
                ranges.append((member.header, member.end))
            end = member.end
    except TarDamagedError as error:
        damage = f"{shown} is damaged ({error}): the {len(keys)} samples before that are used"
    if not keys:
        raise StreamError(damage or f"{shown} holds no samples")
    places = np.array(ranges, np.int64)
    lengths = places[:, 1] - places[:, 0]
    if lengths.max() > MAX_SAMPLE_BYTES:
        key = keys[int(lengths.argmax())]
        raise StreamError(
            f"{shown}: sample {key.decode(errors='replace')} has {lengths.max()} bytes: split it"
        )
    return SampleColumns(np.array(keys, "S"), places[:, 0].copy(), lengths, None), damage
