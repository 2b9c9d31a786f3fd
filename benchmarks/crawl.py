"""Crawling photos into tars, byte for byte, from a server on this machine: img2dataset and us, as whole processes.

img2dataset has an environment of its own, since its dependencies conflict with ours. Make it once with
`python3.11 -m venv .venv-img2dataset && .venv-img2dataset/bin/pip install img2dataset==1.47.0 'setuptools<81'`,
or name its command in IMG2DATASET. Both run on the same two cores and may trust the same certificates.
"""

import argparse
import csv
import hashlib
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loopback_server import Photos, make_certificate
from benchmarks.paired import Comparison, write
from benchmarks.whole_process import Cost, cost

PHOTO_BYTES = 60_000
CORES = 2
WARM_UP = 200  # photos
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Case:
    """How many photos are fetched, and in how many shards by img2dataset.

    The shards are at most five for each of its two processes: it starts a new process after five.
    """

    name: str
    scheme: str
    count: int
    shards: int
    system_certificates: bool = True  # trusted besides the server's, as by all that crawls the web


CASES = (
    Case("crawl http", "http", count=100_000, shards=10),
    Case("crawl https", "https", count=3_000, shards=6),
    Case("crawl https, one certificate trusted", "https", count=10_000, shards=4, system_certificates=False),
)


@dataclass(frozen=True)
class Site:
    """A running server: its URLs as a list, the SHA-256 of each photo, and the certificates to trust it by."""

    urls: Path
    warm_up: Path  # the first of them
    hashes: list[bytes]
    certificates: Path


def peer_command(urls: Path, out: Path, shard: int) -> list[str]:
    """img2dataset, keeping the bytes as they are; no number of threads from 8 to 128 makes it faster than 16.

    It decodes nothing then. Like us it computes the SHA-256 of a photo.
    """
    options = {
        "url_list": urls,
        "output_folder": out,
        "input_format": "csv",
        "url_col": "url",
        "caption_col": "identity",
        "output_format": "webdataset",
        "disable_all_reencoding": True,
        "resize_mode": "no",
        "extract_exif": False,
        "processes_count": CORES,
        "thread_count": 16,
        "number_sample_per_shard": shard,
        "retries": 0,
        "enable_wandb": False,
    }
    return [str(_img2dataset()), *(f"--{name}={value}" for name, value in options.items())]


def ours_command(urls: Path, out: Path, certificates: Path) -> list[str]:
    """Our crawl of the list `urls` (columns `url`, `identity`) into tars below `out`."""
    return [sys.executable, "-m", "benchmarks.crawl_ours", str(urls), str(out), str(certificates)]


def case(chosen: Case, rounds: int, peer_only: bool) -> list[Comparison]:
    """Peer, ours, peer, ours ..., after a short run of each; all photos of all runs are compared to the server's."""
    with tempfile.TemporaryDirectory() as folder, _site(chosen, Path(folder)) as site:
        shard = -(-chosen.count // chosen.shards)
        sides: dict[str, Callable[[Path, Path], list[str]]] = {
            "img2dataset": lambda urls, out: peer_command(urls, out, shard),
            "ours": lambda urls, out: ours_command(urls, out, site.certificates),
        }
        if peer_only:
            del sides["ours"]
        costs: dict[str, list[Cost]] = {side: [] for side in sides}
        for command in sides.values():
            _crawl(command, site.warm_up, site, WARM_UP)
        for _ in range(rounds):
            for side, command in sides.items():
                load = os.getloadavg()[0]
                spent = _crawl(command, site.urls, site, chosen.count)
                costs[side].append(spent)
                print(
                    f"{chosen.name}, {side}: {chosen.count} photos in {spent.seconds:.1f} s, "
                    f"{chosen.count / spent.seconds:.0f} photos/s, {spent.cpu_s:.1f} CPU-s, "
                    f"peak {spent.peak_mb:.0f} MB; load of the machine before: {load:.1f}",
                    flush=True,
                )
    return [] if peer_only else _compare(chosen, costs["ours"], costs["img2dataset"])


def _compare(chosen: Case, ours: list[Cost], peer: list[Cost]) -> list[Comparison]:
    """How many times faster, and more frugal, ours is: ratios above 1 are in its favour."""

    def line(name: str, unit: str, figure: Callable[[Cost], float], *, more_is_better: bool) -> Comparison:
        own, theirs = [figure(spent) for spent in ours], [figure(spent) for spent in peer]
        ratios = [a / b if more_is_better else b / a for a, b in zip(own, theirs, strict=True)]
        return Comparison(
            case=name,
            ours=statistics.median(own),
            peer=statistics.median(theirs),
            unit=unit,
            ratio=statistics.median(ratios),
            low=min(ratios),
            high=max(ratios),
        )

    name, count = chosen.name, chosen.count
    return [
        line(name, "photos/s", lambda spent: count / spent.seconds, more_is_better=True),
        line(f"{name}, CPU", "ms/photo", lambda spent: spent.cpu_s / count * 1000, more_is_better=False),
        line(f"{name}, peak memory", "MB", lambda spent: spent.peak_mb, more_is_better=False),
    ]


def _crawl(command: Callable[[Path, Path], list[str]], urls: Path, site: Site, count: int) -> Cost:
    """One run into a fresh folder. Raises SystemExit unless it got every photo once and nothing else."""
    environment = {**os.environ, "SSL_CERT_FILE": str(site.certificates), "NO_ALBUMENTATIONS_UPDATE": "1"}
    environment.pop("SSL_CERT_DIR", None)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        os.sync()  # or it would wait for what the run before it wrote
        started = command(urls, out)
        spent = cost(started, environment, Path(folder) / "log")
        if sorted(_hashes(out)) != sorted(site.hashes[:count]):
            raise SystemExit(f"{started[0]} did not get the photos that the server has")
    return spent


def _hashes(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                data = file.read() if file else b""
                if data.startswith(_JPEG):
                    yield hashlib.sha256(data).digest()


@contextmanager
def _site(chosen: Case, folder: Path) -> Iterator[Site]:
    """A server as a process of its own, on other cores than the crawl's where there are more."""
    certificate, key = make_certificate(folder)
    tls = ["--tls", str(key)] if chosen.scheme == "https" else []
    command = [sys.executable, "-m", "benchmarks.loopback_server", f"--count={chosen.count}", *tls]
    command.append(f"--bytes={PHOTO_BYTES}")
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own server)
    assert server.stdout is not None  # noqa: S101 (it is a pipe)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(server.pid, cores[CORES:] or cores)
    os.sched_setaffinity(0, cores[:CORES])
    try:
        port = int(server.stdout.readline())
        urls = [f"{chosen.scheme}://127.0.0.1:{port}/photo/{i}.jpg" for i in range(chosen.count)]
        photos = Photos(chosen.count, PHOTO_BYTES)
        yield Site(
            urls=_write_list(folder / "urls.csv", urls),
            warm_up=_write_list(folder / "warm_up.csv", urls[:WARM_UP]),
            hashes=[hashlib.sha256(photos[i]).digest() for i in range(chosen.count)],
            certificates=_trusted(certificate, folder) if chosen.system_certificates else certificate,
        )
    finally:
        server.kill()
        server.wait()
        os.sched_setaffinity(0, cores)


def _write_list(path: Path, urls: list[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("url", "identity"), *((url, f"person {i // 20}") for i, url in enumerate(urls))]
        )
    return path


def _trusted(certificate: Path, folder: Path) -> Path:
    """The certificates that programs of this machine trust, and the server's. Raises SystemExit if there are none."""
    system = ssl.get_default_verify_paths().cafile
    if system is None:
        raise SystemExit("no file of trusted certificates: name one in SSL_CERT_FILE")
    path = folder / "trusted.pem"
    path.write_bytes(Path(system).read_bytes() + certificate.read_bytes())
    return path


def _img2dataset() -> Path:
    return Path(os.environ.get("IMG2DATASET", ".venv-img2dataset/bin/img2dataset"))


def main() -> None:
    """Print what each run costs, and write benchmarks/out/crawl.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-only", action="store_true")
    chosen = parser.parse_args()
    if shutil.which(_img2dataset()) is None:
        print(f"crawl: skipped, since there is no {_img2dataset()}.\n{__doc__}")
        return
    comparisons = [line for each in CASES for line in case(each, chosen.rounds, chosen.peer_only)]
    if comparisons:
        write("crawl", comparisons)


if __name__ == "__main__":
    main()
