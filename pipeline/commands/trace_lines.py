"""A trace as lines to read: sections in the order of the pipeline."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from facerefs.pipeline.lineage.trace import Choice, FaceTrace, Forward, PhotoTrace, Row, SampleTrace, Trace
from facerefs.pipeline.text import figure, plural, shown, size
from facerefs.schemas.guard import Guard
from facerefs.schemas.reject import Reject

_KINDS = {
    "sample": "the sample",
    "face": "the face",
    "photo": "the photo",
    "url": "a URL",
    "sha256": "the SHA-256 of a photo",
    "person": "the person",
}


_LONGEST = 300


def trace_lines(trace: Trace, limit: int) -> Iterator[str]:
    """The trace on lines without control characters. limit: of photos, faces, references and samples each."""
    for line in _lines(trace, limit):
        yield str(shown(line)) if len(line) <= _LONGEST else _cut(line)


def _cut(line: str) -> str:
    """A long line, made safe piece by piece so that nothing is cut off."""
    pieces = (line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST))
    return "".join(str(shown(piece)) for piece in pieces)


def _lines(trace: Trace, limit: int) -> Iterator[str]:
    yield from _asked(trace)
    for sample in trace.samples:
        yield from _sample(sample)
    roles = {
        str(face.face["key"]): face.role
        for face in reversed(trace.faces)
        if face.face is not None and face.role is not None
    }
    for photo in _first(trace.photos, limit):
        yield from _photo(photo, roles.get(photo.key))
    yield from _more(len(trace.photos), limit, "photo")
    for face in _first(trace.faces, limit):
        yield from _face(face, trace.whole_build)
    yield from _more(len(trace.faces), limit, "face")
    for choice in _first(trace.choices, limit):
        yield from _choice(choice, limit)
    yield from _more(len(trace.choices), limit, "choice", "choices")
    for line in trace.overrides:
        named = " ".join(_text(line[name]) for name in ("decision", "what", "other") if line[name])
        yield f"overrides.csv, line {line['line']}: {named}{_rejected(line)}"
    yield from _forward(trace, limit)
    for sentence in trace.untold:
        yield f"not told    {sentence}"


def _asked(trace: Trace) -> Iterator[str]:
    asked = trace.asked
    several = [
        plural(len(found), word)
        for found, word in ((asked.samples, "sample"), (asked.faces, "face"), (asked.photos, "photo"))
        if len(found) > 1
    ]
    count = f", which means {' and '.join(several)}: all are traced" if several else ""
    yield f"{_text(asked.text)} was taken for {_KINDS[asked.kind]}{count}"
    if asked.others:
        others = ", ".join(f"--as {kind} ({number})" for kind, number in asked.others.items())
        yield f"it would fit as well: {others}"
    if not trace.whole_build:
        yield f"{trace.place} is a folder of shards: only what these tell"


def _sample(sample: SampleTrace) -> Iterator[str]:
    row = sample.row
    yield ""
    yield f"sample {_text(sample.key)}"
    yield f"  person      {_text(row['identity'])}, split {_text(row['split'])}"
    yield f"  shard       {row['part']}, recipe {_text(row['recipe'])}"
    if row.get("reject"):
        yield f"  rejected    {_reason(row)}"
    yield f"  target      {_text(row['target'])}"
    for rank, face in enumerate(row["references"] or ()):
        yield f"  reference {rank} {_text(face)}{' (made of the target)' if face == row['target'] else ''}"
    if sample.given is not None:
        name = _text(sample.given["degraded_file"])
        yield f"  degraded    the published image {name}, as it was; its theta is unknown"
    for number, operation in enumerate(sample.theta):
        yield f"  {'theta' if number == 0 else '':<11} {_operation(operation)}"


def _operation(operation: Mapping[str, Any]) -> str:
    values = " ".join(
        f"{name}={_value(value)}" for name, value in operation.items() if name != "op" and value is not None
    )
    return f"{operation.get('op')} {values}"


def _photo(photo: PhotoTrace, role: str | None) -> Iterator[str]:
    yield ""
    yield f"photo {_text(photo.key)}{f' ({role})' if role else ''}"
    source = photo.source or {}
    for name in ("url", "page", "licence", "attribution", "label", "provenance"):
        if source.get(name):
            yield f"  {name:<11} {_text(source[name])}"
    if source and not source.get("licence"):
        yield "  licence     none is stated"
    if source.get("reject"):
        yield f"  rejected    {_reason(source)}"
    if photo.download is not None:
        yield from _download(photo.download, source)
    yield from _image(photo.image)
    yield from _copies(photo)


def _download(row: Row, source: Row) -> Iterator[str]:
    parts = [
        f"HTTP {row['status']}" if row["status"] is not None else "no answer",
        plural(row["attempts"] or 0, "attempt"),
        f"{row['ms']} ms" if row["ms"] is not None else "",
        f"on {row['fetched_at']}" if row["fetched_at"] else "",
    ]
    yield f"  fetch       {', '.join(part for part in parts if part)}"
    if row["final_url"] and row["final_url"] != source.get("url"):
        yield f"  redirected  {_text(row['final_url'])}"
    yield f"  robots      {_text(row['robots'] or 'not asked')}; opt-out: {_text(row['opt_out'] or 'none found')}"
    if row["reject"]:
        yield f"  rejected    {_reason(row)}"


def _image(row: Row | None) -> Iterator[str]:
    if row is None:
        return
    if row.get("width"):
        yield f"  image       {_text(row['format'])}, {row['width']} x {row['height']} px, {size(row['bytes'])}"
    if row["id"]:
        yield f"  SHA-256     {row['id']}"
    if row.get("reject"):
        yield f"  rejected    {_reason(row)}"


def _copies(photo: PhotoTrace) -> Iterator[str]:
    row = photo.duplicate
    if row is not None and not row["kept"]:
        certain = "" if row["certain"] is not False else "; its faces decided"
        why = f": {_text(row['why'])}" if row["why"] else ""
        yield f"  copy        {row['kind']} copy of {_text(row['kept_key'])}, which was kept{why}{certain}"
    for copy in photo.dropped_for:
        why = f": {_text(copy['why'])}" if copy["why"] else ""
        yield f"  copy        {_text(copy['key'])} ({copy['kind']}) gave way to it{why}"


def _face(face: FaceTrace, whole_build: bool) -> Iterator[str]:
    yield ""
    yield f"face {_text(face.id)}{f' ({face.role})' if face.role else ''}"
    row = face.face
    if row is not None:
        yield f"  photo       {_text(row['key'])}"
        engines = ", ".join(
            _text(row[name]) for name in ("detector", "landmarker", "embedder") if row.get(name)
        )
        turned = f"yaw {figure(row.get('yaw'), 0)}°, pitch {figure(row.get('pitch'), 0)}°"
        yield f"  found       {figure(row.get('face_px'), 0)} px, {turned}; {engines}"
        if row.get("reject"):
            yield f"  rejected    {_reason(row)}"
    if face.label is not None:
        yield f"  label       {_text(face.label['label'] or 'none')}{_rejected(face.label)}"
    yield from _identity(face.identity)
    for copy in face.copies:
        other = copy["other"] if copy["face"] == face.id else copy["face"]
        why = _text(copy["why"] or "no reason is stored")
        yield f"  same shot   {_text(other)} ({copy['kind']}): {why}{_rejected(copy)}"
    if whole_build and face.identity is None:
        yield "  person      never judged: the face was rejected before, or the build is unfinished"


def _identity(row: Row | None) -> Iterator[str]:
    if row is None:
        return
    decision = row.get("decision")
    name = _text(row["identity"] or "nobody")
    if decision is None:
        yield f"  person      {name}"
        return
    forced = ", by overrides.csv" if row["forced"] else ""
    yield f"  person      {name}: label {_text(decision)}{forced}{_rejected(row)}"
    other = (
        f"; nearest other: {_text(row['other'])} {figure(row['other_similarity'], 2)}" if row["other"] else ""
    )
    if row["similarity"] is not None:
        yield f"              cosine to its person {figure(row['similarity'], 2)}{other}"
    if row["why"]:
        yield f"              {_text(row['why'])}"


def _choice(choice: Choice, limit: int) -> Iterator[str]:
    yield ""
    yield f"references of {_text(choice.target)}"
    for pair in choice.chosen:
        yield f"  {pair['rank']} {_made(pair)}{_measured(pair)}; {_text(pair['strategy'])}{_guards(pair)}"
    if not choice.chosen:
        yield "  none"
    for pair in choice.refused:
        other = _text(pair["reference"]) if pair["reference"] else "no reference"
        yield f"  refused     {other}{_measured(pair)}: {_reason(pair)}{_guards(pair)}"
    for other in _first(choice.others, limit):
        yield f"  not taken   {_text(other.face)}{_measured(vars(other))}: {_text(other.why)}"
    hidden = choice.left_out + max(len(choice.others) - limit, 0)
    if hidden:
        yield f"  ... and {plural(hidden, 'other face')} of the person"
    if choice.split is not None:
        yield f"  split       {_text(choice.split['split'])}, published{_rejected(choice.split)}"


def _made(pair: Row) -> str:
    if pair["synthesis"]:
        return "synthesised from the target"
    if pair["elsewhere"]:
        return f"made elsewhere from the target ({_text(pair['elsewhere'])})"
    return _text(pair["reference"])


def _measured(pair: Mapping[str, Any]) -> str:
    if pair["landmark_distance"] is None:
        return ""
    return (
        f": landmarks {figure(pair['landmark_distance'], 4)} apart, cosine {figure(pair['similarity'], 2)}, "
        f"pose {figure(pair['pose_gap'], 0)}°"
    )


def _guards(pair: Row) -> str:
    found = pair.get("guards")
    if not found:
        return ""
    known = {str(guard): guard.sentence for guard in Guard}
    said = ", ".join(known.get(guard, _text(guard)) for guard in found)
    return f"; against it: {said} ({_text(pair['guard_detail'] or '')})"


def _forward(trace: Trace, limit: int) -> Iterator[str]:
    ahead = trace.forward
    yield ""
    what = "the target is used by" if trace.samples else "used by"
    roles = Counter(use.role for use in ahead.uses)
    counted = ", ".join(f"{count} as {role}" for role, count in roles.items())
    samples = len({use.sample for use in ahead.uses})
    yield f"{what} {plural(samples, 'sample')}{f': {counted}' if counted else ''}"
    for use in _first(ahead.uses, limit):
        rank = "" if use.rank is None else f" {use.rank}"
        yield f"  {_text(use.sample)}  {use.split}  {_text(use.recipe)}  {use.part}  {use.role}{rank}"
    yield from _more(len(ahead.uses), limit, "use")
    yield from _around(ahead, limit)


def _around(ahead: Forward, limit: int) -> Iterator[str]:
    for key in _first(ahead.same_bytes, limit):
        yield f"same bytes  {_text(key)}"
    for row in _first(ahead.kept_instead, limit):
        yield f"in its place {_text(row['kept_key'])} is in the set ({row['kind']} copy): trace that for its samples"
    for row in _first(ahead.elsewhere, limit):
        yield f"made of it  {_text(row['file'])}{_rejected(row)}"
    for row in _first(ahead.given_pairs, limit):
        names = ", ".join(_text(name) for name in row["references"] or ())
        said = f"{_text(row['target'])} with {names}{_rejected(row)}"
        yield f"published   {_text(row['file'])}, row {row['line']}: {said}"


def _rejected(row: Row) -> str:
    return f"; rejected: {_reason(row)}" if row.get("reject") else ""


def _reason(row: Row) -> str:
    known = {str(reason): reason.sentence for reason in Reject}
    reason = str(row["reject"])
    detail = f" ({_text(row['reject_detail'])})" if row.get("reject_detail") else ""
    return f"{_text(reason)}: {known.get(reason, 'a reason of another version')}{detail}"


def _first(items: Iterable[Any], limit: int) -> list[Any]:
    return list(items)[:limit]


def _more(count: int, limit: int, word: str, words: str | None = None) -> Iterator[str]:
    if count > limit:
        left = plural(count - limit, f"more {word}", f"more {words or word + 's'}")
        yield f"... {left}: raise --limit {limit}"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _text(value)


def _text(value: Any) -> str:
    return str(shown(str(value)))
