"""The command line. Each command imports its own modules when it runs, so that `--help` is fast."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from facerefs.pipeline.errors import RunError, UserError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Turn photos of people into verified training shards for reference-based face restoration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_PLACE = "The build's folder, or its address in object storage (s3://BUCKET/FOLDER)."
Out = Annotated[str, typer.Option("--out", "-o", help=_PLACE, metavar="DIR")]
Folder = Annotated[str, typer.Argument(help=_PLACE, metavar="DIR")]

Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Parallel workers; one per core if not given, and none for what takes only seconds.",
    ),
]
Address = Annotated[str | None, typer.Option(help="A Ray cluster to join, such as auto or ray://host:10001.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's own messages.")]
Blur = Annotated[bool, typer.Option("--blur", help="Hide all faces, so that nobody can be recognised.")]
BlurReport = Annotated[
    bool,
    typer.Option(
        "--blur", help="Hide all faces in the report, in this run and in later ones, until `facerefs report`."
    ),
]
CheckFiles = Annotated[
    bool,
    typer.Option(
        "--check-files",
        help="Look for damage in every file of the build, not only in those whose size or time changed.",
    ),
]


class ShowsSources(TyperCommand):
    """A command whose help ends with the list of sources; they are imported only when help is shown."""

    def get_help(self, ctx: Any) -> str:
        """The help text of typer, followed by the possible values of SOURCE."""
        from facerefs.stages.sources.registry import choices

        formatter = ctx.make_formatter()
        with formatter.section("Sources"):
            formatter.write_dl(choices())
        return f"{super().get_help(ctx)}\n\n{formatter.getvalue().rstrip()}"


class ShowsLayouts(TyperCommand):
    """A command whose help ends with the list of layouts; they are imported only when help is shown."""

    def get_help(self, ctx: Any) -> str:
        """The help text of typer, followed by the possible values of --to."""
        from facerefs.pipeline.export.layouts import choices

        formatter = ctx.make_formatter()
        with formatter.section("Layouts, and the split that is exported if none is given"):
            formatter.write_dl(choices())
        return f"{super().get_help(ctx)}\n\n{formatter.getvalue().rstrip()}"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"facerefs {version('facerefs')}")
        raise typer.Exit


@app.callback()
def facerefs(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Turn photos of people into verified training shards for reference-based face restoration."""


@app.command(cls=ShowsSources)
def build(
    out: Out,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Where the photos are: see the list of sources below. It may be left out if --config is the "
            "build.yaml of a build: that one's photos are meant.",
            metavar="[SOURCE]",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with settings, or the build.yaml of a build.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as analyse.crop_size=1024."),
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="embedded (dlib) or insightface (SCRFD, FAN, ArcFace).")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="How to use the names: trust, check or ignore.")] = None,
    labels_file: Annotated[
        Path | None,
        typer.Option(
            "--identities", help="Names from a file of lines `PHOTO.jpg PERSON`, as CelebA's, or a .csv."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Build the test set of a protocol (`facerefs protocols`): it fixes all settings."),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Published pairs of targets and references (csv, tsv, jsonl, Parquet), taken as they are; may be "
            "repeated.",
        ),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Published splits: test_image.txt and the like, a folder of these, or a list with a column split; "
            "may be repeated.",
        ),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="Your e-mail address or page, sent to every host with each request.")
    ] = None,
    allow_private_hosts: Annotated[
        bool, typer.Option("--allow-private-hosts", help="Fetch from loopback and private networks too.")
    ] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Download again: URLs that failed for a temporary reason (transient), or all URLs (all); "
            "photos that have not changed are not transferred again.",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Apply other settings, or a source that has moved, to an existing build."
        ),
    ] = False,
    workers: Workers = None,
    address: Address = None,
    verbose: Verbose = False,
    check_files: CheckFiles = False,
    blur: BlurReport = False,
) -> None:
    """Make a training set from photos; a second run continues and does only what is missing or has changed."""
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
            protocol=protocol,
            pairs=tuple(pairs or ()),
            splits=tuple(splits or ()),
            contact=contact,
            allow_private_hosts=allow_private_hosts,
            retry=retry,
            update=update,
            workers=workers,
            address=address,
            verbose=verbose,
            check_files=check_files,
            blur=blur,
        ),
        _console(),
    )


@app.command()
def merge(
    builds: Annotated[
        list[str],
        typer.Argument(
            help="Finished builds with the same settings of crawl and analyse: their folders or addresses.",
            metavar="BUILD",
        ),
    ],
    out: Out,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file with settings, or the build.yaml of a build; if not given, those of the first build."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as select.references=4."),
    ] = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Apply other settings or other builds to an existing merged build."),
    ] = False,
    workers: Workers = None,
    address: Address = None,
    verbose: Verbose = False,
    check_files: CheckFiles = False,
) -> None:
    """Join finished builds into one without analysing their photos again; a second run takes over what is new."""
    from facerefs.pipeline.commands.build import RunOptions
    from facerefs.pipeline.commands.merge import MergeOptions, merge_command

    merge_command(
        MergeOptions(
            builds=tuple(builds),
            out=out,
            config_file=config,
            settings=tuple(settings or ()),
            run=RunOptions(update, workers, address, verbose, check_files),
        ),
        _console(),
    )


@app.command()
def purge(
    build: Annotated[str, typer.Argument(help="The folder or address of a build.")],
    person: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Remove all photos listed under this name, or that show this person; may be repeated.",
        ),
    ] = None,
    photo: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Remove a photo, by its key or SHA-256; may be repeated."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Remove the photos of a URL or page; may be repeated."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Remove all photos of a host and those below it; may be repeated."),
    ] = None,
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list", metavar="FILE", help="A CSV file of lines KIND,VALUE, such as person,Ada Lovelace."
        ),
    ] = None,
    workers: Workers = None,
    verbose: Verbose = False,
) -> None:
    """Remove people and photos from a build for good, with all that was made of them, and keep them out of it."""
    from facerefs.pipeline.commands.build import RunOptions
    from facerefs.pipeline.commands.purge import PurgeOptions, purge_command

    purge_command(
        PurgeOptions(
            build,
            tuple(person or ()),
            tuple(photo or ()),
            tuple(url or ()),
            tuple(host or ()),
            list_file,
            RunOptions(workers=workers, verbose=verbose),
        ),
        _console(),
    )


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(help="A new folder for the photos.")],
    identities: Annotated[int, typer.Option(min=1, max=100_000, help="Number of people.")] = 10,
    per_identity: Annotated[int, typer.Option(min=1, max=10_000, help="Photos per person.")] = 8,
    size: Annotated[int, typer.Option(min=128, max=4096, help="Side of a photo in pixels.")] = 640,
    seed: Annotated[int, typer.Option(min=0, help="Random seed: another seed gives other people.")] = 0,
) -> None:
    """Render photos of synthetic people with known identities, landmarks and moles, for experiments."""
    from facerefs.pipeline.commands.sample import sample_command

    sample_command(out, identities, per_identity, size, seed)


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
) -> None:
    """Show the contents of a build: tables, parts, rows, rejected rows, bytes."""
    from facerefs.pipeline.commands.status import print_status

    print_status(folder, as_json)


@app.command()
def inspect(
    folder: Folder,
    what: Annotated[
        str, typer.Argument(help="A table, or the key or id of a photo, face or sample, or a name.")
    ] = "samples",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 10,
    rejected: Annotated[bool, typer.Option("--rejected", help="Show only rejected rows.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one JSON object per row, with all its values.")
    ] = False,
) -> None:
    """Show rows of a table, or the rows in which a photo or face occurs: at least one of each table that has any."""
    from facerefs.pipeline.commands.inspect import print_rows

    print_rows(folder, what, limit, rejected, as_json)


@app.command()
def trace(
    place: Annotated[
        str,
        typer.Argument(
            metavar="SET",
            help="A build's folder, a copy of its folder samples, or the address of one of these.",
        ),
    ],
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY",
            help="The key of a sample or photo, the id of a face, a URL, the SHA-256 of a photo, or a person.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="What KEY is, if it fits several: sample, face, photo, url, sha256 or person.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of photos, faces and samples that are shown of each.")
    ] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: one JSON object, without limits.")
    ] = False,
) -> None:
    """Say where a sample, photo, face or person comes from, what was decided, and which samples use it."""
    from facerefs.pipeline.commands.trace import trace_command

    trace_command(place, key, kind, limit, as_json)


@app.command()
def report(folder: Folder, blur: Blur = False) -> None:
    """Write report.html into the build's folder: the funnel, galleries and histograms."""
    from facerefs.pipeline.commands.report import report_command

    report_command(folder, blur)


@app.command()
def explore(
    folder: Folder,
    other: Annotated[
        str | None, typer.Argument(metavar="[OTHER]", help="A second build, to see the two side by side.")
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="A training run, to restore photos in the page; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port on this machine; 0: any.")] = 0,
    blur: Blur = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the web browser.")] = False,
) -> None:
    """Look at a build in a web page on this machine: search it, and decide what the next build shall do."""
    from facerefs.pipeline.commands.explore import ExploreCommand, explore_command

    explore_command(ExploreCommand(folder, other, tuple(run or ()), port, blur, open_browser), _console())


@app.command()
def audit(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
) -> None:
    """Say which pairs of a set are copies, of one session, strangers or of bad quality, and who is in two splits."""
    from facerefs.pipeline.commands.audit import audit_command

    audit_command(folder, as_json)


@app.command()
def verify(
    folder: Annotated[
        str,
        typer.Argument(
            help="A build's folder, or a copy of its folder samples; or the address of one in object storage.",
            metavar="DIR",
        ),
    ],
    replay: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Number of degraded faces to make again and compare.")
    ] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
) -> None:
    """Check every byte and sample of a training set and make some degraded faces again; exit status 1 on a fault."""
    from facerefs.pipeline.commands.verify import verify_command, verify_for_programs

    check = verify_for_programs if as_json else verify_command
    if not check(folder, replay):
        raise typer.Exit(1)


@app.command(cls=ShowsLayouts)
def export(
    place: Annotated[
        str,
        typer.Argument(
            metavar="SET",
            help="A build's folder, a copy of its folder samples, or the address of one of these.",
        ),
    ],
    layout: Annotated[str, typer.Option("--to", metavar="LAYOUT", help="The layout: see the list below.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder, or that of a killed export.")
    ],
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; if not given, as the list below says.")
    ] = None,
) -> None:
    """Write a training set in the layout of another program, with the origin and licence of each file."""
    from facerefs.pipeline.export.export import ExportOptions, export_command

    export_command(ExportOptions(place, layout, out, split), _console())


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON list of findings.")] = False,
) -> None:
    """Show which packages, engines and weights are installed, and how to get the missing ones."""
    from facerefs.pipeline.commands.doctor import print_doctor

    print_doctor(as_json)


@app.command(cls=ShowsSources)
def calibrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Photos of people with reliable names, such as a folder with one sub-folder per person: at least "
            "5 people and 40 photos. Any source whose photos need no download: see below.",
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
    """Measure the similarity thresholds of an embedder, and print them as settings for a configuration file."""
    from facerefs.pipeline.commands.calibrate import calibrate_command

    calibrate_command(source, config, settings or [], engines)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="Name of the model, as `facerefs models` lists it.")],
    run: Annotated[Path, typer.Option("--run", help="A new folder for checkpoints, log and images.")],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="A build's folder, a folder of shards, or an address; may be repeated."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Default settings: paper (if not given) or tiny (64 px, for a CPU)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps; short for --set loop.steps=N.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as data.batch_size=8."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run's newest checkpoint, with its settings.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if available.")] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes that train together (Ray Train), each with its own GPU."),
    ] = 1,
    address: Address = None,
    verbose: Verbose = False,
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
    preset: Annotated[str, typer.Option(help="Preset that is shown: paper or tiny.")] = "paper",
) -> None:
    """Show the inputs and the size of each model, without computing anything."""
    from facerefs.pipeline.commands.models import print_models

    print_models(preset)


@app.command()
def protocols(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One of them, or a YAML file: shown whole.")
    ] = None,
) -> None:
    """List the test sets that are the same for everybody, each with one hash."""
    from facerefs.pipeline.commands.protocols import print_protocols

    print_protocols(name)


@app.command()
def settings(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SECTION",
            help="A section of the build's settings, such as analyse, or one setting, such as analyse.crop_size; all "
            "settings if not given. For a model write `train MODEL` or `train MODEL SECTION`, for judging `evaluate`.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset whose defaults are shown: paper (if not given) or tiny.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="table; yaml: a commented file for --config; or markdown: docs/settings.md if no SECTION is given.",
        ),
    ] = "table",
) -> None:
    """List the settings of a build, a model or an evaluation, each with its type, default, range and meaning."""
    from facerefs.pipeline.commands.settings import settings_command

    settings_command(words or [], preset, form)


@app.command()
def restore(
    run: Annotated[Path, typer.Argument(help="The folder of a `facerefs train` run of a restoration model.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Photos, folders of photos, or patterns such as 'trip/*.jpg'.", metavar="INPUT..."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Output file (.png, .jpg, .jpeg or .webp), or a folder for several."
        ),
    ],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            help="A good photo of the person, a folder of photos of one person, or a folder with one sub-folder per "
            "person; may be repeated. Who is who is decided by the embedder of --engines.",
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            help="The face most like this person is theirs, whatever the similarity: the name of a folder of "
            "references, or 'the person' for single photos."
        ),
    ] = None,
    blind: Annotated[
        Path | None,
        typer.Option(help="A run of a model without references, for faces that have none."),
    ] = None,
    faces: Annotated[
        str, typer.Option(help="all, largest, or the number of one face: 1 is the largest.")
    ] = "all",
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the restored face in the photo; 0 changes nothing.")
    ] = 1.0,
    grain: Annotated[
        bool,
        typer.Option(
            "--grain/--no-grain",
            help="Give the restored face as much grain as the photo has; hair or fabric around a face may be taken for "
            "grain.",
        ),
    ] = True,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="A run of `facerefs train landmarks`, to find the landmarks of degraded faces."),
    ] = None,
    aligned: Annotated[
        bool,
        typer.Option(
            "--aligned", help="INPUT is one face, aligned like those in the shards: restore only that."
        ),
    ] = False,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames",
            help="The inputs are frames of one video: a face keeps its person and reference from frame to frame, and "
            "frames without a face are written as they are.",
        ),
    ] = False,
    outputs: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="Number of versions per input (NAME-1.png, NAME-2.png ...), for stochastic models.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of stochastic models.")] = 0,
    ending: Annotated[
        str, typer.Option("--format", help="Format of the files in a folder: png, jpg or webp.")
    ] = "png",
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG (98 if not given) and WebP (lossless if not given)."),
    ] = None,
    crops: Annotated[
        bool, typer.Option("--crops", help="Also write the restored aligned faces: NAME-face1.png ...")
    ] = False,
    sheet: Annotated[
        bool,
        typer.Option(
            "--sheet", help="Also write before, reference and after of each face to NAME-sheet.png."
        ),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Also write intermediate results to NAME-pictures.png."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that are there already.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Restore only the photos whose outputs are not there yet.")
    ] = False,
    engines: Annotated[
        str, typer.Option(help="embedded (dlib) or insightface (SCRFD, FAN, ArcFace).")
    ] = "embedded",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if available.")] = None,
) -> None:
    """Restore the faces of whole photos with a trained model, blind or with photos of the same people."""
    from facerefs.pipeline.restoring.options import RestoreOptions
    from facerefs.pipeline.restoring.restore import restore_command

    restore_command(
        RestoreOptions(
            run=run,
            sources=tuple(inputs),
            out=out,
            references=tuple(reference or ()),
            person=person,
            blind=blind,
            faces=faces,
            strength=strength,
            grain=grain,
            landmarks=landmarks,
            aligned=aligned,
            frames=frames,
            engines=engines,
            device=device,
            outputs=outputs,
            seed=seed,
            ending=ending,
            quality=quality,
            crops=crops,
            sheet=sheet,
            pictures=pictures,
            overwrite=overwrite,
            resume=resume,
        ),
        _console(),
    )


@app.command()
def evaluate(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]METHOD...",
            help="What is judged: folders of `facerefs train` runs, and folders of any other program's outputs, each "
            "file named after its sample's key (KEY.png, or KEY_00.png). Without any, only the baselines.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="A build's folder, a folder of shards, or an address: the ground truths."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Judge as a protocol says (`facerefs protocols`): on its set, with its settings."),
    ] = None,
    split: Annotated[str, typer.Option(help="The split on which is judged: test, val or train.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for evaluation.json, CSV, LaTeX rows and report.html."),
    ] = None,
    reference_set: Annotated[
        str | None,
        typer.Option(
            "--reference-set",
            help="What FID compares with: a folder of pictures, or a set; if not given, the ground truths.",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(
            "--references", help="Without --data: a folder of references for IPS, named as the outputs."
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            "--names",
            help="A CSV with the columns key and file, if outputs are not named after keys but after these files.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Side in pixels to which all faces are reduced first, for small networks."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Judge at most so many samples, of as many people as possible.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file with settings.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as weights.identity=FILE.onnx."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Where outputs of runs and what networks made of images are kept for the next time."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default cuda if available.")] = None,
) -> None:
    """Judge restored faces by the figures of the papers, side by side with baselines."""
    from facerefs.pipeline.evaluation.evaluate import evaluate_command
    from facerefs.pipeline.evaluation.options import EvaluateOptions

    evaluate_command(
        EvaluateOptions(
            methods=tuple(methods or ()),
            data=data,
            protocol=protocol,
            split=split,
            out=out,
            reference_set=reference_set,
            references=references,
            names=names,
            size_px=size,
            samples=samples,
            config_file=config,
            settings=tuple(settings or ()),
            cache=cache,
            device=device,
        ),
        _console(),
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="A new folder.")] = Path("demo"),
    identities: Annotated[int, typer.Option(min=4, max=10_000, help="Number of people.")] = 40,
    per_identity: Annotated[int, typer.Option(min=4, max=1_000, help="Photos per person.")] = 8,
    size: Annotated[int, typer.Option(min=256, max=4096, help="Side of a photo in pixels.")] = 640,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Render synthetic people, add defects, build a training set, and show how many of the defects were found."""
    from facerefs.pipeline.commands.demo.demo import run_demo

    run_demo(out, identities, per_identity, size, seed, workers)


def main() -> None:
    """Run `facerefs`. Exit status: 0 for success, 1 if a run failed, 2 if the user must change something."""
    try:
        app()
    except UserError as error:
        _end(str(error), 2)
    except RunError as error:
        if error.details:
            print(error.details, file=sys.stderr)  # noqa: T201 (the one place that prints the error that ends a command)
        again = ". Nothing already written is lost: run the same command again to continue"
        _end(f"{error}{again if error.again else ''}", 1)
    except OSError as error:
        from facerefs.schemas.object_storage import is_failed_request, sentence_of

        if is_failed_request(error):
            _end(f"{sentence_of(error)}. Nothing already written is lost", 1)
        _end(f"{error}. Nothing already written is lost: fix that, and run the same command again", 1)


def _console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True, markup=False)


def _end(sentence: str, code: int) -> None:
    print(f"facerefs: {sentence}", file=sys.stderr)  # noqa: T201 (so is this)
    sys.exit(code)
