"""Leakage: copies of one shot in two splits or under two names, checked for every pair of `copies`."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.text import plural

_NAMED = 3


@dataclass(frozen=True)
class Leakage:
    """Pairs of copies that are in two splits or under two names, as rows of `copies` with further columns.

    Those are `identity`, `other_identity`, `split`, `other_split` (null for a face that is in no sample), and `forced`:
    an override line decided about one of the two faces.
    """

    pairs: int  # all pairs of copies
    two_names: pa.Table
    two_splits: pa.Table
    published: bool = False  # the splits are

    @property
    def faults(self) -> pa.Table:
        """The rows of `two_splits` that neither an override line nor a published split caused: there must be none."""
        return self.two_splits.filter(pc.invert(self.two_splits["forced"])).slice(
            0, 0 if self.published else None
        )

    @property
    def sentence(self) -> str:
        """A sentence: how many shots are in two splits."""
        number = len(self.two_splits)
        return f"{plural(number, 'shot')} {'is' if number == 1 else 'are'} in two splits ({self.evidence})"

    @property
    def evidence(self) -> str:
        """What was checked, in words."""
        return f"{plural(self.pairs, 'pair')} of copies held against the samples"


def leakage(storage: Storage) -> Leakage:
    """The leakage of a build: its copies compared with its identities and samples."""
    copies = storage.scan("copies")
    copies = copies.filter(pc.equal(copies["kind"], "copy"))
    known = storage.scan("identities", ("face", "identity", "forced", "reject"))
    known = known.filter(pc.and_(pc.is_null(known["reject"]), pc.is_valid(known["identity"])))
    faces, splits = _splits(storage)
    forced = []
    for prefix, column in (("", "face"), ("other_", "other")):
        at = pc.index_in(copies[column], value_set=known["face"].combine_chunks())
        in_samples = pc.index_in(copies[column], value_set=faces)
        copies = copies.append_column(f"{prefix}identity", known["identity"].take(at))
        copies = copies.append_column(
            f"{prefix}split", pa.chunked_array([splits.take(in_samples.combine_chunks())])
        )
        forced.append(pc.fill_null(known["forced"].take(at), False))
    copies = copies.append_column("forced", pc.or_(*forced))
    two_names, two_splits = (  # null, and so left out, unless both faces are in the set
        copies.filter(pc.not_equal(copies[own], copies[f"other_{own}"])) for own in ("identity", "split")
    )
    return Leakage(len(copies), two_names, two_splits, bool(storage.parts("splits")))


def check(storage: Storage, console: Console) -> None:
    """Print how many shots are in two splits. Raises RunError if one is that neither an override line nor a published
    split put there.
    """
    found = leakage(storage)
    if storage.parts("splits"):
        if len(found.two_splits):
            console.print(
                f"warning     {found.sentence}: the published splits put them there", highlight=False
            )
        return
    if len(found.faults):
        some = found.faults.slice(0, _NAMED).to_pylist()
        named = ", ".join(
            f"{row['face']} ({row['split']}) and {row['other']} ({row['other_split']})" for row in some
        )
        raise RunError(
            f"{plural(len(found.faults), 'shot')} in two splits, such as {named}: this is a fault of facerefs; "
            "until it is mended, drop one of each two in overrides.csv",
            again=False,
        )
    if len(found.two_splits):
        console.print(f"warning     {found.sentence}: overrides.csv put them there", highlight=False)
    elif found.pairs:
        console.print(f"{'':<11} {found.sentence}", highlight=False)


def _splits(storage: Storage) -> tuple[pa.Array, pa.Array]:
    """Each face that is in a sample, as target or as reference, and its split."""
    samples = storage.scan("samples", ("split", "target", "references", "reject"))
    samples = samples.filter(pc.is_null(samples["reject"]))
    split, targets, references = (
        samples[name].combine_chunks() for name in ("split", "target", "references")
    )
    of_references = split.take(pc.list_parent_indices(references))
    return pa.concat_arrays([targets, pc.list_flatten(references)]), pa.concat_arrays([split, of_references])
