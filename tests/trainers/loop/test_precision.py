"""float32 is float32: a GPU rounds to TF32 only if it was asked to."""

from collections.abc import Iterator

import pytest
import torch

from facerefs.trainers.loop.precision import round_products


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_are_rounded_only_if_that_was_asked_for(precision: str, rounded: bool) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not rounded
    round_products(precision)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (rounded, rounded)
