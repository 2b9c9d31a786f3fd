"""`facerefs verify`: check a training set, and print its faults and the result."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.leakage import leakage
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.text import plural
from facerefs.pipeline.verify.verify import Fault, manifest_of, samples_in, verify
from facerefs.schemas.file_names import BUILD_FILE


def verify_command(folder: Path, replay: int) -> bool:
    """Check a training set and print each fault on one line. Returns whether it has no faults."""
    console = Console(soft_wrap=True, markup=False)
    samples = samples_in(folder)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        console.print(manifest.line(), highlight=False)
        return False
    with StageProgress(console, "verify", len(manifest.shards), 0, "samples", "faults") as progress:
        faults = verify(samples, manifest, replay, progress.part_done)
    for fault in faults:
        console.print(fault.line(), highlight=False)
    count = sum(shard.samples for shard in manifest.shards)
    size = sum(shard.bytes for shard in manifest.shards) / 1e6
    verdict = f"not sound   {plural(len(faults), 'fault')} in" if faults else "sound      "
    made = min(replay, count)
    replayed = f"; {plural(made, 'degraded face')} made again, identical" if made and not faults else ""
    held = f"{plural(len(manifest.shards), 'shard')}, {plural(count, 'sample')}, {size:.1f} MB"
    console.print(f"{verdict} {held}{replayed}", highlight=False)
    return _no_shot_twice(folder, console) and not faults


def verify_for_programs(folder: Path, replay: int) -> bool:
    """Check a training set and print one JSON object: its size, and its faults. Returns whether it has no faults."""
    samples = samples_in(folder)
    manifest = manifest_of(samples)
    if isinstance(manifest, Fault):
        facts: dict[str, Any] = {"faults": [asdict(manifest)]}
    else:
        faults = verify(samples, manifest, replay, lambda samples, faults: None)
        facts = {
            "shards": len(manifest.shards),
            "samples": sum(shard.samples for shard in manifest.shards),
            "bytes": sum(shard.bytes for shard in manifest.shards),
            "faults": [asdict(fault) for fault in faults],
        }
    twice = len(leakage(open_build(folder)).faults) if (folder / BUILD_FILE).is_file() else None
    is_sound = not facts["faults"] and not twice
    print(json.dumps({"is_sound": is_sound, **facts, "shots_in_two_splits": twice}, indent=2))  # noqa: T201
    return is_sound


def _no_shot_twice(folder: Path, console: Console) -> bool:
    """Whether no shot is in two splits. True for a copy of `samples`, which has no tables to check this with."""
    if not (folder / BUILD_FILE).is_file():
        return True
    found = leakage(open_build(folder))
    console.print(f"{'':<11} {found.sentence}", highlight=False)
    return not len(found.faults)
