"""Fingerprints: what a part was made from, so that a rerun does only what is missing or has changed."""

import hashlib
import io
import json
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from facerefs.stages.stage import PartStage, WholeStage


def stage_digest(stage: PartStage | WholeStage) -> str:
    """Digest of a stage's name, version and configuration."""
    settings = json.dumps(asdict(stage), sort_keys=True)  # type: ignore[call-overload]  # a protocol cannot say "dataclass"
    return text_digest(type(stage).__name__, str(stage.version), settings)


def rows_digest(rows: pa.Table) -> str:
    """Digest of the values of a table, whatever its chunks and buffers.

    Parquet's encoding is that of the values, where Arrow's buffers also hold the history of a slice or filter.
    """
    buffer = io.BytesIO()
    plain = rows.replace_schema_metadata(None).combine_chunks()
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
