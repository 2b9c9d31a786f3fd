"""Inception is pytorch-fid's, to the last layer, and reads its file."""

from pathlib import Path

import pytest
import torch

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.quality.torchvision_compat import import_torchvision
from facerefs.trainers.networks.inception import FEATURES
from facerefs.trainers.weights.inception import FILE, load_inception


def test_random_weights_give_features() -> None:
    images = torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = load_inception("random")(images)
    assert made.shape == (1, FEATURES)
    assert made.isfinite().all()


def test_missing_weights_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights, match=rf"{FILE} are not there: `curl .*pytorch-fid/releases"):
        load_inception("cache")
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    with pytest.raises(MissingWeights, match="holds no weights of FID's Inception: it has no Conv2d_1a_3x3"):
        load_inception(str(other))


def test_pytorch_fid_has_the_same_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchvision()
    theirs = pytest.importorskip("pytorch_fid.inception")
    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda *_args, **_words: None)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_args, **_words: None)
    torch.manual_seed(0)
    network = theirs.fid_inception_v3()
    monkeypatch.undo()
    for name, values in network.state_dict().items():
        if values.is_floating_point() and "bn" in name:
            low = 0.7 if name.endswith(("bn.weight", "running_var")) else -0.1
            values.uniform_(low, low + 0.6)
    torch.save(network.state_dict(), tmp_path / FILE)
    monkeypatch.setattr(theirs, "fid_inception_v3", lambda: network)
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        expected = theirs.InceptionV3([3]).eval()(images)[0][..., 0, 0]
    found = load_inception(str(tmp_path / FILE))(images * 2 - 1)
    assert torch.allclose(found, expected, atol=1e-5)
