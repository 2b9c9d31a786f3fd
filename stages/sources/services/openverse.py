"""Openverse as a source: openly licensed photos that a search for a person's name finds; the label is a guess.

https://api.openverse.org/v1/. Its terms forbid scraping the catalogue: this source stays within the limits of anonymous
use (20 results a page, 240 of a search, 20 requests a minute, 200 a day) and refuses a search that needs more.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from annotated_types import Ge, Le

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import SOURCES
from facerefs.stages.sources.kind import SourceKind
from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.services.people_file import Wanted, read_people
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.limits import WebLimits

if TYPE_CHECKING:
    from facerefs.stages.sources.services.api import Api

MAX_RESULTS_PER_SEARCH = 240
MAX_REQUESTS_PER_DAY = 200
_MAX_QUERY = 200  # characters
_MAX_TEXT = 1000
_MAX_PAGES = 500  # of Openverse on one's own machine
_LICENCE_NAMES = {
    "by": "CC BY",
    "by-sa": "CC BY-SA",
    "by-nd": "CC BY-ND",
    "by-nc": "CC BY-NC",
    "by-nc-sa": "CC BY-NC-SA",
    "by-nc-nd": "CC BY-NC-ND",
    "cc0": "CC0",
    "pdm": "Public Domain Mark",
    "sampling+": "CC Sampling+",
    "nc-sampling+": "CC NC-Sampling+",
}
_KEPT = (
    *("id", "title", "creator", "creator_url", "source", "provider", "category", "filetype", "filesize"),
    *("width", "height", "license", "license_version", "license_url", "mature", "indexed_on", "detail_url"),
)
_WAYS_OUT = {
    401: "it wants a key for this, which we do not have: ask for fewer photos (openverse.max_photos)",
    403: "it does not let us in; perhaps the User-Agent names no contact, or too much was asked before",
}


@dataclass(frozen=True)
class OpenverseSettings:
    """Which photos are taken from Openverse, and how its API is asked."""

    api: str = "https://api.openverse.org/v1"
    """Address of the API of Openverse."""
    licences: str = "by,by-sa,cc0,pdm"
    """Codes of the licences that are accepted, separated by commas, as Openverse writes them."""
    category: Literal["photograph", "digitized_artwork", "illustration"] | None = None
    """Category of images that is asked for; null asks for all, since many photos have none."""
    page_size: Annotated[int, Ge(1), Le(20)] = 20
    """Results that one request asks for."""
    max_photos: Annotated[int, Ge(1)] | None = None
    """Most photos of each name; null takes all that Openverse gives."""
    seconds_between_requests: Annotated[float, Ge(0)] = 3.0
    """Pause in seconds between two requests to the API."""


@dataclass(frozen=True)
class OpenverseSource:
    """Photos that Openverse finds for names; after the last row, `notes` has sentences about the listing for the user.

    The label is the name that was searched for: `cluster.labels=check` drops photos of other people.
    """

    name: str
    wanted: tuple[Wanted, ...]
    settings: OpenverseSettings
    connect: Callable[[], "Api"]
    notes: list[str] = field(default_factory=list)

    @property
    def service_query(self) -> str:
        """The people or categories, and their labels."""
        return repr(self.wanted)

    def rows(self) -> Iterator[pa.Table]:
        """The photos in the order of the API. Raises SourceError if it refuses, or finds nothing at all."""
        self.notes.clear()
        seen, accepted = set[str](), dict.fromkeys((one.label or one.text for one in self.wanted), 0)
        with self.connect() as api:
            for one in self.wanted:
                label = one.label or one.text
                for results in self._pages(api, one.text):
                    rows = []
                    for row in (self._row(result, label, one.text) for result in results):
                        if row["key"] not in seen and accepted[label] != self.settings.max_photos:
                            seen.add(row["key"])
                            rows.append(row)
                            accepted[label] += "reject" not in row
                    if rows:
                        yield pa.Table.from_pylist(rows, SOURCES)
                    if accepted[label] == self.settings.max_photos:
                        break
        if not seen:
            raise SourceError(
                f"Openverse finds no photo for {self.name} under the licences {self.settings.licences}"
            )
        self.notes.extend(
            f"Openverse finds no photo of {label}" for label, photos in accepted.items() if not photos
        )

    def _pages(self, api: "Api", name: str) -> Iterator[list[dict[str, Any]]]:
        for page in range(1, _MAX_PAGES + 1):
            answer = api.get_json(f"{self.settings.api.rstrip('/')}/images/", self._query(name, page))
            results, pages, total = (answer.get(part) for part in ("results", "page_count", "result_count"))
            if not isinstance(results, list) or not isinstance(pages, int) or not isinstance(total, int):
                raise SourceError(
                    f"{shown_place(self.settings.api)} does not answer as Openverse does: is that its address?"
                )
            reachable = pages * self.settings.page_size
            if page == 1 and (total >= MAX_RESULTS_PER_SEARCH or total > reachable):
                self.notes.append(
                    f"Openverse gives {min(total, reachable)} results for {name} and no more: it may have others"
                )
            yield [result for result in results if isinstance(result, dict)]
            if page >= pages or not results:
                return

    def _query(self, name: str, page: int) -> dict[str, str]:
        """The query of a search; quotes mean the words side by side.

        https://api.openverse.org/v1/#tag/images/operation/images_search
        """
        settings = self.settings
        query = {"q": f'"{name}"', "license": ",".join(_codes(settings)), "page": str(page)}
        query["page_size"] = str(settings.page_size)
        return query if settings.category is None else query | {"category": settings.category}

    def _row(self, result: Mapping[str, Any], label: str, name: str) -> dict[str, Any]:
        url, page = _text(result, "url"), _text(result, "foreign_landing_url")
        code = (_text(result, "license") or "").lower()
        licence = (
            _LICENCE_NAMES.get(code, code),
            _text(result, "license_version"),
            _text(result, "license_url"),
        )
        kept = {part: result[part] for part in _KEPT if result.get(part) is not None}
        row = {
            "key": f"{label}/{url or page or result.get('id')}",
            "url": url,
            "page": page,
            "licence": " ".join(part for part in licence if part) or None,
            "attribution": (_text(result, "attribution") or _text(result, "creator") or "")[:_MAX_TEXT]
            or None,
            "label": label,
            "provenance": json.dumps({"query": name, **kept}, ensure_ascii=False, sort_keys=True),
        }
        if url is None:
            return row | {"reject": Reject.BAD_ROW, "reject_detail": "Openverse gives no address for it"}
        if code not in _codes(self.settings):
            return row | {
                "reject": Reject.BAD_LICENCE,
                "reject_detail": row["licence"] or "Openverse names none",
            }
        return row


def open_openverse(text: str, settings: OpenverseSettings, limits: WebLimits) -> OpenverseSource:
    """The source for the text after `openverse:`: a name, several separated by `;`, or `@FILE` with one a line.

    Sends no request yet. Raises SourceError for no name, unknown licences, and for more than a day's requests.
    """

    def connect() -> "Api":
        from facerefs.stages.sources.services.api import Api

        return Api(limits, spacing_s=settings.seconds_between_requests, ways_out=_WAYS_OUT)

    text = text.strip()
    if text.startswith("@"):
        wanted = read_people(Path(text[1:]))
    else:
        wanted = [Wanted(name) for name in (" ".join(part.split()) for part in text.split(";")) if name]
    names = tuple(dict.fromkeys(Wanted(one.text.replace('"', ""), one.label or one.text) for one in wanted))
    if not names:
        raise SourceError("openverse: wants a name, such as openverse:Ada Lovelace")
    _check(names, settings)
    return OpenverseSource(f"openverse:{text}", names, settings, connect)


def _check(names: Sequence[Wanted], settings: OpenverseSettings) -> None:
    for one in names:
        if len(one.text) > _MAX_QUERY - 2:
            raise SourceError(
                f"the name {one.text[:40]!r}... is longer than Openverse's {_MAX_QUERY} characters"
            )
    unknown = [code for code in _codes(settings) if code not in _LICENCE_NAMES]
    if unknown or not _codes(settings):
        raise SourceError(
            f"openverse.licences: {settings.licences!r} should hold codes of {', '.join(_LICENCE_NAMES)}"
        )
    pages = -(
        -min(settings.max_photos or MAX_RESULTS_PER_SEARCH, MAX_RESULTS_PER_SEARCH) // settings.page_size
    )
    if settings.api == OpenverseSettings.api and len(names) * pages > MAX_REQUESTS_PER_DAY:
        raise SourceError(
            f"{len(names)} names of up to {pages} pages each may take more than the {MAX_REQUESTS_PER_DAY} requests "
            "a day that Openverse allows without a key: name fewer people, or lower openverse.max_photos"
        )


def _codes(settings: OpenverseSettings) -> list[str]:
    return [code.strip().lower() for code in settings.licences.split(",") if code.strip()]


def _text(result: Mapping[str, Any], part: str) -> str | None:
    value = result.get(part)
    return value if isinstance(value, str) and value else None


OPENVERSE = SourceKind(
    name="openverse",
    example="openverse:NAME",
    photos="Openly licensed photos that Openverse finds for a name, or for each line of a file, openverse:@FILE.",
    settings=OpenverseSettings,
    open=lambda place, settings: open_openverse(place.text, settings, place.limits),
    is_service=True,
)
