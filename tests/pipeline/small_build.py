"""Whole builds of a few rendered photos, in this process."""

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.commands.build import BuildOptions, build_command

SETTINGS = ("shard.val_share=0", "shard.test_share=0", "analyse.niqe=false", "analyse.min_face_px=48")


def said(command: Callable[[Console], object]) -> str:
    """What a command prints."""
    console = Console(file=io.StringIO(), record=True, width=400)
    command(console)
    return console.export_text()


def build(photos: Path, out: Path, check_files: bool = False, update: bool = False) -> str:
    """Build, or bring a build up to date; returns what was printed."""
    options = BuildOptions(
        source=str(photos), out=out, settings=SETTINGS, check_files=check_files, update=update
    )
    return said(lambda console: build_command(options, console))
