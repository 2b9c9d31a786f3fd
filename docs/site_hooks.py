"""Pages of the site that are made from the code, and links to source files, for mkdocs (mkdocs.yml)."""

import re
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import facerefs
from facerefs.pipeline.cli import app
from facerefs.schemas.tables import TABLES


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ with the generated pages."""
    for name, page in generated().items():
        files.append(File.generated(config, name, content=page))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page without links to files outside docs/: the site holds no source code."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)


def generated() -> dict[str, str]:
    """The generated pages by name."""
    return {"commands.md": commands(), "api.md": api(), "tables.md": tables()}


def commands() -> str:
    """A page with the help of every command."""
    lines = ["# Commands", "", "What `facerefs COMMAND --help` says.", ""]
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        context = command.make_context(f"facerefs {name}", [], resilient_parsing=True, max_content_width=100)
        lines += [f"## facerefs {name}", "", "```text", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(lines)


def api() -> str:
    """A page that mkdocstrings fills with the docstrings of the Python interface."""
    names = [f"::: facerefs.{facerefs._MODULES[name]}.{name}\n" for name in sorted(facerefs.__all__)]
    return "# Python: every name\n\nExamples are in [From Python](python.md).\n\n" + "\n".join(names)


def tables() -> str:
    """A page with the columns of every table."""
    about = "Each table of a build is a folder of Parquet files ([architecture.md](architecture.md))."
    lines = ["# Tables", "", about, ""]
    for name, schema in TABLES.items():
        lines += [f"## {name}", "", "| column | type | may be empty |", "|---|---|---|"]
        for field in schema:
            lines.append(f"| `{field.name}` | `{field.type}` | {'yes' if field.nullable else 'no'} |")
        lines.append("")
    return "\n".join(lines)
