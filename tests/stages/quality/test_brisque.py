"""BRISQUE has the features of OpenCV and the score of LIBSVM."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import skimage.filters

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.quality import brisque as module
from facerefs.stages.quality.brisque import brisque, features

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("brisque") is None,
    reason="the package brisque, which brings the trained model, is not installed",
)

PHOTO = skimage.data.astronaut()
NOISE = np.random.default_rng(0).integers(-40, 41, PHOTO.shape)
IMAGES = {
    "photo": PHOTO,
    "grey photo": np.repeat(skimage.data.camera()[..., None], 3, axis=2),
    "noise": np.clip(PHOTO + NOISE, 0, 255).astype(np.uint8),
    "squares": PHOTO[::4, ::4].repeat(4, axis=0).repeat(4, axis=1),
    "odd size": PHOTO[:301, :255],
}
REFERENCE = json.loads(Path(__file__).with_name("brisque_reference.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", IMAGES)
def test_the_features_are_those_of_opencv(name: str) -> None:
    np.testing.assert_allclose(features(IMAGES[name]), REFERENCE[name]["features"], atol=0.0011)


@needs_model
@pytest.mark.parametrize("name", IMAGES)
def test_the_score_is_that_of_libsvm_for_opencvs_features(name: str) -> None:
    assert brisque(IMAGES[name]) == pytest.approx(REFERENCE[name]["score"], abs=0.05)


@needs_model
def test_the_score_is_the_regressions_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that are a support vector themselves: the sum over all vectors, one by one."""
    model = module._model()
    chosen = model.vectors[7]
    found = (chosen + 1) / 2 * (module._MAX - module._MIN) + module._MIN
    monkeypatch.setattr(module, "features", lambda _: found)
    total = -model.rho
    for weight, vector in zip(model.weights, model.vectors, strict=True):
        total += weight * np.exp(
            -model.gamma * sum((a - b) ** 2 for a, b in zip(vector, chosen, strict=True))
        )
    assert brisque(PHOTO) == pytest.approx(total)


@needs_model
def test_brisque_worsens_with_every_step_of_blur_and_of_noise() -> None:
    random = np.random.default_rng(0).normal(0, 1, PHOTO.shape)
    blurred = [
        skimage.filters.gaussian(PHOTO, sigma, channel_axis=2, preserve_range=True)
        for sigma in (0, 1, 2, 4, 8)
    ]
    noisy = [PHOTO + sigma * random for sigma in (0, 5, 10, 20, 40)]
    for images in (blurred, noisy):
        figures = [brisque(np.clip(image.round(), 0, 255).astype(np.uint8)) for image in images]
        assert None not in figures
        assert figures == sorted(figures)


@needs_model
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_flat_image_has_no_brisque(level: int) -> None:
    assert brisque(np.full((64, 64, 3), level, np.uint8)) is None


@needs_model
def test_the_same_image_has_the_same_brisque_wherever_it_lies_in_memory() -> None:
    figures = {brisque(np.pad(PHOTO, ((0, 0), (start, 0), (0, 0)))[:, start:]) for start in range(4)}
    assert len(figures) == 1


def test_a_missing_model_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brisque", None)
    with pytest.raises(MissingWeights, match="pip install --no-deps brisque"):
        module._model_file()
