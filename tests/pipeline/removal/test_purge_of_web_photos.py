"""A host, and a URL, leave a build whose photos were fetched, and are not asked for again."""

import csv
from pathlib import Path

from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.commands.purge import PurgeOptions, purge_command
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.synthetic_people.folder import write_people
from tests.photo_server import photo_server
from tests.pipeline.small_build import SETTINGS, said


def test_fetched_photos_go_by_host_and_url_and_are_not_fetched_again(tmp_path: Path) -> None:
    list(write_people(tmp_path / "photos", identities=1, per_identity=4, size_px=320, seed=3))
    listed, out = tmp_path / "list.csv", tmp_path / "build"
    with photo_server(hosts=2) as server:
        urls = []
        for number, path in enumerate(sorted((tmp_path / "photos").rglob("*.jpg"))):
            server.photos[f"/{number}.jpg"] = path.read_bytes()
            urls.append(server.url(f"/{number}.jpg", host=f"127.0.0.{1 + number % 2}"))
        with listed.open("w", newline="") as file:
            csv.writer(file).writerows([("name", "url"), *(("Ann", url) for url in urls)])
        options = BuildOptions(
            str(listed),
            out,
            settings=(*SETTINGS, "fetch.host_rate_per_s=1000"),
            contact="a@b.example",
            allow_private_hosts=True,
        )
        said(lambda console: build_command(options, console))
        asked = server.photo_requests
        purge = PurgeOptions(str(out), urls=(urls[0],), hosts=("127.0.0.2",))
        printed = said(lambda console: purge_command(purge, console))
        assert "removed     3 photos\n" in printed
        assert "nothing is left" in printed
        assert "3 photos of the source stay out" in said(lambda console: build_command(options, console))
        assert server.photo_requests == asked
    storage = Storage(str(out))
    for table in ("sources", "downloads", "images"):
        assert len(storage.scan(table)) == 1
    (row,) = storage.scan("downloads").to_pylist()
    assert row["url"] == urls[2]
    assert storage.read_blob(**row["photo"]) == server.photos["/2.jpg"]
