"""The figures as tables for the console and for LaTeX."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from facerefs.pipeline import text
from facerefs.pipeline.evaluation.metrics import GROUPS, METRICS, Metric
from facerefs.pipeline.evaluation.result import Difference, Evaluation
from facerefs.pipeline.evaluation.statistics import Estimate

_DIFFERENCES = 36  # lines: all metrics of three pairs
_WIDTH = 140  # characters, if the output is not a terminal
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def print_tables(found: Evaluation, console: Console) -> None:
    """Print the figures of all methods, differences, and by what they were computed."""
    if not console.is_terminal and not console.quiet:
        console = Console(markup=False, width=_WIDTH, file=console.file)
    for group, title in GROUPS.items():
        metrics = [metric for metric in found.metrics if metric.group == group]
        if not metrics:
            continue
        console.print(f"\n{title}", highlight=False, style="bold")
        console.print(_table(found, metrics), highlight=False)
        if group == "identity" and found.below_identity:
            console.print(found.below_identity, highlight=False, soft_wrap=True)
    for line in lines_below(found):
        console.print(line, highlight=False, soft_wrap=True)


def lines_below(found: Evaluation) -> Iterator[str]:
    """What stands below the tables: differences, networks, what is not computed, notes, and counts."""
    yield ""
    differences = shown_differences(found)
    for difference in differences[:_DIFFERENCES]:
        yield f"difference  {describe_difference(difference)}"
    if len(differences) > _DIFFERENCES:
        yield f"difference  {len(differences) - _DIFFERENCES} more are in the files of --out"
    sources: dict[str, list[str]] = {}
    for name, source in found.networks.items():
        if source.sha256 or source.random:
            words = f"{source.name}, SHA-256 {source.sha256}" if source.sha256 else source.name
            sources.setdefault(words, []).append(METRICS[name].label)
    for words, labels in sources.items():
        yield f"computed    {', '.join(labels)}: by {words}"
    reasons: dict[str, list[str]] = {}
    for name, reason in found.not_computed.items():
        reasons.setdefault(reason, []).append(METRICS[name].label)
    for reason, labels in reasons.items():
        yield f"missing     {', '.join(labels)} not computed: {reason}"
    for note in found.notes:
        yield f"note        {note}"
    for key, reason in list(found.left_out.items())[:5]:
        yield f"left out    {text.shown(key)}: {text.shown(reason)}"
    yield closing_line(found)


def closing_line(found: Evaluation) -> str:
    """What was judged, in numbers; all that was lost is in it."""
    counts = [
        f"{text.plural(found.samples, 'sample')} of {text.plural(found.people, 'person', 'people')}"
        if found.data
        else f"{text.plural(found.samples, 'picture')} without ground truth"
    ]
    if found.left_out:
        counts.append(f"{len(found.left_out)} left out, since they cannot be read")
    fewer = [method for method in found.methods if method.outputs < found.samples]
    counts += [f"{text.shown(method.name)}: only {text.plural(method.outputs, 'output')}" for method in fewer]
    if found.not_computed:
        counts.append(f"{text.plural(len(found.not_computed), 'figure')} not computed")
    return f"evaluated   {text.plural(len(found.methods), 'method')} on {'; '.join(counts)}"


def shown_differences(found: Evaluation) -> list[Difference]:
    """The differences between methods that are no baselines; of a single one, to the degraded face."""
    names = [one.name for one in found.methods if one.kind != "baseline"]
    beside = names if len(names) > 1 else [*names, "degraded"]  # without ground truth there is none
    return [one for one in found.differences if one.one in names and one.other in beside]


def describe_difference(difference: Difference) -> str:
    """Such as `PSNR: ours is 1.20 dB better than theirs [0.80, 1.55]`."""
    metric, estimate = METRICS[difference.metric], difference.estimate
    if estimate.mean is None:
        return f"{metric.label}: {difference.one} and {difference.other} have no sample in common"
    better = (estimate.mean > 0) == (metric.better == "higher")
    sure = estimate.low is not None and estimate.high is not None and estimate.low * estimate.high > 0
    words = ("better" if better else "worse") if estimate.mean else "the same"
    doubt = "" if sure or estimate.low is None or not estimate.mean else ", which may be chance"
    return (
        f"{metric.label}: {difference.one} - {difference.other} = {shown(estimate, metric)} ({words}{doubt})"
    )


def shown(estimate: Estimate | None, metric: Metric) -> str:
    """Such as `24.31 [23.90, 24.75]`; an en dash where there is no figure."""
    if estimate is None or estimate.mean is None:
        return "–"
    mean = text.figure(estimate.mean, metric.digits)
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{text.figure(estimate.low, metric.digits)}, {text.figure(estimate.high, metric.digits)}]"


def _table(found: Evaluation, metrics: list[Metric]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("method", overflow="fold")
    for metric in metrics:
        table.add_column(found.heading(metric), justify="right")
    for method in found.methods:
        cells = [shown(method.figures.get(metric.name), metric) for metric in metrics]
        table.add_row(str(text.shown(method.name)), *cells)
    return table


def latex_rows(found: Evaluation) -> str:
    """A LaTeX table body: a line for each method, the best of the methods that are no baselines in bold."""
    metrics = found.metrics
    lines = [
        f"% facerefs evaluate: {closing_line(found).split(None, 1)[1]}".replace("\n", " "),
        "% means, with 95 % intervals by a bootstrap over people in the second block; needs no package",
        " & ".join(
            ["Method", *(_latex_heading(metric, found.networks[metric.name].random) for metric in metrics)]
        )
        + r" \\",
        r"\hline",
    ]
    for with_intervals in (False, True):
        if with_intervals:
            lines += ["", "% the same with intervals"]
        for method in found.methods:
            cells = [
                _latex_cell(
                    method.figures.get(metric.name), metric, with_intervals, found.best(metric) == method.name
                )
                for metric in metrics
            ]
            lines.append(" & ".join([latex(method.name), *cells]) + r" \\")
    return "\n".join(lines) + "\n"


def latex(words: str) -> str:
    """The text with LaTeX's special characters escaped, on one line."""
    return "".join(_LATEX.get(character, character) for character in str(text.shown(words)))


def _latex_heading(metric: Metric, random: bool) -> str:
    label = f"{metric.label} (random weights)" if random else metric.label
    return f"{latex(label)} ${chr(92)}{'uparrow' if metric.better == 'higher' else 'downarrow'}$"


def _latex_cell(estimate: Estimate | None, metric: Metric, with_intervals: bool, best: bool) -> str:
    words = shown(estimate, metric)
    if estimate is None or estimate.mean is None:
        return "--"
    mean, _, interval = words.partition(" ")
    cell = f"\\textbf{{{_minus(mean)}}}" if best else _minus(mean)
    return f"{cell} {{\\scriptsize {_minus(interval)}}}" if with_intervals and interval else cell


def _minus(number: str) -> str:
    return number.replace("−", "$-$")
