"""The pictures of the page, by what they show: `/picture?of=face&id=...`."""

from aiohttp import web

from facerefs.pipeline.explore.explored_build import row_of
from facerefs.pipeline.explore.pages.site import Site, in_thread
from facerefs.pipeline.explore.pictures import SIDES_PX, TABLE_OF
from facerefs.pipeline.explore.views.view import PictureOf


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/picture`."""

    async def picture(request: web.Request) -> web.Response:
        of, name = request.query.get("of"), request.query.get("id", "")
        large, there = request.query.get("large") == "1", request.query.get("there") == "1"
        kind = next((one for one in TABLE_OF if one == of), None)
        if kind is None:
            raise web.HTTPNotFound(reason="There is no such picture.")
        data = await in_thread(lambda: _picture(site, kind, name, SIDES_PX[large], there))
        if data is None:
            raise web.HTTPNotFound(reason="Its bytes are gone, or have changed since the build.")
        return web.Response(body=data, content_type="image/webp")

    app.router.add_get("/picture", picture)


def _picture(site: Site, of: PictureOf, name: str, side_px: int, there: bool) -> bytes | None:
    pictures = site.other_pictures if there else site.pictures
    if pictures is None:
        return None
    if there:
        version = site.build.version()
        return pictures.webp(of, name, pictures.part_of(of, name, version), side_px, version)
    view = site.build.view(TABLE_OF[of])
    row = None if view is None else row_of(site.build.rows(view).rows, view.columns[0].name, name)
    if row is None or row["part"] is None:
        return None
    return pictures.webp(of, name, str(row["part"]), side_px, site.build.version())
