"""Searches Wikimedia Commons for files that depict a person, or that are in a category and its sub-categories."""

from collections.abc import Callable, Iterator, Sequence

from facerefs.stages.sources.services.commons_file import IMAGE_PROPERTIES, METADATA
from facerefs.stages.sources.services.mediawiki import MediaWiki, MediaWikiError, Page
from facerefs.stages.sources.source import SourceError

CATEGORY = "Category:"
MAX_SEARCH_RESULTS = 10_000  # CirrusSearch gives no results beyond
_MAX_CATEGORIES = 10_000


class FileSearch:
    """Finds files, with the properties of https://www.mediawiki.org/wiki/API:Imageinfo; `note` gets what is missing.

    `width_px`: also describe thumbnails of this width. `category_depth`: levels of sub-categories that are searched.
    """

    def __init__(
        self, commons: MediaWiki, width_px: int | None, category_depth: int, note: Callable[[str], None]
    ) -> None:
        self._commons = commons
        self._category_depth = category_depth
        self._note = note
        self._described = {
            "action": "query",
            "prop": "imageinfo",
            "iiprop": IMAGE_PROPERTIES,
            "iiextmetadatalanguage": "en",
            "iiextmetadatafilter": "|".join(METADATA),
        }
        if width_px is not None:
            self._described["iiurlwidth"] = str(width_px)

    def batches(self, subject: str) -> Iterator[tuple[list[Page], dict[str, str]]]:
        """The pages for `Category:NAME` or the ids of one item (`Q76`, `Q76|Q999`), and what they were found by."""
        if not subject.startswith(CATEGORY):
            for pages in self._depicting(subject.split("|")):
                yield pages, {"depicts": subject}
            return
        members = {"generator": "categorymembers", "gcmtype": "file", "gcmlimit": "50"}
        for category in self._categories(subject):
            for pages in self._commons.page_batches({**self._described, **members, "gcmtitle": category}):
                yield pages, {"category": category}

    def _depicting(self, ids: Sequence[str]) -> Iterator[list[Page]]:
        """The pages that depict an item, by haswbstatement (P180: depicts).

        https://www.mediawiki.org/wiki/Help:Extension:WikibaseCirrusSearch
        """
        search = "haswbstatement:" + "|".join(f"P180={id_}" for id_ in ids) + " filetype:bitmap"
        # Relevance changes while we page through it; the time of the upload does not.
        generator = {"generator": "search", "gsrsearch": search, "gsrnamespace": "6", "gsrlimit": "50"}
        parameters = {**self._described, **generator, "gsrsort": "create_timestamp_asc"}
        reached = 0
        try:
            for pages in self._commons.page_batches(parameters):
                reached += len(pages)
                yield pages
        except MediaWikiError as error:
            if error.code != "cirrussearch-offset-too-large":
                raise
        else:
            if reached < MAX_SEARCH_RESULTS:
                return
        self._note(
            f"the search of Commons ends early: {reached} of {self._hits(search)} photos that depict {ids[0]} "
            "are listed; its category may lead to more"
        )

    def _hits(self, search: str) -> str:
        """The number of results of a search: https://www.mediawiki.org/wiki/API:Search (a generator gives none)."""
        parameters = {"action": "query", "list": "search", "srsearch": search, "srnamespace": "6"}
        answer = self._commons.query({**parameters, "srlimit": "1", "srinfo": "totalhits", "srprop": ""})
        about = answer["query"].get("searchinfo") if isinstance(answer.get("query"), dict) else None
        return str(about.get("totalhits", "more")) if isinstance(about, dict) else "more"

    def _categories(self, root: str) -> Iterator[str]:
        """A category and its sub-categories, the nearest ones first, each once."""
        seen, level = {root}, [root]
        for depth in range(self._category_depth + 1):
            below: list[str] = []
            for category in level:
                yield category
                if depth < self._category_depth:
                    new = [name for name in self._subcategories(category) if name not in seen]
                    below += new
                    seen.update(new)
                if len(seen) > _MAX_CATEGORIES:
                    raise SourceError(
                        f"{root} has more than {_MAX_CATEGORIES} sub-categories: lower commons.category_depth"
                    )
            level = below

    def _subcategories(self, category: str) -> list[str]:
        """The sub-categories of a category: https://www.mediawiki.org/wiki/API:Categorymembers"""
        parameters = {"action": "query", "list": "categorymembers", "cmtype": "subcat", "cmprop": "title"}
        answers = self._commons.query_all({**parameters, "cmlimit": "500", "cmtitle": category})
        members = (member for answer in answers for member in self._commons.items(answer, "categorymembers"))
        return [str(member.get("title")) for member in members]
