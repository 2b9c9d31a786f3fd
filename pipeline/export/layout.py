"""What a layout is: how a set is laid out for another program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.read_set import SetSample


class Held(NamedTuple):
    """What a layout holds of a sample, beside its ground truth."""

    degraded: bool = False
    references: int = 0
    landmarks: int = 0  # number of faces of which it holds all 68


class Layout(Protocol):
    """Writes the samples of a set, one after the other."""

    def add(self, sample: SetSample) -> Held:
        """Write what the layout has of a sample."""

    def finish(self) -> list[str]:
        """Write what lists all samples. Returns sentences about what the user must know."""


@dataclass(frozen=True)
class SetFacts:
    """What a layout knows of the set before the first sample."""

    recipes: tuple[str, ...]
    splits: tuple[str, ...]

    def lq(self, sample: SetSample) -> str:
        """The folder of degraded faces: `lq`, or of several recipes `lq_RECIPE`."""
        return f"lq{self.suffix(sample.recipe)}"

    def suffix(self, recipe: str) -> str:
        """What follows a name that there is once for each recipe: `_RECIPE`, or nothing if there is only one."""
        return f"_{recipe}" if len(self.recipes) > 1 else ""


@dataclass(frozen=True)
class LayoutKind:
    """A layout by its name in `--to`."""

    sentence: str  # what it is, for --help
    split: str  # the split that is exported if none is asked for, or `all`
    open: Callable[[ExportFolder, SetFacts], Layout]
    usage: str  # how its program is told of the folder, as Markdown
    keeps_splits: bool = False  # whether its lists say which split a face is of
