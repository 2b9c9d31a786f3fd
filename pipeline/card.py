"""What lies beside the shards: the manifest that `verify` will hold them against, and the dataset card."""

import html
import json
import re
from collections import Counter
from typing import Any

import yaml

from pipeline.funnel import funnel
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


def write(storage: Storage, shard: Shard) -> None:
    """Write `samples/manifest.json` and `samples/README.md`; both are functions of the tables alone."""
    shards = _shards(storage)
    manifest = {"version": 1, "recipe": shard.recipe, "seed": shard.seed, "shards": shards}
    storage.write_text("samples/manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    storage.write_text("samples/README.md", _card(storage, shard, shards))


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


def _card(storage: Storage, shard: Shard, shards: list[dict[str, Any]]) -> str:
    samples = storage.scan("samples", ("split", "identity", "target", "references", "reject")).to_pylist()
    samples = [row for row in samples if row["reject"] is None]
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
        "## Licences of the photos": [_licence_table(storage)],
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


def _licence_table(storage: Storage) -> str:
    photos = storage.scan("images", ("licence", "reject")).to_pylist()
    licences = Counter(
        row["licence"] or "not stated by the source" for row in photos if row["reject"] is None
    )
    lines = ["| licence | photos |", "|---|---|"]
    lines += [f"| {_cell(name)} | {count} |" for name, count in sorted(licences.items())]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """A stranger's text as plain text in one cell of a Markdown table."""
    plain = html.escape(" ".join(text.split()))
    return re.sub(r"[\\`*_{}\[\]()#+!|~-]", lambda special: f"&#{ord(special[0])};", plain)
