"""basicsr can be imported with any installed torchvision."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stages.degrade.basicsr_oracle import degradations

needs_basicsr = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None,
    reason="basicsr is not installed (it needs Python 3.12 or older)",
)


@needs_basicsr
def test_kernel_sampler_of_basicsr_is_there() -> None:
    kernel = degradations().bivariate_Gaussian(5, 1.0, 2.0, 0.3, isotropic=False)
    assert kernel.shape == (5, 5)
    assert kernel.sum() == pytest.approx(1)


@needs_basicsr
def test_basicsr_leaves_the_process_as_it_was() -> None:
    code = (
        "import numpy as np; before = np.geterr()\n"
        "from tests.stages.degrade.basicsr_oracle import degradations; degradations()\n"
        "assert np.geterr() == before, np.geterr()\n"
        "import torch, torchvision\n"
        "boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]])\n"
        "try: kept = torchvision.ops.nms(boxes, torch.tensor([1., .5]), .5); assert kept.tolist() == [0]\n"
        "except RuntimeError as error: assert 'custom C++ ops' in str(error), error\n"
    )
    _run(code)


def _run(code: str) -> str:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
