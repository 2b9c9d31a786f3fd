"""`facerefs sample`: render photos of synthetic people into a new folder."""

import os
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.build.folder import check_new
from facerefs.stages.synthetic_people.folder import write_people


def sample_command(out: Path, identities: int, per_identity: int, size: int, seed: int) -> None:
    """Render photos of synthetic people into a new folder."""
    check_new(out)
    console = Console(soft_wrap=True, markup=False)
    total = identities * per_identity
    people = write_people(out, identities, per_identity, size, seed, workers=os.cpu_count() or 1)
    for done, _ in enumerate(people, 1):
        if done % (10 * per_identity) == 0 or done == total:
            console.print(f"rendered    {done}/{total} photos", highlight=False)
    console.print(f"{out} holds {identities} people; try: facerefs build {out} --out BUILD", highlight=False)
