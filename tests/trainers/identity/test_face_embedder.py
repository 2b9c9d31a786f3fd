"""Embedders as a whole: the engines' embeddings and names, gradients, frozen and in float32, and telling others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facerefs.stages.engines.dlib import DlibResnet
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.insightface import ArcFace
from facerefs.stages.engines.weights import DLIB_EMBEDDER, find_dlib_weights
from facerefs.trainers.identity.embedder import IdentityEmbedder, check_same, load_embedder
from facerefs.trainers.losses.distances import identity_loss
from tests.trainers.identity.conftest import Faces
from tests.trainers.identity.onnx_embedder import write_embedder


@pytest.fixture(scope="module")
def dlibs() -> IdentityEmbedder:
    return load_embedder("dlib", "cpu")


@pytest.fixture(scope="module")
def engines_embeddings(aligned_faces: Faces) -> Tensor:
    engine = DlibResnet()
    faces = zip(aligned_faces.pixels, aligned_faces.points, strict=True)
    return torch.from_numpy(np.stack([engine.embed_chips([engine.chip(*face)])[0] for face in faces]))


def embed(embedder: IdentityEmbedder, faces: Faces) -> Tensor:
    with torch.no_grad():
        return embedder(faces.images, faces.landmarks)


def test_dlibs_embedder_gives_unit_vectors_near_the_engines(
    dlibs: IdentityEmbedder, aligned_faces: Faces, engines_embeddings: Tensor
) -> None:
    found = embed(dlibs, aligned_faces)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert (found * engines_embeddings).sum(dim=1).min() > 0.998
    assert (found @ engines_embeddings.T).min() < 0.95  # the faces differ


def test_names_and_dimensions_are_those_of_the_engines(dlibs: IdentityEmbedder, tmp_path: Path) -> None:
    assert (dlibs.name, dlibs.dimensions) == (DlibResnet().name, 128)
    copy = tmp_path / "my_weights.dat"
    copy.symlink_to(find_dlib_weights(None, DLIB_EMBEDDER))
    assert load_embedder(str(copy), "cpu").name == DlibResnet(str(copy)).name
    file = str(write_embedder(tmp_path / "small.onnx"))
    arcface = load_embedder(file, "cpu")
    assert (arcface.name, arcface.dimensions) == (ArcFace(file, "cpu").name, 16)


@pytest.mark.parametrize("setting", ["none.dat", "none.onnx", "no_such_pack"])
def test_weights_that_are_not_there_end_in_a_sentence(setting: str) -> None:
    with pytest.raises(MissingWeights, match=setting):
        load_embedder(setting, "cpu")


@pytest.mark.parametrize("of", ["dlib", "arcface"])
def test_gradients_are_those_of_finite_differences(of: str, aligned_faces: Faces, tmp_path: Path) -> None:
    setting = "dlib" if of == "dlib" else str(write_embedder(tmp_path / "small.onnx"))
    embedder = load_embedder(setting, "cpu").double()
    images = aligned_faces.images[:1].double()
    landmarks = aligned_faces.landmarks[:1].double()
    other = torch.nn.functional.normalize(torch.randn(1, embedder.dimensions, dtype=torch.float64))
    step = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(images: Tensor) -> Tensor:
        crops = embedder._crop(images, landmarks)
        return (torch.nn.functional.normalize(embedder._network(crops)) * other).sum()

    images.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(images), images)
    with torch.no_grad():
        expected = (loss(images + 1e-7 * step) - loss(images - 1e-7 * step)) / 2e-7
    assert expected.abs() > 1e-4
    torch.testing.assert_close((gradient * step).sum(), expected, rtol=1e-3, atol=0)


def test_a_face_moved_along_the_gradient_becomes_more_like_the_person(
    dlibs: IdentityEmbedder, aligned_faces: Faces
) -> None:
    person = embed(dlibs, aligned_faces)[1:2]
    image, landmarks = aligned_faces.images[:1].clone().requires_grad_(), aligned_faces.landmarks[:1]
    optimiser = torch.optim.Adam([image], lr=0.01)
    losses = []
    for _ in range(6):
        loss = identity_loss(dlibs(image, landmarks), person)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0] / 2


def test_autocast_changes_nothing(dlibs: IdentityEmbedder, aligned_faces: Faces) -> None:
    expected = embed(dlibs, aligned_faces)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = embed(dlibs, aligned_faces)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_embedder_is_frozen_also_within_a_network_that_learns(dlibs: IdentityEmbedder) -> None:
    whole = torch.nn.ModuleList([dlibs]).train()
    assert not any(module.training for module in dlibs.modules())
    assert not any(parameter.requires_grad for parameter in whole.parameters())


def test_shards_of_the_same_embedder_pass(
    dlibs: IdentityEmbedder, aligned_faces: Faces, engines_embeddings: Tensor
) -> None:
    stored = engines_embeddings.clone()
    check_same(dlibs, aligned_faces.images, aligned_faces.landmarks, stored)
    stored[0] = 0  # no embedding
    check_same(dlibs, aligned_faces.images, aligned_faces.landmarks, stored)
    check_same(dlibs, aligned_faces.images, aligned_faces.landmarks, torch.zeros(4, 128))


def test_shards_of_another_embedder_are_refused_in_a_sentence(
    dlibs: IdentityEmbedder, aligned_faces: Faces, engines_embeddings: Tensor
) -> None:
    images, landmarks = aligned_faces.images, aligned_faces.landmarks
    with pytest.raises(ValueError, match="the shards hold no embeddings"):
        check_same(dlibs, images, landmarks, torch.zeros(4, 0))
    with pytest.raises(ValueError, match="embeddings have 512 numbers, those of dlib-resnet-128 128"):
        check_same(dlibs, images, landmarks, torch.ones(4, 512))
    with pytest.raises(
        ValueError, match=r"other embeddings than the shards hold \(median cosine -?0\.\d\d\)"
    ):
        check_same(dlibs, images, landmarks, engines_embeddings.flip(1))
    with pytest.raises(ValueError, match="median cosine nan"):
        check_same(dlibs, images, landmarks, torch.full((4, 128), torch.nan))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_gives_the_embeddings_of_the_cpu(dlibs: IdentityEmbedder, aligned_faces: Faces) -> None:
    on_gpu = load_embedder("dlib", "cuda")
    found = on_gpu(aligned_faces.images.cuda(), aligned_faces.landmarks.cuda()).cpu()
    torch.testing.assert_close(found, embed(dlibs, aligned_faces), rtol=0, atol=5e-3)
