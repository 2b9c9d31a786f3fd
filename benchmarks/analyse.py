"""Finding and embedding faces on two cores: ours against InsightFace's `FaceAnalysis.get` and `face_recognition`.

Same photos (files on disk, read and decoded by each side), same weights, same two cores; the photos are dealt to the
workers one by one. InsightFace runs as one process with two threads of onnxruntime and as two processes with one, and
the faster of the two counts. Ours are two processes. Last, the parts of the whole stage on one core.

`face_recognition` wants an old setuptools: `pip install --target FOLDER --no-deps face_recognition==1.3.0
'setuptools<81'`, and --peer FOLDER. Without it, or without --detector and --embedder, those cases are left out.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.analyse_parts import parts
from benchmarks.analyse_ways import PEER_MISSING, SIDE_PX, Found, Way, work
from benchmarks.paired import Comparison, compare, write
from facerefs.stages.faces.boxes import match_boxes
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render

CORES = 2
SAME_FACE = 0.95  # share of the peer's larger faces that we find too
MIN_FACE_PX = 256  # the default of the stage
WIDTH = 0.6  # of a detected box: of the FFHQ square's side
SMALL = 0.1  # of the photo's shorter side: smaller faces may be missed by either
RENDERED, RENDERED_PX = 24, 640
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def main() -> None:
    """Print the ratios, and write benchmarks/out/analyse.json."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.photos or _rendered(Path(scratch))
        photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)[: options.most]
        comparisons: list[Comparison] = []
        if options.detector and options.embedder:
            files = _pack(Path(scratch), options.detector, options.embedder)
            comparisons += _against_insightface(photos, files, options.runs)
        if options.peer:
            comparisons += _against_face_recognition(photos, str(options.peer), options.runs)
        else:
            print(PEER_MISSING)
        comparisons += parts(photos)
    write("analyse", comparisons)


def _against_insightface(photos: Sequence[Path], files: tuple[str, str], runs: int) -> list[Comparison]:
    one, two = Way("insightface", files, threads=CORES), Way("insightface", files)
    with _workers(1) as single, _workers(CORES) as double:
        faster = compare(
            "insightface, 2 processes and 1 with 2 threads",
            partial(_all, double, two, photos),
            partial(_all, single, one, photos),
            len(photos),
            "photos/s",
            runs=3,
        )
    peer, processes = (two, CORES) if faster.ratio > 1 else (one, 1)
    five = Way("scrfd, five points", files, min_face_px=MIN_FACE_PX)
    full = replace(five, kind="scrfd, 68 points")
    equal = replace(five, side_px=SIDE_PX, min_face_px=0)
    made = []
    for ours, said, least in (
        (five, f"min_face_px {MIN_FACE_PX}", 0.95),
        (full, f"min_face_px {MIN_FACE_PX}", 0.9),
        (equal, f"detect_side_px {SIDE_PX}", 0.95),
    ):
        case = f"{ours.kind}, {said}, arcface; insightface at {SIDE_PX}"
        made.append(_compare(case, ours, peer, processes, photos, runs, least))
    return made


def _against_face_recognition(photos: Sequence[Path], folder: str, runs: int) -> list[Comparison]:
    ours, peer = Way("hog"), Way("face_recognition", peer=folder)
    made = []
    for own, theirs, min_face_px in ((0, 1, MIN_FACE_PX), (0, 0, MIN_FACE_PX), (0, 0, 0), (1, 1, 0)):
        case = f"hog upsampled {own}x, min_face_px {min_face_px}, dlib; face_recognition upsampled {theirs}x"
        ways = replace(ours, upsample=own, min_face_px=min_face_px), replace(peer, upsample=theirs)
        made.append(_compare(case, *ways, CORES, photos, runs, least=0.95))
    return made


def _compare(
    case: str, ours: Way, peer: Way, processes: int, photos: Sequence[Path], runs: int, least: float
) -> Comparison:
    with _workers(CORES) as own, _workers(processes) as theirs:
        found = _all(own, ours, photos), _all(theirs, peer, photos)
        _agree(*found, photos, least, WIDTH * ours.min_face_px)
        return compare(
            case,
            partial(_all, own, ours, photos),
            partial(_all, theirs, peer, photos),
            len(photos),
            "photos/s",
            runs,
        )


def _agree(
    ours: Sequence[list[Found]],
    peers: Sequence[list[Found]],
    photos: Sequence[Path],
    least: float,
    wanted_px: float,
) -> None:
    """Stop unless we find the peer's faces whose boxes have wanted_px and embed them alike.

    least: of the median cosine.
    """
    cosines, missed, small = [], 0, 0
    for photo, own, theirs in zip(photos, ours, peers, strict=True):
        with Image.open(photo) as image:
            side = max(wanted_px, SMALL * min(image.size))
        pairs = match_boxes([face.box.tolist() for face in theirs], [face.box.tolist() for face in own])
        cosines += [float(own[mine].embedding @ theirs[other].embedding) for mine, other in pairs.items()]
        lost = [face for i, face in enumerate(theirs) if i not in pairs.values()]
        small += sum(face.box[2] - face.box[0] < side for face in lost)
        missed += sum(face.box[2] - face.box[0] >= side for face in lost)
    found = sum(map(len, ours))
    print(
        f"{len(cosines)} faces of both, {found - len(cosines)} only ours, {missed} only the peer's and {small} small;"
        f" cosine: median {np.median(cosines):.4f}, least {min(cosines):.4f}"
    )
    if missed > (1 - SAME_FACE) * (len(cosines) + missed) or np.median(cosines) < least:
        raise SystemExit(f"the two do not do the same: at least {SAME_FACE:.0%} and {least} were wanted")


def _all(workers: ProcessPoolExecutor, way: Way, photos: Sequence[Path]) -> list[list[Found]]:
    return list(workers.map(partial(work, way), photos))


@contextmanager
def _workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield pool


def _pack(scratch: Path, detector: Path, embedder: Path) -> tuple[str, str]:
    """Both files where FaceAnalysis looks for them: root/models/NAME."""
    folder = scratch / "root" / "models" / "pack"
    folder.mkdir(parents=True)
    for file in (detector, embedder):
        (folder / file.name).symlink_to(file.resolve())
    return str(folder / detector.name), str(folder / embedder.name)


def _rendered(scratch: Path) -> Path:
    folder = scratch / "photos"
    folder.mkdir()
    for i in range(RENDERED):
        pixels = render(draw_person(0, i), draw_view(0, i, 0), RENDERED_PX).image
        Image.fromarray(pixels).save(folder / f"{i:03}.jpg", quality=92)
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?", help="a folder; default: rendered people")
    parser.add_argument("--detector", type=Path, help="SCRFD's .onnx file")
    parser.add_argument("--embedder", type=Path, help="ArcFace's .onnx file")
    parser.add_argument("--peer", type=Path, help="folder that holds the package face_recognition")
    parser.add_argument("--most", type=int, default=24, help="photos")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
