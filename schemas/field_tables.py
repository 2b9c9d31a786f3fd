"""Markdown tables of the definitions of sample and manifest, for the dataset card and docs/shards.md."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from facerefs.schemas.fields import Field, figure
from facerefs.schemas.operations import HINTS, OPERATIONS
from facerefs.schemas.sample import (
    BOXES,
    ELSEWHERE,
    FACE,
    MAX_IMAGE_BYTES,
    MAX_JSON_BYTES,
    MAX_SIDE_PX,
    PAIR,
    SAMPLE,
    SYNTHESIS,
    TARGET,
    SampleFile,
)


def field_table(fields: Sequence[Field]) -> str:
    """A Markdown table of the fields of an object."""
    lines = ["| field | type | unit | range | there | meaning |", "|---|---|---|---|---|---|"]
    for field in fields:
        cells = (field.kind.type, field.unit, field.kind.range, field.when or "always", field.meaning)
        lines.append(f"| `{field.name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def file_table(files: Iterable[tuple[SampleFile, Sequence[str]]]) -> str:
    """A Markdown table of the files of a sample. files: each kind with the extensions to show."""
    lines = ["| file | what it is |", "|---|---|"]
    for file, extensions in files:
        names = ", ".join(f"`KEY.{file.name(extension, 0)}`" for extension in extensions)
        when = f" ({file.when})" if file.when else ""
        lines.append(
            f"| {names}{' ...' if file.numbered else ''} | {file.says()} {file.detail}".rstrip() + f"{when} |"
        )
    return "\n".join([*lines, ""])


def json_tables() -> str:
    """Markdown tables of all fields in the JSON of a sample."""
    parts = {
        "At the top:": field_table(SAMPLE),
        "`target`, and each of `references`. Unknown values are left out, never null:": field_table(FACE),
        "Only in `target`:": field_table(TARGET[len(FACE) :]),
        "Only in each of `references`:": field_table(PAIR),
        "`boxes` of the target, each a square as left, top, right, bottom:": field_table(BOXES),
        "`synthesis` of a synthesised reference:": field_table(SYNTHESIS),
        "`elsewhere` of a reference made elsewhere:": field_table(ELSEWHERE),
        "Each operation of `theta`, an object with all of its fields:": operation_table(),
    }
    images = f"an image {_mib(MAX_IMAGE_BYTES)} and {MAX_SIDE_PX} px a side"
    limits = f"A JSON has at most {_mib(MAX_JSON_BYTES)}, {images}.\n"
    return "\n".join([limits, *(f"{heading}\n\n{table}" for heading, table in parts.items())])


def operation_table() -> str:
    """A Markdown table of the operations of theta with the ranges of their fields."""
    lines = ["| `op` | other fields | what it does |", "|---|---|---|"]
    for name, operation in OPERATIONS.items():
        fields = "; ".join(f"`{field}` {_range(hint)}" for field, hint in HINTS[operation].items())
        what = " ".join((operation.__doc__ or "").split())
        lines.append(f"| `{name}` | {fields} | {what} |")
    return "\n".join([*lines, ""])


def _range(hint: Any) -> str:
    kind, *limits = get_args(hint) or (hint,)
    if kind is bool:
        return "true or false"
    if isinstance(kind, str):
        return " or ".join((kind, *limits))
    return f"{figure(limits[0].low)} to {figure(limits[0].high)}"


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
