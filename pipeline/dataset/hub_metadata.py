"""The YAML at the top of the dataset card, which Hugging Face's Hub and its library `datasets` read."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import yaml

from facerefs.pipeline.dataset.file_kinds import FileKind
from facerefs.schemas.fields import Field, Kind, ListOf, Number, Numbers, Object, UnitVector, Whole
from facerefs.schemas.manifest import Manifest
from facerefs.schemas.operations import HINTS
from facerefs.schemas.sample import JSON, SAMPLE, SPLITS, ThetaList

_CREATIVE_COMMONS = frozenset(
    {"cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"}
    | {"cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"}
    | {"cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"}
)
"""Those that the Hub has an identifier for: https://huggingface.co/docs/hub/repositories-licenses"""
_CC_ADDRESS = re.compile(
    r"https?://creativecommons\.org/(?:licenses/(by[a-z-]*)|publicdomain/(zero))/(\d\.\d)/?(?:(?:deed|legalcode)[.\w]*)?"
)
_CC_NAME = re.compile(r"cc[ -]?(by[a-z-]*|0|zero)(?:[ -](\d\.\d))?")
_TYPES: dict[type, str] = {  # everything else is text
    int: "int64",
    float: "float64",
    bool: "bool",
    Whole: "int64",
    Number: "float64",
    Numbers: "float64",
    UnitVector: "float64",
}


def hub_metadata(manifest: Manifest, licences: Iterable[str | None], kinds: Sequence[FileKind]) -> str:
    """The metadata as YAML between two lines of dashes.

    The fingerprint of the set is in it, since `datasets` keys its cache by the folder's name and this text: without it,
    `load_dataset` would return the samples of an earlier set. The features are in it, since `datasets` would guess them
    from the first samples, and drop what only later ones have: the fields of rare operations, further references.

    licences: of all photos.
    """
    splits = [split for split in SPLITS if any(shard.split == split for shard in manifest.shards)]
    matter = {
        **_licence(set(licences)),
        "task_categories": ["image-to-image"],
        "tags": ["face-restoration", "webdataset"],
        "size_categories": [_size_category(sum(shard.samples for shard in manifest.shards))],
        "configs": [
            {
                "config_name": "default",
                "description": f"fingerprint {manifest.fingerprint}",
                "data_files": [
                    {"split": {"val": "validation"}.get(split, split), "path": f"{split}-*.tar"}
                    for split in splits
                ],
            }
        ],
        "dataset_info": {
            "config_name": "default",
            "features": _features(kinds),
        },
    }
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, default_flow_style=None, width=110)}---\n"


def licence_identifier(licence: str) -> str | None:
    """The Hub's identifier of a licence, from its name, its address or both; None if the Hub has none."""
    texts = [*licence.lower().split(), " ".join(licence.lower().split())]
    addresses = [match for text in texts if (match := _CC_ADDRESS.fullmatch(text))]
    names = [match for text in texts if (match := _CC_NAME.fullmatch(text))]
    if addresses:
        name, version = addresses[0][1] or "0", addresses[0][3]
    elif names:
        name, version = names[-1][1], names[-1][2] or ("1.0" if names[-1][1] in ("0", "zero") else "")
    else:
        return None
    identifier = f"cc0-{version}" if name in ("0", "zero") else f"cc-{name}-{version}"
    return identifier if identifier in _CREATIVE_COMMONS else None


def _licence(licences: set[str | None]) -> dict[str, str]:
    """The licence of the whole set: that of its photos if they all have the same one that the Hub knows."""
    stated = {licence for licence in licences if licence and licence.strip()}
    if not stated:
        return {"license": "unknown"}
    identifiers = {licence_identifier(licence) for licence in stated}
    if len(identifiers) == 1 and len(stated) == len(licences) and None not in identifiers:
        return {"license": str(identifiers.pop())}
    return {
        "license": "other",
        "license_name": "licences-of-the-photos",
        "license_details": "each photo has its own licence, see photos.csv",
    }


def _features(kinds: Sequence[FileKind]) -> list[dict[str, Any]]:
    """The columns of a sample: one for each file, and those that `datasets` adds."""
    columns: list[dict[str, Any]] = [
        {"name": kind.file_name} | ({"struct": _struct(SAMPLE)} if kind.file is JSON else {"dtype": "image"})
        for kind in kinds
    ]
    return columns + [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]


def _struct(fields: Sequence[Field]) -> list[dict[str, Any]]:
    return [{"name": field.name} | _feature(field.kind) for field in fields]


def _feature(kind: Kind) -> dict[str, Any]:
    feature: dict[str, Any] = {"dtype": _TYPES.get(type(kind), "string")}
    match kind:
        case Numbers(shape=shape):
            for _ in shape:
                feature = {"list": feature}
        case UnitVector():
            feature = {"list": feature}
        case Object(fields=fields):
            feature = {"struct": _struct(fields)}
        case ListOf(item=Object(fields=fields)):
            feature = {"list": _struct(fields)}
        case ThetaList():
            feature = {"list": _operation_fields()}
    return feature


def _operation_fields() -> list[dict[str, Any]]:
    """The fields of all operations of a theta; an operation has null in those of the others."""
    fields = {"op": "string"}
    for hints in HINTS.values():
        for name, hint in hints.items():
            fields[name] = _TYPES.get((get_args(hint) or (hint,))[0], "string")
    return [{"name": name, "dtype": dtype} for name, dtype in fields.items()]


def _size_category(count: int) -> str:
    for limit, name in (
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (1_000_000, "100K<n<1M"),
    ):
        if count < limit:
            return name
    return "n>1M"
