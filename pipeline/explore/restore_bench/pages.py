"""The page of the restoration bench: one restoration at a time, in a thread, with one loaded run."""

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.page_template import Render
from facerefs.pipeline.explore.restore_bench import uploads
from facerefs.pipeline.explore.restore_bench.uploads import Restoring

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.whole import PhotoRestorer

NAME, TITLE = "restore", "Restoration bench"


def add_routes(
    app: web.Application,
    render: Render,
    runs: tuple[Path, ...],
    engines: str = "embedded",
    device: str | None = None,
) -> None:
    """Answer `/restore` and `/restore/photo`.

    runs: folders of `facerefs train`. engines, device: as of `facerefs restore`.
    """
    bench = _Bench(render, runs, engines, device)
    app.router.add_get("/restore", bench.page)
    app.router.add_post("/restore/photo", bench.photo)


class _BusyError(Exception):
    """Another restoration is running."""


class _Bench:
    """Restores photos. The run that was used last stays loaded."""

    def __init__(self, render: Render, runs: tuple[Path, ...], engines: str, device: str | None) -> None:
        self._render, self._runs, self._engines, self._device = render, runs, engines, device
        # Held by the thread itself: a restoration goes on if its request ends.
        self._one_at_a_time = threading.Lock()
        self._loaded: tuple[int, PhotoRestorer] | None = None

    async def page(self, _: web.Request) -> web.Response:
        from facerefs.pipeline.explore.restore_bench.restored import run_title

        values: dict[str, object] = {
            "here": "restore",
            "runs": [(run_title(run), str(run)) for run in self._runs],
            "most_references": uploads.MOST_REFERENCES,
            "most_file_bytes": uploads.MOST_FILE_BYTES,
            "most_bytes": uploads.MOST_BYTES,
            "most_pixels": uploads.MOST_PIXELS,
        }
        return web.Response(text=self._render("restore_bench.html.j2", values), content_type="text/html")

    async def photo(self, request: web.Request) -> web.Response:
        try:
            if self._one_at_a_time.locked():  # before the files are received
                raise _BusyError
            asked = await uploads.received(request)
            return web.json_response(await asyncio.to_thread(self._restored, asked))
        except UserError as error:
            return web.json_response({"error": str(error)}, status=400)
        except _BusyError:
            sentence = "another restoration is running: try again when it is done"
            return web.json_response({"error": sentence}, status=409)

    def _restored(self, asked: Restoring) -> dict[str, Any]:
        """The answer of one restoration. Raises UserError, _BusyError."""
        import torch

        from facerefs.pipeline.explore.restore_bench.restored import answer, restore

        if not self._one_at_a_time.acquire(blocking=False):
            raise _BusyError
        try:
            return answer(restore(self._restorer(asked.run), asked))
        except (MemoryError, torch.OutOfMemoryError):
            raise UserError("there is too little memory: choose a smaller photo, or one face of it") from None
        finally:
            self._one_at_a_time.release()

    def _restorer(self, number: int) -> "PhotoRestorer":
        from facerefs.pipeline.restoring.whole import load_photo_restorer

        if number >= len(self._runs):
            raise UserError(
                f"there is no run {number + 1}: {len(self._runs)} were given when explore was started"
            )
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = None  # its memory first
            restorer = load_photo_restorer(self._runs[number], engines=self._engines, device=self._device)
            self._loaded = number, restorer
        return self._loaded[1]
