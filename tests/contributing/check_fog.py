"""The test that a contributor writes for the recipe fog: it is chosen, drawn, degrades, and is replayed."""

from pathlib import Path

import pytest

from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.trainers.stream.samples.prepare import FacePreparation
from tests.pipeline.small_set import files_of, make_set
from tests.pipeline.verify.test_verify import check


def test_fog_is_chosen_by_its_name_in_a_build_and_in_training() -> None:
    assert read_config(None, ["shard.recipe=fog"]).shard.recipes == (RECIPES["fog"],)
    FacePreparation(degradation="fog")


def test_whoever_misspells_it_is_told_of_fog() -> None:
    with pytest.raises(UserError, match=r"cannot be 'fogg': input should be .*'fog'"):
        read_config(None, ["shard.recipe=fogg"])
    with pytest.raises(ValueError, match=r"degradation is one of .*\bfog\b"):
        FacePreparation(degradation="fogg")


def test_shards_of_fog_are_replayed(tmp_path: Path) -> None:
    shard = read_config(None, ["shard.recipe=fog", "shard.val_share=0", "shard.test_share=0"]).shard
    samples = make_set(tmp_path, shard, people=2)
    degraded = [kind for tar in samples.glob("*.tar") for files in files_of(tar).values() for kind in files]
    assert "lq.jpg" in degraded
    assert check(tmp_path, replay=4) == []
