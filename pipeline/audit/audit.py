"""The audit of a build: its pairs, its splits, and what of published lists is in no sample."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facerefs.pipeline.audit.pairs import JudgedSet, judge_set
from facerefs.pipeline.audit.splits import SplitFindings, split_findings
from facerefs.pipeline.config.config import Config
from facerefs.pipeline.dataset.given import GivenResult, given_result
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.guard import Guard
from facerefs.schemas.sample import SPLITS

_LISTED = 10_000


@dataclass(frozen=True)
class Audit:
    """All findings. samples: by split. same_by: where the cosine of one person comes from."""

    samples: Mapping[str, int]
    pairs: JudgedSet
    splits: SplitFindings
    published: GivenResult | None
    embedder: str
    same_by: str

    @property
    def thresholds(self) -> dict[str, float | None]:
        """The figures by which pairs are judged, by name."""
        known = self.pairs.thresholds
        if known is None:
            return {}
        rule = known.rule
        return {
            "one person: cosine from": known.same,
            "copy: cosine from": rule.copy_similarity,
            "copy: bits between crop hashes up to": rule.hash_bits,
            "copy, looser crop hash or landmarks: cosine from": rule.same_shot_similarity,
            "copy, looser: bits up to": rule.same_shot_hash_bits,
            "copy, looser: landmark distance up to": rule.landmarks,
            "one session: cosine from": rule.session_similarity,
        }

    def facts(self) -> dict[str, Any]:
        """The findings as plain values, for programs; of flagged pairs, people and shots at most 10,000 each."""
        return {
            "samples": dict(self.samples),
            "pairs": self.pairs.pairs,
            "references_made_of_their_target": self.pairs.made_of_target,
            "flagged_pairs": len(self.pairs.flagged),
            "guards": {str(guard): number for guard, number in self.pairs.guards.items()},
            "thresholds": self.thresholds,
            "embedder": self.embedder,
            "one_person_by": self.same_by,
            "faces": self.splits.faces,
            "faces_of_no_known_person": self.splits.unknown,
            "people": self.splits.people,
            "people_in_two_splits": len(self.splits.strays),
            "copies": self.splits.copies,
            "shots_in_two_splits": len(self.splits.shots),
            "published": None if self.published is None else self.published.facts(),
            "findings": {
                "pairs": [asdict(pair) for pair in self.pairs.flagged[:_LISTED]],
                "people": [asdict(person) for person in self.splits.strays[:_LISTED]],
                "shots": [asdict(shot) for shot in self.splits.shots[:_LISTED]],
            },
        }


def audit(storage: Storage, config: Config) -> Audit:
    """The audit of the samples of a build by its own settings."""
    samples = storage.scan("samples", ("split", "reject")).to_pylist()
    made = [row["split"] for row in samples if row["reject"] is None]
    embedders = sorted(set(storage.scan("faces", ("embedder",))["embedder"].drop_null().to_pylist()))
    own = config.cluster.same is not None
    return Audit(
        samples={split: made.count(split) for split in SPLITS},
        pairs=judge_set(storage, config),
        splits=split_findings(storage),
        published=given_result(storage),
        embedder=", ".join(embedders),
        same_by="the setting cluster.same" if own else "the calibration of the embedder",
    )


def audit_lines(found: Audit) -> list[str]:
    """The findings as lines of a terminal."""
    pairs, splits = found.pairs, found.splits
    lines = [
        f"pairs       {pairs.pairs:,} of {sum(found.samples.values()):,} samples; {len(pairs.flagged):,} flagged"
    ]
    lines += [
        f"  {number:>7,}  {guard}: {guard.sentence}"
        for guard, number in pairs.guards.items()
        if number or guard in (Guard.COPY, Guard.SESSION, Guard.STRANGER, Guard.LOW_QUALITY)
    ]
    if pairs.made_of_target:
        lines.append(f"  {pairs.made_of_target:>7,}  references are made of their target, and not judged")
    lines += [
        f"splits      {len(splits.strays):,} of {splits.people:,} people are in two splits",
        f"            {len(splits.shots):,} of {splits.copies:,} pairs of copies are in two splits",
    ]
    if splits.unknown:
        lines.append(
            f"            {splits.unknown:,} of {splits.faces:,} faces are of no known person: not checked"
        )
    if found.published is not None:
        lost = [f"{number:,} {reason}" for reason, number in found.published.lost.items()]
        lines.append(f"published   rows that are in no sample: {', '.join(lost) or 'none'}")
    figures = [f"{name} {value:.4g}" for name, value in found.thresholds.items() if value is not None]
    lines.append(
        f"thresholds  {found.embedder}, one person by {found.same_by}: {'; '.join(figures) or 'none'}"
    )
    return lines
