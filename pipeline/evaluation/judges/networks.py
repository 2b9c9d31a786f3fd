"""The networks that judge: each with the SHA-256 of its weights, or the reason why a figure is not computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.judges.cache import sha256_of
from facerefs.pipeline.evaluation.metrics import MOST_PSNR
from facerefs.pipeline.evaluation.settings import NONE, Weights
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.weights.pretrained import CACHE, RANDOM

NIQE_LEAST_PX = 192  # two blocks of 96 px
IDENTITY, INCEPTION, LANDMARKS = "identity", "inception", "landmarks"


@dataclass(frozen=True)
class NetworkSource:
    """What a figure was computed with. sha256: of the file of weights; empty for none and for random ones."""

    name: str
    sha256: str = ""
    random: bool = False

    @property
    def key(self) -> str:
        """A text that names the network and its weights, for the cache."""
        return f"{self.name} {self.sha256}"


@dataclass(frozen=True, eq=False)
class PairScorer:
    """A figure of an output and its ground truth.

    compute: ground truths and several methods' outputs, each (B, 3, S, S) in [-1, 1] -> figures (B,) of each method.
    """

    metric: str
    source: NetworkSource
    compute: Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class ImageScorer:
    """What a network makes of one image: images (N, 3, S, S) in [-1, 1], landmarks (N, 68, 2) -> (N, D).

    dtype: how it is kept.
    """

    name: str
    source: NetworkSource
    compute: Callable[[Tensor, Tensor], Tensor]
    with_landmarks: bool = False
    dtype: npt.DTypeLike = np.float32


@dataclass(frozen=True, eq=False)
class Judges:
    """All that judges. missing: why figures are not computed, by metric; used: with what the others are."""

    pairs: Sequence[PairScorer]
    images: Mapping[str, ImageScorer]
    used: Mapping[str, NetworkSource]
    missing: dict[str, str] = field(default_factory=dict)


def load_judges(weights: Weights, size_px: int, device: torch.device, with_truth: bool) -> Judges:
    """The networks of the settings. Raises UserError for a file that does not fit; what no cache has is missing."""
    missing: dict[str, str] = {}
    pairs: list[PairScorer] = []
    images: dict[str, ImageScorer] = {}
    used: dict[str, NetworkSource] = {}

    def use(metrics: Sequence[str], load: Callable[[], PairScorer | ImageScorer]) -> None:
        try:
            scorer = load()
        except _NotComputed as error:
            missing.update(dict.fromkeys(metrics, str(error)))
            return
        used.update(dict.fromkeys(metrics, scorer.source))
        if isinstance(scorer, PairScorer):
            pairs.append(scorer)
        else:
            images[scorer.name] = scorer

    if with_truth:
        use(["psnr"], _psnr)
        use(["ssim"], lambda: _ssim(size_px))
        use(["lpips_alex"], lambda: _lpips("alex", weights.alexnet, size_px, device))
        use(["lpips_vgg"], lambda: _lpips("vgg", weights.vgg16, size_px, device))
        use(["landmark_error"], lambda: _landmarks(weights.landmarks, device))
    use(["fid"], lambda: _inception(weights.inception, device))
    use(["niqe"], lambda: _niqe(weights.niqe, size_px))
    use(["musiq"], lambda: _musiq(weights.musiq, device))
    missing["ifqa"] = (
        "IFQA is in no package: https://github.com/VCLLab/IFQA has its code and weights; facerefs does not run it yet"
    )
    use(["deg", "isc", "ips", "iprecision", "irecall"], lambda: _identity(weights.identity, device))
    return Judges(pairs, images, used, missing)


class _NotComputed(Exception):  # noqa: N818 (an answer, not an error)
    """Why a figure is not computed."""


def _wanted(setting: str, name: str) -> None:
    if setting == NONE:
        raise _NotComputed(f"weights.{name} is `none`")


def _or_missing(error: MissingWeights, setting: str, name: str) -> Exception:
    """What is missing in a cache is not computed; a file that was named and does not fit is the user's mistake."""
    if setting in (CACHE, "dlib"):
        way = f", or give the file with --set weights.{name}=FILE" if "curl" in str(error) else ""
        return _NotComputed(f"{error}{way}")
    return UserError(f"weights.{name}: {error}")


def _psnr() -> PairScorer:
    from facerefs.trainers.metrics.psnr_ssim import psnr

    def compute(truth: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [psnr(output, truth).clamp(max=MOST_PSNR) for output in outputs]

    return PairScorer("psnr", NetworkSource("no network"), compute)


def _ssim(size_px: int) -> PairScorer:
    from facerefs.trainers.metrics.psnr_ssim import ssim

    if size_px < 11:
        raise _NotComputed(f"its window is 11 px wide, and the faces are of {size_px} px")

    def compute(truth: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [ssim(output, truth) for output in outputs]

    return PairScorer("ssim", NetworkSource("no network"), compute)


def _lpips(net: str, setting: str, size_px: int, device: torch.device) -> PairScorer:
    from facerefs.trainers.losses.lpips import Lpips
    from facerefs.trainers.weights.imagenet import weights_file

    name = {"alex": "alexnet", "vgg": "vgg16"}[net]
    _wanted(setting, name)
    try:
        lpips = Lpips("alex" if net == "alex" else "vgg", setting).to(device)
        architecture = lpips.network.architecture
        if size_px < lpips.network.smallest_px:
            raise _NotComputed(f"{architecture.name} needs faces of {lpips.network.smallest_px} px")
        source = _source(architecture.name, setting, lambda: weights_file(architecture, setting))
    except MissingWeights as error:
        raise _or_missing(error, setting, name) from None
    return PairScorer(f"lpips_{net}", source, lpips.distances)


def _inception(setting: str, device: torch.device) -> ImageScorer:
    from facerefs.trainers.weights.inception import load_inception, weights_file

    _wanted(setting, "inception")
    try:
        network = load_inception(setting).to(device)
        source = _source("Inception-v3 of FID", setting, lambda: weights_file(setting))
    except MissingWeights as error:
        raise _or_missing(error, setting, "inception") from None
    return ImageScorer(INCEPTION, source, lambda images, _landmarks: network(images))


def _niqe(setting: str, size_px: int) -> ImageScorer:
    from facerefs.stages.quality.basicsr import BasicsrMissingError, niqe_model_file
    from facerefs.trainers.models.common.metrics import niqe_scores

    _wanted(setting, "niqe")
    if setting != "basicsr":
        raise UserError(f"weights.niqe is `basicsr` or `none`, not {setting!r}")
    if size_px < NIQE_LEAST_PX:
        raise _NotComputed(f"it needs faces of {NIQE_LEAST_PX} px, not {size_px} px")
    try:
        file = niqe_model_file()
    except BasicsrMissingError as error:
        raise _NotComputed(str(error)) from None
    source = NetworkSource(f"basicsr's {file.name}", sha256_of(file))
    return ImageScorer(
        "niqe", source, lambda images, _landmarks: niqe_scores(images)[:, None], dtype=np.float64
    )


def _musiq(setting: str, device: torch.device) -> ImageScorer:
    from facerefs.pipeline.evaluation.judges.musiq import MUSIQ_FILE, load_musiq, musiq_file

    _wanted(setting, "musiq")
    try:
        file = musiq_file(setting)
        score = load_musiq(file, device)
    except MissingWeights as error:
        raise _or_missing(error, setting, "musiq") from None
    source = NetworkSource(f"MUSIQ by pyiqa, {MUSIQ_FILE}", sha256_of(file))
    return ImageScorer("musiq", source, lambda images, _landmarks: score(images)[:, None], dtype=np.float64)


def _identity(setting: str, device: torch.device) -> ImageScorer:
    from facerefs.stages.engines.weights import DLIB_EMBEDDER, find_dlib_weights, find_onnx_files
    from facerefs.trainers.identity.embedder import load_embedder

    _wanted(setting, "identity")
    try:
        embedder = load_embedder(setting, device)
        if setting == "dlib" or setting.endswith(".dat"):
            file = find_dlib_weights(None if setting == "dlib" else setting, DLIB_EMBEDDER)
        else:
            stem = embedder.name.partition(":")[2]
            file = next(path for path in find_onnx_files(setting) if path.stem == stem)
    except MissingWeights as error:
        raise _or_missing(error, setting, "identity") from None
    return ImageScorer(IDENTITY, NetworkSource(embedder.name, sha256_of(file)), embedder, with_landmarks=True)


def _landmarks(setting: str, device: torch.device) -> ImageScorer:
    _wanted(setting, "landmarks")
    try:
        if setting == "dlib":
            return _dlib_landmarks()
        return _trained_landmarks(Path(setting).expanduser(), device)
    except MissingWeights as error:
        raise _or_missing(error, setting, "landmarks") from None


def _dlib_landmarks() -> ImageScorer:
    from facerefs.stages.engines.align import landmarks_of_crop
    from facerefs.stages.engines.load import load_landmarker
    from facerefs.stages.engines.weights import DLIB_LANDMARKS, find_dlib_weights
    from facerefs.trainers.metrics.psnr_ssim import quantise_uint8

    landmarker = load_landmarker("dlib", None, "cpu")
    file = find_dlib_weights(None, DLIB_LANDMARKS)

    def compute(images: Tensor, _landmarks: Tensor) -> Tensor:
        faces = quantise_uint8(images).permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
        return torch.from_numpy(np.stack([landmarks_of_crop(face, landmarker) for face in faces])).flatten(1)

    return ImageScorer(LANDMARKS, NetworkSource(landmarker.name, sha256_of(file)), compute)


def _trained_landmarks(folder: Path, device: torch.device) -> ImageScorer:
    from facerefs.trainers.loop.checkpoint import CheckpointError, newest
    from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
    from facerefs.trainers.models.run import load_finder

    try:
        find = load_finder(folder, device)
        file = newest(folder / CHECKPOINTS_FOLDER)
    except CheckpointError as error:
        raise UserError(f"weights.landmarks: {error}") from None
    source = NetworkSource(f"the run {folder.name}", sha256_of(file))
    return ImageScorer(LANDMARKS, source, lambda images, _landmarks: find(images).flatten(1))


def _source(name: str, setting: str, file: Callable[[], Path]) -> NetworkSource:
    if setting == RANDOM:
        return NetworkSource(f"{name} with random weights, whose figure compares with nothing", random=True)
    where = file()
    return NetworkSource(f"{name} ({where.name})", sha256_of(where))
