"""float32 is float32: a GPU rounds to TF32 only if it was asked to."""

from collections.abc import Iterator

import pytest
import torch

from facerefs.trainers.loop.precision import round_products
from facerefs.trainers.models.catalogue import MODULES, presets


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


@pytest.mark.parametrize("name", MODULES)
def test_presets_at_the_papers_sizes_use_tf32_and_those_for_a_cpu_do_not(name: str) -> None:
    for preset, model in presets(name).items():
        assert model.loop.precision == ("float32" if preset in ("tiny", "demo") else "tf32"), preset
