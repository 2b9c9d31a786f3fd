"""Quantisation against loops over places and codes, and codebooks that are the same on all ranks."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facerefs.trainers.distributed import Distributed
from facerefs.trainers.networks.quantise import Codebook, nearest, quantise
from tests.trainers.loop.test_ranks import in_two_processes


def literal(features: Tensor, codes: Tensor) -> Tensor:
    """Which code each place takes, by a loop over all of them."""
    batch, _, height, width = features.shape
    chosen = torch.zeros(batch, height, width, dtype=torch.int64)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                distances = [float((features[b, :, y, x] - code).square().sum()) for code in codes]
                chosen[b, y, x] = distances.index(min(distances))
    return chosen


def test_each_place_takes_its_nearest_code() -> None:
    torch.manual_seed(0)
    features, codes = torch.randn(2, 5, 3, 4), torch.randn(9, 5)
    made = quantise(features, codes)
    chosen = literal(features, codes)
    assert torch.equal(made.chosen, chosen)
    assert made.codes.shape == features.shape
    for b, y, x in [(0, 0, 0), (1, 2, 3), (0, 1, 2)]:
        assert torch.equal(made.codes[b, :, y, x], codes[chosen[b, y, x]])
    assert torch.equal(made.features, made.codes)


def test_the_first_of_equal_codes_is_taken() -> None:
    codes = torch.tensor([[4.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 2.0], [2.0, 0.0]])
    assert nearest(torch.tensor([[1.0, 1.0], [1.0, 2.0], [3.0, 0.0]]), codes).tolist() == [1, 1, 0]


def test_gradients_pass_straight_through_to_the_features_and_not_to_the_codes() -> None:
    torch.manual_seed(1)
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    codes = torch.randn(6, 4, requires_grad=True)
    weight = torch.randn(2, 4, 3, 3)
    (quantise(features, codes).features * weight).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, weight)
    assert codes.grad is None


def test_each_half_of_the_loss_moves_only_its_own_side() -> None:
    torch.manual_seed(2)
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    codes = torch.randn(6, 4, requires_grad=True)
    chosen = literal(features.detach(), codes.detach())
    error = features.detach() - codes.detach()[chosen].permute(0, 3, 1, 2)

    made = quantise(features, codes)
    assert made.to_features.item() == pytest.approx(error.square().mean().item())
    assert made.to_codes.item() == pytest.approx(error.square().mean().item())
    by_features, by_codes = torch.autograd.grad(made.to_features, [features, codes], allow_unused=True)
    assert by_codes is None
    assert torch.allclose(by_features, 2 * error / error.numel(), atol=1e-6)

    by_features, by_codes = torch.autograd.grad(
        quantise(features, codes).to_codes, [features, codes], allow_unused=True
    )
    assert by_features is None
    expected = torch.zeros(6, 4)
    for place, number in zip(error.permute(0, 2, 3, 1).flatten(0, 2), chosen.flatten(), strict=True):
        expected[number] -= 2 * place / error.numel()
    assert torch.allclose(by_codes, expected, atol=1e-6)


def test_distances_are_exact_under_autocast() -> None:
    torch.manual_seed(3)
    features = torch.randn(1, 8, 4, 4) + 20
    codes = features[0].flatten(1).t() + 1e-3 * torch.randn(16, 8)  # that bfloat16 could not tell apart
    with torch.autocast("cpu", torch.bfloat16):
        made = quantise(features, codes)
        assert made.to_features.dtype == made.to_codes.dtype == torch.float32
    assert torch.equal(made.chosen, literal(features, codes))
    assert quantise(features.bfloat16(), codes).features.dtype == torch.bfloat16


ALONE = Distributed()


def _begun(count: int, channels: int, **settings: float) -> Codebook:
    """A codebook after its first update."""
    torch.manual_seed(4)
    codebook = Codebook(count, channels, **settings)
    codebook.observe(torch.randn(2, channels, 4, 4))
    codebook.update(ALONE)
    return codebook


def test_the_first_features_are_the_first_codes() -> None:
    torch.manual_seed(5)
    codebook = Codebook(12, 3)
    features = 5 + torch.randn(2, 3, 4, 4)
    codebook.observe(features)
    codebook.update(ALONE)
    vectors = features.permute(0, 2, 3, 1).flatten(0, 2)
    distances = (codebook.codes[:, None] - vectors).abs().amax(2)
    assert distances.min(1).values.max() < 1e-5
    assert len(distances.argmin(1).unique()) == 12
    assert codebook.perplexity.item() == pytest.approx(12)


def test_codes_are_moving_averages_of_their_features() -> None:
    """Appendix A.1, code by code: N <- g N + (1 - g) n; m <- g m + (1 - g) sum; e = m / N, N smoothed."""
    codebook = _begun(5, 3, decay=0.8, least=0.0, smoothing=0.01)
    counts, sums, codes = codebook.counts.tolist(), list(codebook.sums.clone()), codebook.codes.clone()
    for seed in range(3):
        torch.manual_seed(seed)
        features = torch.randn(2, 3, 4, 4)
        chosen = literal(features, codes)
        places = list(zip(features.permute(0, 2, 3, 1).flatten(0, 2), chosen.flatten(), strict=True))
        codes = torch.empty(5, 3)
        for k in range(5):
            own = [place for place, number in places if number == k]
            counts[k] = 0.8 * counts[k] + 0.2 * len(own)
            sums[k] = 0.8 * sums[k] + 0.2 * sum(own, torch.zeros(3))
        for k in range(5):
            smoothed = (counts[k] + 0.01) / (sum(counts) + 5 * 0.01) * sum(counts)
            codes[k] = sums[k] / smoothed
        codebook.observe(features[:1])  # in two portions, as accumulated batches come
        codebook.observe(features[1:])
        codebook.update(ALONE)
        assert torch.allclose(codebook.codes, codes, atol=1e-4)
    share = torch.tensor(counts) / sum(counts)
    assert codebook.perplexity.item() == pytest.approx((-(share * share.log()).sum()).exp().item(), rel=1e-4)


def test_features_are_summed_exactly_under_autocast() -> None:
    features = torch.randn(2, 3, 4, 4)
    one, other = _begun(5, 3), _begun(5, 3)
    one.observe(features)
    with torch.autocast("cpu", torch.bfloat16):
        other.observe(features)
    assert torch.equal(one.seen_sums, other.seen_sums)


def test_a_code_that_is_hardly_used_is_laid_onto_a_feature() -> None:
    codebook = _begun(6, 3, decay=0.9, least=0.5)
    codebook.codes[2] = 100.0  # where no feature is
    codebook.counts.fill_(32 / 6)  # as many as come with each update
    codebook.sums.copy_(codebook.codes * 32 / 6)
    for updates in range(1, 8):
        codebook.observe(torch.randn(2, 3, 4, 4))
        codebook.update(ALONE)
        assert bool(codebook.codes[2].max() > 50) is (0.9**updates > 0.5)
    assert codebook.codes.abs().max() < 5
    assert codebook.counts[2] >= 0.5 * codebook.counts.mean()


def test_what_is_only_quantised_moves_nothing() -> None:
    codebook = _begun(6, 3)
    before = copy.deepcopy(codebook.state_dict())
    codebook(torch.randn(2, 3, 4, 4))
    assert all(torch.equal(before[name], value) for name, value in codebook.state_dict().items())
    assert set(before) == {"codes", "counts", "sums"}
    assert not list(codebook.parameters())


def _features(step: int, rank: int) -> Tensor:
    torch.manual_seed(100 + 10 * step + rank)
    return torch.randn(2, 3, 4, 4)


def _train(ranks: Distributed, folder: Path) -> None:
    torch.manual_seed(6)
    codebook = Codebook(24, 3, decay=0.8, least=0.4)
    revived = 0
    for step in range(6):
        codebook.observe(_features(step, ranks.rank))  # also draws other features to begin and revive from
        counts = codebook.counts.clone()
        torch.manual_seed(step)  # as the loop does
        codebook.update(ranks)
        ranks.check_same([codebook])
        revived += int((codebook.counts == codebook.counts.mode().values).sum()) if counts.any() else 0
    assert revived
    if ranks.is_main:
        torch.save(codebook.state_dict(), folder / "codes.pt")


def test_all_ranks_hold_the_same_codes_made_of_the_features_of_all(tmp_path: Path) -> None:
    in_two_processes(_train, tmp_path)
    together = torch.load(tmp_path / "codes.pt", weights_only=True)
    torch.manual_seed(6)
    alone = Codebook(24, 3, decay=0.8, least=0.4)
    for step in range(6):
        of_second = _features(step, 1)  # afterwards torch is where the first rank has it
        of_first = _features(step, 0)
        alone.observe(of_first)
        spare = alone.spare.clone()
        alone.observe(of_second)
        alone.spare.copy_(spare)
        alone.seen_counts /= 2
        alone.seen_sums /= 2
        alone.update(ALONE)
    for name, value in alone.state_dict().items():
        assert torch.allclose(together[name], value, atol=1e-5), name
