"""Serve the photos of a folder as Commons and Openverse would."""
# ruff: noqa: T201 (its output is for a person)

import argparse
import time
from pathlib import Path

from tests.api_replicas import Replica, world_of_folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.api_replicas", description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--photos", type=Path, required=True, help="a folder with one sub-folder per person")
    parser.add_argument(
        "--rough", action="store_true", help="begin with a lagged answer, an HTTP 429 and a 503"
    )
    options = parser.parse_args()
    world = world_of_folder(options.photos)
    with Replica(world, options.port) as replica:
        replica.faults += ["maxlag", "429", "503"] if options.rough else []
        print(f"commons.api={replica.commons_api}")
        print(f"commons.wikidata_api={replica.wikidata_api}")
        print(f"openverse.api={replica.openverse_api}")
        for item, names in world.names.items():
            print(f"commons:{item} or openverse:{names['en']}: {len(world.depicted.get(item, []))} photos")
        try:
            while True:
                time.sleep(1)
                while replica.violations:
                    print(f"against the etiquette: {replica.violations.pop(0)}", flush=True)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
