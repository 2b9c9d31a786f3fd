"""A client of the MediaWiki API: queries with their continuations, warnings and errors.

https://www.mediawiki.org/wiki/API:Etiquette (one request at a time, maxlag) and, for the continuation,
https://www.mediawiki.org/wiki/API:Continue
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from facerefs.stages.sources.lists.remote import shown_place
from facerefs.stages.sources.source import SourceError

if TYPE_CHECKING:
    from facerefs.stages.sources.services.api import Api

Page = dict[str, Any]
_ALWAYS = {"format": "json", "formatversion": "2", "maxlag": "5"}
_BUSY = ("maxlag", "ratelimited", "readonly", "cirrussearch-backend-error", "cirrussearch-too-busy-error")
_FAULT = "internal_api_error_"  # of the server, followed by its name


class MediaWikiError(SourceError):
    """The wiki answered with an error; `code` is its name."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class MediaWiki:
    """A wiki at the address of its api.php; `note` gets the warnings that it gives."""

    def __init__(self, api: "Api", url: str, note: Callable[[str], None]) -> None:
        self._api = api
        self._url = url
        self._shown = shown_place(url)
        self._note = note

    def query(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One answer. Raises MediaWikiError for an error that a retry cannot help, and SourceError as Api does."""
        answer = self._api.get_json(self._url, {**_ALWAYS, **parameters}, _why_busy)
        for module, warning in _items(answer.get("warnings")):
            self._note(f"{self._shown} warns ({module}): {_field(warning, 'warnings')}")
        if "error" in answer:
            code = _field(answer["error"], "code")
            raise MediaWikiError(f"{self._shown} refuses: {_field(answer['error'], 'info')} ({code})", code)
        return answer

    def query_all(self, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All answers of a query, one after the other."""
        more: dict[str, str] = {}
        while True:
            answer = self.query({**parameters, **more})
            yield answer
            before, more = more, {name: str(value) for name, value in _items(answer.get("continue"))}
            if not more:
                return
            if more == before:
                raise SourceError(f"{self._shown} gives the same answer again and again: try again later")

    def page_batches(self, parameters: Mapping[str, str]) -> Iterator[list[Page]]:
        """The pages of a query with a generator, with all properties asked for, in the generator's order.

        The properties of a batch may come in several answers. Of a list that is there already (upload history:
        the continuation of a single file leads to its older versions) the first one is kept.
        """
        pages: dict[str, Page] = {}
        for answer in self.query_all(parameters):
            for page in self.items(answer, "pages"):
                title = str(page.get("title"))
                pages[title] = page | pages.get(title, {})
            if answer.get("batchcomplete") or "continue" not in answer:
                if pages:
                    yield sorted(pages.values(), key=_position)
                pages = {}

    def items(self, answer: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
        """The list `what` of an answer; empty if absent. Raises SourceError for an answer in another form."""
        query = answer.get("query", {})
        items = query.get(what, []) if isinstance(query, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError(f"{self._shown} does not answer as the API of a wiki: is that its address?")
        return items


def _why_busy(answer: Mapping[str, Any]) -> str | None:
    """Why the wiki is busy: an error in an answer with HTTP status 200; None if it is not.

    https://www.mediawiki.org/wiki/Manual:Maxlag_parameter
    """
    if "error" not in answer:
        return None
    code = _field(answer["error"], "code")
    return f"{code}: {_field(answer['error'], 'info')}" if code in _BUSY or code.startswith(_FAULT) else None


def _field(value: object, name: str) -> str:
    return str(value.get(name, "")) if isinstance(value, dict) else str(value)


def _items(value: object) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _position(page: Page) -> int:
    index = page.get("index")  # only a search numbers its results; others give them in order
    return index if isinstance(index, int) else 0
