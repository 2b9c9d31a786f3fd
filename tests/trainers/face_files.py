"""Small samples as they lie in a shard, made in memory."""

import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facerefs.schemas.operations import Blur, Jpeg, Noise, Resize
from facerefs.schemas.theta import Theta, to_json
from facerefs.stages.faces.boxes import component_boxes
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared

SIZE_PX = 64
THETA: Theta = (Blur(7, 1.5, 0.5, 0.4), Resize(24, 20, "bilinear"), Noise(5.0, False, 3), Jpeg(70, "4:2:0"))


def portrait(seed: int, size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    """A smooth picture without any symmetry."""
    coarse = np.random.default_rng(seed).integers(30, 226, (9, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC))


def encoded(image: NDArray[np.uint8], format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format_, **options)
    return buffer.getvalue()


def face_record(seed: int, size_px: int = SIZE_PX) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=8)
    return {
        "landmarks": rng.uniform(0.1 * size_px, 0.9 * size_px, (68, 2)).round(3).tolist(),
        "embedding": (embedding / np.linalg.norm(embedding)).tolist(),
        "crop_size": size_px,
    }


@cache
def face_files(
    seed: int = 0, references: int = 2, size_px: int = SIZE_PX, theta: Theta = THETA, masks: bool = False
) -> Mapping[str, bytes]:
    """The files of a sample by their names after the key; its degraded face is the very one of its theta."""
    import torch

    from facerefs.stages.degrade.apply_theta import degrade_exactly

    image = portrait(seed, size_px)
    (degraded,) = degrade_exactly(torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255, [theta])
    target = face_record(seed, size_px)
    boxes = component_boxes(np.array(target["landmarks"]), size_px)
    record = {
        "key": f"{seed:016x}-0",
        "identity": f"person {seed % 3}",
        "theta": json.loads(to_json(theta)),
        "target": target | {"boxes": boxes},
        "references": [face_record(1000 * seed + i + 1, size_px) for i in range(references)],
    }
    files = {"gt.png": encoded(image), "json": json.dumps(record).encode()}
    files |= {
        f"ref{i}.webp": encoded(portrait(1000 * seed + i + 1, size_px), "WEBP", lossless=True)
        for i in range(references)
    }
    if masks:
        files |= {f"mask{i}.png": encoded(portrait(7 + i, size_px)[..., 0]) for i in range(references)}
    lq = {"lq.png": encoded(degraded.image)} if degraded.jpeg is None else {"lq.jpg": degraded.jpeg}
    return MappingProxyType(files | lq)


def with_json(files: Mapping[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The files, with other values at the top of their JSON."""
    return dict(files) | {"json": json.dumps(json.loads(files["json"]) | changes).encode()}


class Watched(Mapping[str, bytes]):
    """Files of a sample that note which of them were read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.read: list[str] = []

    def __getitem__(self, name: str) -> bytes:
        data = self.files[name]
        self.read.append(name)
        return data

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def with_target(**changes: Any) -> dict[str, bytes]:
    """The files of a sample, with other values in its target's JSON."""
    target: dict[str, Any] = json.loads(face_files()["json"])["target"]
    return with_json(face_files(), target=target | changes)


def prepared(position: int = 0, files: Mapping[str, bytes] | None = None, **settings: Any) -> Prepared:
    """A small sample, prepared with these settings for a position."""
    preparation = FacePreparation(**{"size_px": SIZE_PX, **settings})
    return preparation(
        SampleRequest(position, epoch=0, source=0, row=0), face_files() if files is None else files
    )
