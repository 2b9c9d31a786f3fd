"""Write settings as a table for the terminal, as a commented YAML file, and as a page of documentation."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Column, Table

from facerefs.pipeline.config.describe import Section, Setting

_COLUMNS = ("setting", "type", "default", "range", "meaning")
_COMMENT_WIDTH = 100


def print_table(sections: Iterable[Section], console: Console) -> None:
    """Print a heading and a table of settings for each section."""
    for section in sections:
        console.print(f"\n{section.name or 'general'}: {section.about}", highlight=False, style="bold")
        table = Table(*(Column(name, overflow="fold") for name in _COLUMNS), box=None, pad_edge=False)
        for setting in section.settings:
            table.add_row(setting.name, setting.type, _shown(setting.default), setting.range, setting.meaning)
        console.print(table, highlight=False)


def as_yaml(sections: Iterable[Section]) -> str:
    """The defaults as YAML, with the meaning of each setting above it."""
    return "\n".join(_yaml_lines(sections)) + "\n"


def as_markdown(sections: Iterable[Section], heading: str) -> str:
    """A Markdown table for each section, each under a heading that begins with `heading`, such as `##`."""
    return "\n".join(line for section in sections for line in _markdown_lines(section, heading)) + "\n"


def _yaml_lines(sections: Iterable[Section]) -> Iterator[str]:
    open_groups: Sequence[str] = ()
    for section in sections:
        groups = tuple(section.name.split(".")) if section.name else ()
        for depth, group in enumerate(groups):
            if groups[: depth + 1] != tuple(open_groups[: depth + 1]):
                yield ""
                if depth + 1 == len(groups):
                    yield from _comment(section.about, depth)
                yield f"{'  ' * depth}{group}:"
                open_groups = groups[: depth + 1]
        for setting in section.settings:
            allowed = f"{setting.type}, {setting.range}" if setting.range else setting.type
            yield from _comment(f"{setting.meaning} ({allowed})", len(groups))
            yield from _value(setting, len(groups))


def _comment(text: str, depth: int) -> list[str]:
    indent = f"{'  ' * depth}# "
    return textwrap.wrap(
        text, _COMMENT_WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )


def _value(setting: Setting, depth: int) -> list[str]:
    name = setting.name.rpartition(".")[2]
    text = yaml.safe_dump({name: setting.default}, sort_keys=False, allow_unicode=True, width=_COMMENT_WIDTH)
    return textwrap.indent(text.rstrip("\n"), "  " * depth).split("\n")


def _markdown_lines(section: Section, heading: str) -> Iterator[str]:
    yield from (f"{heading} {f'`{section.name}`' if section.name else 'General'}", "", section.about, "")
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---" * len(_COLUMNS) + "|"
    for setting in section.settings:
        default = f"`{_shown(setting.default)}`"
        cells = (f"`{setting.name}`", setting.type, default, setting.range, setting.meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _shown(value: Any) -> str:
    """A value as YAML in one line; for a recipe only its name."""
    if isinstance(value, dict):
        return str(value["name"])
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()
