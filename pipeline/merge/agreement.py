"""Whether builds have the settings in common that decided their photos and faces."""

from collections.abc import Iterator, Sequence
from typing import Any

from facerefs.pipeline.config.config import Config, to_tree
from facerefs.pipeline.config.read_settings import differences
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.merge.originals import Original
from facerefs.stages.fetch import Fetch

_TAKEN_OVER = ("fetch", "crawl", "analyse")
_MADE_NEW = ("dedupe", "copies", "compare", "cluster", "made_elsewhere", "select", "shard")


def check_agreement(originals: Sequence[Original], config: Config) -> None:
    """Raise UserError if builds, or the settings of the result, differ in what decided photos and faces, or if one of
    them follows published lists, which name photos by the names that they have in it."""
    for place, one in (*((original.address, original.config) for original in originals), ("--set", config)):
        if one.given.pairs or one.given.splits:
            raise UserError(
                f"{place} has published pairs or splits, and these name photos of one source: build from all photos "
                "together with --pairs and --splits instead of merging"
            )
    first, *others = originals
    for other in others:
        if changes := _changes(first.config, other.config, _TAKEN_OVER):
            raise UserError(
                f"{first.address} and {other.address} were made with other settings ({'; '.join(changes)}): make one "
                "of them again with those of the other, with --update, then merge"
            )
    if changes := _changes(first.config, config, _TAKEN_OVER):
        raise UserError(
            f"merge takes photos and faces over as they are, and {'; '.join(changes)} would make them again: make the "
            "builds with these settings first, with --update, then merge"
        )


def other_settings(originals: Sequence[Original]) -> Iterator[str]:
    """Sentences about the later settings in which builds differ from the first, whose settings count."""
    first, *others = originals
    for other in others:
        if changes := _changes(first.config, other.config, _MADE_NEW):
            yield f"those of {first.address} count where {other.address} has others: {'; '.join(changes)}"


def _changes(one: Config, other: Config, sections: Sequence[str]) -> list[str]:
    before, after = (_relevant(to_tree(config), sections) for config in (one, other))
    return differences(before, after)


def _relevant(tree: dict[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    """Some sections, without settings that decide how photos are had or where they are analysed, not what comes out."""
    chosen = {name: dict(tree[name]) for name in sections}
    if "fetch" in chosen:
        chosen["fetch"] = {name: value for name, value in chosen["fetch"].items() if name in Fetch.rules}
    if "analyse" in chosen:
        del chosen["analyse"]["device"]
    return chosen
