"""Reads the annotations of a photo from the files beside it in a tar."""

import json
import os
from collections.abc import Mapping
from typing import Any

from facerefs.schemas.tar_members import Member
from facerefs.stages.sources.lists.lines import decode_text
from facerefs.stages.sources.lists.list_rows import BadRowError
from facerefs.stages.sources.tar_index import member_name

JSON = "json"
"""The ending of a file with several annotations; any other file has one text."""
_MAX_JSON_BYTES = 1 << 20
_MAX_NAME_BYTES = 1 << 10


def read_annotations(descriptor: int, files: Mapping[str, Member]) -> dict[str, Any]:
    """The fields of a JSON object, and the texts of the other files, each by the ending of its file.

    Raises BadRowError for a file that is too long or cannot be read.
    """
    annotations: dict[str, Any] = {}
    for ending in sorted(files, key=lambda ending: ending != JSON):  # a file of its own goes before a field
        member = files[ending]
        shown = member_name(member)[-80:]
        limit = _MAX_JSON_BYTES if ending == JSON else _MAX_NAME_BYTES
        if member.length > limit:
            raise BadRowError(f"{shown} has {member.length} bytes, at most {limit}")
        data = os.pread(descriptor, member.length, member.offset)
        try:
            annotations |= _object(data) if ending == JSON else {ending: decode_text(data)}
        except (ValueError, RecursionError) as error:
            raise BadRowError(f"{shown} cannot be read: {str(error)[:200]}") from error
    return annotations


def _object(data: bytes) -> dict[str, Any]:
    content = json.loads(decode_text(data))
    if not isinstance(content, dict):
        raise ValueError(f"it holds a JSON {type(content).__name__}, not an object")
    return content
