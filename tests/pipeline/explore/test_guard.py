"""The page is for the person who started it: neither other machines, other sites nor other users get in."""

from pathlib import Path

import pytest

from tests.pipeline.explore.opened import Opened

DECISION = {"decision": "drop", "what": "person-000", "other": "", "comment": ""}


def test_the_token_becomes_a_cookie_and_leaves_the_address(page: Opened) -> None:
    first = page.ask("GET", page.address.partition(page.host)[2].replace("/?", "/faces?page=1&"), {})
    assert first.status == 303
    assert first.headers["Location"] == "/faces?page=1"
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert "SameSite=Strict" in first.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "path", ["/", "/faces", "/details?id=x", "/picture?of=face&id=x", "/static/explore.js"]
)
@pytest.mark.parametrize("cookie", [None, "facerefs-1=x", "NAME=wrong", "NAME=wr\xebng"])
def test_nothing_is_shown_without_the_token(page: Opened, path: str, cookie: str | None) -> None:
    name = page.cookie.partition("=")[0]
    answer = page.ask("GET", path, {"Cookie": cookie and cookie.replace("NAME", name)})
    assert answer.status == 403
    assert (
        answer.text == "Open the address that `facerefs explore` printed: it holds the token of this page.\n"
    )


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", "[::1]:1"]
)
def test_a_name_that_leads_to_this_machine_is_refused(page: Opened, host: str) -> None:
    """DNS rebinding: the browser of the user asks us, but for a page of somebody else."""
    for path in ("/", page.address.partition(page.host)[2]):
        answer = page.ask("GET", path, {"Host": host, "Cookie": page.cookie})
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"X_Token": None},
        {"X_Token": "wrong"},
        {"Cookie": None},
    ],
)
def test_other_sites_cannot_decide(
    page: Opened, explored_build: Path, changed: dict[str, str | None]
) -> None:
    assert page.post("/decisions/add", DECISION, **changed).status == 403
    assert page.post("/decisions/remove", {"line": "2", "text": ""}, **changed).status == 403
    assert not (explored_build / "overrides.csv").exists()


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/static/nothing.js", "/picture?of=face&id=x", "/details?id=nobody"]
)
def test_every_answer_forbids_what_it_does_not_need(page: Opened, path: str) -> None:
    headers = page.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "name", ["../server.py", "..%2fserver.py", "%2e%2e/guard.py", "frame.html.j2", "/etc/passwd"]
)
def test_only_its_own_files_are_served(page: Opened, name: str) -> None:
    assert page.get(f"/static/{name}").status == 404
