"""Degrading 512 px faces: our `degrade` and the basicsr/OpenCV sequence of GFPGAN's loader, with the same numbers.

On one core: faces at their low resolution, network inputs (resized back), files; by how many are done at once. With a
GPU, if there is one: each recipe, `degrade` on the GPU against `degrade` on one core.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.paired import Comparison, compare, write
from facerefs.schemas.operations import Blur, Jpeg, Noise, Resize
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.apply_theta import degrade, degrade_and_resize_back, degrade_exactly
from facerefs.stages.degrade.program import compile_thetas
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from facerefs.stages.freed_memory import keep_freed_memory
from facerefs.stages.synthetic_people.render import draw_person, draw_view, render
from tests.stages.degrade.basicsr_oracle import degradations

SIZE_PX = 512
COUNT = 64
GPU_BATCH = 64


def main() -> None:
    """Print the ratios, and write benchmarks/out/degrade.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--gpu-only", action="store_true", help="leave out one core alone, and take less time"
    )
    words = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the stage `shard` does, for both sides
    people = [render(draw_person(0, i), draw_view(0, i, 0), SIZE_PX).image for i in range(16)]
    faces = [people[i % len(people)] for i in range(COUNT)]
    batch = torch.from_numpy(np.stack([face.transpose(2, 0, 1) for face in faces])).float() / 255
    bgr = [face[..., ::-1].astype(np.float32) / 255 for face in faces]
    comparisons = [] if words.gpu_only else _one_core(batch, bgr)
    if torch.cuda.is_available():
        comparisons += [_gpu(batch, name, 2 if words.gpu_only else 10) for name in RECIPES]
    write("degrade", comparisons)


def _one_core(batch: Tensor, bgr: list[NDArray[Any]]) -> list[Comparison]:
    thetas = _thetas("gfpgan")

    def peer() -> list[NDArray[Any]]:
        return [_peer(image, theta) for image, theta in zip(bgr, thetas, strict=True)]

    def peer_restored() -> Tensor:
        faces = [cv2.resize(face, (SIZE_PX, SIZE_PX)) for face in peer()]
        return torch.from_numpy(np.stack(faces)[..., ::-1].transpose(0, 3, 1, 2).copy())

    case = "gfpgan, 512 px, one core"
    comparisons = [
        compare(f"{case}, low resolution", lambda: _each(batch, thetas), peer, COUNT, "images/s"),
        compare(
            f"{case}, network input",
            lambda: degrade_and_resize_back(batch, thetas),
            peer_restored,
            COUNT,
            "images/s",
        ),
        compare(f"{case}, files", lambda: degrade_exactly(batch, thetas), peer, COUNT, "images/s"),
    ]
    for at_once in (2, 4, 16):
        program = compile_thetas(thetas, SIZE_PX, SIZE_PX, at_once)
        comparisons.append(
            compare(
                f"{case}, network input, {at_once} at once",
                partial(degrade_and_resize_back, batch, program),
                peer_restored,
                COUNT,
                "images/s",
                runs=3,
            )
        )
    return comparisons


def _each(batch: Tensor, thetas: Sequence[Theta]) -> list[Tensor]:
    """Faces at their low resolution, one by one, as the peer leaves them."""
    return [degrade(image[None], [theta]).pixels for image, theta in zip(batch, thetas, strict=True)]


def _gpu(batch: Tensor, recipe: str, repeats: int) -> Comparison:
    thetas = _thetas(recipe)
    images = batch[:GPU_BATCH].cuda()
    program = compile_thetas(thetas[:GPU_BATCH], SIZE_PX, SIZE_PX).to("cuda")

    def ours() -> None:
        for _ in range(repeats):
            degrade_and_resize_back(images, program)
        torch.cuda.synchronize()

    few = 8

    def one_core() -> None:
        for _ in range(repeats * GPU_BATCH // few):
            degrade_and_resize_back(batch[:few], thetas[:few])

    amount = repeats * GPU_BATCH
    return compare(f"{recipe}, 512 px, GPU and one core", ours, one_core, amount, "images/s", runs=3)


def _thetas(recipe: str) -> list[Theta]:
    return [draw(RECIPES[recipe], derive_seed(0, str(i), 0), SIZE_PX) for i in range(COUNT)]


def _peer(image: NDArray[Any], theta: Theta) -> NDArray[Any]:
    """GFPGAN's loader, step by step, with theta's numbers."""
    peer = degradations()
    for op in theta:
        match op:
            case Blur():
                kernel = peer.bivariate_Gaussian(
                    op.taps, op.sigma_x_px, op.sigma_y_px, op.angle_rad, isotropic=False
                )
                image = cv2.filter2D(image, -1, kernel)
            case Resize():
                image = cv2.resize(image, (op.out_w, op.out_h), interpolation=cv2.INTER_LINEAR)
            case Noise():
                image = peer.add_gaussian_noise(image, op.sigma)
            case Jpeg():
                image = _jpeg(image, op.quality)
    return image


def _jpeg(image: NDArray[Any], quality: int) -> NDArray[Any]:
    """basicsr's `add_jpg_compression`, which OpenCV 5 refuses as it stands: it wants 8 bits and a whole quality."""
    _, file = cv2.imencode(
        ".jpg", (image * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.float32) / 255


if __name__ == "__main__":
    main()
