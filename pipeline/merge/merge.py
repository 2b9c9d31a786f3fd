"""Merges finished builds into one build, whose tables after `faces` are made as in any other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facerefs.pipeline.build.build import BuildPlan, begun, make_set
from facerefs.pipeline.build.given.update import read_given
from facerefs.pipeline.merge.agreement import other_settings
from facerefs.pipeline.merge.decisions import join_decisions
from facerefs.pipeline.merge.faces import FacesOfBuilds
from facerefs.pipeline.merge.groups import Signature
from facerefs.pipeline.merge.keys import Counts
from facerefs.pipeline.merge.originals import Original
from facerefs.pipeline.merge.photos import take_photos
from facerefs.pipeline.runner.runner import Runner
from facerefs.pipeline.text import count, plural


@dataclass(frozen=True)
class MergeResult:
    """What became of the photos of each build, and how many photos had to be analysed again."""

    originals: Sequence[Original]
    counts: Sequence[Counts]
    analysed: int
    unreadable: int  # of those

    def lines(self) -> Iterator[str]:
        """The last lines of the command, one for each build."""
        for original, counts in zip(self.originals, self.counts, strict=True):
            yield f"{original.address}: {_sentence(original, counts)}"
        if self.analysed:
            yield (
                f"{plural(self.analysed, 'photo')} analysed again: near copies of each other in several builds, of "
                "which one had not been looked at"
            )
        if self.unreadable:
            yield (
                f"warning: {count(self.unreadable)} of these could not be read, since their source is gone or has "
                "changed: bring it back, then delete the table faces of the result and merge again"
            )


def merge(
    originals: Sequence[Original], groups: Sequence[set[Signature]], plan: BuildPlan, run: Runner
) -> MergeResult:
    """Bring a merged build up to date with the builds that it is made of; these are only read.

    groups: of each build what `check_finished` returns.
    Raises UserError for what only the user can mend, RunError if a stage fails.
    """
    config, console = plan.config, run.console
    for sentence in other_settings(originals):
        console.print(f"{'settings':<11} {sentence}", highlight=False)
    with begun(plan, run):
        taken = take_photos(run, originals, config)
        faces = FacesOfBuilds(run, originals, groups, config.analyse)
        decisions = join_decisions(run.storage, originals, taken.parts)
        for sentence in (*taken.notes, *decisions.said):
            console.print(f"{'':<11} {sentence}", highlight=False)
        make_set(run, config, decisions.lines, read_given(config.given), lambda: faces.take(taken.parts))
    return MergeResult(originals, taken.counts, faces.analysed, faces.unreadable)


def _sentence(original: Original, counts: Counts) -> str:
    taken = f"{plural(counts.photos - counts.same, 'photo')} taken over"
    if counts.same:
        taken += f", {count(counts.same)} the same as in a build before it"
    if counts.said_otherwise:
        taken += (
            f" (of {count(counts.said_otherwise)} of them it says another licence, URL or the like: what the build "
            "before it says counts)"
        )
    if counts.renamed:
        taken += (
            f", {count(counts.renamed)} renamed to {original.prefix}/..., since a build before it has other photos "
            "with their names"
        )
    return taken
