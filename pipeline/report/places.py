"""The places of a photo in the report: an anchor in each section that shows it, and links from one to the others."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from facerefs.pipeline.report.review.review import Review
from facerefs.pipeline.report.sections.duplicates import Duplicates
from facerefs.pipeline.report.sections.labels import LabelChanges
from facerefs.pipeline.report.sections.people import PeopleSection
from facerefs.pipeline.report.sections.references import References
from facerefs.pipeline.report.sections.rejects import StageFunnel
from facerefs.pipeline.report.sections.samples import SamplesSection
from facerefs.pipeline.report.thumbnails import Picture


@dataclass(frozen=True)
class Place:
    """A section that shows a photo, and the anchor of the photo in it."""

    section: str
    anchor: str


class Places:
    """Where the sections show a picture of which photo. An anchor is a digest of the key, whatever that holds."""

    def __init__(self, keys: Mapping[str, Iterable[str]]) -> None:
        """keys: of the photos that a section shows, by its id; sections in the order of the page."""
        self._keys = {section: frozenset(shown) for section, shown in keys.items()}
        self._used: set[str] = set()

    def anchor_once(self, section: str, key: str) -> str | None:
        """The anchor of a photo in a section; None from the second time on, since a page has each anchor once."""
        anchor = _anchor(section, key)
        if key not in self._keys[section] or anchor in self._used:
            return None
        self._used.add(anchor)
        return anchor

    def elsewhere(self, section: str, key: str) -> list[Place]:
        """The places of a photo in other sections."""
        return [
            Place(other, _anchor(other, key))
            for other, keys in self._keys.items()
            if other != section and key in keys
        ]


@dataclass(frozen=True)
class PhotoSections:
    """The sections that show photos, as the templates draw them."""

    stages: list[StageFunnel]
    samples: SamplesSection
    people: PeopleSection
    labels: LabelChanges
    review: Review
    duplicates: Duplicates
    references: References

    def photos(self) -> dict[str, list[str]]:
        """The keys of the photos of which a section shows a picture, by the section's id."""
        reasons = (reason for stage in self.stages for reason in (*stage.reasons, *stage.refused))
        decisions = (
            *self.review.two_names,
            *(one for group in self.review.groups for one in group.decisions),
        )
        pictured: dict[str, Iterable[tuple[Picture | None, str | None]]] = {
            "funnel": ((one.picture, one.key) for reason in reasons for one in reason.examples),
            "samples": (
                shown
                for one in self.samples.samples
                for shown in ((one.truth, one.truth_key), (one.reference, one.reference_key))
            ),
            "people": ((face.picture, face.key) for person in self.people.shown for face in person.faces),
            "labels": ((one.picture, one.key) for one in (*self.labels.corrected, *self.labels.dropped)),
            "review": ((side.picture, side.key) for one in decisions for side in one.sides),
            "duplicates": (
                (one.picture, one.key)
                for group in self.duplicates.groups
                for one in (group.kept, *group.copies)
            ),
            "references": (
                shown
                for target in self.references.targets
                for shown in (
                    (target.picture, target.key),
                    *((one.picture, one.key) for one in target.references),
                )
            ),
        }
        return {
            section: [key for picture, key in shown if picture and key] for section, shown in pictured.items()
        }


def _anchor(section: str, key: str) -> str:
    return f"{section}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
