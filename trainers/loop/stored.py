"""What a folder of shards holds, as far as training must know before its first step."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.samples.decode import MAX_JSON_BYTES, decode_sample, stored_references
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards

_LOOKED_AT = 16  # samples: choice
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Stored:
    """What the first samples of a folder are like."""

    side_px: int  # of the stored faces
    references: int  # the most that one of them has
    embedder: str  # name of the engine that made the embeddings; `` if there are none
    synthesised: int = (
        0  # references made from their target, without embedding: of all samples, where an index tells
    )


def look_into(place: str, split: str) -> Stored:
    """Look at the first samples of a split. Raises StreamError, also if none of them can be read."""
    reader = ShardReader([open_shards(place, split)])
    found: list[Stored] = []
    reason = ""
    for row in range(min(_LOOKED_AT, len(reader.sets[0]))):
        try:
            files = reader.files(0, row)
            side_px = decode_sample(files, references=(), degraded=False).target.image.shape[0]
            record: Any = json.loads(files["json"][:MAX_JSON_BYTES])
            made = sum(isinstance(one, dict) and "synthesis" in one for one in record["references"])
            found.append(Stored(side_px, stored_references(files), _embedder(record), made))
        except BadSample as error:
            reason = str(error)
    if not found:
        raise StreamError(
            f"none of the first samples of {reader.sets[0].folder.shown} can be used ({reason})"
        )
    first = found[0]
    references = max(one.references for one in found)
    synthesised = max(reader.sets[0].synthesised, sum(one.synthesised for one in found))
    return Stored(first.side_px, references, first.embedder, synthesised)


def _embedder(record: Mapping[str, Any]) -> str:
    name = record["target"].get("embedder", "")
    return name[:_LONGEST_NAME] if isinstance(name, str) else ""
