"""How much of a target's own detail do its synthesised references carry, and are they still the same person?

    python -m benchmarks.synthesised                      # rendered people
    python -m benchmarks.synthesised --people people/     # photos: one sub-folder per person, at least two photos each

Prints for second photos, strangers and synthesised references the mean `patch_correlation` with the target and the
mean cosine of dlib's embeddings, or of ArcFace's with `--arcface WEIGHTS`.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from facerefs.schemas.arrays import Float32s, UInt8Image
from facerefs.stages.engines.align import align
from facerefs.stages.engines.engine import Embedder
from facerefs.stages.engines.load import load_detector, load_embedder, load_landmarker
from facerefs.stages.faces.geometry import apply_transform, ffhq_transform, warp
from facerefs.stages.synthesise.parameters import draw
from facerefs.stages.synthesise.reference import synthesise_reference
from facerefs.stages.synthetic_people.person import draw_person
from facerefs.stages.synthetic_people.render import View, render

_SIDE_PX = 512
_PATCH_PX = 32
_REACH_PX = 16  # around a patch's place, in which its best match is searched
_SIGMA_PX = 4.0  # of the high-pass filter
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MARGIN_PX = 96  # around an aligned face, for chips that reach beyond it
_VIEWS = (View(), View(yaw_deg=8, pitch_deg=-3, smile=0.3))
_MADE = 4  # references of each target


@dataclass(frozen=True, eq=False)
class Face:
    """An aligned face: pixels uint8 (S, S, 3) and landmarks (68, 2) in them."""

    pixels: UInt8Image
    landmarks: Float32s


People: TypeAlias = Sequence[Sequence[Face]]


def patch_correlation(target: UInt8Image, reference: UInt8Image, landmarks: Float32s) -> float:
    """The mean correlation of the target's high-passed patches of 32 px with their best matches in the reference.

    target, reference: uint8 (512, 512, 3), FFHQ-aligned. landmarks: (68, 2) of the target; only patches whose middle
    is within their hull count. 1 for the target itself. As the best match is searched up to 16 px away, another person
    has about 0.3.
    """
    wanted, searched = _high_passed(target), _high_passed(reference)
    hull = cv2.convexHull(np.rint(landmarks).astype(np.int32))
    found = []
    for top in range(0, target.shape[0] - _PATCH_PX + 1, _PATCH_PX):
        for left in range(0, target.shape[1] - _PATCH_PX + 1, _PATCH_PX):
            middle = left + _PATCH_PX / 2, top + _PATCH_PX / 2
            if cv2.pointPolygonTest(hull, middle, False) < 0:
                continue
            patch = wanted[top : top + _PATCH_PX, left : left + _PATCH_PX]
            first = max(0, top - _REACH_PX), max(0, left - _REACH_PX)
            around = searched[first[0] : top + _PATCH_PX + _REACH_PX, first[1] : left + _PATCH_PX + _REACH_PX]
            found.append(cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED).max())
    return float(np.mean(found))


def _high_passed(image: UInt8Image) -> Float32s:
    luma = image.astype(np.float32) @ _LUMA
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), _SIGMA_PX), np.float32)


def rendered_people(count: int) -> People:
    """Rendered people, two photos each."""
    return [[_rendered(number, view) for view in _VIEWS] for number in range(count)]


def people_of(folder: Path, photos: int) -> People:
    """The faces of the first photos in each sub-folder, as `analyse` finds them; photos without a face are left out."""
    detector, landmarker = (
        load_detector("dlib", None, "cpu", None, 0, 256.0),
        load_landmarker("dlib", None, "cpu"),
    )

    def faces(person: Path) -> Iterator[Face]:
        for path in sorted(person.iterdir())[:photos]:
            pixels = np.asarray(Image.open(path).convert("RGB"))
            for found in detector.detect(pixels)[:1]:
                aligned = align(pixels, found, landmarker, _SIDE_PX)
                yield Face(aligned.crop.pixels, aligned.landmarks)

    return [list(faces(person)) for person in sorted(folder.iterdir()) if person.is_dir()]


def main() -> None:
    """Measure and print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--people", type=Path)
    asked.add_argument("--arcface", help="an ONNX file of ArcFace, instead of dlib's embedder")
    asked.add_argument("--photos", type=int, default=5, help="of each person")
    options = asked.parse_args()
    cv2.setNumThreads(1)
    embedder = load_embedder("insightface" if options.arcface else "dlib", options.arcface, "cpu")
    people = people_of(options.people, options.photos) if options.people else rendered_people(6)
    print(f"{'reference':<28} {'pairs':>5} {'correlation':>12} {'cosine, ' + embedder.name:>24}")
    for name, pairs in _kinds(people).items():
        figures = np.mean([_figures(target, reference, embedder) for target, reference in pairs], axis=0)
        print(f"{name:<28} {len(pairs):>5} {figures[0]:>12.3f} {figures[1]:>24.3f}", flush=True)


def _kinds(people: People) -> dict[str, list[tuple[Face, Face]]]:
    second = [pair for faces in people for pair in permutations(faces[:3], 2)]
    first = [faces[0] for faces in people if faces]
    strangers = list(zip(first, first[1:] + first[:1], strict=True))
    targets = [
        (f"{person}-{at}", face) for person, faces in enumerate(people) for at, face in enumerate(faces[:2])
    ]

    def made(change: Callable[[int], dict[str, int]]) -> list[tuple[Face, Face]]:
        return [
            (face, _made(face, name, number, change(number)))
            for name, face in targets
            for number in range(_MADE)
        ]

    return {
        "a second photo": second,
        "a stranger": strangers,
        "synthesised": made(lambda number: {}),
        "synthesised, not mirrored": made(lambda number: {"mirrored": 0}),
        "synthesised, mirrored": made(lambda number: {"mirrored": 1}),
    }


def _made(face: Face, name: str, number: int, change: dict[str, int]) -> Face:
    drawn = replace(draw(0, name, number), **change)
    return Face(*synthesise_reference(face.pixels, face.landmarks, drawn))


def _figures(target: Face, reference: Face, embedder: Embedder) -> tuple[float, float]:
    chips = [
        embedder.chip(
            np.pad(face.pixels, ((_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)), "edge"),
            face.landmarks + np.float32(_MARGIN_PX),
        )
        for face in (target, reference)
    ]
    one, other = embedder.embed_chips(chips)
    return patch_correlation(target.pixels, reference.pixels, target.landmarks), float(one @ other)


def _rendered(number: int, view: View) -> Face:
    found = render(draw_person(5, number), view, 640)
    transform = ffhq_transform(found.landmarks, _SIDE_PX)
    landmarks = apply_transform(transform, found.landmarks).astype(np.float32)
    return Face(warp(found.image, transform, _SIDE_PX).pixels, landmarks)


if __name__ == "__main__":
    main()
