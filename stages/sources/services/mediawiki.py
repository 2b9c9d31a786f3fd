"""The API of a wiki: queries that go on until they are complete, and what it says when it will not answer.

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
    """The wiki answered with an error, whose name is `code`."""

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

    def ask(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """One answer. Raises MediaWikiError for an error that waiting does not heal, and SourceError as Api does."""
        answer = self._api.get_json(self._url, {**_ALWAYS, **parameters}, _why_busy)
        for module, warning in _items(answer.get("warnings")):
            self._note(f"{self._shown} warns ({module}): {_said(warning, 'warnings')}")
        if "error" in answer:
            code = _said(answer["error"], "code")
            raise MediaWikiError(f"{self._shown} refuses: {_said(answer['error'], 'info')} ({code})", code)
        return answer

    def answers(self, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All answers of a query, one after the other."""
        more: dict[str, str] = {}
        while True:
            answer = self.ask({**parameters, **more})
            yield answer
            before, more = more, {name: str(value) for name, value in _items(answer.get("continue"))}
            if not more:
                return
            if more == before:
                raise SourceError(f"{self._shown} gives the same answer again and again: try again later")

    def batches(self, parameters: Mapping[str, str]) -> Iterator[list[Page]]:
        """The pages of a query with a generator, with all properties asked for, in the generator's order.

        The properties of a batch may come in several answers. Of a list that is there already (upload history:
        the continuation of a single file leads to its older versions) the first one is kept.
        """
        pages: dict[str, Page] = {}
        for answer in self.answers(parameters):
            for page in self.found(answer, "pages"):
                title = str(page.get("title"))
                pages[title] = page | pages.get(title, {})
            if answer.get("batchcomplete") or "continue" not in answer:
                if pages:
                    yield sorted(pages.values(), key=_position)
                pages = {}

    def found(self, answer: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
        """The list `what` of an answer to a query; empty if it is not there. Raises SourceError for another shape."""
        query = answer.get("query", {})
        items = query.get(what, []) if isinstance(query, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError(f"{self._shown} does not answer as the API of a wiki: is that its address?")
        return items


def _why_busy(answer: Mapping[str, Any]) -> str | None:
    """https://www.mediawiki.org/wiki/Manual:Maxlag_parameter: an error in an answer with HTTP status 200."""
    if "error" not in answer:
        return None
    code = _said(answer["error"], "code")
    return f"{code}: {_said(answer['error'], 'info')}" if code in _BUSY or code.startswith(_FAULT) else None


def _said(said: object, name: str) -> str:
    return str(said.get(name, "")) if isinstance(said, dict) else str(said)


def _items(said: object) -> list[tuple[str, Any]]:
    return list(said.items()) if isinstance(said, dict) else []


def _position(page: Page) -> int:
    index = page.get("index")  # only a search numbers its results; others give them in order
    return index if isinstance(index, int) else 0
