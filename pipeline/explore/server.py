"""The web server of `facerefs explore`: on loopback only, for the person who started it."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.explore.degradation_bench import pages as degradation
from facerefs.pipeline.explore.explored_build import ExploredBuild
from facerefs.pipeline.explore.guard import Guard, guarded
from facerefs.pipeline.explore.page_template import Render, page_template, static_files
from facerefs.pipeline.explore.pages import decisions, details, lists, overview, pictures
from facerefs.pipeline.explore.pages.site import Site, html
from facerefs.pipeline.explore.pictures import Pictures
from facerefs.pipeline.explore.restore_bench import pages as restoration
from facerefs.pipeline.explore.views.differences import differences
from facerefs.pipeline.explore.views.faces import FACES
from facerefs.pipeline.explore.views.pairs import COPIES, PAIRS
from facerefs.pipeline.explore.views.people import PEOPLE
from facerefs.pipeline.explore.views.photos import PHOTOS
from facerefs.pipeline.explore.views.samples import SAMPLES
from facerefs.pipeline.storage.folder import Storage

VIEWS = (PHOTOS, FACES, PEOPLE, PAIRS, COPIES, SAMPLES)
_MOST_BYTES = 96 << 20  # of a request: a photo and its references
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ExploreOptions:
    """What is explored. other: a second build, to compare. blur: hide the faces. runs: of models that restore."""

    build: Storage
    other: Storage | None = None
    blur: bool = False
    runs: tuple[Path, ...] = ()


def explore_app(options: ExploreOptions, guard: Guard) -> tuple[web.Application, ExploredBuild]:
    """The application that answers the requests of the page, and the build that it shows."""
    others = () if options.other is None else (options.other,)
    build = ExploredBuild(options.build, [*VIEWS, *map(differences, others)], others)
    render = page_template(
        {
            "views": build.views,
            "tools": [] if options.blur else [degradation, restoration],
            "page_token": guard.page_token,
            "place": options.build.address,
            "blurred": options.blur,
        }
    )
    other_pictures = Pictures(options.other, options.blur) if options.other else None
    site = Site(build, Pictures(options.build, options.blur), other_pictures, render)
    app = web.Application(middlewares=[guarded(guard), _explained(render)], client_max_size=_MOST_BYTES)
    for page in (overview, lists, details, decisions, pictures):
        page.add_routes(app, site)
    if not options.blur:  # the benches show faces
        degradation.add_routes(app, site)
        restoration.add_routes(app, render, options.runs)
    _add_static(app)
    return app, build


def serve(options: ExploreOptions, port: int, started: Callable[[str], None]) -> None:
    """Answer requests until the process is interrupted. started: gets the address to open.

    Raises UserError if the port is not free.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(served(options, port, started))


async def served(options: ExploreOptions, port: int, started: Callable[[str], None]) -> None:
    """Answer requests until the task is cancelled, as `serve`."""
    listening = _listening(port)
    guard = Guard(listening.getsockname()[1])
    app, build = explore_app(options, guard)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    try:
        await runner.setup()
        await web.SockSite(runner, listening, shutdown_timeout=1.0).start()
        started(guard.address)
        # A daemon: whoever ends the command need not wait until everything is read.
        threading.Thread(target=build.read_ahead, daemon=True).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_LOOPBACK, port))
    except OSError as error:
        listening.close()
        raise UserError(
            f"port {port} cannot be used ({error.strerror}): choose another with --port"
        ) from None
    return listening


def _explained(render: Render) -> Middleware:
    """A middleware that answers a user's mistake, or a damaged build, with its sentence."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (UserError, RunError) as error:
            status = 400 if isinstance(error, UserError) else 500
            if request.method != "GET":
                return web.json_response({"error": str(error)}, status=status)
            return html(render("error.html.j2", {"here": "error", "sentence": str(error)}), status)

    return middleware


def _add_static(app: web.Application) -> None:
    files = static_files()

    async def static(request: web.Request) -> web.Response:
        kind, data = files.get(request.match_info["name"], ("", b""))
        if not kind:
            raise web.HTTPNotFound(reason="There is no such file.")
        return web.Response(body=data, content_type=kind, charset="utf-8")

    app.router.add_get("/static/{name}", static)
