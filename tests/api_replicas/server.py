"""The server: routes, faults on demand, and a record of violations of the APIs' etiquette."""

import asyncio
import io
import re
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from aiohttp import web
from PIL import Image

from tests.api_replicas.commons import CommonsReplica
from tests.api_replicas.openverse import OpenverseReplica
from tests.api_replicas.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CONTACT = re.compile(r"[^\s/()]+/[^\s()]+ .*\(.*(@|https?://).*\)")
MAXLAG = {  # https://www.mediawiki.org/wiki/Manual:Maxlag_parameter
    "code": "maxlag",
    "info": "Waiting for 10.64.16.11: 6.3 seconds lagged.",
    "host": "10.64.16.11",
    "lag": 6.3,
    "type": "db",
    "docref": "See https://commons.wikimedia.org/w/api.php for API usage.",
}


class Replica:
    """Serves a world in a thread of its own, as `with Replica(world) as replica`.

    `violations` has the violations of the etiquette of the APIs; `requests` the parameters of each request to an API;
    `faults` the faults of the next answers, one for each request (see `_faulty_answer`).
    """

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.violations: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.faults: list[str] = []
        self.commons = CommonsReplica(world, self.violations)
        self.openverse = OpenverseReplica(world, self.violations)
        self.url = ""
        self._port = port
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> "Replica":
        self._thread.start()
        if not self._ready.wait(10) or not self.url:
            raise OSError("the replica did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def commons_api(self) -> str:
        return f"{self.url}/w/api.php"

    @property
    def wikidata_api(self) -> str:
        return f"{self.url}/wikidata/w/api.php"

    @property
    def openverse_api(self) -> str:
        return f"{self.url}/v1"

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()
            self._ready.set()

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_get("/w/api.php", self._api(self.commons.answer))
        app.router.add_get("/wikidata/w/api.php", self._api(self.commons.wikidata))
        app.router.add_get("/v1/images/", self._api(self.openverse.answer))
        app.router.add_get("/wikipedia/commons/thumb/{name}/{size}", self._thumbnail)
        app.router.add_get("/wikipedia/commons/{name}", self._file)
        app.router.add_get("/openverse/{id}.jpg", self._result)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def _api(self, answer: Callable[[dict[str, str], str], tuple[int, Any]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._watch(request)
            self._under_way += 1
            try:
                await asyncio.sleep(0.002)  # so that requests side by side would meet
                fault = self.faults.pop(0) if self.faults else None
                faulty = None if fault is None else await self._faulty_answer(fault, request)
                if faulty is not None:
                    return faulty
                status, content = answer(dict(request.query), self.url)
                if fault == "warning":  # https://www.mediawiki.org/wiki/API:Errors_and_warnings
                    content["warnings"] = {"main": {"warnings": "Unrecognized parameter: gsrsort."}}
                response = web.json_response(content, status=status)
                response.enable_compression()
                return response
            finally:
                self._under_way -= 1

        return handle

    def _watch(self, request: web.Request) -> None:
        """https://www.mediawiki.org/wiki/API:Etiquette and Wikimedia's User-Agent policy."""
        self.requests.append(dict(request.query))
        agent = request.headers.get("User-Agent", "")
        if not _CONTACT.fullmatch(agent):
            self.violations.append(f"User-Agent without a contact: {agent!r}")
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            self.violations.append("answers are not asked for in gzip")
        if self._under_way:
            self.violations.append("two requests at the same time")
        if len(request.query) != len(set(request.query)):
            self.violations.append(f"a parameter is given twice: {request.query_string}")

    async def _faulty_answer(self, fault: str, request: web.Request) -> web.StreamResponse | None:
        """The answer with this fault: an HTTP status, or the name of what is wrong. None: the right answer follows."""
        if fault == "reset":
            assert request.transport is not None
            request.transport.abort()
        if fault == "slow":
            self._under_way -= 1  # a client that has timed out may ask again
            try:
                await asyncio.sleep(1.0)
            finally:
                self._under_way += 1
        answers: dict[str, Callable[[], web.Response]] = {
            "maxlag": lambda: web.json_response(
                {"error": MAXLAG, "servedby": "mw1"}, headers={"Retry-After": "7", "X-Database-Lag": "6"}
            ),
            "429": lambda: web.Response(status=429, headers={"Retry-After": "11"}),
            "tomorrow": lambda: web.Response(status=429, headers={"Retry-After": "80000"}),
            "301": lambda: web.Response(status=301, headers={"Location": "https://elsewhere.example/"}),
            "garbage": lambda: web.Response(text="<html>Wikimedia error</html>", content_type="text/html"),
            "list": lambda: web.json_response([]),
            "odd": lambda: web.json_response({"query": {"pages": {"1": "a page"}, "categorymembers": 3}}),
            "denied": lambda: web.json_response(
                {"error": {"code": "readapidenied", "info": "You need read permission to use this module."}}
            ),
            "fault": lambda: web.json_response(
                {"error": {"code": "internal_api_error_DBQueryError", "info": "[a1] Caught exception"}}
            ),
        }
        if fault in answers:
            return answers[fault]()
        return web.Response(status=int(fault)) if fault.isdigit() else None

    async def _file(self, request: web.Request) -> web.Response:
        file = self.world.files.get(f"File:{request.match_info['name'].replace('_', ' ')}")
        if file is None or file.state:
            return web.Response(status=404)
        return web.Response(body=file.data, content_type=file.mime)

    async def _thumbnail(self, request: web.Request) -> web.Response:
        file = self.world.files.get(f"File:{request.match_info['name'].replace('_', ' ')}")
        width = int(request.match_info["size"].partition("px-")[0])
        if file is None or file.state:
            return web.Response(status=404)
        with Image.open(io.BytesIO(file.data)) as image:
            small = image.convert("RGB").resize((width, max(1, round(image.height * width / image.width))))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=90)
        return web.Response(body=buffer.getvalue(), content_type="image/jpeg")

    async def _result(self, request: web.Request) -> web.Response:
        for results in self.world.openverse.values():
            for result in results:
                if result["id"] == request.match_info["id"]:
                    return web.Response(body=result["data"], content_type="image/jpeg")
        return web.Response(status=404)
