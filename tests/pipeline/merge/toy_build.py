"""A finished build of small pictures without engines: its faces are made up, its fingerprints are real."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image
from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan
from facerefs.pipeline.build.listing import list_source
from facerefs.pipeline.config.config import Config
from facerefs.pipeline.inputs.analyse import AnalyseInput
from facerefs.pipeline.inputs.crawl import CrawlInput
from facerefs.pipeline.inputs.fetch import FetchInput, download_fingerprint
from facerefs.pipeline.merge.faces import FacesOfBuilds
from facerefs.pipeline.merge.originals import check_finished, open_originals
from facerefs.pipeline.merge.photos import TakenPhotos, take_photos
from facerefs.pipeline.runner.part_pool import PartTask
from facerefs.pipeline.runner.runner import PartWorker, Runner, part_fingerprint
from facerefs.pipeline.runner.workers import RayWorkers
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.tables import DOWNLOADS, FACES, SOURCES, loaded
from facerefs.stages.sources.folder import open_folder

QUIET = Console(file=io.StringIO())


def picture(seed: int) -> bytes:
    """A PNG that no other seed is like."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_photos(folder: Path, photos: Mapping[str, bytes]) -> Path:
    for name, data in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def finish(out: Path, config: Config) -> Storage:
    """Make all that merge asks for, of a build whose `sources`, and `downloads`, are there."""
    storage = Storage(str(out))
    plan = BuildPlan("/photos", None, config)
    storage.write_text(BUILD_FILE, yaml.safe_dump(plan.tree(), sort_keys=False))
    crawl, analyse = CrawlInput(storage), AnalyseInput(storage)
    for name in crawl.names():
        fingerprint = part_fingerprint(config.crawl, crawl.read(name))
        PartWorker(config.crawl, crawl, storage).work(PartTask(name, fingerprint))
    for name in analyse.names():
        rows = analyse.read(name)
        with storage.writing("faces", name, part_fingerprint(config.analyse, rows)) as part:
            part.add(_faces(storage, rows))
    for stale in set(storage.parts("faces")) | set(storage.parts("images")):
        if stale not in crawl.names():
            storage.remove_part("images", stale)
            storage.remove_part("faces", stale)
    storage.write_text("samples/manifest.json", "{}")
    return storage


def toy_build(photos: Path, out: Path, config: Config | None = None) -> Storage:
    """A build of a folder."""
    config = config or Config(rows_per_part=2)
    list_source(open_folder(photos).rows(), config.rows_per_part, Storage(str(out)), QUIET)
    return finish(out, config)


def downloaded_build(photos: Mapping[str, bytes], out: Path) -> Storage:
    """A build of photos from the web, by their URLs, which are their keys."""
    storage, config = Storage(str(out)), Config()
    rows = [dict.fromkeys(SOURCES.names) | {"key": url, "url": url} for url in photos]
    list_source([pa.Table.from_pylist(rows, SOURCES)], 2, storage, QUIET)
    inputs = FetchInput(storage)
    for name in inputs.names():
        wanted = inputs.read(name)
        urls = wanted["url"].to_pylist()
        rows = [
            dict.fromkeys(DOWNLOADS.names)
            | {
                "key": url,
                "url": url,
                "photo": photos[url],
                "sha256": hashlib.sha256(photos[url]).hexdigest(),
            }
            for url in urls
        ]
        with storage.writing("downloads", name, download_fingerprint(config.fetch, wanted)) as part:
            part.add(pa.Table.from_pylist(rows, loaded(DOWNLOADS)))
    return finish(out, config)


def take_over(places: Sequence[Path | str], out: Path | str) -> tuple[Storage, TakenPhotos]:
    """As `merge` does until all photos are analysed, but for copies. A photo that had to be analysed would fail."""
    storage = Storage.at(out)
    originals = open_originals([str(place) for place in places], storage)
    groups = [check_finished(original) for original in originals]
    run, config = Runner(storage, QUIET, RayWorkers(1)), originals[0].config
    taken = take_photos(run, originals, config)
    faces = FacesOfBuilds(run, originals, groups, config.analyse)
    faces.take(taken.parts)
    assert faces.analysed == 0
    return storage, taken


def _faces(storage: Storage, rows: pa.Table) -> pa.Table:
    """One face in each photo, whose crop is the photo; the mask is its id."""
    faces = [
        {"id": f"{row['id'][:16]}-0", "image": row["id"], "key": row["key"], "embedding": [0.6, 0.8]}
        | {"crop": storage.read_blob(**row["photo"]), "mask": row["id"].encode(), "parser": "toy"}
        for row in rows.to_pylist()
    ]
    return pa.Table.from_pylist([dict.fromkeys(FACES.names) | face for face in faces], loaded(FACES))
