"""Small tensors of given numbers."""

import pytest
import torch

from facerefs.stages.degrade.operations.constant import constant


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("values", [(1, 2, 3), ((1.5, 2.0), (3.0, 4.0)), []])
def test_it_is_what_new_tensor_makes(values: object, dtype: torch.dtype) -> None:
    like = torch.zeros(2, dtype=dtype)
    made = constant(values, like)
    assert made.dtype == dtype
    assert torch.equal(made, like.new_tensor(values))
