"""k-means and the dictionary that it fills: centres of clusters, the same each time, alike on all ranks."""

import importlib.util

import pytest
import torch
from torch import Tensor

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.networks.dictionary import Dictionary
from facerefs.trainers.networks.kmeans import kmeans


def clusters(count: int = 6, each: int = 20, channels: int = 4) -> tuple[Tensor, Tensor]:
    """Vectors around centres that lie far apart, and these centres."""
    torch.manual_seed(1)
    centres = 10 * torch.eye(count, channels) + 20 * torch.arange(count)[:, None]
    vectors = (centres[:, None] + 0.1 * torch.randn(count, each, channels)).flatten(0, 1)
    return vectors[torch.randperm(len(vectors))], centres


@pytest.mark.parametrize("count", [1, 8])
def test_centres_are_the_means_of_all_their_vectors(count: int) -> None:
    torch.manual_seed(2)
    vectors = torch.randn(300, 3)
    found = kmeans(vectors, count, iterations=200)  # until nothing changes
    chosen = torch.cdist(vectors, found).argmin(1)
    for number in range(count):
        torch.testing.assert_close(found[number], vectors[chosen == number].mean(0), rtol=0, atol=1e-4)


def test_each_cluster_has_a_centre() -> None:
    vectors, centres = clusters()
    assert torch.cdist(centres, kmeans(vectors, 12)).min(1).values.max() < 1


def test_it_is_near_the_best_that_lloyd_finds() -> None:
    torch.manual_seed(3)
    vectors = torch.randn(300, 5)

    def distance(centres: Tensor) -> float:
        return torch.cdist(vectors, centres).min(1).values.square().mean().item()

    def lloyd() -> Tensor:
        centres = vectors[torch.randperm(300)[:16]]
        for _ in range(25):
            nearest = torch.cdist(vectors, centres).argmin(1)
            centres = torch.stack([vectors[nearest == k].mean(0) for k in range(16)])
        return centres

    tries = [distance(lloyd()) for _ in range(5)]
    assert distance(kmeans(vectors, 16)) < 1.05 * max(tries)


def test_the_seed_of_torch_decides_and_nothing_else() -> None:
    vectors = torch.randn(200, 4, generator=torch.Generator().manual_seed(4))
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append(kmeans(vectors, 16))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_it_says_nothing_of_few_vectors(capfd: pytest.CaptureFixture[str]) -> None:
    assert kmeans(torch.randn(20, 4), 16).shape == (16, 4)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (torch.randn(3, 2), "3 vectors have no 4 centres"),
        (torch.full((9, 2), torch.nan), "no finite numbers"),
    ],
)
def test_what_cannot_be_clustered_is_said_in_a_sentence(vectors: Tensor, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        kmeans(vectors, 4)


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "facerefs.trainers.networks.kmeans.find_spec", lambda name: None if name == "faiss" else there(name)
    )
    with pytest.raises(ValueError, match="pip install faiss-cpu"):
        kmeans(torch.randn(9, 2), 4)


def test_the_reservoir_holds_the_newest_features() -> None:
    dictionary = Dictionary(codes=2, channels=3, reservoir=5)
    for number in range(1, 5):  # two places of each, so that the first and half of the second are gone
        dictionary.note(torch.full((2, 3, 4, 4), float(number)), 2)
    assert dictionary.noted == 8
    assert sorted(dictionary.reservoir[:, 0].tolist()) == [2, 3, 3, 4, 4]


def test_features_are_noted_at_places_by_chance_and_whole() -> None:
    torch.manual_seed(7)
    dictionary = Dictionary(codes=2, channels=2, reservoir=400)
    features = torch.arange(2 * 8 * 8.0).view(2, 1, 8, 8)
    dictionary.note(torch.cat([features, -features], 1), 400)
    assert torch.equal(dictionary.reservoir[:, 0], -dictionary.reservoir[:, 1])
    assert set(dictionary.reservoir[:, 0].tolist()) <= set(range(128))
    assert len(set(dictionary.reservoir[:, 0].tolist())) > 100  # of 128, 400 draws leave some 5 out


def test_the_estimated_codes_are_centres_of_the_reservoir_and_used_from_then_on() -> None:
    vectors, centres = clusters()
    dictionary = Dictionary(codes=12, channels=4, reservoir=len(vectors))
    dictionary.reservoir.copy_(vectors)
    assert not dictionary.used
    dictionary.estimate(Distributed())
    assert dictionary.used
    assert torch.cdist(centres, dictionary.codes).min(1).values.max() < 1


def test_a_broken_reservoir_leaves_no_rank_waiting() -> None:
    dictionary = Dictionary(codes=4, channels=2, reservoir=8)
    dictionary.reservoir.fill_(torch.nan)
    dictionary.estimate(Distributed())
    assert torch.isfinite(dictionary.codes).all()


def test_other_ranks_take_the_codes_of_the_first() -> None:
    theirs = torch.randn(4, 2)

    class Second(Distributed):
        def from_first_(self, tensor: Tensor) -> None:
            tensor.copy_(theirs)

    dictionary = Dictionary(codes=4, channels=2, reservoir=8)
    dictionary.estimate(Second(rank=1, world_size=2))
    assert dictionary.used
    assert torch.equal(dictionary.codes, theirs)
