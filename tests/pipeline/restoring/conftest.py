"""Engines are loaded once for all restorations, which is most of the time of one."""

from collections.abc import Iterator
from functools import cache

import pytest

from facerefs.pipeline.restoring import find_faces


@pytest.fixture(autouse=True, scope="module")
def _engines_stay_loaded() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(find_faces, "load_engines", cache(find_faces.load_engines))
        yield
