"""Made-up photos, hashes and faces for `benchmarks.curate`, of sizes that no lists of Python objects could hold."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.schemas.tables import COPIES, FACES, IDENTITIES, IMAGES, LABELS, OVERRIDES
from facerefs.stages.identities.people import UNASSIGNED
from facerefs.stages.images.hashing import detail_hash, perceptual_hashes
from facerefs.stages.images.local_difference import thumbnail

PHOTO_PX = 128
EDITS = ("re-encoded", "halved", "cropped", "mirrored")
_DIMENSIONS = 128
_SUBSPACE = 32  # of the people's centres: the 99 % of strangers' cosines are then 0.31, as of real faces


@dataclass(frozen=True)
class People:
    """N faces: whom each shows, and its embedding float32 (N, 128). In no order."""

    who: Int64s
    vectors: Float32s


def photos(count: int, folder: Path) -> list[tuple[int, int]]:
    """Write COUNT JPEGs, NUMBER.jpg: a fifth are edited copies of others. Returns the pairs original and copy."""
    originals = count - count // 5
    rng = np.random.default_rng(0)
    planted = []
    for number, image in enumerate(_scenes(originals, rng)):
        _write(folder, number, image, 95)
        copy = originals + number
        if copy < count:
            _write(folder, copy, *_edited(image, EDITS[number % len(EDITS)]))
            planted.append((number, copy))
    return planted


def hashed(folder: Path) -> pa.Table:
    """The rows of IMAGES for the photos of a folder."""
    rows = []
    for path in sorted(folder.glob("*.jpg")):
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
        phash, mirror = perceptual_hashes(image)
        height, width = image.shape
        size = {"width": width, "height": height, "bytes": path.stat().st_size}
        hashes = {"phash": phash, "phash_mirror": mirror, "detail_hash": detail_hash(image)}
        hashes["thumbnail"] = thumbnail(image)
        rows.append({"key": path.stem, "id": path.stem.zfill(64)} | size | hashes)
    return pa.Table.from_pylist(rows, IMAGES)


def sizes(people: int, seed: int) -> Int64s:
    """Faces of each person: log-normal, median 6, mean 9, from one face to hundreds."""
    drawn = np.random.default_rng(seed).lognormal(np.log(6), 0.9, people)
    return np.clip(np.rint(drawn), 1, 500).astype(np.int64)


def draw(faces_each: Int64s, seed: int) -> People:
    """Cosines as measured with ArcFace: of one person 5/50/95 % 0.43/0.66/0.85, of strangers 99 % 0.31."""
    rng = np.random.default_rng(seed)
    centres = _unit(rng.standard_normal((len(faces_each), _SUBSPACE), np.float32))
    who = rng.permutation(np.repeat(np.arange(len(faces_each)), faces_each))
    vectors = np.empty((len(who), _DIMENSIONS), np.float32)
    for start in range(0, len(who), 65_536):
        part = slice(start, start + 65_536)
        clear = np.clip(rng.normal(0.67, 0.17, len(who[part])), 0.15, 0.95).astype(np.float32)[:, None]
        noise = _unit(rng.standard_normal((len(clear), _DIMENSIONS), np.float32))
        face = np.sqrt(1 - clear) * noise
        face[:, :_SUBSPACE] += np.sqrt(clear) * centres[who[part]]
        vectors[part] = _unit(face)
    return People(who, vectors)


def mislabelled(who: Int64s, share: float, seed: int) -> Int64s:
    """Labels of which a share names somebody else, drawn by the number of their faces."""
    rng = np.random.default_rng(seed)
    label = who.copy()
    wrong = rng.random(len(who)) < share
    label[wrong] = rng.choice(who, np.count_nonzero(wrong))
    return label


def tables(people: People, label: Int64s | None) -> dict[str, pa.Table]:
    """What Cluster and Select read. label: a number per face, UNASSIGNED for none, or None for no labels at all."""
    rng = np.random.default_rng(0)
    count = len(people.who)
    ids = pa.array([f"{number:016x}-0" for number in range(count)])
    ones = np.ones(count, np.float32)
    landmarks = rng.normal(256, 60, (count, 136)).astype(np.float32)
    hashes = rng.integers(0, 2**64, (2, count), dtype=np.uint64)
    known = {
        "id": ids,
        "image": ids,
        "key": ids,
        "landmarks": pa.FixedSizeListArray.from_arrays(pa.array(landmarks.ravel()), 136),
        "embedding": pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1, dtype=np.int32) * _DIMENSIONS), pa.array(people.vectors.ravel())
        ),
        "crop_size": pa.array(np.full(count, 512, np.int32)),
        "face_px": pa.array(200 * ones),
        "score": pa.array(ones),
        "yaw": pa.array(rng.normal(0, 20, count).astype(np.float32)),
        "pitch": pa.array(rng.normal(0, 8, count).astype(np.float32)),
        "crop_phash": pa.array(hashes[0]),
        "crop_phash_mirror": pa.array(hashes[1]),
        "embedder": pa.repeat("arcface:synthetic", count),
    }
    labels = {
        "face": ids,
        "label": pa.nulls(count, pa.string()) if label is None else _names(label),
        "reject": pa.nulls(count, pa.string()),
        "reject_detail": pa.nulls(count, pa.string()),
    }
    faces = pa.table({f.name: known.get(f.name, pa.nulls(count, f.type)) for f in FACES}, schema=FACES)
    own = {"face": ids, "identity": _names(people.who)}
    identities = {field.name: own.get(field.name, pa.nulls(count, field.type)) for field in IDENTITIES}
    return {
        "faces": faces.append_column("part", pa.repeat("0", count)),
        "labels": pa.table(labels, schema=LABELS),
        "identities": pa.table(identities, schema=IDENTITIES),
        "copies": COPIES.empty_table(),
        "overrides": OVERRIDES.empty_table(),
    }


def numbers(identities: pa.Table) -> Int64s:
    """The identity of each face as a number, UNASSIGNED for none, in the order of the faces' ids."""
    column = identities.sort_by("face")["identity"].combine_chunks().dictionary_encode().indices
    return np.asarray(column.fill_null(UNASSIGNED).to_numpy(), np.int64)


def read_pairs(path: Path) -> tuple[float, set[tuple[int, int]]]:
    """What `curate_peer.py` wrote: seconds of the search, and the pairs it found."""
    result = json.loads(path.read_text())
    return result["seconds"], {(min(pair), max(pair)) for pair in result["pairs"]}


def _scenes(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Noise whose amplitude falls with frequency, as that of photographs does."""
    across = np.hypot(*np.meshgrid(np.fft.fftfreq(PHOTO_PX), np.fft.rfftfreq(PHOTO_PX), indexing="ij"))
    fall = 1 / np.maximum(across, 1 / PHOTO_PX)
    for _ in range(count):
        spectrum = fall * np.fft.rfft2(rng.standard_normal((PHOTO_PX, PHOTO_PX)))
        field = np.fft.irfft2(spectrum, (PHOTO_PX, PHOTO_PX))
        yield np.clip(128 + 48 * (field - field.mean()) / field.std(), 0, 255).astype(np.uint8)


def _edited(image: NDArray[np.uint8], edit: str) -> tuple[NDArray[np.uint8], int]:
    """The copy and its JPEG quality."""
    margin = PHOTO_PX // 50
    match edit:
        case "halved":
            half = (PHOTO_PX // 2, PHOTO_PX // 2)
            return np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8), 90
        case "cropped":
            return image[margin:-margin, margin:-margin], 90
        case "mirrored":
            return image[:, ::-1].copy(), 90
        case _:
            return image, 40


def _write(folder: Path, number: int, image: NDArray[np.uint8], quality: int) -> None:
    (folder / f"{number}.jpg").write_bytes(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    )


def _names(numbers_: Int64s) -> pa.Array:
    names = pa.array([f"person {number:07d}" for number in range(int(numbers_.max()) + 1)])
    return names.take(pa.array(numbers_, mask=numbers_ == UNASSIGNED))


def _unit(vectors: Float32s) -> Float32s:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
