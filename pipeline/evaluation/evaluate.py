"""`facerefs evaluate`: judge training runs and folders of outputs, side by side, on a set or without ground truth."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from rich.console import Console

from facerefs.pipeline import text
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.by_protocol import (
    check_judged,
    check_networks,
    judging_settings,
    protocol_notes,
)
from facerefs.pipeline.evaluation.figures import Collector, Figures
from facerefs.pipeline.evaluation.folders import open_folders
from facerefs.pipeline.evaluation.judges.cache import FigureCache, default_folder
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.evaluation.output.files import FILES, check_folder, write_files
from facerefs.pipeline.evaluation.output.page import page_of
from facerefs.pipeline.evaluation.output.tables import print_tables
from facerefs.pipeline.evaluation.progress import Progress
from facerefs.pipeline.evaluation.reference_set import reference_features
from facerefs.pipeline.evaluation.result import Evaluation, interval_notes, summarise
from facerefs.pipeline.evaluation.settings import EvaluationSettings
from facerefs.pipeline.evaluation.statistics import Bootstrap
from facerefs.pipeline.evaluation.without_truth import judge_folders
from facerefs.pipeline.evaluation.work import Work, open_work
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.protocols.protocol import Protocol, read_protocol
from facerefs.pipeline.training.job import chosen_device
from facerefs.trainers.loop.precision import round_products

_EXAMPLE = "weights.identity=FILE.onnx"
_FULL_RANK = 2048  # images, below which FID's covariances are singular


def evaluate_command(options: EvaluateOptions, console: Console) -> Evaluation:
    """Judge the methods, print tables, and write the files of `out`. Raises UserError."""
    protocol = read_protocol(options.protocol) if options.protocol else None
    settings = _settings(options, protocol)
    if options.out is not None:
        check_local(options.out, "--out")
        check_folder(options.out)
    if options.data is not None and options.references is not None:
        raise UserError("--references is for pictures without --data: a set has its own references")
    device = torch.device(chosen_device(options.device))
    round_products("float32")  # TF32 would change figures in their last digits
    cache = FigureCache(options.cache or default_folder())
    try:
        if options.data is None:
            opened = open_folders(options, settings, device)
            found, pictures = judge_folders(opened, cache, console), opened.pictures
        else:
            work = open_work(options, options.data, settings, device, cache.folder)
            if protocol is not None:
                check_networks(protocol, {name: source.sha256 for name, source in work.judges.used.items()})
            found, pictures = _evaluate(work, options.reference_set, cache, console), work.pictures
            found = replace(found, notes=(*protocol_notes(protocol, options.data), *found.notes))
        print_tables(found, console)
        if options.out is not None:
            write_files(found, options.out, page_of(found, pictures))
            names = ", ".join(FILES)
            console.print(f"written     {options.out}: {names}", highlight=False)
    finally:
        cache.close()
    return found


def _settings(options: EvaluateOptions, protocol: Protocol | None) -> EvaluationSettings:
    """The settings; with a protocol its own, on its set. Raises UserError."""
    if protocol is None:
        return read_settings(EvaluationSettings, _EXAMPLE, options.config_file, options.settings)
    check_judged(protocol, options.data, options.split)
    if options.size_px is not None or options.samples is not None:
        raise UserError(
            f"the protocol {protocol.name} judges all samples at full size: leave out --size and --samples"
        )
    return judging_settings(protocol, _EXAMPLE, options.config_file, options.settings)


def _evaluate(work: Work, reference_set: str | None, cache: FigureCache, console: Console) -> Evaluation:
    judged, settings = work.judged, work.settings
    names = tuple(method.name for method in work.methods)
    collector = Collector(names, work.judges, cache, work.device)
    progress = Progress(len(judged.rows), lambda line: console.print(line, highlight=False))
    for batch in work.batches(judged.rows):
        collector.add(batch, {method.name: method.outputs(batch) for method in work.methods})
        progress.add(len(batch.facts))
    if not collector.samples:
        key, reason = next(iter(judged.left_out.items()))
        raise UserError(f"no sample of {judged.place} can be read; {key}: {reason}")
    features, against = reference_features(reference_set, work.judges, cache, work.device)
    against = against or f"the ground truths of split {judged.split} of {judged.place}"
    return _result(work, collector.figures(settings.neighbours, features), against)


def _result(work: Work, figures: Figures, against: str) -> Evaluation:
    judged, settings = work.judged, work.settings
    people = [sample.identity for sample in figures.samples]
    bootstrap = Bootstrap(people, settings.resamples, settings.seed)
    found, differences, groups = summarise(figures, work.methods, bootstrap, work.judges.used)
    missing = work.judges.missing | dict(figures.reasons)
    return Evaluation(
        data=judged.place,
        split=judged.split,
        set_digest=judged.digest,
        size_px=judged.size_px,
        samples=len(people),
        people=len(set(people)),
        against=against,
        methods=found,
        differences=differences,
        groups=groups,
        networks={name: source for name, source in work.judges.used.items() if name not in missing},
        not_computed=missing,
        notes=tuple(_notes(work, len(people), len(set(people)), against)),
        left_out=dict(judged.left_out),
        figures=figures,
    )


def _notes(work: Work, samples: int, people: int, against: str) -> Iterator[str]:
    judged = work.judged
    if judged.size_px != judged.side_px:
        yield f"all faces of {judged.side_px} px are reduced to {judged.size_px} px (mean of pixels), as --size says"
    yield from interval_notes(people)
    for method in work.methods:
        yield from method.notes
    if "fid" in work.judges.used:
        yield f"FID is of {text.plural(samples, 'output')} against {against}"
        if samples < _FULL_RANK:
            yield f"FID of fewer than {_FULL_RANK:,} images is biased: compare it only with that of as many images"
    if "iprecision" in work.judges.used:
        yield f"iPrecision and iRecall: k = {work.settings.neighbours}"
