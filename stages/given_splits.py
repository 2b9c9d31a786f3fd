"""Given splits: the published split of each target, by its photo or its person."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from facerefs.schemas.names import name_key
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SPLITS
from facerefs.stages.given.photo_names import PhotoNames
from facerefs.stages.room import IN_MEMORY, Room

Row = dict[str, Any]


@dataclass(frozen=True)
class GivenSplits:
    """Write the published split of every target, in the place of the drawn one. A whole stage without settings.

    A line names a photo, or else a person: by label, or by the name of the identity. The first line about a target
    counts; a later one with another split is a rejected row. A target that no line names has no split, and no sample.
    """

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "given_splits": ("row", "name", "kind", "split", "reject", "reject_detail"),
        "pairs": ("target", "identity", "reject"),
        "faces": ("id", "key"),
        "labels": ("face", "label"),
        "sources": ("key",),
        "duplicates": ("key", "kept_key", "reject"),
    }
    writes: ClassVar[str] = "splits"
    version: ClassVar[int] = 1

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """SPLITS: accepted rows sorted by target, then rejected lines in their order, then targets without a split."""
        targets = _targets(tables)
        find = _Finder(tables, targets)
        chosen: dict[str, Row] = {}
        lost: list[Row] = []
        for line in tables["given_splits"].to_pylist():
            common = dict.fromkeys(SPLITS.names) | {"given_row": line["row"], "split": line["split"]}
            if line["reject"] is not None:
                told = {name: line[name] for name in ("reject", "reject_detail")}
                lost.append(common | {"target": line["name"] or ""} | told)
                continue
            found = find(line["name"], line["kind"])
            if isinstance(found, str):
                refusal = {"reject": str(Reject.PHOTO_UNKNOWN), "reject_detail": found}
                lost.append(common | {"target": line["name"]} | refusal)
                continue
            for target in found:
                first = chosen.setdefault(target, common | {"target": target})
                if first["split"] != line["split"]:
                    why = f"also in {first['split']}, which is named first"
                    lost.append(
                        common | {"target": target, "reject": str(Reject.NAMED_TWICE), "reject_detail": why}
                    )
        without = [
            dict.fromkeys(SPLITS.names) | {"target": target, "reject": str(Reject.NO_SPLIT)}
            for target in sorted(targets.keys() - chosen.keys())
        ]
        kept = [chosen[target] for target in sorted(chosen)]
        return pa.Table.from_pylist([*kept, *lost, *without], SPLITS)


def _targets(tables: Mapping[str, pa.Table]) -> Mapping[str, str]:
    """The targets of accepted pairs, with their persons."""
    pairs = tables["pairs"].filter(pc.is_null(tables["pairs"]["reject"]))
    return dict(zip(pairs["target"].to_pylist(), pairs["identity"].to_pylist(), strict=True))


class _Finder:
    """Finds the targets that a line means."""

    def __init__(self, tables: Mapping[str, pa.Table], targets: Mapping[str, str]) -> None:
        self._photos = PhotoNames(tables["sources"]["key"].to_pylist())
        exact = tables["duplicates"].filter(
            pc.equal(tables["duplicates"]["reject"], str(Reject.DUPLICATE_EXACT)).fill_null(False)
        )
        self._same_bytes = dict(zip(exact["key"].to_pylist(), exact["kept_key"].to_pylist(), strict=True))
        labels = dict(
            zip(tables["labels"]["face"].to_pylist(), tables["labels"]["label"].to_pylist(), strict=True)
        )
        self._of_key: dict[str, list[str]] = defaultdict(list)
        self._of_person: dict[str, set[str]] = defaultdict(set)
        for face, key in _rows(tables["faces"]):
            if face not in targets:
                continue
            self._of_key[key].append(face)
            for name in (targets[face], labels.get(face)):
                if name is not None:
                    self._of_person[name_key(name)].add(face)
        every = {name_key(label) for label in labels.values() if label is not None}
        self._people = every | set(self._of_person)

    def __call__(self, name: str, kind: str | None) -> list[str] | str:
        """The targets, none for a known photo or person without one; or why nothing is meant."""
        keys = self._photos.find(name) if kind != "person" else []
        if len(keys) > 1:
            return f"it fits {len(keys)} photos, such as {keys[0]}"
        if keys:
            return self._of_key.get(self._same_bytes.get(keys[0], keys[0]), [])
        person = name_key(name)
        if kind == "photo" or person not in self._people:
            return "it is no photo of the source" + (" and no person" if kind is None else "")
        return sorted(self._of_person.get(person, ()))


def _rows(faces: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(faces["id"].to_pylist(), faces["key"].to_pylist(), strict=True)
