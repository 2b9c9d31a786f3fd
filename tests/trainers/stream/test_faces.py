"""Face samples in batches, and in the stream."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facerefs.trainers.stream.batches.batch import FaceBatch, collate
from facerefs.trainers.stream.batches.device import on_device
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.faces import face_stream
from facerefs.trainers.stream.samples.decode import decode_sample
from facerefs.trainers.stream.samples.prepare import FacePreparation
from facerefs.trainers.stream.stream import Source
from tests.trainers.face_files import (
    SIZE_PX,
    THETA,
    face_files,
    prepared,
    with_target,
)


def _batch(masks: bool = True, **settings_: Any) -> FaceBatch:
    preparation = {"references": 2, "flip_chance": 0, **settings_}
    return collate(
        [prepared(i, face_files(i, references=i, masks=masks), **preparation) for i in range(3)], 2
    )


def test_a_batch_names_the_engines_of_its_masks() -> None:
    """Of the faces that have one: here the references, of which one sample does not say."""
    said = json.loads(face_files(2, references=2, masks=True)["json"])
    said["target"]["parser"] = "of no mask"
    for face, parser in zip(said["references"], ("hull", "bisenet"), strict=True):
        face["parser"] = parser
    files = dict(face_files(2, references=2, masks=True)) | {"json": json.dumps(said).encode()}
    faces = [prepared(0, face_files(1, references=1, masks=True), references=2)]
    faces.append(prepared(1, files, references=2, flip_chance=1))
    batch = collate(faces, 2)
    assert batch.parsers == ("bisenet", "hull")
    (ready,) = on_device([batch], torch.device("cpu"))
    assert ready.parsers == batch.parsers
    assert _batch().parsers == ()


def test_a_batch_holds_each_sample_as_it_was_and_pads_references() -> None:
    batch = _batch()
    samples = [decode_sample(face_files(i, references=i, masks=True)) for i in range(3)]
    assert batch.keys == tuple(sample.key for sample in samples)
    assert batch.identities == ("person 0", "person 1", "person 2")
    assert batch.positions.tolist() == [0, 1, 2]
    assert batch.positions.dtype == torch.int64
    assert batch.target.dtype == torch.uint8
    assert batch.target.shape == (3, 3, SIZE_PX, SIZE_PX)
    assert batch.reference_count.tolist() == [0, 1, 2]
    for i, sample in enumerate(samples):
        assert np.array_equal(batch.target[i].permute(1, 2, 0), sample.target.image)
        assert np.array_equal(batch.landmarks[i], sample.target.landmarks)
        assert np.array_equal(batch.boxes[i], sample.boxes)
        assert np.array_equal(batch.embedding[i], sample.target.embedding)
        for k, face in enumerate(sample.references):
            assert np.array_equal(batch.references[i, k].permute(1, 2, 0), face.image)
            assert np.array_equal(batch.reference_landmarks[i, k], face.landmarks)
            assert np.array_equal(batch.reference_embeddings[i, k], face.embedding)
            assert np.array_equal(batch.reference_masks[i, k, 0], face.mask)
        for k in range(len(sample.references), 2):
            assert not batch.references[i, k].any()
            assert not batch.reference_masks[i, k].any()
            assert not batch.reference_embeddings[i, k].any()
            assert torch.equal(batch.reference_landmarks[i, k], batch.landmarks[i])
        height, width = sample.degraded.shape[:2]
        assert (height, width) == (int(batch.degraded.sizes.heights[i]), int(batch.degraded.sizes.widths[i]))
        assert np.array_equal(batch.degraded.pixels[i, :, :height, :width].permute(1, 2, 0), sample.degraded)
    assert batch.target_mask is None
    assert batch.thetas == (THETA,) * 3


def test_a_batch_without_masks_embeddings_or_references_says_so() -> None:
    files = with_target(embedding=None)
    batch = collate([prepared(0, files, references=0)], 0)
    assert batch.embedding.shape == (1, 0)
    assert batch.references.shape == (1, 0, 3, SIZE_PX, SIZE_PX)
    assert batch.reference_landmarks.shape == (1, 0, 68, 2)
    assert batch.reference_masks is None
    assert batch.reference_count.tolist() == [0]
    ready = next(on_device([batch], "cpu"))
    assert ready.warped.shape == (1, 0, 3, SIZE_PX, SIZE_PX)


def test_batches_that_cannot_be_are_refused() -> None:
    large = prepared(0, face_files(0, size_px=32), size_px=32)
    with pytest.raises(ValueError, match=r"several sizes of faces: \(32, 32\), \(64, 64\)"):
        collate([prepared(), large], 1)
    with pytest.raises(ValueError, match="cannot mix 1 stored degraded faces with fresh"):
        collate([prepared(), prepared(degradation="gfpgan")], 1)
    short = with_target(embedding=[1.0])
    with pytest.raises(ValueError, match="several lengths of embeddings: 1, 8"):
        collate([prepared(0, short)], 1)


def test_a_batch_moves_to_a_device_with_all_its_tensors() -> None:
    moved = _batch().to("meta")
    tensors = (moved.target, moved.references, moved.degraded.pixels, moved.reference_masks, moved.positions)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.program.sizes.heights.device.type == "meta"
    assert moved.keys == _batch().keys


def _write_shard(path: Path, seeds: range) -> None:
    with tarfile.open(path, "w") as tar:
        for seed in seeds:
            for name, data in face_files(seed, references=2).items():
                member = tarfile.TarInfo(f"{seed:016x}-0.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def _digest(batch: FaceBatch | DeviceBatch) -> tuple[Any, ...]:
    """What a batch holds, images as the stored uint8."""
    parts = (batch.keys, batch.thetas, batch.positions.tolist())
    images = (batch.target, batch.references)
    if isinstance(batch, DeviceBatch):
        images = tuple(((image + 1) * 127.5).round().to(torch.uint8) for image in images)
    return (*parts, *(image.numpy().tobytes() for image in images))


def test_a_stream_of_faces_resumes_from_what_the_device_handed_out(tmp_path: Path) -> None:
    _write_shard(tmp_path / "train-00000.tar", range(7))
    _write_shard(tmp_path / "train-00001.tar", range(7, 11))
    preparation = FacePreparation(
        seed=5, size_px=SIZE_PX, references=2, reference_choice="random", degradation="gfpgan", crop_px=48
    )

    def stream() -> Any:
        return face_stream([Source(tmp_path)], 4, preparation, workers=0)

    whole = [_digest(batch) for batch in stream().batches(8)]
    assert len({key for digest in whole[:2] for key in digest[0]}) == 8

    ready = on_device(stream(), "cpu", prefetch=3)
    first = [_digest(next(ready)) for _ in range(3)]
    state = ready.state_dict()
    ready.close()
    again = stream()
    again.load_state_dict(state)
    rest = on_device(again, "cpu")
    assert first + [_digest(next(rest)) for _ in range(5)] == whole
    rest.close()


def test_a_corrupt_face_is_reported_and_another_stands_in(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train-00000.tar", "w") as tar:
        for seed in range(4):
            files = dict(face_files(seed, references=1))
            if seed == 2:
                files["gt.png"] = files["gt.png"][:900]
            for name, data in files.items():
                member = tarfile.TarInfo(f"{seed:016x}-0.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    stream = face_stream([Source(tmp_path)], 4, FacePreparation(size_px=SIZE_PX), workers=0)
    (batch,) = stream.batches(1)
    assert len(batch.keys) == 4
    assert f"{2:016x}-0" not in batch.keys
    assert [skip.key for skip in stream.skipped] == [f"{2:016x}-0"]
    assert "gt.png cannot be decoded" in stream.skipped[0].reason
