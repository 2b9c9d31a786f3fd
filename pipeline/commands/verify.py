"""`facerefs verify`: check a training set, and print its faults and the result."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build.folder import storage_at
from facerefs.pipeline.build.leakage import leakage
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.text import plural
from facerefs.pipeline.verify.verify import Fault, manifest_of, samples_in, verify
from facerefs.schemas.file_names import BUILD_FILE


def verify_command(place: str | Path, replay: int) -> bool:
    """Check a training set and print each fault on one line. Returns whether it has no faults."""
    console = Console(soft_wrap=True, markup=False)
    samples = samples_in(place)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        console.print(manifest.line(), highlight=False)
        return False
    with StageProgress(console, "verify", len(manifest.shards), 0, "samples", "faults") as progress:
        checked = verify(samples, manifest, replay, progress.part_done)
    faults = checked.faults
    for fault in faults:
        console.print(fault.line(), highlight=False)
    count = sum(shard.samples for shard in manifest.shards)
    size = sum(shard.bytes for shard in manifest.shards) / 1e6
    verdict = f"not sound   {plural(len(faults), 'fault')} in" if faults else "sound      "
    made = checked.replayed
    replayed = f"; {plural(made, 'degraded face')} made again, identical" if made and not faults else ""
    replayed += f"; {plural(checked.given, 'published one')} not made again" if checked.given else ""
    held = f"{plural(len(manifest.shards), 'shard')}, {plural(count, 'sample')}, {size:.1f} MB"
    console.print(f"{verdict} {held}{replayed}", highlight=False)
    if checked.people_in_two_splits:
        people = plural(len(checked.people_in_two_splits), "person is", "people are")
        console.print(f"{'':<11} {people} in two of the published splits", highlight=False)
    return _no_shot_twice(place, console) and not faults


def verify_for_programs(place: str | Path, replay: int) -> bool:
    """Check a training set and print one JSON object: its size, and its faults. Returns whether it has no faults."""
    samples = samples_in(place)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        facts: dict[str, Any] = {"faults": [asdict(manifest)]}
    else:
        checked = verify(samples, manifest, replay, lambda samples, faults: None)
        facts = {
            "shards": len(manifest.shards),
            "samples": sum(shard.samples for shard in manifest.shards),
            "bytes": sum(shard.bytes for shard in manifest.shards),
            "faults": [asdict(fault) for fault in checked.faults],
            "people_in_two_published_splits": checked.people_in_two_splits,
        }
    build = storage_at(place)
    twice = len(leakage(build).faults) if build.exists(BUILD_FILE) else None
    is_sound = not facts["faults"] and not twice
    print(json.dumps({"is_sound": is_sound, **facts, "shots_in_two_splits": twice}, indent=2))  # noqa: T201
    return is_sound


def _no_shot_twice(place: str | Path, console: Console) -> bool:
    """Whether no shot is in two splits. True for a copy of `samples`, which has no tables to check this with."""
    build = storage_at(place)
    if not build.exists(BUILD_FILE):
        return True
    found = leakage(build)
    console.print(f"{'':<11} {found.sentence}", highlight=False)
    return not len(found.faults)
