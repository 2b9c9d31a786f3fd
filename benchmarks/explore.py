"""Seconds per page of `facerefs explore` on a build of a million synthetic faces: first visit, and when read already.

The tables have the sizes of a real build, without photos and crops. There is no peer that opens such a build.
Run `python -m benchmarks.explore [ROWS]`.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.explored_build import ExploredBuild
from facerefs.pipeline.explore.listing.query import ListQuery, read_query
from facerefs.pipeline.explore.server import VIEWS
from facerefs.pipeline.explore.views.view import View
from facerefs.pipeline.lineage.asked import asked_for
from facerefs.pipeline.lineage.backward import trace_of
from facerefs.pipeline.storage.folder import Storage
from tests.pipeline.explore.synthetic import write_build

ROWS = 1_000_000
OUT = Path("benchmarks/out/explore.json")
QUERIES: dict[str, list[tuple[str, str]]] = {
    "first page": [],
    "page 1,000": [("page", "1000")],
    "search": [("q", "person-0012")],
    "reason and person": [("reason", "accepted"), ("identity", "person-00007")],
    "figures, sorted": [
        ("yaw_min", "-10"),
        ("yaw_max", "30"),
        ("face_px_min", "128"),
        ("sort", "-sharpness"),
    ],
    "sorted by key": [("sort", "-key")],
}


def main() -> None:
    """Write the build into a temporary folder, and print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage.at(folder)
        print(f"writing {rows:,} rows", flush=True)
        write_build(storage, rows)
        cases = list(measured(storage))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(cases, indent=1))


def measured(storage: Storage) -> Iterator[dict[str, Any]]:
    """The seconds of each page, printed as they come."""
    build = ExploredBuild(storage, VIEWS)
    for view in VIEWS:
        yield _case(f"{view.name}: reading", partial(build.rows, view))
        for name, given in QUERIES.items():
            with suppress(UserError):  # the view has no such columns
                query = read_query(view, given)
                yield _case(f"{view.name}: {name}", partial(_page, build, view, query))
    face = storage.read("faces", storage.parts("faces")[-1], ("id",))["id"][7].as_py()
    yield _case("details of a face", lambda: trace_of(storage, asked_for(storage, face)))
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB", flush=True)


def _page(build: ExploredBuild, view: View, query: ListQuery) -> object:
    found = build.rows(view).find(query)
    return [view.card(row) for row in found.rows]


def _case(name: str, work: Callable[[], object]) -> dict[str, Any]:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(f"{name:<28} {seconds:6.2f} s", flush=True)
    return {
        "case": name,
        "ours": seconds,
        "peer": None,
        "unit": "s",
        "ratio": None,
        "low": None,
        "high": None,
    }


if __name__ == "__main__":
    main()
