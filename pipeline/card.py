"""What lies beside the shards: the dataset card, the credits, Croissant metadata, and the manifest over all."""

import hashlib
import html
import posixpath
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import yaml

from pipeline.credits import CREDITS_FILE, credited_photos, write_credits
from pipeline.croissant import croissant
from pipeline.funnel import funnel
from pipeline.manifest import VERSION, File, Manifest, ShardFile, written
from pipeline.storage import Storage
from stages.encode import ENDINGS
from stages.shard import Shard

NOTICE = """\
The 68-point predictor that comes with the embedded engines was trained on iBUG 300-W, whose licence excludes
commercial use; InsightFace's model packs are for non-commercial research. These photos show people: respect the
licence of each photo, and remove a person from your copies when asked to.
"""

_LAYOUT = """\
| file | what it is |
|---|---|
| `KEY.gt.{ending}` | ground truth: the aligned face, {size} x {size} |
| `KEY.ref0.{ending}` ... | references: other photos of the same person, best first |
| `KEY.lq.{degraded}` | the degraded face as its last operation left it, at its low resolution |
| `KEY.json` | identity, landmarks, boxes, embedding, theta, and where each photo comes from |
"""

_USE = """\
```python
import webdataset
samples = webdataset.WebDataset("train-00000.tar", shardshuffle=False).decode("rgb8")

import datasets
samples = datasets.load_dataset("webdataset", data_files={"train": "train-*.tar"}, split="train")
```
"""

_INDEX = """\
`*.parquet` beside a shard is its index: key, offset and length of each sample. `manifest.json` holds the size and
SHA-256 of each file, and `facerefs verify` holds the files against it. `croissant.json` describes the shards to
tools that read Croissant. Splits are by person: nobody is in two of them. Where samples differ in their number of
references, Hugging Face `datasets` refuses the shards; `webdataset` and `tar` do not.
"""

_CREDITS = """\
Each photo with its page, URL, author and licence: `photos.csv`, which has to go wherever these shards go.
"""
_SHOWN = 50
_LICENCES = 5


def write(storage: Storage, shard: Shard) -> None:
    """Write `photos.csv`, `README.md`, `croissant.json` and, last, `manifest.json`, which says that all is there.

    All of them are functions of the tables alone.
    """
    shards, indexes_only = _shards(storage)
    samples = _samples(storage)
    photos = credited_photos(storage, samples)
    write_credits(storage, photos)
    photo_file = _file(storage, CREDITS_FILE)
    storage.write_text("samples/README.md", _card(storage, shard, shards, samples, photos))
    metadata = croissant(
        description=_summary(shard, samples) + _licences(photos),
        shards=shards,
        photos=photo_file,
        references=max((len(row["references"]) for row in samples), default=0),
        ending=ENDINGS[shard.image_format],
        degraded=_degraded_ending(shard),
    )
    storage.write_text("samples/croissant.json", metadata)
    manifest = Manifest(
        version=VERSION,
        recipe=shard.degradation.name,
        seed=shard.seed,
        shards=tuple(shards),
        indexes_only=tuple(indexes_only),
        documents=(photo_file, _file(storage, "croissant.json")),
    )
    storage.write_text("samples/manifest.json", written(manifest))


def _shards(storage: Storage) -> tuple[list[ShardFile], list[File]]:
    """The shards with their indexes, and the indexes whose samples were all rejected."""
    shards, indexes_only = [], []
    for name in storage.parts("samples"):
        part = storage.part("samples", name)
        if part is None:
            continue
        index = _file(storage, f"{name}.parquet")
        if part.tar is None or part.tar.sha256 is None:
            indexes_only.append(index)
            continue
        split: Any = name.partition("-")[0]
        shards.append(
            ShardFile(
                name=f"{name}.tar",
                split=split,
                samples=_accepted(storage, name),
                bytes=part.tar.size,
                sha256=part.tar.sha256,
                index=index,
            )
        )
    return shards, indexes_only


def _file(storage: Storage, name: str) -> File:
    with storage.filesystem.open_input_stream(posixpath.join(storage.root, "samples", name)) as file:
        data = file.read()
    return File(name, len(data), hashlib.sha256(data).hexdigest())


def _accepted(storage: Storage, name: str) -> int:
    return int(storage.read("samples", name, ("reject",)).column("reject").null_count)


def _samples(storage: Storage) -> list[dict[str, Any]]:
    samples = storage.scan("samples", ("split", "identity", "target", "references", "reject")).to_pylist()
    return [row for row in samples if row["reject"] is None]


def _card(
    storage: Storage,
    shard: Shard,
    shards: list[ShardFile],
    samples: list[dict[str, Any]],
    photos: pa.Table,
) -> str:
    faces = storage.scan("faces", ("detector", "landmarker", "embedder", "crop_size")).to_pylist()
    engines = sorted(
        {row[name] for row in faces for name in ("detector", "landmarker", "embedder") if row[name]}
    )
    size = max((row["crop_size"] or 0 for row in faces), default=0)
    sections = {
        "# Faces with references": [f"{_summary(shard, samples)}\n", _split_table(samples, shards)],
        "## A sample": [
            _LAYOUT.format(ending=ENDINGS[shard.image_format], size=size, degraded=_degraded_ending(shard)),
            _image_format(shard),
        ],
        "## Use": [_USE, _INDEX],
        "## How it was made": [f"Engines: {', '.join(engines) or 'none'}.\n", _funnel_table(storage)],
        "## Licences of the photos": [_count_table(photos, "licence"), _CREDITS],
        "## Authors of the photos": [_count_table(photos, "author")],
        "## People": [NOTICE],
    }
    return (
        _front_matter(shards, len(samples))
        + "\n"
        + "\n".join("\n".join([f"{heading}\n", *paragraphs]) for heading, paragraphs in sections.items())
    )


def _summary(shard: Shard, samples: list[dict[str, Any]]) -> str:
    used = {row["target"] for row in samples} | {face for row in samples for face in row["references"]}
    people = {row["identity"] for row in samples}
    return (
        f"{len(samples)} samples of {len(people)} people from {len(used)} faces, made by facerefs for "
        "reference-based face restoration: each sample holds a ground-truth face, reference photos of the same "
        "person, and a degraded version with its exact degradation parameters "
        f"(recipe `{shard.degradation.name}`, seed {shard.seed})."
    )


def _licences(photos: pa.Table) -> str:
    """For a catalogue: that each photo has its own licence, and which are the most frequent."""
    counts = Counter(
        " ".join((text or "not stated").split()) for text in photos.column("licence").to_pylist()
    )
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_LICENCES]
    named = "; ".join(f"{name[:100]}: {count}" for name, count in most)
    return f" Each photo has its own licence, see photos.csv{f' ({named})' if named else ''}."


def _degraded_ending(shard: Shard) -> str:
    return "jpg" if shard.degradation.ends_with_jpeg else "png"


def _image_format(shard: Shard) -> str:
    if shard.image_format != "jpeg":
        return f"Ground truth and references are lossless {shard.image_format.upper()}.\n"
    return (
        f"Ground truth and references are JPEG, quality {shard.jpeg_quality}, chroma 4:4:4; the degraded face is made "
        "from the pixels that the ground truth decodes to.\n"
    )


def _front_matter(shards: list[ShardFile], count: int) -> str:
    splits = [split for split in ("train", "val", "test") if any(shard.split == split for shard in shards)]
    matter = {
        "task_categories": ["image-to-image"],
        "tags": ["face-restoration", "webdataset"],
        "size_categories": [_size_category(count)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": {"val": "validation"}.get(split, split), "path": f"{split}-*.tar"}
                    for split in splits
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(matter, sort_keys=False)}---\n"


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


def _split_table(samples: list[dict[str, Any]], shards: list[ShardFile]) -> str:
    lines = ["| split | samples | people | shards | bytes |", "|---|---|---|---|---|"]
    for split in ("train", "val", "test"):
        rows = [row for row in samples if row["split"] == split]
        tars = [shard for shard in shards if shard.split == split]
        people = len({row["identity"] for row in rows})
        size = sum(shard.bytes for shard in tars)
        lines.append(f"| {split} | {len(rows)} | {people} | {len(tars)} | {size} |")
    return "\n".join([*lines, ""])


def _funnel_table(storage: Storage) -> str:
    lines = ["| step | in | rejected | why |", "|---|---|---|---|"]
    for step in funnel(storage):
        why = ", ".join(f"{reason} {count}" for reason, count in step.reasons.items())
        lines.append(f"| {step.stage} | {step.rows} | {sum(step.reasons.values())} | {why} |")
    return "\n".join([*lines, ""])


def _count_table(photos: pa.Table, column: str) -> str:
    """How many photos have which licence or author, the most frequent first."""
    counts = Counter(value or "not stated by the source" for value in photos.column(column).to_pylist())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"| {column} | photos |", "|---|---|"]
    lines += [f"| {_cell(name)} | {count} |" for name, count in most[:_SHOWN]]
    if len(most) > _SHOWN:
        lines.append(f"| {len(most) - _SHOWN} more | {sum(count for _, count in most[_SHOWN:])} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """A stranger's text as plain text in one cell of a Markdown table."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"[\\`*_{}\[\]()#+!|~-]", lambda special: f"&#{ord(special[0])};", plain)
