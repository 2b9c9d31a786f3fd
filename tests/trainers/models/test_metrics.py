"""Metrics that want weights or a package are computed where these are, and said to be missing where they are not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.quality.niqe import niqe
from facerefs.trainers.losses.lpips import Lpips
from facerefs.trainers.models.common.metrics import load_metrics, niqe_scores
from facerefs.trainers.networks.features import ALEXNET, Features
from facerefs.trainers.weights.imagenet import draw_weights

CPU = torch.device("cpu")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def alexnet_file(path: Path) -> Path:
    """Weights of AlexNet as torchvision stores them, but random."""
    network = Features(ALEXNET, ["relu5"])
    draw_weights(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def test_what_is_not_in_the_cache_is_not_computed_and_a_note_says_how_to_get_it(cache: Path) -> None:
    metrics = load_metrics(64, CPU, "cache")
    assert not metrics.lpips
    for net, file in (("alex", "alexnet-owt-7be5be79.pth"), ("vgg", "vgg16-397923af.pth")):
        (note,) = [note for note in metrics.notes if f"lpips_{net}" in note]
        assert note.startswith(
            f"metric lpips_{net} is not computed: the weights {cache / file} are not there"
        )
        assert "curl" in note
    assert any("identity are not computed" in note for note in metrics.notes)


def test_what_is_in_the_cache_is_computed_beside_what_the_losses_have_loaded(cache: Path) -> None:
    alexnet_file(cache / "alexnet-owt-7be5be79.pth")
    vgg = Lpips("vgg", "random")
    metrics = load_metrics(64, CPU, "cache", loaded={"vgg": vgg})
    assert set(metrics.lpips) == {"alex", "vgg"}
    assert metrics.lpips["vgg"] is vgg
    one, other = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    assert torch.equal(metrics.lpips["alex"](one, other), Lpips("alex", "random")(one, other))
    assert [note for note in metrics.notes if "lpips" in note] == [
        f"metric lpips_alex: LPIPS by AlexNet: weights of {cache / 'alexnet-owt-7be5be79.pth'}"
    ]


def test_a_path_is_alexnet_s_and_must_be_there(tmp_path: Path) -> None:
    metrics = load_metrics(64, CPU, str(alexnet_file(tmp_path / "alex.pth")))
    assert set(metrics.lpips) == {"alex"}
    assert any(note.startswith("metric lpips_vgg is not computed: ") for note in metrics.notes)
    with pytest.raises(MissingWeights, match=r"no\.pth"):
        load_metrics(64, CPU, "no.pth")


def test_empty_leaves_lpips_out_and_says_so() -> None:
    metrics = load_metrics(64, CPU, "")
    assert not metrics.lpips
    assert "metric lpips_alex is not computed: weights.lpips is empty" in metrics.notes


def test_small_faces_have_no_niqe_and_smaller_ones_no_lpips() -> None:
    assert set(load_metrics(16, CPU, "random").lpips) == {"vgg"}
    for size_px, computed in ((64, False), (128, False), (256, True)):
        metrics = load_metrics(size_px, CPU, "")
        assert metrics.niqe is computed
        assert (
            any("niqe is not computed: it wants faces of 192 px" in note for note in metrics.notes)
            is not computed
        )


def test_niqe_is_the_one_of_a_build_and_nan_where_it_is_undefined() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    faces = torch.from_numpy(np.stack([photo, np.full_like(photo, 128)])).permute(0, 3, 1, 2)
    found = niqe_scores(faces.float() / 127.5 - 1)
    assert found[0].item() == niqe(photo)
    assert found[1].isnan()
