"""Our side of benchmarks/crawl.py: the stages that img2dataset covers, from a list of URLs to tars with the bytes."""

import os
import sys

from rich.console import Console

from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.fetch.fetch import run_fetch
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.fetch import Fetch
from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.url_list import open_url_lists

CONNECTIONS = 32  # of each worker
ROWS_PER_PART = 1000  # as one sets it for a long list: fewer, larger parts, like img2dataset's shards


def main(urls: str, out: str, ca_file: str) -> None:
    """Fetch all, asking robots.txt and for opt-outs as always; only the server's share of patience is set aside."""
    settings = Fetch(
        allow_private_hosts=True,
        ca_file=ca_file,
        host_connections=2 * CONNECTIONS,
        host_rate_per_s=None,
        connections=CONNECTIONS,
    )
    storage, console = Storage(out), Console(soft_wrap=True)
    list_source(open_url_lists([urls], ColumnNames()).rows(), ROWS_PER_PART, storage, console)
    run_fetch(settings, storage, RayWorkers(os.cpu_count() or 1), console)


if __name__ == "__main__":
    main(*sys.argv[1:])
