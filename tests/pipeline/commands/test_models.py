"""`facerefs models`: what the catalogue holds, told without computing."""

import resource

import pytest
import torch

from facerefs.pipeline.commands.models import COLUMNS, lines_of, print_models
from facerefs.pipeline.errors import UserError
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.common.sizes import sizes_of
from facerefs.trainers.models.model import Restorer
from tests.pipeline.restoring.toy_restorer import Toy


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "toy", "tests.pipeline.restoring.toy_restorer")


@pytest.mark.parametrize("preset", ["paper", "tiny"])
def test_every_model_of_the_catalogue_is_told_whole(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print_models(preset)
    said = capsys.readouterr().out
    for name in MODULES:
        assert f"\n{name}\n    " in said
    assert said.count("M weights: ") == len(MODULES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB: nothing was allocated


@pytest.mark.parametrize("name", MODULES)
def test_a_restorer_makes_a_face_of_its_side_and_the_counts_are_those_of_its_networks(name: str) -> None:
    model = presets(name)["tiny"]
    sizes = sizes_of(model)
    counts = {key: sum(p.numel() for p in net.parameters()) for key, net in model.networks().items()}
    assert sizes.parameters == counts
    side = model.size_px
    assert sizes.output == ((1, 3, side, side) if isinstance(model, Restorer) else None)
    assert (sizes.operations is not None) is isinstance(model, Restorer)


def test_refine_has_the_sizes_of_its_paper() -> None:
    (line,) = (line for line in lines_of("paper") if line.name == "refine")
    assert line.about.startswith("ReFine: Chong et al.")
    told = dict(zip(COLUMNS[1:], line.figures, strict=True))
    assert told == {
        "restores": "with 1 reference", "side": "512 px", "degradation": "refine", "batch": "4", "steps": "800,000",
    }  # fmt: skip
    assert "generator 44.73 M, discriminator 28.98 M; makes 1 x 3 x 512 x 512" in line.sizes


def test_a_blind_model_of_several_outputs_is_told_so(toy: None) -> None:
    toy_line = lines_of("paper")[-1]
    assert toy_line.figures[0] == "blind, several outputs"
    assert toy_line.about == (
        "A blind restorer small enough for a blink, which makes another face each time by noise that it adds."
    )


def test_what_cannot_be_built_is_told_and_not_hidden(toy: None, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {line.name: line for line in lines_of("broken")}
    assert lines["toy"].sizes == "cannot be built: toys break"
    assert lines["refine"].sizes == "it has no such preset"
    print_models("broken")
    assert "refine\n" in capsys.readouterr().out


def test_an_unknown_preset_is_one_sentence() -> None:
    with pytest.raises(UserError, match="no model has a preset 'huge': choose paper, tiny"):
        lines_of("huge")


def test_nothing_is_drawn() -> None:
    torch.manual_seed(0)
    sizes_of(Toy())
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(1))


def test_numbered_networks_are_told_together() -> None:
    (line,) = (line for line in lines_of("tiny") if line.name == "rpf")
    counts = sizes_of(presets("rpf")["tiny"]).parameters
    warping = sum(count for name, count in counts.items() if name.startswith("warping_"))
    assert f" warping_* {warping / 1e6:.2f} M," in line.sizes
    assert "_1" not in line.sizes
