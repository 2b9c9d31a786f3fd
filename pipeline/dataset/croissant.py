"""`samples/croissant.json`: the training set as Croissant 1.0 (MLCommons), for catalogues and loaders that read it.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html. It names no licence: each photo has its own, which
photos.csv holds.
"""

import json
from collections.abc import Sequence
from typing import Any

from facerefs.pipeline.dataset.manifest import File, ShardFile

_TEXT, _IMAGE = "sc:Text", "sc:ImageObject"
_MIME = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "json": "application/json"}
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


def croissant(
    description: str, shards: Sequence[ShardFile], photos: File, references: int, ending: str, degraded: str
) -> str:
    """The metadata as JSON-LD.

    references: how many the richest sample has. ending, degraded: of the file names, such as `jpg`.
    """
    kinds = {
        "gt": (ending, "Ground truth: the aligned face."),
        "lq": (degraded, "The degraded face, at its low resolution."),
        "json": ("json", "Identity, landmarks, boxes, embedding, theta, and where each photo comes from."),
    }
    kinds |= {
        f"ref{i}": (ending, f"Reference {i} of the same person, 0 is the best.") for i in range(references)
    }
    tars = [_file(shard.name, shard.bytes, shard.sha256, "application/x-tar") for shard in shards]
    sets = [_file_set(kind, of[0], shards) for kind, of in kinds.items()] if shards else []
    tree = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "faces-with-references",
        "description": description,
        "keywords": ["face restoration", "reference-based", "webdataset"],
        "distribution": [_file(photos.name, photos.bytes, photos.sha256, "text/csv"), *tars, *sets],
        "recordSet": [_records(kind, says) for kind, (_, says) in kinds.items()] if shards else [],
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


def _file_set(kind: str, ending: str, shards: Sequence[ShardFile]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{kind}-files",
        "name": f"{kind}-files",
        "containedIn": [{"@id": shard.name} for shard in shards],
        "encodingFormat": _MIME[ending],
        "includes": "*.json" if kind == "json" else f"*.{kind}.{ending}",
    }


def _records(kind: str, says: str) -> dict[str, Any]:
    """One record per file of a kind; `key` is that of its sample, and joins the kinds.

    One record set of all kinds would be plainer, but mlcroissant 1.1 wants a join for every pair of them in it.
    """
    key = _field(f"{kind}/key", "The key of the sample.", _TEXT, kind, "filename")
    key["source"]["transform"] = {"regex": r"^([^.]+)\."}
    content = _field(f"{kind}/content", says, _TEXT if kind == "json" else _IMAGE, kind, "content")
    return {
        "@type": "cr:RecordSet",
        "@id": kind,
        "name": kind,
        "description": says,
        "key": {"@id": f"{kind}/key"},
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
