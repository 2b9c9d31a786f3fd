"""What a recipe makes of a face: the degraded face as a shard would hold it, its theta, and the difference."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import yaml
from PIL import Image

from facerefs.pipeline.config.config import read_config, to_tree
from facerefs.pipeline.errors import UserError
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.operations import Resize
from facerefs.schemas.sample import MAX_SIDE_PX
from facerefs.schemas.theta import Theta, to_json
from facerefs.stages.degrade.draws import derive_seed, draw
from facerefs.stages.degrade.recipe import Recipe
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.images.encode import decode_image, degraded_file
from facerefs.stages.shard import Shard

AMPLIFIED = 4
"""By how much the difference is amplified."""
_MOST_WORK = 40e9  # multiplications of the blurs: some seconds on two cores


@dataclass(frozen=True)
class Preview:
    """A degraded face. file_name, file: as in a shard. enlarged, difference: uint8 (S, S, 3), of the truth's size.

    psnr_db, ssim: of the enlarged face. theta: JSON, as in a shard.
    """

    file_name: str
    file: bytes
    size_px: int
    enlarged: UInt8Image
    difference: UInt8Image
    psnr_db: float
    ssim: float
    theta: str


def preview(truth: UInt8Image, recipe: Recipe, seed: int, key: str) -> Preview:
    """The degraded face of a ground truth, uint8 (S, S, 3).

    seed, key: of the set and of the sample; with those of a build it is the degraded face of that build. It is enlarged
    bilinearly, as networks get it. Raises UserError if it would take too long.
    """
    import torch

    from facerefs.stages.degrade.apply_theta import resize_back
    from facerefs.stages.degrade.operations.padded_batch import PaddedBatch, sizes_of
    from facerefs.trainers.metrics.psnr_ssim import psnr, ssim

    theta = draw(recipe, derive_seed(seed, key, 0), truth.shape[0])
    _check_work(theta, truth.shape[0])
    name, file = degraded_file(truth, theta, recipe.ends_with_jpeg)
    small = decode_image(file)
    height, width = truth.shape[:2]
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].double() / 255
    enlarged = resize_back(PaddedBatch(pixels, sizes_of([small.shape[:2]])), height, width)
    clean = torch.from_numpy(truth.copy()).permute(2, 0, 1)[None].double() / 255
    shown = np.rint(enlarged[0].permute(1, 2, 0).numpy() * 255).clip(0, 255).astype(np.uint8)
    apart = np.abs(shown.astype(np.int16) - truth) * AMPLIFIED
    return Preview(
        name,
        file,
        small.shape[0],
        shown,
        apart.clip(0, 255).astype(np.uint8),
        float(psnr(enlarged * 2 - 1, clean * 2 - 1)[0]),
        float(ssim(enlarged * 2 - 1, clean * 2 - 1)[0]),
        to_json(theta),
    )


def sample_key(face: str, recipe: Recipe, shard: Shard) -> str:
    """The key of the sample of a face; a build with several recipes has one sample for each."""
    return f"{face}-{recipe.name}" if len(shard.recipes) > 1 and recipe in shard.recipes else face


def _check_work(theta: Theta, side_px: int) -> None:
    """Raise UserError for a theta that takes too much memory or time for a page that answers at once."""
    width, height, work = side_px, side_px, 0.0
    for operation in theta:
        if isinstance(operation, Resize):
            width, height = operation.out_w, operation.out_h
        work += 3 * width * height * getattr(operation, "taps", 0) ** 2
        if max(width, height) > MAX_SIDE_PX:
            raise UserError(f"the degraded face would have {width} px, and {MAX_SIDE_PX} are allowed")
    if work > _MOST_WORK:
        raise UserError("such large blurs take too long to be shown here: choose fewer taps")


def recipe_yaml(recipe: Recipe) -> str:
    """The YAML of a configuration with this recipe; only the name of a recipe that facerefs has."""
    if RECIPES.get(recipe.name) == recipe:
        return f"shard:\n  recipe: {recipe.name}\n"
    tree = to_tree(read_config(None, base={"shard": {"recipe": recipe}}))
    text: str = yaml.safe_dump({"shard": {"recipe": tree["shard"]["recipe"]}}, sort_keys=False)
    return text


def png_uri(pixels: UInt8Image) -> str:
    """The pixels as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return data_uri("image/png", buffer.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
