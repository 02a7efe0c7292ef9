"""Reading from a web server: bounded, whole or not at all, a few tries, nothing followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from faultserver import FaultServer, answer

from bronze_tui.domain.errors import (
    SourceDataError,
    SourceDenied,
    SourceUnavailable,
    UsageError,
)
from bronze_tui.remote.addresses import Named
from bronze_tui.remote.web import Web

NAMED = Named("--anchors", "--allow-private")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def web_of(server: FaultServer, **more: Any) -> Web:
    given = {"most": 100, "named": NAMED, "pause": lambda _: None, "seconds": 5.0, **more}
    return Web(server.url, **given)


def test_a_file_below_the_address(server: FaultServer) -> None:
    server.script = [answer(200, body=b"found"), answer(404), answer(410)]
    web = web_of(server, token="hush")
    assert web.get("a/b") == b"found"
    assert web.get("c") is None
    assert web.get("c") is None
    assert [r.target for r in server.requests] == ["/events/a/b", "/events/c", "/events/c"]
    assert server.requests[0].headers["authorization"] == "Bearer hush"
    assert server.requests[0].headers["accept-encoding"] == "identity"
    web.close()


def test_what_fails_for_a_while_is_asked_again(server: FaultServer) -> None:
    waits: list[float] = []
    server.script = [answer(503), answer(429), answer(200, body=b"at last")]
    assert web_of(server, pause=waits.append).get("a") == b"at last"
    assert waits == [0.5, 1.0]
    server.script = [answer(503)] * 3
    with pytest.raises(SourceUnavailable, match="503"):
        web_of(server).get("a")
    assert not server.script


def test_what_is_not_whole_is_not_taken(server: FaultServer) -> None:
    server.script = [answer(200, body=bytes(101))]
    with pytest.raises(SourceDataError, match="longer than 100 bytes"):
        web_of(server).get("a")
    cut = answer(200, {"Content-Length": "50", "Connection": "close"}, b"half")
    server.script = [cut] * 3
    with pytest.raises(SourceUnavailable):
        web_of(server).get("a")


@pytest.mark.parametrize("status", [301, 307, 401, 403, 500])
def test_what_is_refused(server: FaultServer, status: int) -> None:
    server.usual = answer(status, {"Location": "http://169.254.169.254/"}, b"no")
    with pytest.raises(SourceDenied if status < 500 else SourceUnavailable) as error:
        web_of(server, token="hush").post(b"{}")
    assert "hush" not in str(error.value)
    assert "/events" not in str(error.value), "a path may hold a key"
    assert {r.target for r in server.requests} == {"/events"}


def test_nobody_listens() -> None:
    web = Web("http://127.0.0.1:1/", most=1, named=NAMED, pause=lambda _: None)
    with pytest.raises(SourceUnavailable) as error:
        web.get("a")
    assert error.value.exit_code == 7


@pytest.mark.parametrize(
    "url",
    [
        *("http://10.0.0.1/", "http://[fd00::1]/", "https://169.254.169.254/", "http://8.8.8.8/"),
        *("https://u:secret@h/", "http://0177.0.0.1/", "ftp://h/", "https://h/ x", ""),
    ],
)
def test_addresses_that_are_refused_at_once(url: str) -> None:
    with pytest.raises(UsageError) as error:
        Web(url, most=1, named=NAMED)
    assert "secret" not in str(error.value)
    assert "pas." not in str(error.value)
    assert error.value.where == "--anchors"
