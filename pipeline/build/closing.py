"""The last lines of a build: what was made, what was lost and why, and what to do next."""

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from facerefs.pipeline.dataset.given import GivenResult
from facerefs.pipeline.dataset.result import BuildResult, ElsewhereResult
from facerefs.pipeline.text import count, plural
from facerefs.schemas.object_storage import is_address
from facerefs.stages.engines.load import ParserEngine
from facerefs.stages.shard import Shard
from facerefs.stages.splits import LEAST_PEOPLE

_REASONS_NAMED = 3


def closing_lines(
    result: BuildResult, shard: Shard, out: str, again: str, parser: ParserEngine = "none"
) -> Iterator[str]:
    """The lines, to be printed unwrapped.

    again: the command that tries temporary failures again. parser: the face parser that was asked for.
    """
    if result.masks:
        yield f"masks       {mask_sentence(result.masks, parser)}"
    if result.given:
        yield from given_lines(result.given, shlex.quote(out))
    if not (result.given and result.given.splits) and (empty := empty_splits(result, shard)):
        yield f"splits      {empty}"
    yield f"result      {result_sentence(result)}"
    if result.synthesised or result.elsewhere is not None:
        yield f"references  {references_sentence(result)}"
    if result.elsewhere is not None:
        yield f"elsewhere   {elsewhere_sentence(result.elsewhere)}"
    folder = shlex.quote(out)
    if result.transient:
        lost = sum(loss.photos for loss in result.transient)
        reasons = ", ".join(f"{count(loss.photos)} {loss.reason}" for loss in result.transient)
        yield f"next        {plural(lost, 'photo')} may still be had ({reasons}); fetch what has healed:"
        yield f"            {again}"
    elif not result.samples:
        table = next((loss.table for loss in result.losses), "sources")
        yield f"next        see what was rejected: facerefs inspect {folder} {table} --rejected"
    else:
        # Training refuses to start if there is nobody to validate on.
        split = "" if result.split_people["val"] else " --set data.validation_split=train"
        # A run is written to a local folder.
        run = shlex.quote("runs/refine" if is_address(out) else str(Path(out, "runs", "refine")))
        train = f"facerefs train refine --data {folder} --run {run}{split}"
        yield f"next        facerefs verify {folder}; then train: {train}"


def result_sentence(result: BuildResult) -> str:
    """N samples of M people from K photos; how many were lost, and the main reasons."""
    made = (
        f"{plural(result.samples, 'sample')} of {plural(result.people, 'person', 'people')} "
        f"from {plural(result.photos, 'photo')}"
    )
    lost = result.photos - result.photos_used
    if not lost:
        return f"{made}; every photo is in a sample"
    reasons = Counter[str]()
    for loss in result.losses:
        reasons[f"{loss.reason} ({loss.reason.sentence})"] += loss.photos
    named = [f"{count(photos)} {reason}" for reason, photos in reasons.most_common(_REASONS_NAMED)]
    others = lost - sum(photos for _, photos in reasons.most_common(_REASONS_NAMED))
    named += [f"{count(others)} for other reasons"] if others > 0 else []
    return f"{made}; {plural(lost, 'photo')} lost: {', '.join(named)}"


def mask_sentence(masks: Mapping[str, int], parser: ParserEngine) -> str:
    """How many faces each engine masked, and why another one than the one that was asked for."""
    made = ", ".join(f"{plural(number, 'face')} by {name}" for name, number in masks.items())
    return made + (f", since {parser} found no face there" if parser != "hull" and "hull" in masks else "")


def references_sentence(result: BuildResult) -> str:
    """How many references are photos, and how many are made from their target."""
    elsewhere = result.elsewhere.used if result.elsewhere else 0
    photos = plural(result.references - result.synthesised - elsewhere, "photo")
    made = f"{photos}, {count(result.synthesised)} synthesised from their target"
    return made if result.elsewhere is None else f"{made}, {count(elsewhere)} made elsewhere"


def elsewhere_sentence(result: ElsewhereResult) -> str:
    """How many samples have no reference made elsewhere, and which files are no reference."""
    most_first = sorted(result.unused.items(), key=lambda one: (-one[1], one[0]))
    reasons = [f"{count(files)} {reason} ({reason.sentence})" for reason, files in most_first]
    reasons += [f"{count(result.of_no_sample)} of faces that are in no sample"] if result.of_no_sample else []
    files = sum(result.unused.values()) + result.of_no_sample
    unused = f"{plural(files, 'file')} not used" + (": " if reasons else "")
    return f"{plural(result.samples_without, 'sample')} without a file; {unused}{', '.join(reasons)}"


def given_lines(given: GivenResult, folder: str) -> Iterator[str]:
    """What became of published pairs and splits, and what the guards say against them."""
    if given.pairs:
        lost = [f"{count(rows)} {reason} ({reason.sentence})" for reason, rows in given.lost.items()]
        yield f"published   {plural(given.references, 'reference')} taken; rows not taken: {', '.join(lost) or 'none'}"
        guards = [f"{count(pairs)} {guard}" for guard, pairs in given.guards.items()]
        told = f"; to see them: facerefs audit {folder}" if guards else ""
        yield (
            f"guards      {count(given.reported)} of these pairs would have been refused: "
            f"{', '.join(guards) or 'none'}{told}"
        )
    if given.splits:
        yield (
            f"splits      published; {plural(given.lines_lost, 'line')} of them not used, "
            f"{plural(given.without_split, 'target')} in no split and so in no sample"
        )


def empty_splits(result: BuildResult, shard: Shard) -> str:
    """A sentence if nobody is in a split of which a share was asked for, or too few in `test`; else an empty string."""
    shares = {"val": shard.val_share, "test": shard.test_share}
    if shard.test_people is not None:
        if result.split_people["test"] < shard.test_people:
            return (
                f"test holds {plural(result.split_people['test'], 'person', 'people')} and not the "
                f"{shard.test_people} of shard.test_people: the set has no more, and nobody is left to train with"
            )
        del shares["test"]
    empty = [split for split, share in shares.items() if share > 0 and not result.split_people[split]]
    if not empty or not result.people:
        return ""
    held = plural(result.people, "person", "people")
    if all(shares[split] * result.people >= LEAST_PEOPLE for split in empty):
        return f"nobody is in {' and '.join(empty)}: the set has only {held}"
    share = math.ceil(100 / result.people) / 100
    asked = " and ".join(f"{split}_share={shares[split]:g}" for split in empty)
    wanted = " ".join(f"--set shard.{split}_share={share:g}" for split in empty)
    return (
        f"nobody is in {' and '.join(empty)}: {asked} of {held} is less than half a person; "
        f"to put somebody there: {wanted} --update"
    )
