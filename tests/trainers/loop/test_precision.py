"""float32 is float32: a GPU rounds to TF32 only if it was asked to."""

import pytest
import torch

from trainers.loop.precision import round_products


@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_are_rounded_only_if_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, precision: str, rounded: bool
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not rounded)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", not rounded)
    round_products(precision)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (rounded, rounded)
