"""The figures as files: JSON, CSV of each sample and of each method, and LaTeX rows."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.metrics import METRICS
from facerefs.pipeline.evaluation.output.tables import latex_rows
from facerefs.pipeline.evaluation.result import Evaluation
from facerefs.pipeline.evaluation.statistics import Estimate

JSON_FILE, METHODS_FILE, SAMPLES_FILE, LATEX_FILE, PAGE_FILE = (
    "evaluation.json",
    "methods.csv",
    "samples.csv",
    "table.tex",
    "report.html",
)
FILES = (PAGE_FILE, JSON_FILE, METHODS_FILE, SAMPLES_FILE, LATEX_FILE)
VERSION = 1
"""Of the form of `evaluation.json`."""


def check_folder(folder: Path) -> None:
    """Raise UserError if a folder holds other things than an evaluation, which would be mixed with its files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder} is a file: give a folder")
    if folder.is_dir() and not (folder / JSON_FILE).is_file():
        other = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if other:
            raise UserError(
                f"--out {folder} holds {other[0]} and no evaluation: choose a new or empty folder"
            )


def write_files(found: Evaluation, folder: Path, page: str) -> None:
    """Write all files; each appears complete. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        METHODS_FILE: methods_csv(found),
        SAMPLES_FILE: samples_csv(found),
        LATEX_FILE: latex_rows(found),
        PAGE_FILE: page,
        JSON_FILE: json.dumps(as_tree(found), indent=1, allow_nan=False, ensure_ascii=False) + "\n",
    }
    for name, content in texts.items():
        part = folder / f".{name}.part"
        part.write_text(content, encoding="utf-8")
        part.replace(folder / name)


def as_tree(found: Evaluation) -> dict[str, Any]:
    """The result as plain values for JSON."""
    return {
        "version": VERSION,
        "data": found.data,
        "split": found.split,
        "set_digest": found.set_digest,
        "size_px": found.size_px,
        "samples": found.samples,
        "people": found.people,
        "fid_against": found.against,
        "metrics": {
            metric.name: {
                "label": metric.label,
                "better": metric.better,
                "against": metric.against,
                "unit": metric.unit,
                "meaning": metric.meaning,
                "computed_by": found.networks[metric.name].name,
                "sha256": found.networks[metric.name].sha256 or None,
            }
            for metric in found.metrics
        },
        "not_computed": dict(found.not_computed),
        "methods": [
            {
                "name": one.name,
                "kind": one.kind,
                "path": one.path,
                "outputs": one.outputs,
                "figures": {name: asdict(estimate) for name, estimate in one.figures.items()},
            }
            for one in found.methods
        ],
        "differences": [
            {"metric": one.metric, "method": one.one, "minus": one.other, **asdict(one.estimate)}
            for one in found.differences
        ],
        "groups": [
            {
                "by": table.name,
                "meaning": table.meaning,
                "groups": [
                    {
                        "name": name,
                        "samples": table.sizes[name][0],
                        "people": table.sizes[name][1],
                        "methods": {
                            method: {metric: asdict(estimate) for metric, estimate in figures.items()}
                            for method, figures in methods.items()
                        },
                    }
                    for name, methods in table.groups.items()
                ],
            }
            for table in found.groups
        ],
        "notes": list(found.notes),
        "left_out": dict(found.left_out),
    }


def methods_csv(found: Evaluation) -> str:
    """A line for each method and metric."""
    header = ["method", "kind", "metric", "mean", "low", "high", "samples", "people", "computed_by", "sha256"]
    rows = [
        [
            method.name,
            method.kind,
            name,
            *_numbers(estimate),
            estimate.samples,
            estimate.people,
            found.networks[name].name,
            found.networks[name].sha256,
        ]
        for method in found.methods
        for name, estimate in method.figures.items()
    ]
    return _csv(header, rows)


def samples_csv(found: Evaluation) -> str:
    """A line for each sample and method, with its figures; empty where there is none."""
    figures = found.figures
    names = [name for name in METRICS if name in figures.values]
    header = ["key", "identity", "recipe", "strength", "pose_gap", "similarity", "method", *names]
    rows = [
        [
            sample.key,
            sample.identity,
            sample.recipe,
            *(_cell(value) for value in (sample.strength, sample.pose_gap, sample.similarity)),
            method,
            *(_cell(float(figures.values[name][place, number])) for name in names),
        ]
        for number, sample in enumerate(figures.samples)
        for place, method in enumerate(figures.methods)
        if figures.present[place, number]
    ]
    return _csv(header, rows)


def _numbers(estimate: Estimate) -> list[str]:
    return ["" if value is None else repr(value) for value in (estimate.mean, estimate.low, estimate.high)]


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_harmless(value) for value in row] for row in rows])
    return buffer.getvalue()


def _harmless(value: object) -> object:
    """A text that a spreadsheet does not take for a formula; numbers are as they are."""
    if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t"):
        return f"'{value}"
    return value
