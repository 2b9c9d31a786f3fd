"""The command line. Every command imports what it needs itself, so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from facerefs.pipeline.errors import RunError, UserError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Photos of people in, verified training shards for reference-based face restoration out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option("--out", "-o", help="The build's folder.")]
Folder = Annotated[Path, typer.Argument(help="The build's folder.", metavar="DIR")]


class ShowsSources(TyperCommand):
    """A command whose help ends with the sources that there are, which are imported for that alone."""

    def get_help(self, ctx: Any) -> str:
        """The help as typer writes it, and below it what SOURCE may be."""
        from facerefs.stages.sources.registry import choices

        formatter = ctx.make_formatter()
        with formatter.section("Sources"):
            formatter.write_dl(choices())
        return f"{super().get_help(ctx)}\n\n{formatter.getvalue().rstrip()}"


@app.command(cls=ShowsSources)
def build(
    source: Annotated[
        str, typer.Argument(help="Where the photos are: see the list of sources below.", metavar="SOURCE")
    ],
    out: Out,
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as analyse.crop_size=1024."),
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="embedded (dlib) or insightface (SCRFD, FAN, ArcFace).")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="What names are worth: trust, check or ignore.")] = None,
    labels_file: Annotated[
        Path | None,
        typer.Option("--identities", help="Names from a file of lines `PHOTO.jpg PERSON`, as CelebA's."),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Your mail address or page, told to every host that is asked.")
    ] = None,
    allow_private_hosts: Annotated[
        bool, typer.Option("--allow-private-hosts", help="Fetch from loopback and private networks too.")
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Ask again for URLs that failed for a reason that may have healed (transient), or for all; "
            "photos that have not changed are not sent again.",
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Apply other settings to a build that is there.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel workers; one per core if not given.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join, such as auto or ray://host:10001.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Ray's own messages.")] = False,
) -> None:
    """Make a training set from photos; a second run continues, and does only what is missing or has changed."""
    from facerefs.pipeline.commands.build import BuildOptions, build_command

    build_command(
        BuildOptions(
            source=source,
            out=out,
            config_file=config,
            settings=tuple(settings or ()),
            engines=engines,
            labels=labels,
            labels_file=labels_file,
            contact=contact,
            allow_private_hosts=allow_private_hosts,
            retry=retry,
            update=update,
            workers=workers,
            address=address,
            verbose=verbose,
        ),
        _console(),
    )


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(help="A new folder for the photos.")],
    identities: Annotated[int, typer.Option(min=1, max=100_000, help="How many people.")] = 10,
    per_identity: Annotated[int, typer.Option(min=1, max=10_000, help="Photos of each.")] = 8,
    size: Annotated[int, typer.Option(min=128, max=4096, help="Side of a photo in pixels.")] = 640,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other people.")] = 0,
) -> None:
    """Render people: photos of known identity, landmarks and marks, for trying things out."""
    from facerefs.pipeline.commands.sample import sample_command

    sample_command(out, identities, per_identity, size, seed)


@app.command()
def status(folder: Folder) -> None:
    """Say what a build holds: tables, parts, rows, rejects, bytes."""
    from facerefs.pipeline.commands.status import print_status

    print_status(folder)


@app.command()
def inspect(
    folder: Folder,
    what: Annotated[
        str, typer.Argument(help="A table, or the key or id of a photo, face or sample, or a name.")
    ] = "samples",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 10,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only rows that were rejected.")] = False,
) -> None:
    """Show rows of a table, or every row in which a photo or face occurs."""
    from facerefs.pipeline.commands.inspect import print_rows

    print_rows(folder, what, limit, rejected)


@app.command()
def report(folder: Folder) -> None:
    """Write report.html into the build's folder: the funnel, galleries and histograms."""
    from facerefs.pipeline.commands.report import report_command

    report_command(folder)


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(help="A build's folder, or a copy of its folder samples.", metavar="DIR")
    ],
    replay: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many degraded faces to make anew and compare.")
    ] = 8,
) -> None:
    """Check a training set: every byte, every sample, and some degraded faces made anew; status 1 if it has faults."""
    from facerefs.pipeline.commands.verify import verify_command

    if not verify_command(folder, replay):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say which packages, engines and weights are there, and how to get those that are not."""
    from facerefs.pipeline.commands.doctor import print_doctor

    print_doctor()


@app.command(cls=ShowsSources)
def calibrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Photos of people whose names can be trusted, such as a folder with one sub-folder per person: "
            "5 people and 40 photos at least. Any source of photos that need not be fetched: see below.",
        ),
    ],
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting, such as analyse.embedder_weights=FILE."
        ),
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="embedded (dlib) or insightface (SCRFD, FAN, ArcFace).")
    ] = None,
) -> None:
    """Measure what the cosines of an embedder mean, and print the settings to paste into a configuration."""
    from facerefs.pipeline.commands.calibrate import calibrate_command

    calibrate_command(source, config, settings or [], engines)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="Its name, as `facerefs models` lists it.")],
    run: Annotated[Path, typer.Option("--run", help="A new folder for checkpoints, log and pictures.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="A build's folder, a folder of shards, or an address; may be repeated."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings to begin with: paper (the default) or tiny (64 px, for a CPU)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="When to end; short for --set loop.steps=N.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as data.batch_size=8."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run, with its settings.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda if there is a GPU.")] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes that train together, by Ray Train, each with a GPU of its own."),
    ] = 1,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to join, such as auto or ray://host:10001.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Ray's own messages.")] = False,
) -> None:
    """Train a model on shards."""
    from facerefs.pipeline.training.job import TrainOptions
    from facerefs.pipeline.training.train import train_command

    train_command(
        TrainOptions(
            model=model,
            run=run,
            data=tuple(data or ()),
            preset=preset,
            steps=steps,
            config_file=config,
            settings=tuple(settings or ()),
            resume=resume,
            device=device,
            workers=workers,
            address=address,
            verbose=verbose,
        ),
        _console(),
    )


@app.command()
def models(
    preset: Annotated[str, typer.Option(help="Whose sizes and settings: paper or tiny.")] = "paper",
) -> None:
    """Say what each model sees and how large it is, without computing anything."""
    from facerefs.pipeline.commands.models import print_models

    print_models(preset)


@app.command()
def settings(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SECTION",
            help="A section of the build's settings, such as analyse, or one setting, such as analyse.crop_size; all "
            "if nothing is given. For those of a model write `train MODEL` or `train MODEL SECTION`.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Whose defaults a model has: paper (if nothing is given) or tiny.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="table; yaml, a commented file for --config; or markdown, of everything the page docs/settings.md.",
        ),
    ] = "table",
) -> None:
    """List the settings of a build or of a model, each with its type, default, range and meaning."""
    from facerefs.pipeline.commands.settings import settings_command

    settings_command(words or [], preset, form)


@app.command()
def restore(
    run: Annotated[Path, typer.Argument(help="The folder of a run of `facerefs train`, of a restorer.")],
    source: Annotated[
        Path, typer.Argument(help="A photo with a degraded face, or a folder of such.", metavar="INPUT")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The restored face, or a folder for several.")],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            help="A good photo of the same person, for models that look at one; may be repeated.",
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="A run of `facerefs train landmarks`, which finds the points of degraded faces."),
    ] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="INPUT is aligned as the shards are: no face is looked for.")
    ] = False,
    outputs: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="Restored faces for each input (NAME-1.png, NAME-2.png ...), for models that give several.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers of such models.")] = 0,
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Show what the model did: NAME-pictures.png beside each output."),
    ] = False,
    engines: Annotated[str, typer.Option(help="embedded (dlib) or insightface (SCRFD, FAN).")] = "embedded",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda if there is a GPU.")] = None,
) -> None:
    """Restore degraded faces with a trained model, blind or with photos of the same person."""
    from facerefs.pipeline.restoring.restore import RestoreOptions, restore_command

    restore_command(
        RestoreOptions(
            run=run,
            source=source,
            out=out,
            references=tuple(reference or ()),
            landmarks=landmarks,
            aligned=aligned,
            engines=engines,
            device=device,
            outputs=outputs,
            seed=seed,
            pictures=pictures,
        ),
        _console(),
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="A new folder.")] = Path("demo"),
    identities: Annotated[int, typer.Option(min=4, max=10_000, help="How many people.")] = 40,
    per_identity: Annotated[int, typer.Option(min=4, max=1_000, help="Photos of each.")] = 8,
    size: Annotated[int, typer.Option(min=256, max=4096, help="Side of a photo in pixels.")] = 640,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Render people, plant defects, build a training set, and say how many of the defects were found."""
    from facerefs.pipeline.commands.demo.demo import run_demo

    run_demo(out, identities, per_identity, size, seed, workers)


def main() -> None:
    """The command `facerefs`: status 0, 1 if a run failed, 2 if the user must change something."""
    try:
        app()
    except UserError as error:
        _end(str(error), 2)
    except RunError as error:
        if error.details:
            print(error.details, file=sys.stderr)  # noqa: T201 (the one place that ends a command)
        again = ". Nothing already written is lost: run the same command again to continue"
        _end(f"{error}{again if error.again else ''}", 1)
    except OSError as error:
        _end(f"{error}. Nothing already written is lost: mend that, and run the same command again", 1)


def _console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True, markup=False)


def _end(sentence: str, code: int) -> None:
    print(f"facerefs: {sentence}", file=sys.stderr)  # noqa: T201 (so is this)
    sys.exit(code)
