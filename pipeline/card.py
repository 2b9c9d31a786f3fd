"""What lies beside the shards: the manifest that `verify` will hold them against, and the dataset card."""

import html
import json
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyarrow.csv import write_csv

from pipeline.funnel import funnel
from pipeline.report.text import web_link
from pipeline.storage import Storage
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
SHA-256 of each shard. Splits are by person: nobody is in two of them. Where samples differ in their number of
references, Hugging Face `datasets` refuses the shards; `webdataset` and `tar` do not.
"""

_CREDITS_FILE = "samples/photos.csv"
_CREDITS = """\
Each photo with its page, URL, author and licence: `photos.csv`, which has to go wherever these shards go.
"""
_SHOWN = 50


def write(storage: Storage, shard: Shard) -> None:
    """Write `samples/manifest.json`, `README.md` and `photos.csv`, all of them functions of the tables alone."""
    shards = _shards(storage)
    manifest = {"version": 1, "recipe": shard.recipe, "seed": shard.seed, "shards": shards}
    storage.write_text("samples/manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    samples = _samples(storage)
    photos = _photos(storage, samples)
    storage.write_text("samples/README.md", _card(storage, shard, shards, samples, photos))
    with storage.replacing(_CREDITS_FILE) as file:
        write_csv(_harmless(photos), file)


def _shards(storage: Storage) -> list[dict[str, Any]]:
    shards = []
    for name in storage.parts("samples"):
        part = storage.part("samples", name)
        if part is not None and part.tar is not None:
            shards.append(
                {
                    "name": f"{name}.tar",
                    "split": name.partition("-")[0],
                    "samples": _accepted(storage, name),
                    "bytes": part.tar.size,
                    "sha256": part.tar.sha256,
                }
            )
    return shards


def _accepted(storage: Storage, name: str) -> int:
    return int(storage.read("samples", name, ("reject",)).column("reject").null_count)


def _samples(storage: Storage) -> list[dict[str, Any]]:
    samples = storage.scan("samples", ("split", "identity", "target", "references", "reject")).to_pylist()
    return [row for row in samples if row["reject"] is None]


def _photos(storage: Storage, samples: list[dict[str, Any]]) -> pa.Table:
    """The photos that are in the shards, as target or reference, and whom they are from."""
    used = {row["target"] for row in samples} | {face for row in samples for face in row["references"]}
    faces = storage.scan("faces", ("id", "key"))
    keys = faces.filter(pc.is_in(faces.column("id"), value_set=pa.array(sorted(used), pa.string()))).column(
        "key"
    )
    photos = storage.scan("images", ("key", "id", "label", "page", "url", "attribution", "licence"))
    photos = photos.filter(pc.is_in(photos.column("key"), value_set=keys.combine_chunks()))
    return photos.sort_by("key").rename_columns(
        ["key", "sha256", "label", "page", "url", "author", "licence"]
    )


def _harmless(photos: pa.Table) -> pa.Table:
    """A stranger's texts as a spreadsheet may open them: on one line, no formulas, no links but those of the web."""
    for name in ("key", "label", "author", "licence"):
        texts = photos.column(name).to_pylist()
        photos = _replaced(photos, name, [None if text is None else _plain_cell(text) for text in texts])
    for name in ("page", "url"):
        photos = _replaced(photos, name, [web_link(text) for text in photos.column(name).to_pylist()])
    return photos


def _replaced(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))


def _plain_cell(text: str) -> str:
    folded = " ".join(text.split())
    return f"'{folded}" if folded.startswith(("=", "+", "-", "@")) else folded


def _card(
    storage: Storage,
    shard: Shard,
    shards: list[dict[str, Any]],
    samples: list[dict[str, Any]],
    photos: pa.Table,
) -> str:
    faces = storage.scan("faces", ("detector", "landmarker", "embedder", "crop_size")).to_pylist()
    engines = sorted(
        {row[name] for row in faces for name in ("detector", "landmarker", "embedder") if row[name]}
    )
    size = max((row["crop_size"] or 0 for row in faces), default=0)
    used = {row["target"] for row in samples} | {face for row in samples for face in row["references"]}
    people = {row["identity"] for row in samples}
    summary = (
        f"{len(samples)} samples of {len(people)} people from {len(used)} faces, made by facerefs for "
        "reference-based face restoration: each sample holds a ground-truth face, reference photos of the same "
        "person, and a degraded version with its exact degradation parameters "
        f"(recipe `{shard.recipe}`, seed {shard.seed}).\n"
    )
    sections = {
        "# Faces with references": [summary, _split_table(samples, shards)],
        "## A sample": [
            _LAYOUT.format(
                ending=shard.image_format, size=size, degraded="png" if shard.recipe == "bicubic" else "jpg"
            )
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


def _front_matter(shards: list[dict[str, Any]], count: int) -> str:
    splits = [split for split in ("train", "val", "test") if any(shard["split"] == split for shard in shards)]
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


def _split_table(samples: list[dict[str, Any]], shards: list[dict[str, Any]]) -> str:
    lines = ["| split | samples | people | shards | bytes |", "|---|---|---|---|---|"]
    for split in ("train", "val", "test"):
        rows = [row for row in samples if row["split"] == split]
        tars = [shard for shard in shards if shard["split"] == split]
        people = len({row["identity"] for row in rows})
        size = sum(shard["bytes"] for shard in tars)
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
