"""A sheet that compares each face of a photo: before, reference, after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facerefs.schemas.arrays import UInt8Image

if TYPE_CHECKING:
    from PIL.Image import Image

    from facerefs.pipeline.restoring.whole import RestoredFace

_CELL_PX = 256
_TEXT_PX = 18
_GAP_PX = 4
_MOST_FACES = 50


def comparison_sheet(
    photo: UInt8Image, outputs: Sequence[UInt8Image], faces: "Sequence[RestoredFace]"
) -> "Image":
    """A row per restored face: before, its reference (empty without one) and, per output, after as in the photo.

    photo: uint8 (H, W, 3); outputs: the photo restored, one per output. Of more than 50 faces the first are shown.
    """
    from PIL import Image, ImageDraw

    shown = [(face, face.box) for face in faces if face.restored and face.box is not None][:_MOST_FACES]
    names = ["before", "reference", *_after(len(outputs))]
    row_px = _CELL_PX + _TEXT_PX + _GAP_PX
    sheet = Image.new(
        "RGB", (len(names) * (_CELL_PX + _GAP_PX), _TEXT_PX + max(1, len(shown)) * row_px), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        draw.text((column * (_CELL_PX + _GAP_PX) + 2, 2), name, fill="black")
    if not shown:
        draw.text((2, _TEXT_PX + 2), "no face was restored", fill="black")
    for row, (face, box) in enumerate(shown):
        top = _TEXT_PX + row * row_px
        draw.text((2, top + 2), _caption(face), fill="black")
        cells = [_cut(photo, box), face.reference_crop, *(_cut(output, box) for output in outputs)]
        for column, cell in enumerate(cells):
            if cell is not None:
                picture = Image.fromarray(cell).resize((_CELL_PX, _CELL_PX), Image.Resampling.BICUBIC)
                sheet.paste(picture, (column * (_CELL_PX + _GAP_PX), top + _TEXT_PX))
    return sheet


def _after(outputs: int) -> list[str]:
    return ["after"] if outputs == 1 else [f"after {number}" for number in range(1, outputs + 1)]


def _caption(face: "RestoredFace") -> str:
    whose = "" if face.person is None else f": {face.person}"
    similarity = "" if face.similarity is None else f", similarity {face.similarity:.3f}"
    text = f"face {face.number}{whose}{similarity}, {face.model}, strength {face.strength:g}"
    return text.encode("latin-1", "replace").decode("latin-1")  # Pillow's own font has no more


def _cut(photo: UInt8Image, box: tuple[float, float, float, float]) -> UInt8Image:
    """A square around a face with some of its surroundings, so that a seam would be seen; black outside the photo."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * 0.9
    across, down = (left + right) / 2, (top + bottom) / 2
    side = max(1, round(2 * half))
    start = round(across - half), round(down - half)
    cut = np.zeros((side, side, 3), np.uint8)
    x, y = max(0, start[0]), max(0, start[1])
    part = photo[y : max(y, start[1] + side), x : max(x, start[0] + side)]
    cut[y - start[1] : y - start[1] + part.shape[0], x - start[0] : x - start[0] + part.shape[1]] = part
    return cut
