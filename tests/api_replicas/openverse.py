"""The API of Openverse, as anonymous use sees it: https://api.openverse.org/v1/#tag/images."""

from typing import Any

from tests.api_replicas.world import World

_PAGE_SIZE, _RESULTS = 20, 240  # of anonymous use: WordPress/openverse issue 4474
_ASKED = {"q", "license", "page", "page_size", "category"}


class OpenverseReplica:
    """Answers to searches for images."""

    def __init__(self, world: World, violations: list[str]) -> None:
        self._world = world
        self._violations = violations

    def answer(self, query: dict[str, str], url: str) -> tuple[int, Any]:
        if query.keys() - _ASKED:
            self._violations.append(f"unknown parameters {query.keys() - _ASKED}")
        page, size = int(query.get("page", "1")), int(query.get("page_size", "20"))
        if size > _PAGE_SIZE or page * size > _RESULTS:
            self._violations.append(f"page {page} of {size} results is beyond anonymous use")
            return 401, {"detail": f"Ensure this value is less than or equal to {_PAGE_SIZE}."}
        found = self._found(query)
        reachable = found[:_RESULTS]  # and as many it counts
        results = [_result(one, url) for one in reachable[(page - 1) * size : page * size]]
        about = {"result_count": len(reachable), "page_count": -(-len(reachable) // size), "page_size": size}
        return 200, {**about, "page": page, "results": results}

    def _found(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """Results with one of the licences, and those marked `stray`, as an outdated index gives them."""
        licences = query["license"].split(",")
        known = self._world.openverse.get(query["q"].strip('"').lower(), [])
        return [one for one in known if one["license"] in licences or one.get("stray")]


def _result(one: dict[str, Any], url: str) -> dict[str, Any]:
    """The shape of WordPress/openverse, api/api/examples/image_responses.py."""
    licence = f"{one['license'].upper()} {one['license_version']}"
    result = {
        "id": one["id"],
        "title": one.get("title", "A photo"),
        "indexed_on": "2022-08-27T17:39:48Z",
        "foreign_landing_url": f"{url}/photo/{one['id']}",
        "url": f"{url}/openverse/{one['id']}.jpg",
        "creator": "Jo Doe",
        "creator_url": "https://www.flickr.com/photos/jo",
        "license": one["license"],
        "license_version": one["license_version"],
        "license_url": one["license_url"],
        "provider": "flickr",
        "source": "flickr",
        "category": None,
        "filesize": None,
        "filetype": "jpg",
        "tags": [{"name": "portrait", "accuracy": None, "unstable__provider": "flickr"}],
        "attribution": f'"{one.get("title")}" by Jo Doe is licensed under {licence}. '
        f"To view a copy of this license, visit {one['license_url']}.",
        "fields_matched": ["title"],
        "mature": False,
        "height": one.get("height", 48),
        "width": one.get("width", 64),
        "thumbnail": f"{url}/v1/images/{one['id']}/thumb/",
        "detail_url": f"{url}/v1/images/{one['id']}/",
        "related_url": f"{url}/v1/images/{one['id']}/related/",
        "unstable__sensitivity": [],
    }
    changed: dict[str, Any] = one.get("changed", {})
    return result | changed
