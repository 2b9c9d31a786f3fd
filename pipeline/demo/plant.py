"""Plants defects into a folder of rendered people, and keeps the truth about every file."""

import io
import json
import shutil
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from schemas.reject import Reject

COPY_SHARE = 0.10  # of the photos get a copy, of each kind in turn
WRONG_LABEL_SHARE = 0.05  # of the photos lie in another person's folder
FACELESS = 6

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True)
class Photo:
    """What is true of one file in the demo's folder."""

    path: str  # relative to the folder of photos
    person: str | None  # whom it shows, if anybody
    label: str  # the folder that it lies in
    copy_of: str | None = None  # path of the photo that it is a copy of
    copy_kind: str | None = None
    fault: str | None = None  # the reject reason that it must end with


def plant(photos: Path, seed: int) -> list[Photo]:
    """Copies, wrong labels, split names, broken files and faceless photos; returns the truth about every file.

    `photos` holds one folder per rendered person, as `stages.rendered.folder` writes them. Wrong labels and
    split names hit photos that have no copy, so that each defect can be counted by itself.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    clean = [
        Photo(f"{person.name}/{photo.name}", person.name, person.name)
        for person in sorted(photos.iterdir())
        if person.is_dir()
        for photo in sorted(person.glob("*.jpg"))
    ]
    order = [clean[i] for i in rng.permutation(len(clean))]
    copied = order[: round(COPY_SHARE * len(clean))]
    truth = _plant_copies(photos, copied, rng)
    split = _plant_split_names(photos, [photo for photo in clean if photo not in copied])
    moved = {photo.path for photo, _ in split}
    rest = [photo for photo in order[len(copied) :] if photo.path not in moved]
    wrong = _plant_wrong_labels(photos, rest[: round(WRONG_LABEL_SHARE * len(clean))], rng)
    changed = {photo.path for photo, _ in (*split, *wrong)}
    truth += [photo for photo in clean if photo.path not in changed]
    truth += [now for _, now in (*split, *wrong)]
    truth += _plant_faults(photos, sorted({photo.label for photo in clean}), rng)
    return sorted(truth, key=lambda photo: photo.path)


def write_truth(path: Path, truth: list[Photo]) -> None:
    """Write the truth, one JSON object per line."""
    path.write_text("".join(json.dumps(asdict(photo)) + "\n" for photo in truth))


def _plant_copies(photos: Path, originals: list[Photo], rng: np.random.Generator) -> list[Photo]:
    kinds = {"same bytes": None, "re-encoded": _reencoded, "cropped": _cropped, "mirrored": _mirrored}
    truth = []
    for i, original in enumerate(originals):
        kind = list(kinds)[i % len(kinds)]
        source = photos / original.path
        copy = source.with_name(f"img_{rng.integers(10_000, 99_999)}.jpg")
        change = kinds[kind]
        if change is None:
            shutil.copyfile(source, copy)
        else:
            change(Image.open(source)).save(copy, quality=70)
        path = f"{original.label}/{copy.name}"
        truth.append(Photo(path, original.person, original.label, copy_of=original.path, copy_kind=kind))
    return truth


def _reencoded(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image) -> Image.Image:
    left, top = image.width // 25, image.height // 25
    return image.crop((left, top, image.width - left // 2, image.height - top // 2))


def _mirrored(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def _plant_split_names(photos: Path, clean: list[Photo]) -> list[tuple[Photo, Photo]]:
    """Half of the photos of two people go into a second folder, as if somebody had used another name."""
    people = sorted({photo.label for photo in clean})
    moves = []
    for number, person in enumerate((people[0], people[len(people) // 2])):
        own = [photo for photo in clean if photo.label == person]
        for photo in own[len(own) // 2 :]:
            label = f"stage-name-{number + 1}"
            moves.append((photo, _move(photos, photo, label)))
    return moves


def _plant_wrong_labels(
    photos: Path, chosen: list[Photo], rng: np.random.Generator
) -> list[tuple[Photo, Photo]]:
    people = sorted(
        {photo.label for photo in chosen} | {path.name for path in photos.iterdir() if path.is_dir()}
    )
    moves = []
    for photo in chosen:
        others = [label for label in people if label not in (photo.label, "stage-name-1", "stage-name-2")]
        moves.append((photo, _move(photos, photo, others[rng.integers(len(others))])))
    return moves


def _move(photos: Path, photo: Photo, label: str) -> Photo:
    target = photos / label / f"{photo.label}-{Path(photo.path).name}".replace("person", "photo")
    target.parent.mkdir(exist_ok=True)
    (photos / photo.path).rename(target)
    return Photo(f"{label}/{target.name}", photo.person, label)


def _plant_faults(photos: Path, people: list[str], rng: np.random.Generator) -> list[Photo]:
    example = sorted((photos / people[0]).glob("*.jpg"))[0].read_bytes()
    faults: list[tuple[str, bytes, Reject]] = [
        ("cut_off.jpg", example[: len(example) // 2], Reject.TRUNCATED),
        ("nothing.jpg", b"", Reject.EMPTY),
        ("page.jpg", b"<!DOCTYPE html><title>404 Not Found</title>", Reject.NOT_AN_IMAGE),
        ("drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', Reject.NOT_AN_IMAGE),
        ("bomb.png", _bomb_png(), Reject.TOO_MANY_PIXELS),
        ("moving.gif", _animation(), Reject.ANIMATED),
        ("icon.png", _png(np.full((16, 16, 3), 128, np.uint8)), Reject.TOO_SMALL),
    ]
    faults += [(f"landscape_{i}.jpg", _jpeg(_landscape(rng)), Reject.NO_FACE) for i in range(FACELESS)]
    truth = []
    for i, (name, data, reject) in enumerate(faults):
        label = people[i % len(people)]
        (photos / label / name).write_bytes(data)
        truth.append(Photo(f"{label}/{name}", None, label, fault=reject.value))
    return truth


def _bomb_png() -> bytes:
    """A few hundred bytes that claim to be 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _animation() -> bytes:
    frames = [Image.new("RGB", (96, 96), (shade, 80, 160)) for shade in (0, 120, 240)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def _landscape(rng: np.random.Generator) -> Pixels:
    """Sky, hills and a meadow, out of smooth noise: something to look at, and nobody in it."""
    height, width = 480, 640
    x = np.linspace(0, 1, width)
    y = np.linspace(0, 1, height)[:, None]
    sky = np.stack([0.45 + 0.4 * y + 0 * x, 0.65 + 0.25 * y + 0 * x, 0.95 - 0.1 * y + 0 * x], -1)
    picture = sky
    for depth in range(3):
        waves = sum(
            np.sin(2 * np.pi * (x * (k + 1) * rng.uniform(0.5, 1.5) + rng.random())) / (k + 2)
            for k in range(5)
        )
        ridge = 0.45 + 0.15 * depth + 0.08 * waves
        colour = np.array([0.25, 0.45 + 0.08 * depth, 0.3 - 0.07 * depth]) * rng.uniform(0.8, 1.2)
        picture = np.where((y > ridge)[..., None], colour, picture)
    grain = rng.normal(0, 0.02, (height, width, 1))
    smooth = Image.fromarray((np.clip(picture + grain, 0, 1) * 255).astype(np.uint8))
    return np.asarray(smooth.filter(ImageFilter.GaussianBlur(1)))


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
