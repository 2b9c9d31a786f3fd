"""A source with a setting, added as CONTRIBUTING.md says: one file, and its name in the registry."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan
from facerefs.pipeline.build.listing import update_sources
from facerefs.pipeline.commands.settings import settings_command
from facerefs.pipeline.config.config import read_config, to_tree
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.sources import registry
from facerefs.stages.sources.resolve import absolute, open_source
from facerefs.stages.sources.source import SourceError

ATTIC = '''
"""Photos that a service called attic has of a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from annotated_types import Ge

from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.kind import SourceKind, SourcePlace


@dataclass(frozen=True)
class Attic:
    """What is taken from the attic."""

    boxes: Annotated[int, Ge(1)] = 3
    """How many boxes are opened for each person."""


@dataclass(frozen=True)
class AtticSource:
    name: str
    boxes: int
    notes: tuple[str, ...] = ()

    @property
    def service_query(self) -> str:
        return self.name

    def rows(self) -> Iterator[pa.Table]:
        rows = [
            {"key": f"{self.name}/{box}", "url": f"http://attic.example/{box}.jpg"} for box in range(self.boxes)
        ]
        yield pa.Table.from_pylist(rows, SOURCES)


ATTIC = SourceKind(
    name="attic",
    example="attic:NAME",
    photos="Photos of a person that lie in the attic.",
    settings=Attic,
    open=lambda place, settings: AtticSource(place.text, settings.boxes),
    is_service=True,
)
'''


@pytest.fixture
def attic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "attic_source.py").write_text(ATTIC)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("attic_source")
    monkeypatch.setattr(registry, "SOURCES", (*registry.SOURCES, module.ATTIC))
    yield module
    del sys.modules["attic_source"]  # the next test has a file of its own


def plan_of(source: str, *settings: str) -> BuildPlan:
    return BuildPlan(absolute(source), None, read_config(None, settings))


def listed(plan: BuildPlan, storage: Storage) -> list[str]:
    """The keys that the table `sources` holds once the source of a plan is listed."""
    source = open_source(plan.source, None, plan.config.sources, plan.config.fetch.limits)
    update_sources(source, plan.listing_key(), 100, storage, Console(quiet=True), again=False)
    return sorted(storage.scan("sources", ("key",))["key"].to_pylist())


@pytest.mark.usefixtures("attic")
def test_its_setting_reaches_it_from_the_command_line_and_from_a_file(tmp_path: Path) -> None:
    assert listed(plan_of("attic:Ada"), Storage(str(tmp_path / "1"))) == ["Ada/0", "Ada/1", "Ada/2"]
    assert listed(plan_of("Attic:Ada", "attic.boxes=1"), Storage(str(tmp_path / "2"))) == ["Ada/0"]
    (tmp_path / "c.yaml").write_text("attic: {boxes: 2}\n")
    config = read_config(tmp_path / "c.yaml")
    assert config.sources["attic"].boxes == 2
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(to_tree(config)))
    assert read_config(tmp_path / "again.yaml") == config


@pytest.mark.usefixtures("attic")
def test_a_wrong_setting_of_it_is_named() -> None:
    with pytest.raises(UserError, match=r"`attic\.boxes` cannot be 0"):
        read_config(None, ["attic.boxes=0"])
    with pytest.raises(UserError, match=r"did you mean `attic\.boxes`"):
        read_config(None, ["attic.boxs=1"])


@pytest.mark.usefixtures("attic")
def test_it_is_listed_anew_for_its_own_settings_alone(tmp_path: Path) -> None:
    """What a service has listed stands as long as it is asked for the same: here the attic burns down meanwhile."""
    storage = Storage(str(tmp_path / "set"))
    assert len(listed(plan_of("attic:Ada"), storage)) == 3
    storage.remove_part("sources", storage.parts("sources")[0])
    assert listed(plan_of("attic:Ada", "openverse.page_size=5", "columns.url=link"), storage) == []
    assert len(listed(plan_of("attic:Ada", "attic.boxes=4"), storage)) == 4


@pytest.mark.usefixtures("attic")
def test_help_and_messages_know_it() -> None:
    assert ("attic:NAME", "Photos of a person that lie in the attic.") in registry.choices()
    config = read_config(None)
    with pytest.raises(SourceError, match=r"SOURCE can be DIR, .*attic:NAME"):
        open_source("attik:Ada", None, config.sources, config.fetch.limits)


@pytest.mark.usefixtures("attic")
def test_its_settings_are_listed_with_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    settings_command(["attic"], None, "table")
    said = capsys.readouterr().out
    assert "attic: What is taken from the attic." in said
    assert (
        "attic.boxes  whole number  3        at least 1  How many boxes are opened for each person." in said
    )
