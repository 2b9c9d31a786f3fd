"""What is a coordinate, a distance or an index is computed in float32 also under bfloat16 autocast.

Each case is a function of tensors, made with its weights; what it gives within and without autocast must be equal, not
only close: float32 operations do not change there. Features are rounded to bfloat16 first, as other layers give them.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from facerefs.stages.engines.parsing.parser import LABELS, Parser
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.geometry.flow import backward_warp
from facerefs.trainers.geometry.rois import roi_align
from facerefs.trainers.geometry.similarity import move_images, move_points, random_similarities
from facerefs.trainers.geometry.sizes import before_enlargement
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.losses.attention import attention_reconstruction
from facerefs.trainers.masks.mask import FaceMask, load_face_mask
from facerefs.trainers.models.ented import PRESETS as ENTED
from facerefs.trainers.models.ented import LatentRefinement
from facerefs.trainers.models.landmarks import Landmarks, find_landmarks
from facerefs.trainers.models.rpf.warping import Warping
from facerefs.trainers.networks.attention import Distribution, Extraction
from facerefs.trainers.networks.critic import Critic
from facerefs.trainers.networks.dictionary import Dictionary
from facerefs.trainers.networks.fan import FanNetwork
from facerefs.trainers.networks.heatmaps import HeatmapNet, divergence, points_of
from facerefs.trainers.networks.quantise import Codebook, nearest, quantise
from tests.trainers.faces import frontal_face


def autocast() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def features(*shape: int) -> Tensor:
    """Random features, rounded as a layer gives them in bfloat16."""
    return torch.randn(*shape).bfloat16().float()


def points(count: int = 2) -> Tensor:
    return frontal_face(32).float().expand(count, -1, -1) + torch.randn(count, 68, 2)


# --- Layers whose outputs are read as numbers ---


def read_layers() -> dict[str, Callable[[], tuple[nn.Module, str, list[Tensor]]]]:
    """Networks, the layer of each whose output is read as a number, and what the network gets."""
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    ented = replace(ENTED["tiny"].shape, size_px=32, channels=16, style_dim=16, kernels=(4, 4, 4))

    def content() -> tuple[nn.Module, str, list[Tensor]]:
        return replace(ENTED["tiny"], shape=ented).networks()["generator"], "to_code", [images, images]

    def fan() -> tuple[nn.Module, str, list[Tensor]]:
        last = FanNetwork(keep_statistics=False).network.get_submodule("l3")  # alone, as the network is slow
        return nn.Sequential(last), "0", [features(1, 256, 8, 8)]

    return {
        "flow of RPF": lambda: (Warping(32, 8), "flow", [images[..., ::2, ::2], images]),
        "score of a critic of RPF": lambda: (Critic(32, 8), "score", [images]),
        "heat maps": lambda: (HeatmapNet((16, 16), 4), "head", [images]),
        "heat maps of FAN": fan,
        "content of ENTED, whose nearest code is looked for": content,
    }


@pytest.mark.parametrize("name", list(read_layers()))
def test_a_layer_that_is_read_as_a_number_computes_in_float32(name: str) -> None:
    torch.manual_seed(3)
    network, place, inputs = read_layers()[name]()
    layer, passed = network.get_submodule(place), []
    nn.init.normal_(layer.weight)
    handle = layer.register_forward_hook(lambda _layer, given, found: passed.append((given[0], found)))
    with torch.no_grad():
        with autocast():
            network(*inputs)
        handle.remove()
        (given, found), *_ = passed
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, layer(given.float()), rtol=1e-6, atol=1e-6)


def test_large_motion_of_rpf_takes_as_many_values_as_in_float32() -> None:
    torch.manual_seed(4)
    warping = Warping(64, 8)
    nn.init.normal_(warping.flow.weight, std=0.01)
    nn.init.constant_(warping.flow.bias, 70.0)
    image, reference = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = warping(image, reference)
        with autocast():
            found = warping(image, reference)
    assert 64 < expected.min() < expected.max() < 128  # where bfloat16 has steps of 0.5 px
    assert found.unique().numel() > 0.9 * expected.unique().numel() > 4_000
    assert (found - expected).abs().max() < 0.05 * (expected - 70).abs().max()


# --- What is computed from them ---


def cases() -> dict[str, Callable[[], Callable[[], list[Tensor]]]]:
    """Functions that draw weights and inputs, and return what is to be computed twice."""
    images, codes = features(2, 3, 32, 32), torch.randn(16, 8)

    def of_codes(made: Tensor, image: Tensor) -> list[Tensor]:
        found = quantise(made, codes)
        return [nearest(image, codes), found.chosen, found.codes, found.to_codes, found.to_features]

    def observed() -> Callable[[], list[Tensor]]:
        seen, codebook = features(2, 8, 4, 4), Codebook(16, 8)

        def run() -> list[Tensor]:
            torch.manual_seed(0)
            book = deepcopy(codebook)
            book.observe(seen)
            book.update(Distributed())
            return [book.codes, book.counts]

        return run

    def noted() -> Callable[[], list[Tensor]]:
        seen = torch.randn(2, 8, 4, 4)

        def run() -> list[Tensor]:
            torch.manual_seed(0)
            dictionary = Dictionary(4, 8, 16)
            dictionary.note(seen, 16)
            dictionary.estimate(Distributed())
            return [dictionary.codes]

        return run

    def transferred() -> Callable[[], list[Tensor]]:
        extract, distribute = Extraction(8, 4), Distribution(8, 4)
        taken_from, laid_on, textures = features(2, 8, 8, 8), features(2, 8, 8, 8), features(2, 4, 8)
        return lambda: [extract(taken_from)[1], distribute(laid_on, textures)[1]]

    def reconstructed() -> Callable[[], list[Tensor]]:
        taken, laid = torch.rand(2, 4, 64).softmax(2), torch.rand(2, 4, 64).softmax(1)
        return lambda: [attention_reconstruction(images, images.flip(3), {8: taken}, {8: laid})]

    def refined() -> Callable[[], list[Tensor]]:
        refine, content, reference = LatentRefinement(8, 8, True), features(2, 8, 4, 4), features(2, 8, 4, 4)
        nn.init.ones_(refine.content_gamma)
        return lambda: [refine(content, reference)]

    def found_points() -> Callable[[], list[Tensor]]:
        logits, truth = 20 * features(2, 68, 8, 8), points()
        return lambda: [points_of(logits, 4), divergence(logits, truth, 4)]

    def finder() -> Callable[[], list[Tensor]]:
        model = Landmarks(size_px=32, widths=(16, 16), stride=4)
        networks = model.networks()
        seen = torch.rand(2, 3, 64, 64)
        return lambda: [find_landmarks(model, networks, seen)]

    def moved() -> Callable[[], list[Tensor]]:
        seen, places = torch.rand(2, 3, 32, 32), points()

        def run() -> list[Tensor]:
            torch.manual_seed(0)
            transforms = random_similarities(2, 32, 0.1, 0.1, 20.0, torch.device("cpu"))
            return [transforms, move_points(places, transforms), move_images(seen, transforms)]

        return run

    def warped() -> Callable[[], list[Tensor]]:
        one, other, flow = points(), points(), 70 * torch.randn(2, 2, 32, 32)
        return lambda: [*warp_for(32)(images.float(), one, other), backward_warp(images, flow)]

    def masked() -> Callable[[], list[Tensor]]:
        parser, places = Parser(nn.Conv2d(3, len(LABELS), 3), side_px=32), points()
        by_parser = FaceMask("", lambda seen, _points: parser.labels(seen))
        return lambda: [load_face_mask("", "cpu")(images, places), by_parser(images, places)]

    def cropped() -> Callable[[], list[Tensor]]:
        boxes = torch.tensor([[3.3, 4.1, 17.9, 20.2]]).expand(2, 1, 4)
        return lambda: [roi_align(images, boxes, 8, 8), before_enlargement(images, 8)]

    def chosen() -> Callable[[], list[Tensor]]:
        made, vectors = features(2, 8, 4, 4), features(2, 4, 4, 8)
        return lambda: of_codes(made, vectors)

    return {
        "codes of RDFR and ENTED": chosen,
        "moving codes of RDFR": observed,
        "k-means of ENTED": noted,
        "attention of ENTED": transferred,
        "attention reconstruction of ENTED": reconstructed,
        "cross-attention of ENTED": refined,
        "soft-argmax of landmarks": found_points,
        "finder of landmarks": finder,
        "moved faces of landmarks": moved,
        "thin-plate splines and flow": warped,
        "face masks": masked,
        "regions of the pose-varied network, input of RPF": cropped,
    }


@pytest.mark.parametrize("name", list(cases()))
def test_coordinates_distances_and_indices_are_those_of_float32(name: str) -> None:
    torch.manual_seed(5)
    run = cases()[name]()
    with torch.no_grad():
        expected = run()
        with autocast():
            found = run()
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other), (one.double() - other.double()).abs().max().item()
