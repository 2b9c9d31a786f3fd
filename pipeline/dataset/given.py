"""Published pairs and splits of a build: which lists, what became of them, what the guards say."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.guard import Guard
from facerefs.schemas.reject import Reject

_PART = "part-00000"


@dataclass(frozen=True)
class GivenResult:
    """What became of published pairs and splits.

    references: published ones that are in pairs. lost: rows of `pairs` that are none, by reason. guards: references by
    what speaks against them. lines_lost: lines of the splits that mean nothing or contradict another; without_split:
    targets that no line names.
    """

    pairs: bool
    splits: bool
    references: int
    lost: Mapping[Reject, int]
    guards: Mapping[Guard, int]
    reported: int  # references against which anything speaks
    lines_lost: int
    without_split: int

    def facts(self) -> dict[str, Any]:
        """The numbers as plain values, for programs."""
        counts = {"references": self.references, "reported": self.reported}
        counts |= {"split_lines_lost": self.lines_lost, "targets_without_split": self.without_split}
        lost = {str(reason): count for reason, count in self.lost.items()}
        return counts | {"lost": lost, "guards": {str(guard): count for guard, count in self.guards.items()}}


def given_digests(storage: Storage) -> dict[str, str]:
    """The digest of the rows of each published list of a build: `pairs`, `splits`."""
    parts = {name: storage.part(f"given_{name}", _PART) for name in ("pairs", "splits")}
    return {name: part.fingerprint for name, part in parts.items() if part is not None}


def has_given_degraded(storage: Storage) -> bool:
    """Whether the published pairs name any degraded image that can be read."""
    given = storage.scan("given_pairs", ("degraded_sha256",))
    return int(given["degraded_sha256"].null_count) < len(given)


def given_result(storage: Storage) -> GivenResult | None:
    """The result of published lists; None for a build without any."""
    lists = given_digests(storage)
    if not lists:
        return None
    pairs = storage.scan("pairs", ("given_row", "guards", "reject"))
    pairs = pairs.filter(pc.is_valid(pairs["given_row"]))
    kept = pairs.filter(pc.is_null(pairs["reject"]))
    lost = Counter(pairs["reject"].drop_null().to_pylist())
    found = [guards for guards in kept["guards"].to_pylist() if guards]
    guards = Counter(guard for of_pair in found for guard in dict.fromkeys(of_pair))
    splits = storage.scan("splits", ("given_row", "reject"))
    rejected = splits.filter(pc.is_valid(splits["reject"]))
    without = int(pc.sum(pc.equal(rejected["reject"], str(Reject.NO_SPLIT))).as_py() or 0)
    return GivenResult(
        pairs="pairs" in lists,
        splits="splits" in lists,
        references=len(kept),
        lost={Reject(reason): count for reason, count in lost.most_common()},
        guards={guard: guards[guard] for guard in Guard if guards[guard]},
        reported=len(found),
        lines_lost=len(rejected) - without,
        without_split=without,
    )
