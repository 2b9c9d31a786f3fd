"""The action API of Commons and of Wikidata, with formatversion=2."""

import hashlib
from typing import Any
from urllib.parse import quote

from tests.api_replicas.world import File, World

_CONTINUATIONS = ("continue", "gsroffset", "gcmcontinue", "cmcontinue", "iicontinue", "iistart")
_STEPS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)  # mediawiki.org/wiki/Common_thumbnail_sizes
_MAX_TRANSFORMS = 50  # of ApiQueryImageInfo


class CommonsReplica:
    """Answers the queries that lead to files. `infos_per_answer`: how many files one answer describes at most;
    `search_ends_at`: the number of results after which CirrusSearch returns an error."""

    def __init__(self, world: World, violations: list[str]) -> None:
        self.infos_per_answer = _MAX_TRANSFORMS
        self.search_ends_at = 10_000
        self._world = world
        self._violations = violations
        self._given: dict[tuple[tuple[str, str], ...], list[dict[str, str]]] = {}  # by the rest of the query

    def answer(self, query: dict[str, str], url: str) -> tuple[int, Any]:
        self._watch(query)
        if query.get("generator") == "search":
            found = self._search(query["gsrsearch"])
            offset, limit = int(query.get("gsroffset", "0")), int(query["gsrlimit"])
            if offset >= self.search_ends_at:
                return 200, _error(
                    "cirrussearch-offset-too-large",
                    f"Could not retrieve results. Up to {self.search_ends_at} search results are supported, "
                    f"but results starting at {offset} were requested.",
                )
            after = {"gsroffset": offset + limit} if offset + limit < len(found) else {}
            batch = found[offset : offset + limit]
            numbers = {title: offset + place for place, title in enumerate(batch, start=1)}
            return 200, self._described(query, batch, numbers, after, url)
        if query.get("generator") == "categorymembers":
            batch, after = self._members(query, "gcm")
            return 200, self._described(query, batch, {}, after, url)
        if query.get("list") == "categorymembers":  # https://www.mediawiki.org/wiki/API:Categorymembers
            batch, after = self._members(query, "cm")
            members = {"categorymembers": [{"ns": 14, "title": title} for title in batch]}
            return 200, self._with_continue(query, {"query": members}, after, done=True)
        if query.get("list") == "search":  # https://www.mediawiki.org/wiki/API:Search
            hits = len(self._search(query["srsearch"]))
            return 200, {"batchcomplete": True, "query": {"searchinfo": {"totalhits": hits}, "search": []}}
        return 200, _error("badvalue", 'Unrecognized value for parameter "action"')

    def wikidata(self, query: dict[str, str], _: str) -> tuple[int, Any]:
        """https://www.wikidata.org/w/api.php?action=help&modules=wbgetentities"""
        self._watch(query)
        ids = query["ids"].split("|")
        if len(ids) > 50:
            return 200, _error("toomanyvalues", 'Too many values supplied for parameter "ids".')
        return 200, {"entities": {id_: self._entity(id_, query) for id_ in ids}, "success": 1}

    def _entity(self, id_: str, query: dict[str, str]) -> dict[str, Any]:
        now = self._world.merged.get(id_, id_)
        if now not in self._world.names:
            return {"id": id_, "missing": ""}
        wanted = query["languages"].split("|")
        names = {language: name for language, name in self._world.names[now].items() if language in wanted}
        labels = {language: {"language": language, "value": name} for language, name in names.items()}
        entity: dict[str, Any] = {"type": "item", "id": now, "labels": labels}
        return entity if now == id_ else entity | {"redirects": {"from": id_, "to": now}}

    def _watch(self, query: dict[str, str]) -> None:
        """Record a violation unless the query has maxlag, the right format, and a continuation that was given."""
        for name, value in {"maxlag": "5", "format": "json", "formatversion": "2"}.items():
            if query.get(name) != value:
                self._violations.append(f"{name} is {query.get(name)}, not {value}")
        sent = {name: query[name] for name in _CONTINUATIONS if name in query}
        if sent and sent not in self._given.get(_rest(query), []):
            self._violations.append(f"a continuation that was not given: {sent}")

    def _search(self, text: str) -> list[str]:
        """haswbstatement:P180=Q1|P180=Q2 filetype:bitmap"""
        statement, _, kind = text.partition(" ")
        items = [part.removeprefix("P180=") for part in statement.removeprefix("haswbstatement:").split("|")]
        found = dict.fromkeys(title for item in items for title in self._world.depicted.get(item, []))
        if kind != "filetype:bitmap":
            return list(found)
        drawn = ("image/svg+xml", "application/pdf", "video/webm")
        return [title for title in found if self._world.files[title].mime not in drawn]

    def _members(self, query: dict[str, str], prefix: str) -> tuple[list[str], dict[str, Any]]:
        is_file = query[f"{prefix}type"] == "file"
        members = self._world.categories.get(query[f"{prefix}title"], [])
        titles = sorted(title for title in members if title.startswith("File:") == is_file)
        keys = [f"{query[f'{prefix}type']}|{title.upper().encode().hex()}|{len(title)}" for title in titles]
        start = keys.index(query[f"{prefix}continue"]) if f"{prefix}continue" in query else 0
        end = start + int(query[f"{prefix}limit"])
        return titles[start:end], {f"{prefix}continue": keys[end]} if end < len(keys) else {}

    def _described(
        self,
        query: dict[str, str],
        batch: list[str],
        numbers: dict[str, int],
        after: dict[str, Any],
        url: str,
    ) -> dict[str, Any]:
        """A batch of the generator with `imageinfo`: https://www.mediawiki.org/wiki/API:Imageinfo."""
        width = int(query["iiurlwidth"]) if "iiurlwidth" in query else None
        if width is not None and width not in _STEPS:
            self._violations.append(f"thumbnails are not made {width} pixels wide")
        files = [self._world.files[title] for title in batch]
        pages = {file.title: _page(file, numbers) for file in sorted(files, key=lambda file: file.pageid)}
        rest = sorted(files, key=_database_key)
        rest = [file for file in rest if _database_key(file) >= query.get("iicontinue", "").partition("|")[0]]
        now, later = rest[: self.infos_per_answer], rest[self.infos_per_answer :]
        unfinished: dict[str, Any] = {}
        for file in (file for file in now if file.state != "lost"):
            older = [when for when in file.uploads if when <= query.get("iistart", "9")]
            pages[file.title]["imageinfo"] = [_info(file, older[0], width, query, url)]
            if len(files) == 1 and len(older) > 1:  # only for a single file: its next older version
                unfinished = {"iistart": older[1]}
        if later:
            unfinished = {"iicontinue": f"{_database_key(later[0])}|{later[0].uploads[0]}"}
        answer = {"query": {"pages": list(pages.values())}} if pages else {}
        same: dict[str, Any] = {name: query[name] for name in ("gsroffset", "gcmcontinue") if name in query}
        following = unfinished | same if unfinished else after
        return self._with_continue(query, answer, following, done=not unfinished)

    def _with_continue(
        self, query: dict[str, str], answer: dict[str, Any], following: dict[str, Any], done: bool
    ) -> dict[str, Any]:
        """https://www.mediawiki.org/wiki/API:Continue"""
        if done:
            answer = {"batchcomplete": True, **answer}
        if not following:
            return answer
        generators = "|".join(name for name in following if name.startswith("g"))
        following = {**following, "continue": f"{generators}||" if "generator" in query else "-||"}
        self._given.setdefault(_rest(query), []).append(
            {name: str(value) for name, value in following.items()}
        )
        return {"continue": following, **answer}


def _database_key(file: File) -> str:
    return file.name.replace(" ", "_")


def _rest(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in query.items() if name not in _CONTINUATIONS))


def _error(code: str, info: str) -> dict[str, Any]:
    """https://www.mediawiki.org/wiki/API:Errors_and_warnings"""
    docref = "See https://commons.wikimedia.org/w/api.php for API usage."
    return {"error": {"code": code, "info": info, "docref": docref}, "servedby": "mw1"}


def _page(file: File, numbers: dict[str, int]) -> dict[str, Any]:
    page: dict[str, Any] = {"pageid": file.pageid, "ns": 6, "title": file.title}
    if file.title in numbers:
        page["index"] = numbers[file.title]
    return page | {"imagerepository": "" if file.state == "lost" else "local"}


def _info(file: File, uploaded: str, width: int | None, query: dict[str, str], url: str) -> dict[str, Any]:
    info: dict[str, Any] = {"timestamp": uploaded, "user": "Uploader", "size": len(file.data)}
    info |= {"width": file.size[0], "height": file.size[1]}
    if file.state == "hidden":
        return info | {"filehidden": True}
    name = quote(file.name.replace(" ", "_"))
    tracking = "?utm_source=commons.wikimedia.org&utm_campaign=imageinfo&utm_content="
    if width is not None and file.mime.startswith("image/"):
        scaled = f"{url}/wikipedia/commons/thumb/{name}/{width}px-{name}{tracking}thumbnail"
        if width < file.size[0]:
            info |= {
                "thumburl": scaled,
                "thumbwidth": width,
                "thumbheight": file.size[1] * width // file.size[0],
            }
        else:
            original = f"{url}/wikipedia/commons/{name}{tracking}thumbnail_unscaled"
            info |= {"thumburl": original, "thumbwidth": file.size[0], "thumbheight": file.size[1]}
    version = name if uploaded == file.uploads[0] else f"archive/{uploaded}!{name}"
    wanted = query["iiextmetadatafilter"].split("|")
    source = {"source": "commons-desc-page"}  # https://www.mediawiki.org/wiki/Extension:CommonsMetadata
    metadata = {part: {"value": text, **source} for part, text in file.metadata.items() if part in wanted}
    return info | {
        "url": f"{url}/wikipedia/commons/{version}{tracking}original",
        "descriptionurl": f"{url}/wiki/File:{name}",
        "descriptionshorturl": f"{url}/w/index.php?curid={file.pageid}",
        "sha1": hashlib.sha1(file.data).hexdigest(),
        "extmetadata": metadata,
        "mime": file.mime,
    }
