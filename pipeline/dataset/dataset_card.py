"""`samples/README.md`: the dataset card, below the metadata for Hugging Face."""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from facerefs.pipeline.dataset.funnel import funnel
from facerefs.pipeline.dataset.given import given_digests, has_given_degraded
from facerefs.pipeline.dataset.manifest import as_read
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.field_tables import file_table, json_tables
from facerefs.schemas.manifest import ShardFile
from facerefs.schemas.sample import DEGRADED, GIVEN_RECIPE, IMAGE_TYPES, JSON, MASK_FILES, SPLITS, files_of
from facerefs.stages.degrade.recipe import Recipe
from facerefs.stages.shard import Shard

NOTICE = """\
The 68-point predictor that comes with the embedded engines was trained on iBUG 300-W, whose licence excludes
commercial use; InsightFace's model packs are for non-commercial research. These photos show people: respect the
licence of each photo, and remove a person from your copies on request.
"""

_NOBODY_NAMED = """\
Nobody is named here who removes photos on request. Whoever publishes this set should name somebody, with
`facerefs build` and `--set shard.contact=ADDRESS`: it makes no shard anew.
"""

_REMOVAL = """\
Name the keys of the samples, or the URLs of the photos (`photos.csv` and the JSON of each sample have them). The maker
of the set then runs `facerefs purge BUILD --photo`, `--url` or `--person`, which removes the photos with all that was
made of them, keeps them out of later versions, and writes a certificate; models that were trained on them are listed.
"""

_MADE_FROM_TARGET = """\
{count} of the {every} references are not photos: they are made from their target. Those with `synthesis` in
`KEY.json` are synthesised: its numbers say how pose, expression, light and skin texture are changed, and whether the
target is mirrored; they have no embedding. Those with `elsewhere` were made by others: it names the file, and its
licence if it is known. Origin and licence of the target hold for both.
"""

_MASKS = """\
The masks of the photographed faces: {made}. `hull` is the convex hull of the landmarks, extended over the forehead; it
also stands in where a face parser found no face. `parser` in `KEY.json` names the engine of each mask.
"""

_USE = """\
```python
import webdataset
samples = webdataset.WebDataset("train-00000.tar", shardshuffle=False).decode("rgb8")

import datasets
samples = datasets.load_dataset("FOLDER OF THE SHARDS", split="train")
```
"""

_INDEX = """\
`*.parquet` beside a shard is its index: key, offset and length of each sample. `manifest.json` holds the size and
SHA-256 of each file, and `facerefs verify` checks the files against it. `croissant.json` describes the shards for
tools that read Croissant. Where a sample has fewer references than
another, Hugging Face `datasets` gives None for those that it lacks.
"""

_DRAWN_SPLITS = """\
Splits are by person: no person is in two splits.
"""
_PUBLISHED_SPLITS = """\
The splits are published ones: a person may be in two of them.
"""
_GIVEN_DEGRADED = """\
{count} of the {every} degraded faces are published images, stored as they are: `given` in `KEY.json` names the file,
and its theta is not known. The others were made here:

"""

_CREDITS = """\
`photos.csv` lists each photo with its page, URL, author and licence. Include it in every copy of these shards.
"""
_RECIPE = """\
Each degraded face was made by its own theta, drawn from this recipe with seed {seed} and stored in `KEY.json`; the same
is in `manifest.json`. To build with it from other photos, set it as `shard.recipe` in the configuration.

```yaml
{recipe}```
"""
_SHOWN = 50


def dataset_card(
    storage: Storage,
    shard: Shard,
    shards: list[ShardFile],
    samples: list[dict[str, Any]],
    photos: pa.Table,
    parsers: Mapping[str, int],
) -> str:
    """The card as Markdown, without the metadata above it.

    photos: the result of `credited_photos`. parsers: the result of `mask_counts`.
    """
    engines = ("detector", "landmarker", "embedder")
    faces = storage.scan("faces", (*engines, "crop_size"))
    named = sorted(
        {name for column in engines for name in pc.unique(faces.column(column)).to_pylist() if name}
    )
    size = pc.max(faces.column("crop_size")).as_py() or 0
    sections = {
        "# Faces with references": [f"{summary(shard, samples)}\n", _split_table(samples, shards)],
        "## A sample": [
            _file_table(shard, bool(parsers), has_given_degraded(storage)),
            _image_format(shard, size),
            *_made_from_target(samples),
            *_masks(parsers),
        ],
        "## The JSON of a sample": [json_tables()],
        "## Use": [_USE, _INDEX, _PUBLISHED_SPLITS if "splits" in given_digests(storage) else _DRAWN_SPLITS],
        "## How it was made": [f"Engines: {', '.join(named) or 'none'}.\n", _funnel_table(storage)],
        "## Degradation": [
            *_given_degraded(samples),
            _RECIPE.format(seed=shard.seed, recipe=_recipes(shard.recipes)),
        ],
        "## Licences of the photos": [_count_table(photos, "licence"), _CREDITS],
        "## Authors of the photos": [_count_table(photos, "author")],
        "## People": [NOTICE],
        "## Removal": [_removal(shard.contact)],
    }
    return "\n".join("\n".join([f"{heading}\n", *paragraphs]) for heading, paragraphs in sections.items())


def _removal(contact: str | None) -> str:
    """How a person asks for removal, and what the maker then does."""
    whom = (
        _NOBODY_NAMED
        if contact is None
        else f"To have a photo or a person removed, write to {_address(contact)}.\n"
    )
    return f"{whom}\n{_REMOVAL}"


_ADDRESS = re.compile(r"https?://[\w./?=&%:#~+,;-]+|[\w.+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)


def _address(contact: str) -> str:
    """A URL or e-mail address as a link; other text without any Markdown or HTML in it."""
    return f"<{contact.strip()}>" if _ADDRESS.fullmatch(contact.strip()) else _plain(contact)


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", html.escape(text.strip(), quote=False))


def summary(shard: Shard, samples: list[dict[str, Any]]) -> str:
    """A one-sentence description of the set."""
    used = {row["target"] for row in samples} | {face for row in samples for face in row["references"]}
    people = {row["identity"] for row in samples}
    return (
        f"{len(samples)} samples of {len(people)} people from {len(used)} faces, made by facerefs for "
        "reference-based face restoration: each sample holds a ground-truth face, reference photos of the same "
        "person, and a degraded version with its exact degradation parameters "
        f"({_named(shard.recipes)}, seed {shard.seed})."
        + (f" {count} references are made from their target." if (count := _own_count(samples)) else "")
    )


def _own_count(samples: list[dict[str, Any]]) -> int:
    return sum(row["references"].count(row["target"]) for row in samples)


def _made_from_target(samples: list[dict[str, Any]]) -> list[str]:
    """A paragraph about the references that are made from their target, if there are any."""
    count = _own_count(samples)
    every = sum(len(row["references"]) for row in samples)
    return [_MADE_FROM_TARGET.format(count=count, every=every)] if count else []


def degraded_extension(shard: Shard, given: bool) -> str:
    """The file extension of the degraded faces: jpg or png. given: whether some of them are published images."""
    return "jpg" if shard.degraded_as_jpeg and not given else "png"


def _given_degraded(samples: list[dict[str, Any]]) -> list[str]:
    """A paragraph about the degraded faces that are published images, if there are any."""
    count = sum(row["recipe"] == GIVEN_RECIPE for row in samples)
    return [_GIVEN_DEGRADED.format(count=count, every=len(samples))] if count else []


def _masks(parsers: Mapping[str, int]) -> list[str]:
    """A paragraph that says which engines made the masks, if there are any."""
    made = ", ".join(f"{count} by `{name}`" for name, count in parsers.items())
    return [_MASKS.format(made=made)] if parsers else []


def _file_table(shard: Shard, masks: bool, given: bool) -> str:
    extensions = {DEGRADED: degraded_extension(shard, given), JSON: "json"} | dict.fromkeys(MASK_FILES, "png")
    image = IMAGE_TYPES[shard.image_format].extension
    return file_table([(file, [extensions.get(file, image)]) for file in files_of(masks)])


def _image_format(shard: Shard, size: int) -> str:
    faces = f"Ground truth and references have {size} x {size} px and are"
    if shard.image_format != "jpeg":
        return f"{faces} lossless {shard.image_format.upper()}.\n"
    return (
        f"{faces} JPEG, quality {shard.jpeg_quality}, chroma 4:4:4; the degraded face is made from the pixels that the "
        "ground truth decodes to.\n"
    )


def _named(recipes: Sequence[Recipe]) -> str:
    return f"recipe{'s' * (len(recipes) > 1)} {' and '.join(f'`{recipe.name}`' for recipe in recipes)}"


def _recipes(recipes: Sequence[Recipe]) -> str:
    """The recipe, or a list of several, as YAML for `shard.recipe`, without unset fields."""
    trees = [_stated(asdict(as_read(recipe))) for recipe in recipes]
    return yaml.safe_dump(
        trees if len(trees) > 1 else trees[0], sort_keys=False, default_flow_style=None, width=110
    )


def _stated(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _stated(value) for name, value in tree.items() if value not in (None, ())}
    return [_stated(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _split_table(samples: list[dict[str, Any]], shards: list[ShardFile]) -> str:
    lines = ["| split | samples | people | shards | bytes |", "|---|---|---|---|---|"]
    for split in SPLITS:
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
    """A table of the number of photos per licence or author, the most frequent first."""
    counts = Counter(value or "not stated by the source" for value in photos.column(column).to_pylist())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"| {column} | photos |", "|---|---|"]
    lines += [f"| {_cell(name)} | {count} |" for name, count in most[:_SHOWN]]
    if len(most) > _SHOWN:
        lines.append(f"| {len(most) - _SHOWN} more | {sum(count for _, count in most[_SHOWN:])} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Untrusted text escaped for one cell of a Markdown table."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"[\\`*_{}\[\]()#+!|~-]", lambda special: f"&#{ord(special[0])};", plain)
