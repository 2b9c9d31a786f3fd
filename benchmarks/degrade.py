"""Degrading 512 px faces by the recipe `gfpgan` on one core: our engine and the basicsr/OpenCV sequence."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.paired import compare, write
from schemas.operations import Blur, Jpeg, Noise, Resize
from schemas.theta import Theta
from stages.basicsr import degradations
from stages.degrade.engine import degrade
from stages.degrade.recipes import RECIPES, draw, theta_seed
from stages.rendered.render import draw_person, draw_view, render

SIZE_PX = 512
COUNT = 16


def main() -> None:
    """Print the ratio, and write benchmarks/out/degrade.json."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    faces = [render(draw_person(0, i), draw_view(0, i, 0), SIZE_PX).image for i in range(COUNT)]
    thetas = [draw(RECIPES["gfpgan"], theta_seed(0, str(i), 0), SIZE_PX) for i in range(COUNT)]
    batch = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 255
    bgr = [face[..., ::-1].astype(np.float32) / 255 for face in faces]
    comparison = compare(
        case="gfpgan recipe, 512 px, one core",
        ours=lambda: degrade(batch, thetas),
        peer=lambda: [_peer(image, theta) for image, theta in zip(bgr, thetas, strict=True)],
        amount=COUNT,
        unit="images/s",
    )
    write("degrade", [comparison])


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
                image = peer.add_jpg_compression(image, op.quality)
    return image


if __name__ == "__main__":
    main()
