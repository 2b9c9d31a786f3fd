"""A driver for tests with a cluster: `python -m tests.pipeline.runner.on_cluster ADDRESS OUT FILES MARKS DIES_AT`."""

import sys
from pathlib import Path

from facerefs.pipeline.runner.cluster import check_cluster
from tests.pipeline.runner.toy import Marked

if __name__ == "__main__":
    address, out, files, marks, dies_at = sys.argv[1:]
    check_cluster(address)
    from tests.pipeline.runner.test_runner import run

    print(run(out, Path(files), stage=Marked(marks=marks, dies_at=dies_at), address=address))  # noqa: T201
