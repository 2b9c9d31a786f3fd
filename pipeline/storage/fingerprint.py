"""Fingerprints: what a part was made from, so that a rerun does only what is missing or has changed."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.pipeline.storage.blobs import path_before, with_paths
from facerefs.stages.stage import PartStage, WholeStage


def stage_digest(stage: PartStage | WholeStage) -> str:
    """Digest of a stage's name, version and the settings that differ from their defaults."""
    settings = json.dumps(changed_settings(stage), sort_keys=True)
    return text_digest(type(stage).__name__, str(stage.version), settings)


def changed_settings(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, as JSON has them.

    So a setting that comes new with a later version, and has its default, changes no digest. Nor does one whose field
    has the metadata `changes_rows: False`. A dataclass within is
    its name and, again, what differs from its own defaults: its name, since there may be a choice of several.
    """
    counting = [item for item in fields(settings) if item.metadata.get("changes_rows", True)]
    values = {item.name: (getattr(settings, item.name), _default(item)) for item in counting}
    return {name: _plain(value) for name, (value, default) in values.items() if value != default}


def _default(item: Field[Any]) -> Any:
    """What a field is if it is not set; MISSING, which equals nothing, if it has to be."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {type(value).__name__: changed_settings(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def rows_digest(rows: pa.Table) -> str:
    """Digest of the values of a table, whatever its chunks and buffers.

    Parquet's encoding is that of the values, where Arrow's buffers also hold the history of a slice or filter. The
    tars of the build count as if they lay beside the tables, as earlier versions had them.
    """
    buffer = io.BytesIO()
    plain = with_paths(rows, path_before).replace_schema_metadata(None).combine_chunks()
    pq.write_table(plain, buffer, compression="none", use_dictionary=False, write_statistics=False)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def column_digests(rows: pa.Table) -> dict[str, str]:
    """`rows_digest` of each column by itself: a stage that reads some of them is redone for those alone."""
    return {name: rows_digest(rows.select([name])) for name in rows.column_names}


def text_digest(*texts: str) -> str:
    """SHA-256 of some texts, each with its length in front, so that no two lists of texts collide."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode(errors="surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
