"""A folder in which the names of the docs exist: photos, lists of them, a build with its runs, outputs of programs."""

import csv
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from facerefs import open_set
from facerefs.stages.synthetic_people.folder import write_people
from tests.photo_server import PhotoServer

PEOPLE = ("Ada Lovelace", "Grace Hopper", "ada", "bob")
PHOTOS = 2
PHOTO_PX = 320  # the smallest whose faces the default settings take
PAGES = {
    "photos/ada/2.jpg": "https://example.org/a.jpg",
    "photos/Grace Hopper/1.jpg": "https://photos.example.com/b.jpg",
}
RECIPES = ("moderate", "severe")  # of the protocol `rendered`
FEW = 4  # photos of sources that no other command needs
SEED = 10  # each of these photos is in a sample, and each split has people
Run = Callable[..., Any]  # runs `facerefs` with these words, in this folder


def write_world(folder: Path, web: PhotoServer, run: Run) -> None:
    """Write all of it; `run` is called with the words of commands, in the folder. `web` serves what lists name."""
    photos = folder / "photos"
    list(write_people(photos, len(PEOPLE), PHOTOS, PHOTO_PX, SEED))
    (photos / "truth.jsonl").unlink()
    for rendered, name in zip(sorted(photos.iterdir()), PEOPLE, strict=True):
        rendered.rename(photos / name)
        for number, photo in enumerate(sorted((photos / name).iterdir()), 1):
            photo.rename(photo.with_name(f"{number}.jpg"))
    _write_folders(folder)
    _write_lists(folder)
    _write_published_lists(folder, web)
    _write_packed(folder)
    run("build", "listed.csv", "--out", "set", "--labels", "trust")
    run("build", "photos", "--out", "a", "--labels", "trust")
    shutil.copytree(folder / "set", folder / "b")
    for model in ("refine", "rdfr"):
        run("train", model, "--data", "set", "--run", f"runs/{model}", "--preset", "tiny")
    shutil.copytree(folder / "runs", folder / "set" / "runs")
    _write_outputs(folder)


def _photos(folder: Path) -> list[tuple[str, Path]]:
    """Each photo with its person."""
    return [(path.parent.name, path) for path in sorted((folder / "photos").rglob("*.jpg"))]


def _write_folders(folder: Path) -> None:
    """Folders of photos by other names, and single photos."""
    (folder / "people").symlink_to("photos")
    for name, photo in {
        "family.jpg": "bob/1.jpg",
        "blurred.jpg": "bob/1.jpg",
        "sharp.jpg": "bob/2.jpg",
        "ann.jpg": "bob/2.jpg",
        "trip/1.jpg": "bob/1.jpg",
        "more/2.jpg": "bob/2.jpg",
        "frames/frame1.png": "bob/1.jpg",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.open(folder / "photos" / photo).save(folder / name)
    (folder / "celeba").mkdir()
    with (folder / "identity_CelebA.txt").open("w") as lines:
        for number, (person, photo) in enumerate(_photos(folder)[:FEW], 1):
            shutil.copy(photo, folder / "celeba" / f"{number:06d}.jpg")
            lines.write(f"{number:06d}.jpg {PEOPLE.index(person)}\n")


def _write_lists(folder: Path) -> None:
    """Lists of photos, which lie in the folder."""
    rows = [(path.relative_to(folder).as_posix(), person) for person, path in _photos(folder)]
    _write_csv(folder / "people.csv", ("url", "name"), rows)
    _write_csv(folder / "odd.csv", ("where", "who", "name"), [(*row, "x") for row in rows[:FEW]])
    _write_csv(
        folder / "listed.csv", ("path", "name", "page"), [(*row, PAGES.get(row[0], "")) for row in rows]
    )
    text = "".join(json.dumps({"url": url, "name": name}) + "\n" for url, name in rows[:FEW])
    with pa.output_stream(folder / "people.jsonl.zst", compression="zstd") as packed:
        packed.write(text.encode())
    _write_csv(folder / "requests.csv", ("person", "Grace Hopper"), [])


def _write_published_lists(folder: Path, web: PhotoServer) -> None:
    """FaceScrub and VGG Face as they were published, but with photos that are here."""
    (folder / "facescrub").mkdir()
    (folder / "vgg_face_dataset" / "files").mkdir(parents=True)
    header = "name\timage_id\tface_id\turl\tbbox\tsha256\n"
    for sex in ("actors", "actresses"):
        (folder / "facescrub" / f"facescrub_{sex}.txt").write_text(header)
    for name in ("README", "licence.txt"):
        (folder / "vgg_face_dataset" / name).write_text("Each line ...\n")
    for number, (person, photo) in enumerate(_photos(folder)[:FEW]):
        data = photo.read_bytes()
        web.photos[f"/{number}.jpg"] = data
        box = f"0,0,{PHOTO_PX},{PHOTO_PX}"
        with (folder / "facescrub" / f"facescrub_{sex}.txt").open("a") as lines:
            fields = (person, number, number, photo.as_uri(), box, hashlib.sha256(data).hexdigest())
            lines.write("\t".join(map(str, fields)) + "\n")
        with (folder / "vgg_face_dataset" / "files" / f"{person.replace(' ', '_')}.txt").open("a") as lines:
            lines.write(f"{number:08d} {web.url(f'/{number}.jpg')} {box.replace(',', ' ')} 1.0 3.0 1\n")


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _write_packed(folder: Path) -> None:
    """Files with photos in them: Parquet as Hugging Face writes it, and a tar as img2dataset does."""
    photos = _photos(folder)[:FEW]
    images = [{"bytes": path.read_bytes(), "path": path.name} for _, path in photos]
    pq.write_table(
        pa.table({"image": images, "name": [person for person, _ in photos]}), folder / "train-00000.parquet"
    )
    (folder / "img2dataset-output").mkdir()
    with tarfile.open(folder / "img2dataset-output" / "00000.tar", "w") as tar:
        for number, (person, path) in enumerate(photos):
            tar.add(path, f"{number:09d}.jpg")
            text = folder / "caption.txt"
            text.write_text(person)
            tar.add(text, f"{number:09d}.txt")
    text.unlink()


def _write_outputs(folder: Path) -> None:
    """Pictures of the samples: of other programs (here the ground truths), and as a published test set."""
    built = open_set(str(folder / "set"))
    samples = [(split, sample) for split in built.splits for sample in built.samples(split)]
    pairs, splits = [], folder / "id_based_ffhq_split"
    for program in (
        "outputs",
        "outputs/gfpgan",
        "outputs/a",
        "outputs/b",
        "ffhq",
        "images512x512",
        splits.name,
    ):
        (folder / program).mkdir(parents=True, exist_ok=True)
    for split, sample in samples:
        name = f"{sample.key}.png"
        Image.fromarray(sample.target.image).save(folder / "outputs" / name, compress_level=1)
        for recipe in RECIPES:
            shutil.copy(folder / "outputs" / name, folder / "outputs" / f"{sample.key}-{recipe}.png")
        for copied in ("outputs/gfpgan", "outputs/a", "outputs/b", "ffhq", "images512x512"):
            shutil.copy(folder / "outputs" / name, folder / copied)
        others = [
            f"{one.key}.png" for _, one in samples if one.identity == sample.identity and one is not sample
        ]
        pairs.append((name, str(others)))
        with (splits / f"{split}_image.txt").open("a") as lines:
            lines.write(f"{name}\n")
    (folder / "reference_mapping").mkdir()
    _write_csv(folder / "reference_mapping" / "test_references.csv", ("gt_image", "ref_image"), pairs)
