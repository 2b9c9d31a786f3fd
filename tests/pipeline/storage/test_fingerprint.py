"""Digests of stages: a new setting changes none, another value, however it is spelled, changes all."""

from dataclasses import dataclass, field, make_dataclass
from typing import Any, ClassVar

import pytest

from facerefs.pipeline.storage.fingerprint import changed_settings, stage_digest
from facerefs.stages.compare import Compare
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.shard import Shard


@dataclass(frozen=True)
class Blur:
    """A setting that holds settings."""

    px: float = 1.0


@dataclass(frozen=True)
class Noise:
    """Another one, of the same fields."""

    px: float = 1.0


@dataclass(frozen=True)
class Toy:
    """A stage with settings of every kind."""

    version: ClassVar[int] = 1

    side_px: int = 512
    limit: float | None = None
    what: Blur | Noise | str = "blur"
    steps: tuple[Blur | Noise, ...] = ()
    blur: Blur = field(default_factory=lambda: Blur(2.0))


def digest(**settings: Any) -> str:
    return stage_digest(Toy(**settings))  # type: ignore[arg-type]


def later(version: int = 1, **more: Any) -> str:
    """The digest of a later version of Toy, which has more settings."""
    new = [(name, type(value), field(default=value)) for name, value in more.items()]
    toy = make_dataclass("Toy", new, bases=(Toy,), frozen=True, namespace={"version": version})
    return stage_digest(toy())


def test_a_new_setting_costs_nothing() -> None:
    assert later(sigma_px=3.0, rule=Blur()) == digest()
    assert later(version=2) != digest()


def test_a_new_setting_within_a_setting_costs_nothing() -> None:
    """Also where the outer setting is not at its default."""
    new = make_dataclass("Blur", [("taps", int, field(default=7))], bases=(Blur,), frozen=True)
    assert digest(what=new(3.0)) == digest(what=Blur(3.0))
    assert digest(steps=(new(), new(2.0))) == digest(steps=(Blur(), Blur(2.0)))
    assert digest(steps=(new(taps=9),)) != digest(steps=(Blur(),))


def test_every_value_has_a_digest_of_its_own() -> None:
    settings: list[dict[str, Any]] = [
        {},
        *({"side_px": value} for value in (0, 1024)),
        *({"limit": value} for value in (0.0, 1.0, float("inf"))),
        *({"what": value} for value in ("noise", Blur(), Blur(2.0), Noise(), Noise(2.0))),
        *({"steps": value} for value in ((Blur(),), (Noise(),), (Blur(), Noise()), (Noise(), Blur()))),
        *({"blur": value} for value in (Blur(), Blur(3.0))),
        {"blur": Blur(), "what": Blur()},
    ]
    digests = [digest(**one) for one in settings]
    assert len(set(digests)) == len(settings)
    assert digests == [digest(**one) for one in settings]


def test_defaults_that_are_spelled_out_are_defaults() -> None:
    assert digest(side_px=512, limit=None, what="blur", steps=(), blur=Blur(2.0)) == digest()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_by_its_name_or_spelled_out_is_told_from_all_others(name: Any) -> None:
    others = [Shard(recipe=other) for other in RECIPES if other != name]
    others += [Shard(recipe=other) for other in RECIPES.values()]
    assert stage_digest(Shard(recipe=name)) not in map(stage_digest, others)


def test_of_a_rule_only_what_differs_is_told() -> None:
    assert changed_settings(Compare()) == {}
    rule = CopyRule(hash_bits=CopyRule().hash_bits + 1)
    assert changed_settings(Compare(rule=rule)) == {"rule": {"CopyRule": {"hash_bits": rule.hash_bits}}}
