"""`samples/croissant.json`: the training set as Croissant 1.0 (MLCommons), for catalogues and loaders that read it.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html. It names no licence: each photo has its own, listed
in photos.csv.
"""

import json
from collections.abc import Sequence
from typing import Any

from facerefs.pipeline.dataset.file_kinds import FileKind
from facerefs.schemas.manifest import File, ShardFile
from facerefs.schemas.sample import IMAGE_TYPES, JSON

_TEXT, _IMAGE = "sc:Text", "sc:ImageObject"
_MIME = {one.extension: one.mime for one in IMAGE_TYPES.values()} | {"json": "application/json"}
_OF_CROISSANT = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace separator source subField transform"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "samplingRate": "cr:samplingRate",
    **{name: f"cr:{name}" for name in _OF_CROISSANT.split()},
}


def croissant(description: str, shards: Sequence[ShardFile], photos: File, kinds: Sequence[FileKind]) -> str:
    """The metadata as JSON-LD."""
    tars = [_file(shard.name, shard.bytes, shard.sha256, "application/x-tar") for shard in shards]
    sets = [_file_set(kind, shards) for kind in kinds] if shards else []
    tree = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "faces-with-references",
        "description": description,
        "keywords": ["face restoration", "reference-based", "webdataset"],
        "distribution": [_file(photos.name, photos.bytes, photos.sha256, "text/csv"), *tars, *sets],
        "recordSet": [_records(kind) for kind in kinds] if shards else [],
    }
    return json.dumps(tree, indent=1) + "\n"


def _file(name: str, size: int, sha256: str, mime: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": mime,
        "sha256": sha256,
    }


def _file_set(kind: FileKind, shards: Sequence[ShardFile]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{kind.kind}-files",
        "name": f"{kind.kind}-files",
        "containedIn": [{"@id": shard.name} for shard in shards],
        "encodingFormat": _MIME[kind.extension],
        "includes": f"*.{kind.file_name}",
    }


def _records(kind: FileKind) -> dict[str, Any]:
    """A record set with one record per file of a kind; the field `key`, the sample's key, joins the kinds.

    One record set of all kinds would be simpler, but mlcroissant 1.1 requires a join for every pair of kinds in it.
    """
    name = kind.kind
    key = _field(f"{name}/key", "The key of the sample.", _TEXT, name, "filename")
    key["source"]["transform"] = {"regex": r"^([^.]+)\."}
    content = _field(f"{name}/content", kind.meaning, _TEXT if kind.file is JSON else _IMAGE, name, "content")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": kind.meaning,
        "key": {"@id": f"{name}/key"},
        "field": [key, content],
    }


def _field(id_: str, says: str, data_type: str, kind: str, of_file: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": id_,
        "name": id_,
        "description": says,
        "dataType": data_type,
        "source": {"fileSet": {"@id": f"{kind}-files"}, "extract": {"fileProperty": of_file}},
    }
