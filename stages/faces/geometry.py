"""Face geometry: FFHQ alignment, affine transforms of points, the warp to the aligned crop, head pose.

Pixel centres are at integers everywhere: the first pixel of a photo covers -0.5 to 0.5. All functions are pure and need
NumPy only; `warp` also needs OpenCV and Pillow.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from facerefs.schemas.arrays import Float64s, UInt8Image

LEFT_EYE = slice(36, 42)  # of the 68 points of iBUG 300-W; left and right as seen in the photo
RIGHT_EYE = slice(42, 48)
NOSE_TIP = 30
MOUTH_CORNERS = (48, 54)

# Eyes, nose tip and corners of the mouth in ArcFace's 112 px crop: insightface's `arcface_dst`.
_ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_ARCFACE_SIDE_PX = 112

_OVERSAMPLING = 3  # a much larger photo is first reduced by area averages to this many times the crop's scale
_HARDLY_SHRUNK = 0.9  # from this scale on, no antialiasing filter is needed
_LANCZOS_REACH = 3  # in pixels of the smaller image
_REACH_PX = 8  # of photo or crop, whichever are larger: the reach of filter and interpolation
_BLUR = 0.02  # FFHQ's border: blur of 2 % of the crop's side,
_FADE = 0.3  # and a fade to the median colour over 30 % of it


def five_points(landmarks: npt.ArrayLike) -> Float64s:
    """Centres of the eyes, nose tip and corners of the mouth (5, 2), from 68 landmarks (68, 2)."""
    points = np.asarray(landmarks, dtype=np.float64)
    eyes = [points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)]
    return np.stack([*eyes, *points[[NOSE_TIP, *MOUTH_CORNERS]]])


def arcface_points(side_px: int) -> Float64s:
    """The positions (5, 2) of the five points in ArcFace's crop of side_px (Deng et al. 2019, defined at 112 px)."""
    points: Float64s = (_ARCFACE_POINTS + 0.5) * (side_px / _ARCFACE_SIDE_PX) - 0.5
    return points


def ffhq_transform(landmarks: npt.ArrayLike, size_px: int) -> Float64s:
    """The similarity transform (2, 3) from photo pixels to pixels of the FFHQ-aligned crop.

    landmarks: (68, 2) in photo pixels. Raises ValueError if eyes and mouth are at one point. Karras et al. 2019, FFHQ,
    `recreate_aligned_images`: half the side of the square is max(2.0 |eye to eye|, 1.8 |eyes to mouth|), its centre is
    0.1 (eyes to mouth) below the eyes.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = five_points(landmarks)
    eyes = (left_eye + right_eye) / 2
    eye_to_eye = right_eye - left_eye
    eye_to_mouth = (left_mouth + right_mouth) / 2 - eyes

    across = eye_to_eye - eye_to_mouth[::-1] * [-1, 1]
    length = math.hypot(*across)
    half_side = max(math.hypot(*eye_to_eye) * 2.0, math.hypot(*eye_to_mouth) * 1.8)
    if not (length > 1e-6 and half_side > 1e-6):
        raise ValueError("the landmarks of eyes and mouth do not span a face")
    cosine, sine = across / length
    rotation = size_px / (2 * half_side) * np.array([[cosine, sine], [-sine, cosine]])
    centre = eyes + eye_to_mouth * 0.1
    return np.column_stack([rotation, (size_px - 1) / 2 - rotation @ centre])


def similarity_between(source: npt.ArrayLike, target: npt.ArrayLike) -> Float64s:
    """The similarity transform (2, 3), without mirroring, from points (n, 2) to points (n, 2) with least squared error.

    Umeyama, "Least-squares estimation of transformation parameters", 1991, in the
    plane, where it has a closed form over complex numbers.
    """
    z = np.asarray(source, dtype=np.float64) @ [1, 1j]
    w = np.asarray(target, dtype=np.float64) @ [1, 1j]
    spread = z - z.mean()
    energy = np.vdot(spread, spread).real
    if energy == 0:
        raise ValueError("the points lie on one spot")
    turn = complex(np.vdot(spread, w - w.mean()) / energy)
    shift = complex(w.mean() - turn * z.mean())
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def invert(transform: npt.ArrayLike) -> Float64s:
    """The inverse of an affine transform (2, 3). Raises numpy.linalg.LinAlgError if it has none."""
    matrix = np.asarray(transform, dtype=np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def compose(second: npt.ArrayLike, first: npt.ArrayLike) -> Float64s:
    """The affine transform (2, 3) that applies `first`, then `second`."""
    bottom = [0.0, 0.0, 1.0]
    composed: Float64s = np.asarray(second, dtype=np.float64) @ np.vstack([np.asarray(first), bottom])
    return composed


def apply_transform(transform: npt.ArrayLike, points: npt.ArrayLike) -> Float64s:
    """The points (..., 2) after an affine transform (2, 3)."""
    matrix = np.asarray(transform, dtype=np.float64)
    moved: Float64s = np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def scale_of(transform: npt.ArrayLike) -> float:
    """The scale of a transform in crop pixels per photo pixel: the square root of its area scale."""
    return math.sqrt(abs(float(np.linalg.det(np.asarray(transform, dtype=np.float64)[:, :2]))))


def misalignment(transform: npt.ArrayLike, size_px: int) -> float:
    """How far the corners of a square photo of size_px move by a transform (2, 3), on average, as a share of its side.

    With `ffhq_transform` of the landmarks in an aligned face: 0 if they lie exactly as FFHQ's alignment has them.
    """
    corners = _corners(size_px)
    moved = apply_transform(transform, corners) - corners
    return float(np.hypot(moved[:, 0], moved[:, 1]).mean() / size_px)


@dataclass(frozen=True)
class Crop:
    """An aligned face. outside: the share of the crop, 0 to 1, that is outside the photo."""

    pixels: UInt8Image
    outside: float


def warp(image: UInt8Image, transform: npt.ArrayLike, size_px: int) -> Crop:
    """The crop uint8 (size_px, size_px, 3) of a photo; transform: (2, 3) from photo pixels to crop pixels.

    The part inside the photo is resampled without aliasing and not changed otherwise. The part outside is the photo's
    reflection, blurred and faded to the crop's median colour as in FFHQ. (FFHQ also blurs a strip inside the photo,
    which would spoil a ground truth.)
    """
    matrix = np.asarray(transform, dtype=np.float64)
    crop = _resample(*_window(image, matrix, size_px), size_px)
    depth_px = _depth_outside(image.shape[1], image.shape[0], matrix, size_px)
    if depth_px is None:
        return Crop(crop, 0.0)
    return Crop(_softened(crop, depth_px), float((depth_px > 0).mean()))


def _window(image: UInt8Image, transform: Float64s, size_px: int) -> tuple[UInt8Image, Float64s]:
    """The part of the photo that the crop needs, reduced and with reflected borders, and its transform to the crop."""
    import cv2

    shape = np.array([image.shape[1], image.shape[0]])
    scale = scale_of(transform)
    reach = _REACH_PX * max(1.0, 1 / scale)
    corners = apply_transform(invert(transform), _corners(size_px))
    low = np.floor(corners.min(axis=0) - reach).astype(int)
    high = np.ceil(corners.max(axis=0) + reach).astype(int) + 1
    first = low.clip(0, shape - 1)
    last = np.minimum(np.maximum(high, first + 1), shape)

    window = image[first[1] : last[1], first[0] : last[0]]
    side = last - first
    if scale * _OVERSAMPLING < _HARDLY_SHRUNK:
        side = np.maximum(1, np.rint(side * scale * _OVERSAMPLING)).astype(int)
        window = np.asarray(
            cv2.resize(window, (int(side[0]), int(side[1])), interpolation=cv2.INTER_AREA), np.uint8
        )
    factor = side / (last - first)
    before = np.ceil((first - low).clip(0) * factor).astype(int)
    after = np.ceil((high - last).clip(0) * factor).astype(int)
    if before.any() or after.any():
        pads = ((before[1], after[1]), (before[0], after[0]), (0, 0))
        window = np.pad(window, pads, mode="reflect")
    to_photo = np.column_stack([np.diag(1 / factor), first - 0.5 + (0.5 - before) / factor])
    return window, compose(transform, to_photo)


def _resample(window: UInt8Image, to_crop: Float64s, size_px: int) -> UInt8Image:
    """The crop by cubic convolution (Keys 1981), after a Lanczos filter against aliasing where needed."""
    import cv2

    if (scale := scale_of(to_crop)) < _HARDLY_SHRUNK:
        taps = _lanczos(scale)
        window = np.asarray(
            cv2.sepFilter2D(window, -1, taps, taps, borderType=cv2.BORDER_REPLICATE), np.uint8
        )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE  # never used: the window reaches further
    size = (size_px, size_px)
    crop = cv2.warpAffine(window, invert(to_crop), size, flags=flags, borderMode=border)
    return np.asarray(crop, np.uint8)


def _lanczos(scale: float) -> Float64s:
    """The taps of a Lanczos filter for a reduction to `scale`; they sum to 1."""
    reach = math.ceil(_LANCZOS_REACH / scale)
    at = np.arange(-reach, reach + 1) * scale
    taps = np.sinc(at) * np.sinc(at / _LANCZOS_REACH) * (np.abs(at) < _LANCZOS_REACH)
    filter_: Float64s = taps / taps.sum()
    return filter_


def _corners(size_px: int) -> Float64s:
    low, high = -0.5, size_px - 0.5
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def _depth_outside(width: int, height: int, transform: Float64s, size_px: int) -> Float64s | None:
    """How far outside the photo each crop pixel is, (S, S) in crop pixels; None if none is outside."""
    back = invert(transform)
    low, high = np.array([-0.5, -0.5]), np.array([width - 0.5, height - 0.5])
    corners = apply_transform(back, _corners(size_px))
    if (corners >= low).all() and (corners <= high).all():
        return None
    at = np.arange(size_px)
    photo = [along_x * at + (along_y * at[:, None] + start) for along_x, along_y, start in back]
    x, y = (np.maximum(low[i] - photo[i], photo[i] - high[i]).clip(min=0) for i in range(2))
    depth: Float64s = np.sqrt(x * x + y * y) * scale_of(transform)  # hypot is several times slower
    return depth


def _softened(crop: UInt8Image, depth_px: Float64s) -> UInt8Image:
    side = crop.shape[0]
    pixels = crop.copy()
    outside = depth_px > 0
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(_BLUR * side)))[outside]
    median = _median(pixels.reshape(-1, 3) if outside.all() else pixels[~outside])
    blur = np.clip(depth_px[outside] / (_BLUR * side), 0, 1)[:, None]
    fade = np.clip(depth_px[outside] / (_FADE * side), 0, 1)[:, None]
    soft = pixels[outside] * (1 - blur) + blurred * blur
    soft = soft * (1 - fade) + median * fade
    pixels[outside] = np.rint(soft).astype(np.uint8)
    return pixels


def _median(levels: UInt8Image) -> Float64s:
    """The median (3,) of each column of (n, 3), as np.median; by counting, which is several times faster."""
    middle = [(len(levels) - 1) // 2, len(levels) // 2]
    counts = [np.bincount(column, minlength=256).cumsum() for column in levels.T]
    return np.array([np.searchsorted(below, middle, side="right").mean() for below in counts])


_HALF_HEAD = np.array(  # to the photo's right, up, towards the camera
    [
        (1.330353, 7.122144, 6.903745),  # inner end of the brow
        (6.825897, 6.760612, 4.402142),  # its outer end
        (1.789930, 5.393625, 4.413414),  # inner corner of the eye
        (5.311432, 5.485328, 3.987654),  # its outer corner
        (2.005628, 1.409845, 6.165652),  # wing of the nose
        (2.774015, -2.080775, 5.048531),  # corner of the mouth
        (0.0, -3.116408, 6.097667),  # middle of the lower lip
        (0.0, -7.415691, 4.070434),  # chin
    ]
)
_RIGHT_HALF = [22, 26, 42, 45, 35, 54, 57, 8]
_LEFT_HALF = [21, 17, 39, 36, 31, 48]
_POSE_POINTS = _RIGHT_HALF + _LEFT_HALF
_TILT = math.radians(5)  # the model looks up by this angle; without it, portraits have a median pitch of 0
_LEVEL = np.array([[1, 0, 0], [0, math.cos(_TILT), math.sin(_TILT)], [0, -math.sin(_TILT), math.cos(_TILT)]])
_HEAD = np.concatenate([_HALF_HEAD * [1, -1, -1], _HALF_HEAD[:6] * [-1, -1, -1]]) @ _LEVEL


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees: yaw positive towards the photo's right edge, pitch up, roll clockwise.

    Yaw and pitch are measured after the roll is undone, so rotating the photo changes the roll only.
    """

    yaw: float
    pitch: float
    roll: float


def pose(landmarks: npt.ArrayLike) -> Pose:
    """The head pose of 68 landmarks (68, 2), by a rigid mean head under scaled orthographic projection.

    The pose step of DeMenthon and Davis, "Model-based object pose in 25 lines of code" (IJCV 1995), on 14
    points of the anthropometric head of P. Martins and J. Batista (glAnthropometric3DModel, Coimbra).
    """
    points = np.asarray(landmarks, dtype=np.float64)[_POSE_POINTS]
    head = _HEAD - _HEAD.mean(axis=0)
    affine = np.linalg.lstsq(head, points - points.mean(axis=0), rcond=None)[0].T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    across, down = left @ right  # the nearest two orthonormal rows
    away = np.cross(across, down)
    yaw = math.atan2(away[0], math.hypot(across[0], down[0]))
    pitch = -math.atan2(away[1], away[2])
    roll = math.atan2(down[0], across[0])
    return Pose(math.degrees(yaw), math.degrees(pitch), math.degrees(roll))
