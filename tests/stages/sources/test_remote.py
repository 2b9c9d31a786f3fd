"""Lists on a web server that fails: one sentence each, and none shows what is secret in the address."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from facerefs.stages.sources.lists.columns import ColumnNames
from facerefs.stages.sources.lists.remote import shown_place, without_secrets
from facerefs.stages.sources.lists.url_list import open_url_lists
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web import connection
from facerefs.stages.web.limits import WebLimits

LIST = b"url\n" + b"".join(b"http://a.example/%d.jpg\n" % (i * 7919 % 99_991) for i in range(90_000))
PACKED = gzip.compress(LIST)


def parquet() -> bytes:
    file = BytesIO()
    pq.write_table(pa.table({"url": ["http://a.example/1.jpg"]}), file)
    return file.getvalue()


FILES = {"/l.csv": LIST, "/l.csv.gz": PACKED, "/l.parquet": parquet()}


class Answers(BaseHTTPRequestHandler):
    """`/500/...` answers so, `/broken/...` breaks off in the middle, `/to-HOST/...` leads there; else see FILES."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/to-"):
            self.send_response(302)
            self.send_header("Location", f"http://{path.removeprefix('/to-')}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        broken = path.startswith("/broken")
        body = FILES.get(path.removeprefix("/broken"), b"")
        status = int(path[1:4]) if path[1:4].isdigit() else 200
        length = len(body)
        if "Range" in self.headers:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            body, status = body[int(first) : int(last) + 1], 206
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if path.endswith(".parquet"):
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{length}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: length // 2] if broken else body)
            self.close_connection |= broken

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


OWN_NETWORK = WebLimits("facerefs", allow_private_hosts=True)


def read(address: str) -> int:
    return sum(len(table) for table in open_url_lists([address], ColumnNames(), OWN_NETWORK).rows())


@pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]", "[::1]", "127.1", "0x7f.1", "2130706433"])
def test_no_spelling_of_a_private_address_is_fetched(server: str, host: str) -> None:
    with pytest.raises(SourceError, match=r"is not fetched|cannot read"):
        open_url_lists([f"http://{host}:{server.rpartition(':')[2]}/l.csv"], ColumnNames())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254"])
@pytest.mark.parametrize("chain", ["", "simplecache::"])
def test_a_list_on_a_private_address_is_refused_as_a_photo_is(server: str, host: str, chain: str) -> None:
    address = f"{chain}http://{host}:{server.rpartition(':')[2]}/l.csv?sig=SECRET"
    with pytest.raises(
        SourceError, match=r"is not fetched: .* internal address.*--allow-private-hosts$"
    ) as caught:
        open_url_lists([address], ColumnNames())
    assert "secret" not in str(caught.value).lower()


def test_a_redirect_to_a_private_address_is_not_followed(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if 127.0.0.1 were a public host: it sends the client to 127.0.0.2, where the same server would answer."""
    monkeypatch.setattr(connection, "is_allowed", lambda address, _: address == "127.0.0.1")
    port = server.rpartition(":")[2]
    assert (
        sum(len(rows) for rows in open_url_lists([f"http://{server}/l.csv"], ColumnNames()).rows()) == 90_000
    )
    with pytest.raises(SourceError, match=r"is not fetched: .*127\.0\.0\.2"):
        open_url_lists([f"http://{server}/to-127.0.0.2:{port}/l.csv"], ColumnNames())


@pytest.mark.parametrize(("name", "rows"), [("l.csv", 90_000), ("l.csv.gz", 90_000), ("l.parquet", 1)])
def test_a_list_is_read_with_its_secrets_and_named_without(server: str, name: str, rows: int) -> None:
    address = f"http://u:secret@{server}/{name}?sig=SECRET"
    assert read(address) == rows
    assert open_url_lists([address], ColumnNames(), OWN_NETWORK).name == f"http://{server}/{name}"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("broken/l.csv", "cannot read .*not completed"),
        ("broken/l.csv.gz", "cannot read .*not completed"),
        ("broken/l.parquet", "cannot read .*not completed"),
        ("500/l.csv", "cannot read .*HTTP 500"),
        ("403/l.parquet", "cannot read .*HTTP 403"),
        ("404/l.csv", "there is no file"),
        ("l.xlsx", "is no list that we know"),
        ("missing.csv", "there is no row in"),
    ],
)
def test_errors_are_reported_without_secrets(server: str, path: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        read(f"http://u:secret@{server}/{path}?sig=SECRET")
    sentence = str(caught.value)
    assert f"http://{server}/{path}" in sentence
    assert "secret" not in sentence.lower()
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "http://u:secret@127.0.0.1:1/l.csv?sig=SECRET",
            r"cannot read http://127\.0\.0\.1:1/l\.csv: .*connect",
        ),
        ("http://[bad/l.csv?sig=SECRET", r"cannot read http://\[bad/l\.csv: "),
        ("nosuch://u:secret@x/l.csv?sig=SECRET", r"cannot read nosuch://x/l\.csv: .*Protocol not known"),
        ("memory://no/such.csv?sig=SECRET", r"there is no file memory://no/such\.csv"),
    ],
)
def test_an_address_that_leads_nowhere(address: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        open_url_lists([address], ColumnNames(), OWN_NETWORK)
    assert "secret" not in str(caught.value).lower()


def test_what_others_say_of_an_address_is_shown_without_secrets() -> None:
    address = "https://u:pass@h.example/l.csv?sig=SECRET&x=1"
    message = f"no\n {address} for 'u:pass' (sig=SECRET&x=1, https://v:w@other.example/?token=abc)"
    assert without_secrets(message, address) == (
        "no https://h.example/l.csv for '***' (***, https://other.example/"
    )


@pytest.mark.parametrize("path", ["/a/b?c.csv", "/a/u:p@b.csv", "l#1.csv"])
def test_a_path_is_shown_as_it_is(path: str) -> None:
    assert shown_place(path) == path
