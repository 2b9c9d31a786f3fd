"""`facerefs merge`: join finished builds into one."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan
from facerefs.pipeline.build.folder import storage_at
from facerefs.pipeline.commands.build import RunOptions, update_build
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.merge.agreement import check_agreement
from facerefs.pipeline.merge.merge import merge
from facerefs.pipeline.merge.originals import check_finished, open_originals, unchanged
from facerefs.pipeline.runner.progress import BuildWatch
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.runner.workers import RayWorkers


@dataclass(frozen=True)
class MergeOptions:
    """The options of `facerefs merge`, not yet checked."""

    builds: tuple[str, ...]
    out: str | Path
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    run: RunOptions = field(default_factory=RunOptions)


def merge_command(options: MergeOptions, console: Console) -> None:
    """Check the options, then merge the builds and write the report of the result. Raises UserError, RunError."""
    storage = storage_at(options.out)
    originals = open_originals(options.builds, storage)
    config = read_config(options.config_file, options.settings, under=originals[0].tree)
    check_agreement(originals, config)
    places = tuple(original.address for original in originals)
    plan = BuildPlan(source=" + ".join(places), labels_file=None, config=config, builds=places)

    def update(workers: RayWorkers, watch: BuildWatch) -> list[str]:
        others = tuple(original.storage for original in originals)
        run = Runner(storage, console, workers, watch, config.memory_mb, config.spread_from_rows, others)
        result = merge(originals, groups, plan, run)
        return [f"{'merged':<11} {line}" for line in result.lines()]

    retried = [f"{original.command} --retry transient" for original in originals if not original.builds]
    again = "; ".join(
        [*retried, shlex.join(["facerefs", "merge", *options.builds, "--out", str(options.out)])]
    )
    with unchanged(originals):
        groups = [check_finished(original) for original in originals]
        update_build(plan, storage, str(options.out), options.run, again, console, update)
