"""File formats for faces of 512 px: bytes, encoding, decoding and PSNR of each, against PNG as Pillow writes it.

`python -m benchmarks.formats [FOLDER]`: on 30 photos of a folder, or on rendered people. One core.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.paired import Comparison, compare, write
from facerefs.schemas.arrays import UInt8Image

SIZE_PX = 512
COUNT = 30


@dataclass(frozen=True)
class Format:
    """A way to write a face, and the fastest decoder for it among our dependencies."""

    name: str
    encode: Callable[[UInt8Image], bytes]
    decode: Callable[[bytes], UInt8Image]


def main() -> None:
    """Print a line per format and measure, and write benchmarks/out/formats.json."""
    cv2.setNumThreads(1)
    faces = _photos(Path(sys.argv[1])) if len(sys.argv) > 1 else _rendered()
    peer = Format("png, Pillow", partial(_pillow, "PNG", {}), _decode_pillow)
    formats = [
        Format("png level 1, Pillow", partial(_pillow, "PNG", {"compress_level": 1}), _decode_cv2),
        Format("png level 1, cv2", _png_cv2, _decode_cv2),
        *(
            Format(
                f"webp lossless method {method}",
                partial(_pillow, "WEBP", {"lossless": True, "method": method}),
                _decode_cv2,
            )
            for method in (0, 2, 4)
        ),
        *(
            Format(f"jpeg q{quality} 4:4:4", partial(_jpeg, quality), simplejpeg.decode_jpeg)
            for quality in (90, 95, 98, 100)
        ),
    ]
    write("formats", [line for one in formats for line in _against(one, peer, faces)])


def _against(one: Format, peer: Format, faces: list[UInt8Image]) -> list[Comparison]:
    ours, theirs = ([format_.encode(face) for face in faces] for format_ in (one, peer))
    mse = [
        np.square(one.decode(data).astype(float) - face).mean()
        for data, face in zip(ours, faces, strict=True)
    ]
    db = [10 * np.log10(255**2 / error) for error in mse if error]
    case = f"{one.name} ({f'PSNR {np.mean(db):.1f} dB, worst {min(db):.1f}' if db else 'lossless'})"
    small, large = (len(faces) * 1e6 / sum(map(len, data)) for data in (ours, theirs))
    ratio = small / large
    print(f"{case}: {1e3 / small:.0f} KB, peer {1e3 / large:.0f} KB")
    count = len(faces)
    return [
        Comparison(f"{case}: size", small, large, "images/MB", ratio, ratio, ratio),
        compare(
            f"{case}: encoding",
            lambda: [one.encode(face) for face in faces],
            lambda: [peer.encode(face) for face in faces],
            *(count, "images/s", 3),
        ),
        compare(
            f"{case}: decoding",
            lambda: [one.decode(data) for data in ours],
            lambda: [peer.decode(data) for data in theirs],
            *(count, "images/s", 5),
        ),
    ]


def _photos(folder: Path) -> list[UInt8Image]:
    paths = sorted(folder.rglob("*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths[:: max(1, len(paths) // COUNT)]]


def _rendered() -> list[UInt8Image]:
    from facerefs.stages.synthetic_people.person import draw_person
    from facerefs.stages.synthetic_people.render import render
    from facerefs.stages.synthetic_people.view import draw_view

    return [render(draw_person(0, i), draw_view(0, i, 0), SIZE_PX).image for i in range(COUNT)]


def _pillow(name: str, options: dict[str, int], face: UInt8Image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, name, **options)
    return file.getvalue()


def _png_cv2(face: UInt8Image) -> bytes:
    return bytes(cv2.imencode(".png", face[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def _jpeg(quality: int, face: UInt8Image) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(face), quality, colorsubsampling="444")
    return data


def _decode_pillow(data: bytes) -> UInt8Image:
    return np.asarray(Image.open(io.BytesIO(data)))


def _decode_cv2(data: bytes) -> UInt8Image:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(pixels, np.uint8)


if __name__ == "__main__":
    main()
