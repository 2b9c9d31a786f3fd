"""Wikimedia Commons as a source: photos that depict a person (by the id on Wikidata), or that are in a category."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.kind import SourceKind
from facerefs.stages.sources.services.commons_file import is_photo, row_of_file
from facerefs.stages.sources.services.commons_search import CATEGORY, FileSearch
from facerefs.stages.sources.services.mediawiki import MediaWiki
from facerefs.stages.sources.services.people_file import Wanted, read_people
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

if TYPE_CHECKING:
    from facerefs.stages.sources.services.api import Api

_PEOPLE_PER_REQUEST = 50
_ID = re.compile(r"Q[1-9]\d{0,15}")
_NAMED_IN_NOTE = 5


@dataclass(frozen=True)
class CommonsSettings:
    """Which photos are taken from Wikimedia Commons, and how its API is asked."""

    api: str = "https://commons.wikimedia.org/w/api.php"
    """Address of the API of Wikimedia Commons."""
    wikidata_api: str = "https://www.wikidata.org/w/api.php"
    """Address of the API of Wikidata, which gives the names of people."""
    # The widths that are made: mediawiki.org/wiki/Common_thumbnail_sizes
    width_px: Literal[250, 330, 500, 960, 1280, 1920, 3840] | None = None
    """Width in pixels of the thumbnail that is taken in place of the photo; null takes the original."""
    category_depth: Annotated[int, Ge(0), Le(20)] = 0
    """How many levels of sub-categories are taken besides the category itself."""
    max_photos: Annotated[int, Ge(1)] | None = None
    """Most photos of each person or category; null takes all."""
    licences: str | None = None
    """Licences that are accepted, separated by commas, such as `CC0, CC BY, CC BY-SA`; null accepts all."""
    seconds_between_requests: Annotated[float, Ge(0)] = 1.0
    """Pause in seconds between two requests to the API."""


@dataclass(frozen=True)
class CommonsSource:
    """Photos of Wikimedia Commons; after the last row, `notes` has sentences about the listing for the user.

    A photo of two people is listed for each; one that is found twice for the same label, once. Files that are
    no photos (drawings, documents, films, sounds) are not listed.
    """

    name: str
    wanted: tuple[Wanted, ...]
    settings: CommonsSettings
    connect: Callable[[], "Api"]
    notes: list[str] = field(default_factory=list)

    @property
    def service_query(self) -> str:
        """The people or categories, and their labels."""
        return repr(self.wanted)

    def rows(self) -> Iterator[pa.Table]:
        """The photos in the order of the API: by their upload for people, by title for a category.

        Raises SourceError if the API refuses or stays busy, and if there is no photo at all.
        """
        self.notes.clear()
        found = Counter[str]()
        with self.connect() as api:
            commons = MediaWiki(api, self.settings.api, self._note)
            search = FileSearch(commons, self.settings.width_px, self.settings.category_depth, self._note)
            wikidata = MediaWiki(api, self.settings.wikidata_api, self._note)
            for label, subjects in self._named(wikidata):
                found[label] = 0
                for rows in self._photos(search, label, subjects):
                    found[label] += len(rows)
                    yield pa.Table.from_pylist(rows, SOURCES)
        self._note_absent([label for label, photos in found.items() if not photos])
        if not found.total():
            raise SourceError(f"Wikimedia Commons has no photo for {self.name}: " + "; ".join(self.notes))

    def _named(self, wikidata: MediaWiki) -> Iterator[tuple[str, list[Wanted]]]:
        """Each label, with the people and categories that have it."""
        groups = _by_label(self.wanted)
        given = {label for label, _ in groups if label is not None}
        for start in range(0, len(groups), _PEOPLE_PER_REQUEST):
            some = groups[start : start + _PEOPLE_PER_REQUEST]
            ids = [subject.text for label, subjects in some if label is None for subject in subjects]
            people = self._people(wikidata, ids) if ids else {}
            for label, subjects in some:
                if label is not None:
                    yield label, subjects
                    continue
                named = people[subjects[0].text]
                if named.label in given:
                    self._note(f"{subjects[0].text} is {named.label}, who is listed already")
                elif named.label is not None:
                    given.add(named.label)
                    yield named.label, [named]

    def _people(self, wikidata: MediaWiki, ids: Sequence[str]) -> dict[str, Wanted]:
        """For each id: the id, or `new|old` if it was merged into another, and as label `English name (id)`, or the id.

        https://www.wikidata.org/w/api.php?action=help&modules=wbgetentities
        """
        parameters = {
            "action": "wbgetentities",
            "props": "labels",
            "languages": "en|mul",
            "ids": "|".join(ids),
        }
        entities = wikidata.query(parameters).get("entities")
        people = {}
        for id_ in ids:
            entity = entities.get(id_) if isinstance(entities, dict) else None
            if not isinstance(entity, dict) or "missing" in entity:
                self._note(f"Wikidata has no item {id_}")
                entity = {}
            now = str(entity.get("id"))
            now = now if _ID.fullmatch(now) else id_
            name = _name(entity)
            people[id_] = Wanted(now if now == id_ else f"{now}|{id_}", f"{name} ({now})" if name else now)
        return people

    def _photos(
        self, search: FileSearch, label: str, subjects: Sequence[Wanted]
    ) -> Iterator[list[dict[str, Any]]]:
        settings, seen, accepted = self.settings, set[str](), 0
        licences = None if settings.licences is None else _split(settings.licences)
        for subject in subjects:
            for pages, listed_by in search.batches(subject.text):
                rows = []
                for page in filter(is_photo, pages):
                    row = row_of_file(page, label, listed_by, settings.width_px is not None, licences)
                    if row["key"] in seen or accepted == settings.max_photos:
                        continue
                    seen.add(row["key"])
                    rows.append(row)
                    accepted += "reject" not in row
                if rows:
                    yield rows
                if accepted == settings.max_photos:
                    return

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _note_absent(self, labels: Sequence[str]) -> None:
        if labels:
            others = len(labels) - _NAMED_IN_NOTE
            shown = ", ".join(labels[:_NAMED_IN_NOTE]) + (f" and {others} more" if others > 0 else "")
            self._note(f"Commons has no photo of {shown}")


def open_commons(text: str, settings: CommonsSettings, limits: WebLimits) -> CommonsSource:
    """The source for the text after `commons:`: `Q76`, `Q76,Q30`, `Category:Barack Obama`, or `@FILE` with one a line.

    Sends no request yet. Raises SourceError for any other text.
    """

    def connect() -> "Api":
        from facerefs.stages.sources.services.api import Api

        return Api(limits, spacing_s=settings.seconds_between_requests)

    text = text.strip()
    if text.startswith("@"):
        wanted = read_people(Path(text[1:]))
    elif text.lower().startswith(CATEGORY.lower()):
        wanted = [Wanted(text)]
    else:
        wanted = [Wanted(part) for part in _split(text)]
    subjects = tuple(Wanted(_subject(one.text), one.label) for one in wanted)
    if not subjects:
        raise SourceError("commons: wants an id of Wikidata or a category, such as commons:Q76")
    return CommonsSource(f"commons:{text}", subjects, settings, connect)


def _subject(text: str) -> str:
    """`Q76` or `Category:Barack Obama`, as the wikis write them. Raises SourceError for any other text."""
    prefix, colon, name = text.replace("_", " ").partition(":")
    name = " ".join(name.split())
    if colon and prefix.strip().lower() == "category" and name:
        return f"{CATEGORY}{name[0].upper()}{name[1:]}"
    if _ID.fullmatch(text.upper()):
        return text.upper()
    raise SourceError(
        f"{text!r} is neither an id of Wikidata, such as Q76, nor a category of Commons, such as "
        "Category:Barack Obama (several categories go into a file: commons:@FILE)"
    )


def _by_label(wanted: Sequence[Wanted]) -> list[tuple[str | None, list[Wanted]]]:
    """Each label with its people and categories, in the order of the first; None for an id that Wikidata must name."""
    groups: dict[tuple[str | None, str], list[Wanted]] = {}
    for one in dict.fromkeys(wanted):
        category = one.text.removeprefix(CATEGORY) if one.text.startswith(CATEGORY) else None
        label = one.label or category
        groups.setdefault((label, "" if label else one.text), []).append(one)
    return [(label, subjects) for (label, _), subjects in groups.items()]


def _name(entity: Mapping[str, Any]) -> str | None:
    labels = entity.get("labels")
    label = labels.get("en") or labels.get("mul") if isinstance(labels, dict) else None
    return " ".join(str(label.get("value", "")).split()) or None if isinstance(label, dict) else None


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


COMMONS = SourceKind(
    name="commons",
    example="commons:Q76",
    photos="Photos of Wikimedia Commons that show a person, by the person's id on Wikidata; or those of a category, "
    "commons:Category:NAME; or of each line of a file, commons:@FILE.",
    settings=CommonsSettings,
    open=lambda place, settings: open_commons(place.text, settings, place.limits),
    is_service=True,
)
