"""From the files of a sample to its arrays, or to one sentence on what is wrong with them."""

import io
import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.samples import pixels
from facerefs.trainers.stream.samples.decode import decode_sample, stored_references
from tests.trainers.face_files import (
    SIZE_PX,
    THETA,
    Watched,
    encoded,
    face_files,
    face_record,
    portrait,
    prepared,
    with_json,
    with_target,
)


def test_a_sample_is_what_was_stored() -> None:
    files = face_files(3, masks=True)
    sample = decode_sample(files)
    record = json.loads(files["json"])
    assert (sample.key, sample.identity, sample.theta) == (record["key"], record["identity"], THETA)
    assert np.array_equal(sample.target.image, portrait(3))
    assert [np.array_equal(face.image, portrait(3001 + i)) for i, face in enumerate(sample.references)] == [
        True
    ] * 2
    np.testing.assert_allclose(sample.target.landmarks, record["target"]["landmarks"], atol=1e-4)
    np.testing.assert_allclose(
        sample.references[1].embedding, record["references"][1]["embedding"], atol=1e-6
    )
    boxes = [record["target"]["boxes"][name] for name in ("left_eye", "right_eye", "mouth")]
    np.testing.assert_allclose(sample.boxes, boxes, atol=1e-4)
    assert np.array_equal(sample.references[1].mask, portrait(8)[..., 0])
    assert sample.target.mask is None
    assert sample.degraded.shape == (20, 24, 3)


def test_only_what_is_wanted_is_read() -> None:
    files = Watched(face_files(0, references=3))
    sample = decode_sample(files, references=[2, 0], degraded=False)
    assert sorted(files.read) == ["gt.png", "json", "ref0.webp", "ref2.webp"]
    assert np.array_equal(sample.references[0].image, portrait(3))
    assert sample.degraded is None


@pytest.mark.parametrize("opencv", [True, False])
@pytest.mark.parametrize(("extension", "format_"), [("png", "PNG"), ("webp", "WEBP")])
def test_lossless_pixels_are_the_same_with_and_without_opencv(
    opencv: bool, extension: str, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if opencv:
        pytest.importorskip("cv2")
    if not opencv:
        monkeypatch.setitem(sys.modules, "cv2", None)
    image = portrait(1)
    exif = Image.Exif()
    exif[274] = 6  # turned, which a shard never is
    data = encoded(image, format_, **({"lossless": True} if extension == "webp" else {}), exif=exif)
    assert np.array_equal(pixels.decode_rgb(f"gt.{extension}", data), image)
    gray = encoded(image[..., 0]) if extension == "png" else data
    assert pixels.decode_rgb(f"gt.{extension}", gray).shape == image.shape
    middle = len(data) // 2
    for broken in (data[:middle], data[:middle] + bytes(len(data) - middle)):
        with pytest.raises(BadSample, match=f"gt.{extension} (cannot be decoded|has no header)"):
            pixels.decode_rgb(f"gt.{extension}", broken)


@pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
def test_jpeg_pixels_are_those_that_libjpeg_shows_pillow(chroma: str) -> None:
    data = encoded(portrait(2), "JPEG", quality=60, subsampling=chroma)
    assert np.array_equal(pixels.decode_rgb("lq.jpg", data), np.asarray(Image.open(io.BytesIO(data))))


def _bomb() -> bytes:
    """A small PNG of a large picture."""
    return encoded(np.zeros((5000, 5000, 3), np.uint8))


def _record(**changes: Any) -> dict[str, bytes]:
    return with_json(face_files(), **changes)


_FILES = dict(face_files())
BAD = {
    "no JSON": ({k: v for k, v in _FILES.items() if k != "json"}, "has no JSON among its files"),
    "no face": ({k: v for k, v in _FILES.items() if k != "gt.png"}, "has no image gt: png, webp, jpg"),
    "no degraded face": ({k: v for k, v in _FILES.items() if k != "lq.jpg"}, "no degraded face lq"),
    "a reference too few": (
        {k: v for k, v in _FILES.items() if k != "ref0.webp"},
        "the JSON lists 2 references, the files hold 0",
    ),
    "JSON that is none": (_FILES | {"json": b"{"}, "the JSON cannot be read"),
    "JSON of bytes": (_FILES | {"json": b"\xff\xfe\xfd"}, "the JSON cannot be read"),
    "deep JSON": (_FILES | {"json": b"[" * 100_000}, "the JSON cannot be read"),
    "long JSON": (_FILES | {"json": b" " * (5 << 20)}, "the JSON has 5242880 bytes"),
    "a list": (_FILES | {"json": b"[]"}, r"the JSON is an object, not \[\]"),
    "an empty key": (_record(key=""), r"key is a text \(1 to 1024 characters\), not ''"),
    "a number for a person": (_record(identity=5), r"identity is a text \(1 to 1024 characters\), not 5"),
    "no target": (_record(target=None), "target is an object, not None"),
    "references of another kind": (_record(references={}), "references is a list of at most 64"),
    "a reference of another kind": (_record(references=[3, 4]), "references is an object, not 3"),
    "an unknown operation": (_record(theta=[{"op": "melt"}]), "theta does not fit: unknown operation 'melt'"),
    "a theta of another size": (
        _record(theta=[{"op": "resize", "out_w": 9, "out_h": 9, "mode": "area"}]),
        "lq.jpg is 24x20 px where 9x9 is wanted",
    ),
    "landmarks too few": (
        with_target(landmarks=[[1, 2]] * 67),
        r"landmarks is not finite numbers of shape \(68, 2\)",
    ),
    "ragged landmarks": (with_target(landmarks=[[1, 2]] * 67 + [[1]]), "landmarks is not finite numbers"),
    "endless landmarks": (with_target(landmarks=[[1e400, 2]] * 68), "landmarks is not finite numbers"),
    "landmarks not a number": (
        with_target(landmarks=[[float("nan"), 2]] * 68),
        "landmarks is not finite numbers",
    ),
    "landmarks as text": (with_target(landmarks=[["1", "2"]] * 68), "landmarks is not finite numbers"),
    "a huge landmark": (with_target(landmarks=[[10**400, 2]] * 68), "landmarks is not finite numbers"),
    "landmarks of text": (with_target(landmarks="x" * 136), "landmarks is not finite numbers"),
    "no boxes": (with_target(boxes=[]), r"boxes is an object, not \[\]"),
    "a box too few": (with_target(boxes={"left_eye": [0, 0, 1, 1]}), "right_eye is not finite numbers"),
    "a long embedding": (with_target(embedding=[1.0, 1.0]), "embedding is a vector of length 1.41 and not 1"),
    "an embedding of text": (
        with_target(embedding="unit"),
        "embedding is a list of 1 to 4096, not 'unit'",
    ),
    "another size than said": (with_target(crop_size=512), "gt.png is 64 px wide, the JSON says 512"),
    "a bomb": (_FILES | {"gt.png": _bomb()}, "gt.png is 5000x5000 px"),
    "a wide face": (_FILES | {"gt.png": encoded(np.zeros((32, 64, 3), np.uint8))}, "64x32 px"),
    "a small reference": (_FILES | {"ref0.webp": encoded(portrait(1, 32), "WEBP")}, "ref0.webp is 32x32 px"),
    "another format": (_FILES | {"gt.png": _FILES["lq.jpg"]}, "gt.png has no header of a PNG"),
    "no image": (_FILES | {"lq.jpg": b"hello"}, "lq.jpg is no JPEG"),
    "half an image": (_FILES | {"gt.png": _FILES["gt.png"][:2000]}, "gt.png cannot be decoded"),
    "half a JPEG": (_FILES | {"lq.jpg": _FILES["lq.jpg"][:-60]}, "lq.jpg cannot be decoded"),
    "transparency": (
        _FILES | {"gt.png": encoded(np.zeros((64, 64, 4), np.uint8))},
        "gt.png has 1 frames of mode RGBA where one of RGB or L is wanted",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_refused_in_one_sentence(name: str) -> None:
    files, sentence = BAD[name]
    with pytest.raises(BadSample, match=sentence) as raised:
        decode_sample(files)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_face_of_another_size_than_the_preparation_is_for_is_a_bad_sample() -> None:
    with pytest.raises(BadSample, match=r"gt\.png is 64x64 px where 512x512 is wanted"):
        prepared(size_px=512)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PATHS = [
    *([name] for name in ("key", "identity", "theta", "target", "references")),
    *(["target", name] for name in ("landmarks", "embedding", "crop_size", "boxes")),
    *(["target", "landmarks", 5], ["target", "boxes", "mouth"], ["target", "embedding", 0]),
    *(["references", 0], ["references", 1, "landmarks"], ["theta", 0], ["theta", 1, "out_w"]),
]


@settings(max_examples=150)
@given(path=st.sampled_from(_PATHS), value=_JSON)
def test_whatever_stands_in_the_json_there_is_a_sample_or_a_bad_one(path: list[Any], value: Any) -> None:
    record = json.loads(face_files()["json"])
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    try:
        sample = decode_sample(dict(face_files()) | {"json": json.dumps(record).encode()})
    except BadSample:
        return
    assert sample.target.landmarks.shape == (68, 2)
    assert np.isfinite(sample.target.landmarks).all()
    assert sample.boxes.shape == (3, 4)
    assert sample.key


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(face_files())),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4),
)
def test_whatever_became_of_a_file_there_is_a_sample_or_a_bad_one(
    name: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(face_files()[name])
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    try:
        sample = decode_sample(
            dict(face_files()) | {name: bytes(data[: int(cut * len(data))] if cut < 0.5 else data)}
        )
    except BadSample:
        return
    assert sample.target.image.shape == (SIZE_PX, SIZE_PX, 3)
    assert sample.degraded.shape == (20, 24, 3)


def test_the_longest_theta_that_a_recipe_draws_is_read() -> None:
    gray = {"op": "gray"}
    theta = [gray] * 80 + json.loads(face_files()["json"])["theta"]
    assert len(decode_sample(with_json(face_files(), theta=theta), size_px=SIZE_PX).theta) == len(theta)
    with pytest.raises(BadSample, match="theta"):
        decode_sample(with_json(face_files(), theta=[gray] * 201), size_px=SIZE_PX)


def test_references_are_counted_up_to_a_gap() -> None:
    files = dict(face_files(0, references=2))
    assert stored_references(files) == 2
    assert stored_references(files | {"ref3.png": b""}) == 2
    assert face_record(0)["crop_size"] == SIZE_PX
