"""The face parsers of a build: BiSeNet's classes as a mask, and where the hull stands in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.load import load_parsers
from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.stages.engines.parsing.parser import LABELS, NON_FACIAL, read_parser
from tests.stages.engines.parsing.literal_bisenet import drawn_tensors
from tests.trainers.faces import frontal_face

SIDE_PX = 96
POINTS = frontal_face(SIDE_PX)[0].float().numpy()


def saved(path: Path, tensors: dict[str, Tensor]) -> str:
    torch.save(tensors, path)
    return str(path)


def always(tensors: dict[str, Tensor], label: str) -> dict[str, Tensor]:
    """Weights of a parser that sees this label everywhere: the others have the negative of its scores, which are
    sums of what is above 0."""
    head = torch.full_like(tensors["conv_out.conv_out.weight"], -1.0)
    head[LABELS.index(label)] = 1.0
    return tensors | {"conv_out.conv_out.weight": head}


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return drawn_tensors()


@pytest.fixture
def face() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)


def test_the_mask_is_that_of_training_by_the_same_weights(
    tmp_path: Path, tensors: dict[str, Tensor], face: np.ndarray
) -> None:
    weights = saved(tmp_path / "mine.pth", tensors)
    parser, hull = load_parsers("bisenet", weights, "cpu")
    assert (parser.name, hull.name) == ("bisenet:mine", "hull")
    images = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = read_parser(Path(weights), NON_FACIAL)(images)[0, 0].numpy() * 255
    inner = face_hull(torch.from_numpy(POINTS)[None], SIDE_PX, SIDE_PX, forehead=0)[0, 0].bool().numpy()
    mask = parser.mask(face, POINTS)
    if expected[inner].mean() < 255 / 4:
        assert mask is None
    else:
        assert mask is not None
        assert np.array_equal(mask, expected)
        assert mask.dtype == np.uint8


@pytest.mark.parametrize(("label", "finds"), [("skin", True), ("hair", False), ("background", False)])
def test_a_parse_without_a_face_is_left_to_the_hull(
    tmp_path: Path, tensors: dict[str, Tensor], face: np.ndarray, label: str, finds: bool
) -> None:
    parser, hull = load_parsers("bisenet", saved(tmp_path / "one.pth", always(tensors, label)), "cpu")
    mask = parser.mask(face, POINTS)
    assert (mask is not None) == finds
    assert mask is None or (mask == 255).all()
    stands_in = hull.mask(face, POINTS)
    assert stands_in is not None
    assert np.array_equal(
        stands_in, face_hull(torch.from_numpy(POINTS)[None], SIDE_PX, SIDE_PX)[0, 0].numpy() * 255
    )


def test_no_parser_and_files_of_something_else(tmp_path: Path) -> None:
    assert load_parsers("none", None, "cpu") == ()
    with pytest.raises(MissingWeights, match=r"x\.pth holds no weights of a face parser"):
        load_parsers("bisenet", saved(tmp_path / "x.pth", {"a": torch.zeros(1)}), "cpu")
