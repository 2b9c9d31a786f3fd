"""What our recipes draw has the distribution of what basicsr draws: its own loader and model, run and recorded."""

import importlib.util
import math
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, ks_2samp

from facerefs.schemas.operations import (
    Blur,
    GeneralisedBlur,
    Jpeg,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Resize,
    SincBlur,
)
from facerefs.schemas.theta import Theta
from facerefs.stages.degrade.recipes import RECIPES, derive_seed, draw
from tests.stages.degrade.basicsr_oracle import degradations

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)

Drawn: TypeAlias = defaultdict[str, list[Any]]  # by the name of the parameter
Event: TypeAlias = tuple[Any, ...]  # an operation: what it is, then its parameters
DRAWS = 3000
SIZE_PX = 512
UNLIKELY = 1e-3
X4PLUS = {
    "kernel_list": [
        "iso",
        "aniso",
        "generalized_iso",
        "generalized_aniso",
        "plateau_iso",
        "plateau_aniso",
    ],
    "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3],
    "blur_sigma2": [0.2, 1.5],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "final_sinc_prob": 0.8,
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.15, 1.5],
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.3, 1.2],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "noise_range2": [1, 25],
    "poisson_scale_range": [0.05, 3],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
    "second_blur_prob": 0.8,
    "scale": 4,
    "gt_size": 1,
}
SECOND = ("kernel_list", "kernel_prob", "sinc_prob", "betag_range", "betap_range")
X4PLUS |= {
    f"{name}2": X4PLUS[name] for name in (*SECOND, "gaussian_noise_prob", "gray_noise_prob", "jpeg_range")
}


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (it is what basicsr draws from)
    torch.manual_seed(1)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The kernels that basicsr makes, one after the other."""
    made: list[Event] = []

    def gaussian(taps: int, x: float, y: float, angle: float, isotropic: bool) -> Any:
        made.append(("gaussian_blur", taps, x, y, angle, None))
        return np.ones((taps, taps))

    def generalised(taps: int, x: float, y: float, angle: float, beta: float, isotropic: bool) -> Any:
        made.append(("generalised_blur", taps, x, y, angle, beta))
        return np.ones((taps, taps))

    def plateau(taps: int, x: float, y: float, angle: float, beta: float, isotropic: bool) -> Any:
        made.append(("plateau_blur", taps, x, y, angle, beta))
        return np.ones((taps, taps))

    def sinc(cutoff: float, taps: int, pad_to: int) -> Any:
        made.append(("sinc_blur", taps, cutoff))
        return np.ones((taps, taps))

    module = degradations()
    from basicsr.data import realesrgan_dataset

    monkeypatch.setattr(module, "bivariate_Gaussian", gaussian)
    monkeypatch.setattr(module, "bivariate_generalized_Gaussian", generalised)
    monkeypatch.setattr(module, "bivariate_plateau", plateau)
    monkeypatch.setattr(realesrgan_dataset, "circular_lowpass_kernel", sinc)
    return made


def test_gfpgan_draws_as_basicsr_does(kernels: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    module = degradations()
    theirs, ours = Drawn(list), Drawn(list)
    monkeypatch.setattr(module, "generate_gaussian_noise", lambda image, sigma, gray: image + sigma)
    monkeypatch.setattr(module, "add_jpg_compression", lambda image, quality: image + quality)
    image, around = np.zeros((1, 1, 3)), [-math.pi, math.pi]
    for i in range(DRAWS):
        module.random_mixed_kernels(["iso", "aniso"], [0.5, 0.5], 41, [0.1, 10], [0.1, 10], around)
        _record_kernel(theirs, "", kernels.pop())
        theirs["noise"].append(module.random_add_gaussian_noise(image, (0, 20), clip=False).max())
        theirs["quality"].append(module.random_add_jpg_compression(image, (60, 100)).max())
        blur, _, noise, jpeg = _events(draw(RECIPES["gfpgan"], derive_seed(1, "ks", i), SIZE_PX))
        _record_kernel(ours, "", blur)
        ours["noise"].append(noise[1])
        ours["quality"].append(jpeg[1])
    _compare(theirs, ours)


def test_realesrgan_draws_as_basicsr_does(
    kernels: list[Event], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs, ours = Drawn(list), Drawn(list)
    dataset, synthesise = _loader(monkeypatch, tmp_path), _model(monkeypatch)
    for i in range(DRAWS):
        kernels.clear()
        dataset[0]
        _record(theirs, synthesise(kernels))
        _record(ours, _events(draw(RECIPES["realesrgan"], derive_seed(2, "ks", i), SIZE_PX)))
    assert len(ours) == 39
    _compare(theirs, ours)


# basicsr, run as it is but for its pixels


def _loader(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """RealESRGANDataset of one photo."""
    from basicsr.data import realesrgan_dataset as module

    (folder / "photos.txt").write_text("photo.png")
    (folder / "photo.png").write_bytes(b"")
    photo = np.zeros((400, 400, 3), np.float32)
    monkeypatch.setattr(module, "imfrombytes", lambda _, float32: photo)
    monkeypatch.setattr(module, "augment", lambda image, *_: image)
    monkeypatch.setattr(module, "img2tensor", lambda images, bgr2rgb, float32: images)
    files = {"io_backend": {"type": "disk"}, "dataroot_gt": str(folder), "meta_info": f"{folder}/photos.txt"}
    rest = {"use_hflip": False, "use_rot": False, "blur_kernel_size": 21, "blur_kernel_size2": 21}
    return module.RealESRGANDataset({**X4PLUS, **files, **rest})


def _model(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Event]], list[Event]]:
    """RealESRGANModel.feed_data of given kernels, as the events of one degradation."""
    from basicsr.data import degradations
    from basicsr.models import realesrgan_model as module

    events: list[Event] = []

    def interpolate(image: torch.Tensor, scale_factor: float = 0, size: Any = None, mode: str = "") -> Any:
        events.append(("resize", size[0] if size else int(SIZE_PX * scale_factor), mode))
        return image[..., :1, :1]

    def noise(name: str) -> Callable[..., float]:
        return lambda _, strength, gray: events.append((name, float(strength), bool(gray))) or 0.0

    def jpeg(image: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        events.append(("jpeg", float(quality)))
        return image

    def blur(image: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        events.append(("blur", int(number)))
        return image

    monkeypatch.setattr(module, "F", SimpleNamespace(interpolate=interpolate))
    monkeypatch.setattr(module, "filter2D", blur)
    monkeypatch.setattr(module, "paired_random_crop", lambda truths, degraded, *_: (truths, degraded))
    monkeypatch.setattr(degradations, "generate_gaussian_noise_pt", noise("gaussian"))
    monkeypatch.setattr(degradations, "generate_poisson_noise_pt", noise("poisson"))
    model = SimpleNamespace(
        is_train=True,
        opt=X4PLUS,
        device="cpu",
        jpeger=jpeg,
        usm_sharpener=lambda image: image,
        _dequeue_and_enqueue=lambda: None,
    )
    numbers = {name: torch.tensor(i) for i, name in enumerate(("kernel1", "kernel2", "sinc_kernel"))}
    truth = torch.zeros(1, 1, 1, 1).expand(1, 3, SIZE_PX, SIZE_PX)

    def synthesise(kernels: list[Event]) -> list[Event]:
        events.clear()
        module.RealESRGANModel.feed_data(model, {"gt": truth, **numbers})
        named = {("blur", i): kernel for i, kernel in enumerate(kernels)}
        return [named.get(event, event) for event in events if event[0] != "blur" or event in named]

    return synthesise


# events of either side, and what they hold


def _events(theta: Theta) -> list[Event]:
    return [_event(op) for op in theta]


def _event(op: Operation) -> Event:
    match op:
        case Blur(taps, x, y, angle):
            return ("gaussian_blur", taps, x, y, angle, None)
        case GeneralisedBlur(taps, x, y, angle, beta):
            return ("generalised_blur", taps, x, y, angle, beta)
        case PlateauBlur(taps, x, y, angle, beta):
            return ("plateau_blur", taps, x, y, angle, beta)
        case SincBlur(taps, cutoff):
            return ("sinc_blur", taps, cutoff)
        case Resize(width, _, mode):
            return ("resize", width, mode)
        case Noise(sigma, gray):
            return ("gaussian", sigma, gray)
        case PoissonNoise(scale, gray):
            return ("poisson", scale, gray)
        case Jpeg(quality):
            return ("jpeg", quality)
    raise AssertionError(op)


def _record(drawn: Drawn, events: list[Event]) -> None:
    """The parameters of a whole degradation of Real-ESRGAN."""
    rest = list(events)
    for one in ("first ", "second "):
        blurred = rest[0][0].endswith("_blur")
        drawn[f"{one}blurred"].append(str(blurred))
        if blurred:
            _record_kernel(drawn, one, rest.pop(0))
        _, side_px, mode = rest.pop(0)
        base_px = SIZE_PX if one == "first " else SIZE_PX // 4
        drawn[f"{one}side"].append(side_px)
        drawn[f"{one}direction"].append(str(np.sign(side_px - base_px)))
        drawn[f"{one}mode"].append(mode)
        noise, strength, gray = rest.pop(0)
        drawn[f"{one}noise"].append(noise)
        drawn[f"{one}{noise}"].append(strength)
        drawn[f"{one}gray"].append(str(gray))
        if one == "first ":
            drawn["first quality"].append(rest.pop(0)[1])
    drawn["last order"].append(rest[0][0])
    drawn["last sinc"].append(str(len(rest) == 3))
    for event in rest:
        if event[0] == "sinc_blur":
            drawn["last taps"].append(str(event[1]))
            drawn["last cutoff"].append(event[2])
        elif event[0] == "jpeg":
            drawn["last quality"].append(event[1])
        else:
            assert event[:2] == ("resize", SIZE_PX // 4)
            drawn["last mode"].append(event[2])


def _record_kernel(drawn: Drawn, where: str, kernel: Event) -> None:
    kind, taps, *numbers = kernel
    drawn[f"{where}taps"].append(str(taps))
    if kind == "sinc_blur":
        drawn[f"{where}kind"].append(kind)
        drawn[f"cutoff {'from' if taps >= 13 else 'below'} 13 taps"].append(numbers[0])
        return
    x, y, angle, beta = numbers
    isotropic = x == y
    drawn[f"{where}kind"].append(f"{kind}, isotropic {isotropic}")
    drawn[f"{where}sigma x"].append(x)
    if not isotropic:
        drawn[f"{where}sigma y"].append(y)
        drawn[f"{where}angle"].append(angle)
    if beta is not None:
        drawn[f"{where}{kind} beta"].append(beta)


def _compare(theirs: Drawn, ours: Drawn) -> None:
    """Numbers by their ends and by Kolmogorov and Smirnov, categories by chi-square."""
    assert theirs.keys() == ours.keys()
    for name in theirs:
        _check_ends(name, theirs[name], ours[name])
        p_value = _p_value_of_one_source(theirs[name], ours[name])
        assert p_value > UNLIKELY, f"{name}: p = {p_value:.1g}"


def _check_ends(name: str, one: list[Any], other: list[Any]) -> None:
    if not isinstance(one[0], str):
        near = 0.05 * (max(one) - min(one))
        assert min(other) == pytest.approx(min(one), abs=near), name
        assert max(other) == pytest.approx(max(one), abs=near), name


def _p_value_of_one_source(one: list[Any], other: list[Any]) -> float:
    if not isinstance(one[0], str):
        return float(ks_2samp(one, other).pvalue)
    kinds = sorted(set(one) | set(other))
    if len(kinds) == 1:
        return 1.0
    counts = [[side.count(kind) for kind in kinds] for side in (one, other)]
    return float(chi2_contingency(counts).pvalue)
