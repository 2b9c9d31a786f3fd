"""`facerefs explore`: a local web page to look at a build, to search it, and to decide."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.build.overrides import FILE
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.decisions import read_decisions
from facerefs.pipeline.explore.server import ExploreOptions, serve
from facerefs.pipeline.text import plural
from facerefs.schemas.file_names import RUN_FILE


@dataclass(frozen=True)
class ExploreCommand:
    """The options of the command. port 0: any that is free."""

    folder: str
    other: str | None
    runs: tuple[Path, ...]
    port: int
    blur: bool
    open_browser: bool


def explore_command(options: ExploreCommand, console: Console) -> None:
    """Serve the page until Ctrl+C; then say what was decided. Raises UserError."""
    build = open_build(options.folder)
    other = None if options.other is None else open_build(options.other)
    read_decisions(build)  # a file that cannot be understood is said before anybody decides

    def started(address: str) -> None:
        console.print(f"explore     {address}", highlight=False)
        console.print("            for this machine and you alone; Ctrl+C ends it", highlight=False)
        if options.open_browser:
            webbrowser.open(address)

    for run in options.runs:
        if not (run / RUN_FILE).is_file():
            raise UserError(f"--run {run} is no training run: give the folder of facerefs train --run")
    serve(ExploreOptions(build, other, options.blur, options.runs), options.port, started)
    waiting = [one for one in read_decisions(build) if not one.is_applied]
    if waiting:
        number = plural(len(waiting), "decision")
        next_step = f"run the same facerefs build again, with --out {options.folder}"
        console.print(f"next        {number} in {FILE} wait for a build: {next_step}", highlight=False)
