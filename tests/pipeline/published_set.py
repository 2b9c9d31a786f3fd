"""A published test set of rendered people under FFHQ's file names, with planted mistakes, and its build without Ray."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan, build
from facerefs.pipeline.config.config import Config, read_config
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.arrays import UInt8Image
from facerefs.stages.sources.resolve import open_source
from tests.stages.aligned_people import aligned_face

PEOPLE, PHOTOS = 6, 3
SETTINGS = (
    *("analyse.align=keep", "analyse.niqe=false", "analyse.min_sharpness=null", "shard.image_format=png"),
    # Rendered people look more alike to the embedder than real ones.
    *("cluster.same=0.96", "copies.rule.session_similarity=0.997"),
)


@dataclass
class Published:
    """The folder of photos, the lists, and what was planted; photos by name, pairs as (target, reference)."""

    folder: Path
    person: dict[str, int]
    references: dict[str, list[str]]
    splits: dict[str, str]
    copies: set[tuple[str, str]] = field(default_factory=set)
    strangers: set[tuple[str, str]] = field(default_factory=set)

    @property
    def images(self) -> Path:
        return self.folder / "images512x512"

    @property
    def pairs_file(self) -> Path:
        return self.folder / "reference_mapping" / "test_references.csv"

    @property
    def splits_folder(self) -> Path:
        return self.folder / "id_based_ffhq_split"

    @property
    def people_in_two_splits(self) -> set[int]:
        """By who is who, with the photos of all samples, references included."""
        found: dict[int, set[str]] = {}
        for target, references in self.references.items():
            for photo in (target, *references):
                found.setdefault(self.person[photo], set()).add(self.splits[target])
        return {person for person, splits in found.items() if len(splits) > 1}

    def write_lists(self) -> None:
        """As Ref-LDM publishes them."""
        rows = [f'{target},"{references}"' for target, references in self.references.items()]
        self.pairs_file.parent.mkdir(exist_ok=True)
        self.pairs_file.write_text("\n".join(["gt_image,ref_image", *rows, ""]))
        self.splits_folder.mkdir(exist_ok=True)
        for split in ("train", "val", "test"):
            names = [name for name, said in self.splits.items() if said == split]
            (self.splits_folder / f"{split}_image.txt").write_text("\n".join([*names, ""]))


def write_published(folder: Path) -> Published:
    """Photos and lists; of each kind of mistake some are planted."""
    (folder / "images512x512").mkdir(parents=True)
    order = np.random.default_rng(4).permutation(PEOPLE * PHOTOS)
    faces: dict[str, UInt8Image] = {}
    person: dict[str, int] = {}
    for number, which in enumerate(order.tolist()):
        name = f"{number:05d}.png"
        person[name] = which // PHOTOS
        faces[name] = aligned_face(person[name], which % PHOTOS, rendered_px=224)
    copies: set[tuple[str, str]] = set()
    for number, (name, edit) in enumerate(
        zip(list(faces)[:3], (_re_encoded, _mirrored, _re_encoded), strict=True)
    ):
        copy = f"{len(order) + number:05d}.png"
        faces[copy], person[copy] = edit(faces[name]), person[name]
        copies |= {(name, copy), (copy, name)}
    for name, pixels in faces.items():
        Image.fromarray(pixels).save(folder / "images512x512" / name)
    references = {
        name: [other for other in faces if person[other] == person[name] and other != name] for name in faces
    }
    strangers = set()
    for name in list(faces)[5:9]:
        stranger = next(other for other in reversed(faces) if person[other] == (person[name] + 1) % PEOPLE)
        references[name].append(stranger)
        strangers.add((name, stranger))
    split_of = ("train", "train", "train", "val", "test", "test")
    splits = {name: split_of[who] for name, who in person.items()}
    leaks = (next(name for name in faces if person[name] == 1), f"{len(order):05d}.png")
    splits |= {
        name: "val" if splits[name] == "test" else "test" for name in leaks
    }  # a person, and a copied shot
    published = Published(folder, person, references, splits, copies, strangers)
    published.write_lists()
    return published


def build_published(
    published: Published, out: Path, *settings: str, pairs: Path | None = None
) -> tuple[Storage, str]:
    """The build of the set by its lists, and what it says; `settings` come last."""
    lists = (f"given.pairs=[{pairs or published.pairs_file}]", f"given.splits=[{published.splits_folder}]")
    config: Config = read_config(None, (*SETTINGS, *lists, *settings))
    storage, said = Storage.at(out), io.StringIO()
    source = open_source(str(published.images), None, config.sources, config.fetch.limits, out, None)
    plan = BuildPlan(str(published.images), None, config)
    build(source, plan, storage, RayWorkers(1, rows_in_process=1000), Console(file=said, width=400))
    return storage, said.getvalue()


def _re_encoded(pixels: UInt8Image) -> UInt8Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _mirrored(pixels: UInt8Image) -> UInt8Image:
    return np.asarray(ImageOps.mirror(Image.fromarray(pixels)))
