"""`facerefs settings`: list the settings of a build, a training or an evaluation, from their dataclasses."""

import difflib
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from facerefs.pipeline.config.describe import Section, sections_of
from facerefs.pipeline.config.renamed_settings import RENAMED
from facerefs.pipeline.config.settings_pages import as_markdown, as_yaml, print_table
from facerefs.pipeline.errors import UserError

FORMATS = ("table", "yaml", "markdown")
_WIDTH = 160  # characters, if the output is not a terminal
_PAGE = """# Settings

Every setting, from the code. This page is made by `facerefs settings --format markdown > docs/settings.md`.

`--set SECTION.NAME=VALUE` sets one, `--config FILE` those of a YAML file. `facerefs settings --format yaml` writes such
a file with all defaults, to begin with.
"""


def settings_command(words: Sequence[str], preset: str | None, form: str) -> None:
    """Print the settings of a build or one of its sections; of `train`, a model and a section; or of `evaluate`.

    Raises UserError for an unknown section, model or preset.
    """
    if form not in FORMATS:
        raise UserError(f"--format cannot be {form!r}: choose {', '.join(FORMATS)}")
    if not words and form == "markdown":
        print(_page(), end="")  # noqa: T201 (rich would fold it)
        return
    command, asked, sections = _asked(words, preset)
    if asked is not None:
        sections = _chosen(sections, asked)
    if form == "markdown":
        print(as_markdown(sections, "##"), end="")  # noqa: T201
    elif form == "yaml":
        print(f"# Settings of facerefs {command} with their defaults, for --config FILE.")  # noqa: T201
        print("# Change what you need, and leave out the rest.")  # noqa: T201
        print(as_yaml(sections), end="")  # noqa: T201
    else:
        console = Console(markup=False)
        console = console if console.is_terminal else Console(markup=False, width=_WIDTH)
        print_table(sections, console)
        if not words:
            more = "of one section: facerefs settings SECTION; of a model: facerefs settings train MODEL; of evaluate: "
            more += "facerefs settings evaluate"
            console.print(f"\n{more}; as a YAML file: --format yaml", highlight=False)


def _asked(words: Sequence[str], preset: str | None) -> tuple[str, str | None, list[Section]]:
    """The command, the requested section or None for all, and all sections of the command."""
    if words and words[0] == "train":
        name, rest = (words[1] if len(words) > 1 else None), words[2:]
        command, settings = f"train {name}", _model(name, preset or "paper")
    else:
        if words and words[0] == "evaluate":
            command, rest, settings = "evaluate", words[1:], _evaluation()
        else:
            command, rest, settings = "build", words, _build()
        if preset is not None:
            raise UserError("--preset applies to a model: write facerefs settings train MODEL --preset NAME")
    if len(rest) > 1:
        raise UserError(f"one section at a time, not {' and '.join(rest)}")
    return command, rest[0] if rest else None, sections_of(settings)


def _build() -> Any:
    from facerefs.pipeline.config.config import Config

    return Config()


def _evaluation() -> Any:
    from facerefs.pipeline.evaluation.settings import EvaluationSettings

    return EvaluationSettings()


def _model(name: str | None, preset: str) -> Any:
    from facerefs.trainers.models.catalogue import MODULES, presets

    if name not in MODULES:
        said = "name the model" if name is None else f"there is no model {name!r}"
        raise UserError(f"{said}: facerefs settings train MODEL, and MODEL is {', '.join(MODULES)}")
    known = presets(name)
    if preset not in known:
        raise UserError(f"{name} has no preset {preset!r}: choose {', '.join(known)}")
    return known[preset]


def _chosen(sections: Sequence[Section], asked: str) -> list[Section]:
    """The section of this name with its subsections, or the one setting of this name. Raises UserError."""
    found = [section for section in sections if f"{section.name}.".startswith(f"{asked}.")]
    for section in sections:
        settings = tuple(setting for setting in section.settings if setting.name == asked)
        if settings:
            found.append(Section(section.name, section.about, settings))
    if not found:
        raise UserError(f"there is no section `{asked}`{_hint(sections, asked)}")
    return found


def _hint(sections: Sequence[Section], asked: str) -> str:
    from facerefs.trainers.models.catalogue import MODULES

    if asked in RENAMED:
        return f" any more: it is now `{RENAMED[asked]}`"
    if asked in MODULES:
        return f"; of the model: facerefs settings train {asked}"
    names = [section.name.partition(".")[0] for section in sections if section.name]
    settings = [setting.name for section in sections for setting in section.settings]
    close = difflib.get_close_matches(asked, [*dict.fromkeys(names), *settings], n=3)
    if close:
        return f"; did you mean {' or '.join(f'`{name}`' for name in close)}?"
    return f"; known: {', '.join(dict.fromkeys(names))}"


def _page() -> str:
    """The page docs/settings.md: the settings of the build, of every model in the preset `paper`, and of evaluate."""
    from facerefs.trainers.models.catalogue import MODULES

    parts = [_PAGE, "## facerefs build\n", as_markdown(sections_of(_build()), "###")]
    for name in MODULES:
        about = f"## facerefs train {name}\n\nDefaults are those of the preset `paper`.\n"
        parts += [about, as_markdown(sections_of(_model(name, "paper")), "###")]
    parts += ["## facerefs evaluate\n", as_markdown(sections_of(_evaluation()), "###")]
    return "\n".join(parts).rstrip("\n") + "\n"
