"""`facerefs report`: write the report of an existing build."""

from pathlib import Path

from rich.console import Console

from facerefs.pipeline.build.folder import open_build
from facerefs.pipeline.report.report import REPORT_FILE, write_report
from facerefs.pipeline.storage.lease import locked_build


def report_command(folder: str | Path, blur: bool) -> None:
    """Write `report.html` into the folder of a build, and print its path. blur: hide all faces."""
    storage = open_build(folder)
    with locked_build(storage):
        write_report(storage, blur)
    Console(soft_wrap=True, markup=False).print(
        f"report      {storage.address}/{REPORT_FILE}", highlight=False
    )
