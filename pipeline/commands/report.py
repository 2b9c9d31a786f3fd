"""`facerefs report`: write the report of an existing build."""

from pathlib import Path

from rich.console import Console

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.report.report import REPORT_FILE, write_report
from facerefs.pipeline.storage.lock import locked


def report_command(folder: Path) -> None:
    """Write `report.html` into the folder of a build, and print its path."""
    storage = open_build(folder)
    with locked(folder):
        write_report(storage)
    Console(soft_wrap=True, markup=False).print(f"report      {folder / REPORT_FILE}", highlight=False)
