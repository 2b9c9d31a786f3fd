"""Everything that reads what others wrote."""

import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image

from facerefs.pipeline.build import overrides
from facerefs.pipeline.config.config import Config, read_config, to_tree
from facerefs.pipeline.dataset.manifest import recipes_of
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.protocols.protocol import read_protocol
from facerefs.pipeline.removal.chosen import read_list
from facerefs.pipeline.removal.tombstones import Tombstones
from facerefs.pipeline.storage.damage import mend
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.verify.verify import Fault, manifest_of, samples_in, verify
from facerefs.schemas import theta
from facerefs.schemas.manifest import MANIFEST_FILE, parse
from facerefs.stages.degrade.recipes import RECIPES, draw
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import read_tensors
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode
from facerefs.stages.sources.labels_file import read_labels
from facerefs.stages.sources.registry import default_settings
from facerefs.stages.sources.resolve import open_source
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.address import WebError, check_url, join_url
from facerefs.stages.web.limits import WebLimits
from facerefs.stages.web.robots import RobotsRules
from facerefs.stages.web.site_file import SiteAnswer
from facerefs.stages.web.tdmrep import _read as read_tdmrep
from facerefs.trainers.loop import checkpoint
from facerefs.trainers.loop.checkpoint import CheckpointError
from tests.fuzz import explore_requests
from tests.fuzz.harness import Target
from tests.pipeline.small_set import make_set

_LIMITS = DecodeLimits(max_bytes=1 << 20, max_pixels=1 << 22, min_side_px=1)
_LIST = b"""name,image_url,license,author,sha256,bbox
Ada,https://a.example/1.jpg,CC0,"Ann, photographer",,"[1, 2, 30, 40]"
Bob,https://a.example/2.jpg,CC BY 4.0,Bo,,
"""
_JSONL = b"""{"name": "Ada", "url": "https://a.example/1.jpg", "bbox": [1, 2, 30, 40]}
{"name": "Bob", "url": "https://a.example/2.jpg", "more": {"a": [1]}}
"""


def targets() -> list[Target]:
    """All targets, with their seeds."""
    return [
        Target("photo", _photo, (DecodeError,), _photos()),
        *(
            Target(f"list {ending}", _listed(f"list.{ending}"), (SourceError,), seeds)
            for ending, seeds in _lists().items()
        ),
        Target(
            "names of photos",
            _labels,
            (SourceError, UserError),
            [b"file,name\n1.jpg,Ada\n"],
        ),
        Target(
            "theta", lambda data, _: theta.from_json(data.decode(errors="replace")), (ValueError,), _thetas()
        ),
        Target("configuration", _configuration, (UserError,), [yaml.safe_dump(to_tree(Config())).encode()]),
        Target("protocol", _protocol, (UserError,), _protocols()),
        Target("overrides.csv", _overrides, (UserError,), [_overrides_seed()]),
        Target("purge list", _purge_list, (UserError,), [b"kind,value\nperson,Ada\nurl,https://a.example\n"]),
        Target("removed.json", _tombstones, (RunError,), [_tombstones_seed()]),
        Target(
            "manifest",
            lambda data, _: recipes_of(parse(data)),
            (ValueError,),
            [_small_set()["manifest.json"]],
        ),
        Target("shard", _shard, (), [_shard_seed()]),
        Target("table of a build", _table, (RunError, UserError), [_table_seed()]),
        Target("checkpoint", _checkpoint, (CheckpointError,), [_checkpoint_seed()]),
        Target("weights", _weights, (MissingWeights,), [_torch_seed()]),
        Target(
            "URL", _url, (WebError,), [b"https://a.example/1.jpg?x=%20#y", b"http://[2001:db8::1]:80/a/../b"]
        ),
        Target("robots.txt", _robots, (), [b"User-agent: *\nDisallow: /a*b$\nCrawl-delay: 2\nSitemap: x\n"]),
        Target("requests of explore", explore_requests.run, (), explore_requests.seeds()),
        Target("tdmrep.json", _tdmrep, (), [b'[{"location": "/a/*", "tdm-reservation": 1}]']),
    ]


def _photo(data: bytes, _: Path) -> object:
    return decode(data, _LIMITS)


def _photos() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    image, seeds = Image.fromarray(pixels), []
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in (
        {"format": "JPEG", "exif": exif},
        {"format": "JPEG", "progressive": True, "quality": 60},
        {"format": "PNG"},
        {"format": "WEBP"},
        {"format": "WEBP", "lossless": True},
        {"format": "GIF"},
        {"format": "BMP"},
        {"format": "TIFF"},
    ):
        buffer = io.BytesIO()
        image.save(buffer, **options)
        seeds.append(buffer.getvalue())
    return seeds


def _listed(name: str) -> Callable[[bytes, Path], object]:
    limits = WebLimits("facerefs")

    def run(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        source = open_source(str(folder / name), None, default_settings(), limits)
        return [len(rows) for rows in source.rows()]

    return run


def _lists() -> dict[str, list[bytes]]:
    buffer = io.BytesIO()
    table = pa.table({"name": ["Ada", "Bob"], "url": ["https://a.example/1.jpg", None], "n": [[1, 2], []]})
    pq.write_table(table, buffer)
    return {
        "csv": [_LIST, b"\xef\xbb\xbf" + _LIST],
        "tsv": [_LIST.replace(b",", b"\t")],
        "jsonl": [_JSONL],
        "parquet": [buffer.getvalue(), _photos_in_parquet()],
        "tar": [_tar_seed()],
    }


def _photos_in_parquet() -> bytes:
    buffer = io.BytesIO()
    photos = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(_photos()[:3])]
    pq.write_table(pa.table({"image": photos, "label": ["Ada", "Bob", "Ada"]}), buffer)
    return buffer.getvalue()


def _tar_seed() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (
            ("Ada/1.jpg", _photos()[0]),
            ("Ada/1.json", b'{"name": "Ada", "url": "https://a.example"}'),
            ("2.png", _photos()[2]),
            ("2.cls", b"7"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _labels(data: bytes, folder: Path) -> object:
    (folder / "names.csv").write_bytes(data)
    return read_labels(folder / "names.csv", folder)


def _thetas() -> list[bytes]:
    return [theta.to_json(draw(recipe, 3, 512)).encode() for recipe in RECIPES.values()]


def _configuration(data: bytes, folder: Path) -> object:
    (folder / "config.yaml").write_bytes(data)
    return read_config(folder / "config.yaml")


def _protocol(data: bytes, folder: Path) -> object:
    (folder / "protocol.yaml").write_bytes(data)
    return read_protocol(str(folder / "protocol.yaml"))


def _protocols() -> list[bytes]:
    import facerefs.pipeline.protocols.protocol as protocols

    files = Path(protocols.__file__).parent / "files"
    return [path.read_bytes() for path in sorted(files.glob("*.yaml"))]


def _overrides(data: bytes, folder: Path) -> object:
    (folder / overrides.FILE).write_bytes(data)
    return overrides.read(Storage(str(folder)))


def _overrides_seed() -> bytes:
    face = "0123456789abcdef-0"
    return (
        f"decision,what,other,comment\nkeep,{face},,\nsame,Ada,Ada L.,\ncopy,{face},{face[:-1]}1,x\n".encode()
    )


def _purge_list(data: bytes, folder: Path) -> object:
    (folder / "list.csv").write_bytes(data)
    return read_list(folder / "list.csv")


def _tombstones(data: bytes, folder: Path) -> object:
    (folder / "removed.json").write_bytes(data)
    return Tombstones.of(Storage(str(folder)))


def _tombstones_seed() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        photo = {"key": "a", "phash": 1, "phash_mirror": 2, "detail_hash": bytes(32)}
        Tombstones.new().with_photos([photo]).write(Storage(name))
        return Path(name, "removed.json").read_bytes()


def _small_set() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        samples = make_set(Path(name))
        return {path.name: path.read_bytes() for path in sorted(samples.iterdir())}


_SET = b"\x00facerefs-next-file\x00"


def _shard_seed() -> bytes:
    """A small set: its files, one after the other, each with its name in front."""
    files = _small_set()
    manifest = json.loads(files[MANIFEST_FILE])
    kept = {MANIFEST_FILE, *(name for name in files if name.startswith(manifest["shards"][0]["name"][:5]))}
    return _SET.join(name.encode() + b"\n" + data for name, data in files.items() if name in kept)


def _shard(data: bytes, folder: Path) -> object:
    for one in data.split(_SET):
        name, _, content = one.partition(b"\n")
        if name.replace(b"-", b"").replace(b".", b"").isalnum():
            (folder / name.decode()).write_bytes(content)
    try:
        samples = samples_in(folder)
        manifest = manifest_of(samples)
        return manifest if isinstance(manifest, Fault) else verify(samples, manifest, 0, lambda *_: None)
    except UserError as error:
        return error
    finally:
        for path in folder.iterdir():
            path.unlink()


def _table(data: bytes, folder: Path) -> object:
    storage = Storage(str(folder))
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples" / "train-00000.parquet").write_bytes(data)
    found = list(mend(storage, every_file=True))
    return found or storage.read("samples", "train-00000")


def _table_seed() -> bytes:
    return next(data for name, data in _small_set().items() if name.endswith(".parquet"))


def _checkpoint(data: bytes, folder: Path) -> object:
    (folder / "step.pt").write_bytes(data)
    return checkpoint.read(folder / "step.pt")


def _checkpoint_seed() -> bytes:
    parts = {name: kind() for name, kind in checkpoint._TYPES.items()}
    buffer = io.BytesIO()
    torch.save(
        {"format": checkpoint.FORMAT, **parts, "networks": {"generator": {"w": torch.ones(3)}}}, buffer
    )
    return buffer.getvalue()


def _weights(data: bytes, folder: Path) -> object:
    (folder / "weights.pth").write_bytes(data)
    return read_tensors(folder / "weights.pth", "weights")


def _torch_seed() -> bytes:
    buffer = io.BytesIO()
    torch.save({"format": "facerefs checkpoint 1", "step": 3, "a.weight": torch.ones(3, 2)}, buffer)
    return buffer.getvalue()


def _url(data: bytes, _: Path) -> object:
    text = data.decode(errors="replace")
    return join_url(check_url(text), text[len(text) // 2 :])


def _robots(data: bytes, _: Path) -> object:
    async def get(url: object) -> SiteAnswer:
        raise AssertionError("nothing is fetched here")

    rules = RobotsRules(get)  # type: ignore[arg-type]
    file = rules._read(SiteAnswer(200, data, "robots.txt"))
    return file.parsed is None or file.parsed.can_fetch("https://a.example/a/b", "facerefs")


def _tdmrep(data: bytes, _: Path) -> object:
    return read_tdmrep(SiteAnswer(200, data, "tdmrep.json"))
