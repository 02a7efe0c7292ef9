"""The HTTP emitter: the contract against the reference receiver, then what answers, networks and
addresses can do to it, with real sockets on loopback."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faultserver import FaultServer, answer

from bronze_emit_http import bronze_hook_api, bronze_register_emitters, open_emitter
from bronze_emit_http.emitter import HttpEmitter, retry_after
from bronze_tui.audit.canonical import canonical, file_bytes
from bronze_tui.audit.names import HEADS_FILE
from bronze_tui.audit.receiver import Receiver
from bronze_tui.domain.errors import ConfigError, StateError, StoreRefused, StoreUnavailable
from bronze_tui.hooks.contracts import Emitter, EmitterOptions
from bronze_tui.testing.emitter_contract import EmitterContract, make_chain

CHAIN = make_chain(3)
TOKEN = "hush-0123456789"


def options(url: str, **more: Any) -> EmitterOptions:
    return EmitterOptions(backup_dir=Path("unused"), endpoint=url, **more)


def emit(emitter: Emitter, number: int = 0) -> None:
    emitter.emit(file_bytes(CHAIN[number]), CHAIN[number])


class TestHttpEmitter(EmitterContract):
    @pytest.fixture(autouse=True)
    def receivers(self) -> Iterator[None]:
        self.open: dict[Path, Receiver] = {}
        yield
        for receiver in self.open.values():
            receiver.close()

    def open_emitter(self, folder: Path) -> Emitter:
        if folder not in self.open:
            self.open[folder] = Receiver(folder / "received")
            self.open[folder].start()
        return open_emitter(options(self.open[folder].url))

    def delivered(self, folder: Path) -> list[bytes]:
        files = (folder / "received").glob("*.json")
        return [p.read_bytes() for p in files if p.name != HEADS_FILE]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def emitter(server: FaultServer) -> Iterator[HttpEmitter]:
    made = HttpEmitter(options(server.url, token=TOKEN), seconds=60)
    yield made
    made.close()


def test_registers_by_the_name_http() -> None:
    seen = {}
    bronze_register_emitters(
        register=lambda name, factory, config_model=None, summary="": seen.update({name: factory})
    )
    assert bronze_hook_api == 1
    assert seen == {"http": open_emitter}


def test_the_request_is_what_the_page_says(server: FaultServer, emitter: HttpEmitter) -> None:
    server.script = [answer(201)]
    emit(emitter)
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/events")
    assert request.body == file_bytes(CHAIN[0])
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == CHAIN[0].event_hash
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


def test_one_connection_serves_many_events(server: FaultServer, emitter: HttpEmitter) -> None:
    server.script = [answer(200), answer(202), answer(204)]
    for number in range(3):
        emit(emitter, number)
    assert len({request.connection for request in server.requests}) == 1


def test_a_connection_that_went_stale_is_opened_again(
    server: FaultServer, emitter: HttpEmitter
) -> None:
    server.script = [answer(200), server.reset_before, answer(200)]
    emit(emitter)
    emit(emitter, 1)
    assert [r.body for r in server.requests] == [file_bytes(CHAIN[0]), file_bytes(CHAIN[1])]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_answers_worth_another_try(server: FaultServer, emitter: HttpEmitter, status: int) -> None:
    server.script = [answer(status, {"Retry-After": "7"})]
    with pytest.raises(StoreUnavailable, match=f"answered {status}") as caught:
        emit(emitter)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 405, 410, 413, 422, 451])
def test_answers_that_refuse(server: FaultServer, emitter: HttpEmitter, status: int) -> None:
    server.script = [answer(status, body=b'{"error": "not for you"}' if status > 304 else b"")]
    with pytest.raises(StoreRefused, match=f"answered {status}") as caught:
        emit(emitter)
    assert "bronze pas retry" in caught.value.todo
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server: FaultServer, emitter: HttpEmitter, status: int) -> None:
    with FaultServer() as elsewhere:
        server.script = [answer(status, {"Location": elsewhere.url})]
        with pytest.raises(StoreRefused, match="not followed"):
            emit(emitter)
        assert elsewhere.requests == []


class TestConflict:
    def test_a_body_that_names_our_event_is_success(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        body = f'{{"event_hash": "{CHAIN[0].event_hash}"}}'.encode()
        server.script = [answer(409, body=body)]
        emit(emitter)
        assert len(server.requests) == 1

    def test_a_body_that_is_our_event_is_success(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        server.script = [answer(409, body=file_bytes(CHAIN[0]))]
        emit(emitter)
        assert [r.method for r in server.requests] == ["POST"], "it need not be read back"

    def test_an_event_that_can_be_read_back_is_success(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        server.script = [answer(409, body=b"duplicate"), answer(200, body=file_bytes(CHAIN[0]))]
        emit(emitter)
        assert server.requests[1].method == "GET"
        assert server.requests[1].target == f"/events/{CHAIN[0].event_hash}"

    @pytest.mark.parametrize(
        "back", [answer(404), answer(200, body=b"{}"), answer(200, body=file_bytes(CHAIN[1]))]
    )
    def test_anything_else_is_a_conflict(
        self, server: FaultServer, emitter: HttpEmitter, back: Any
    ) -> None:
        server.script = [answer(409, body=b'{"error": "taken", "head": "sha256:aa"}'), back]
        with pytest.raises(StateError, match="head is sha256:aa"):
            emit(emitter)

    def test_an_altered_event_under_our_hash_is_a_conflict(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        altered = file_bytes(CHAIN[0]).replace(b'"row_count": 10', b'"row_count": 11')
        server.script = [answer(409), answer(200, body=altered)]
        with pytest.raises(StateError):
            emit(emitter)

    def test_a_failing_read_back_decides_nothing(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        server.script = [answer(409), answer(503)]
        with pytest.raises(StoreUnavailable):
            emit(emitter)


class TestNetwork:
    def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/events"
            with pytest.raises(StoreUnavailable, match="refused"):
                emit(HttpEmitter(options(url)))

    @pytest.mark.parametrize("fault", ["reset_before", "reset_after", "garbage", "cut_short"])
    def test_broken_answers(self, server: FaultServer, emitter: HttpEmitter, fault: str) -> None:
        server.script = [getattr(server, fault)]
        with pytest.raises(StoreUnavailable):
            emit(emitter)
        server.script = [answer(200)]
        emit(emitter)

    @pytest.mark.parametrize("fault", ["silent", "dripping_head", "dripping_body"])
    def test_a_slow_server_is_given_up(self, server: FaultServer, fault: str) -> None:
        emitter = HttpEmitter(options(server.url), seconds=0.4)
        server.script = [getattr(server, fault)]
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no answer in 0\.4 s"):
            emit(emitter)
        assert time.monotonic() - begin < 60
        emitter.close()

    def test_an_endless_answer_is_not_read(self, server: FaultServer, emitter: HttpEmitter) -> None:
        server.script = [server.endless, answer(200)]
        emit(emitter)
        emit(emitter, 1)
        (second,) = server.requests
        assert (second.body, second.connection) == (file_bytes(CHAIN[1]), 2), "a fresh connection"

    def test_closing_ends_a_request_under_way(self, server: FaultServer) -> None:
        emitter = HttpEmitter(options(server.url))
        server.script = [server.silent]
        errors: list[Exception] = []

        def post() -> None:
            try:
                emit(emitter)
            except StoreUnavailable as error:
                errors.append(error)

        thread = threading.Thread(target=post)
        thread.start()
        server.wait_for_request()
        emitter.close()
        thread.join(10)
        assert not thread.is_alive()
        assert "this process ends" in str(errors[0])


class TestSecrets:
    def test_a_token_that_the_server_echoes_is_hidden(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        for status in (401, 409, 503, 302):
            said = f'{{"error": "bad {TOKEN}", "head": "{TOKEN}"}}'.encode()
            server.script = [answer(status, {"Location": f"/{TOKEN}"}, said), answer(404)]
            with pytest.raises((StoreRefused, StateError, StoreUnavailable)) as caught:
                emit(emitter)
            assert TOKEN not in str(caught.value)

    def test_options_and_query_are_not_shown(self) -> None:
        assert TOKEN not in repr(options("https://h/e", token=TOKEN))
        emitter = HttpEmitter(options(f"https://h.invalid/e?key={TOKEN}"), resolve=nowhere)
        with pytest.raises(StoreUnavailable) as caught:
            emit(emitter)
        assert TOKEN not in str(caught.value)

    def test_controls_of_the_server_are_made_visible(
        self, server: FaultServer, emitter: HttpEmitter
    ) -> None:
        server.script = [answer(400, body=b"\x1b]0;owned\x07")]
        with pytest.raises(StoreRefused) as caught:
            emit(emitter)
        assert "\x1b" not in str(caught.value)


def nowhere(host: str, port: int) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def resolving(*addresses: str) -> Callable[[str, int], list[Any]]:
    """A name server that gives these addresses."""

    def resolve(host: str, port: int) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return resolve


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
            *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::8", "fec0::1"),
            *("169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254"),
            *("0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "240.0.0.1"),
            *("2002:7f00:1::", "2001:0:a00:1::80ff:fffe", "192.0.0.1", "168.63.129.16"),
        ],
    )
    def test_a_name_that_leads_inside_is_not_connected_to(self, address: str) -> None:
        for found in ([address], ["8.8.8.8", address]):
            emitter = HttpEmitter(options("https://pas.example/e"), resolve=resolving(*found))
            with pytest.raises(StoreUnavailable, match="not allowed"):
                emit(emitter)

    @pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0"])
    def test_some_addresses_are_never_allowed(self, address: str) -> None:
        given = options("https://pas.example/e", allow_private=True)
        with pytest.raises(StoreUnavailable, match="not allowed"):
            emit(HttpEmitter(given, resolve=resolving(address)))

    def test_http_to_a_public_address_is_refused(self) -> None:
        given = options("http://pas.example/e", allow_private=True)
        with pytest.raises(StoreUnavailable, match="http has no TLS"):
            emit(HttpEmitter(given, resolve=resolving("8.8.8.8")))

    def test_a_name_that_leads_to_this_machine_works_when_that_is_allowed(
        self, server: FaultServer
    ) -> None:
        url = f"http://pas.example:{server.port}/events"
        server.script = [answer(200)]
        given = options(url, allow_private=True)
        emit(HttpEmitter(given, resolve=resolving("127.0.0.1")))
        assert server.requests[0].headers["host"] == f"pas.example:{server.port}"
        with pytest.raises(StoreUnavailable, match="this machine"):
            emit(HttpEmitter(options(url), resolve=resolving("127.0.0.1")))

    def test_localhost_may_have_two_addresses_of_which_one_answers(
        self, server: FaultServer
    ) -> None:
        server.script = [answer(200)]
        url = f"http://localhost:{server.port}/events"
        emit(HttpEmitter(options(url), resolve=resolving("::1", "127.0.0.1")))
        assert len(server.requests) == 1

    def test_a_name_that_changes_between_two_events_is_checked_again(
        self, server: FaultServer
    ) -> None:
        answers = iter([["127.0.0.1"], ["169.254.169.254"]])
        emitter = HttpEmitter(
            options(f"http://pas.example:{server.port}/e", allow_private=True),
            resolve=lambda host, port: resolving(*next(answers))(host, port),
        )
        server.script = [answer(200, {"Connection": "close"})]
        emit(emitter)
        with pytest.raises(StoreUnavailable, match="169"):
            emit(emitter, 1)
        assert len(server.requests) == 1

    def test_a_name_that_does_not_resolve_is_tried_again_later(self) -> None:
        with pytest.raises(StoreUnavailable, match="does not resolve"):
            emit(HttpEmitter(options("https://pas.example/e"), resolve=nowhere))

    @pytest.mark.parametrize(
        "url",
        [
            *("http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"),
            *("http://0x7f000001/", "https://1.2.3.4.5/", "https://[fe80::1%25eth0]/"),
            *("https://user:secret@h/", "https://h\\@evil/", "https://h/ x", "ftp://h/", ""),
            *("https://h:0/", "https://h:70000/", "https://ex\u00e4mple/", "https:///e"),
        ],
    )
    def test_unusual_spellings_are_refused_before_anything_else(self, url: str) -> None:
        with pytest.raises(ConfigError):
            HttpEmitter(options(url))

    def test_proxies_of_the_environment_are_not_used(
        self, server: FaultServer, emitter: HttpEmitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        server.script = [answer(200)]
        emit(emitter)
        assert [r.body for r in server.requests] == [file_bytes(CHAIN[0])]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of pas.example, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -batch"
    words += " -subj /CN=pas.example -addext subjectAltName=DNS:pas.example"
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    try:
        done = subprocess.run(["openssl", *words.split(), *files], capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no openssl command to make a certificate with")
    assert done.returncode == 0, done.stderr
    return folder / "cert", folder / "key"


class TestTls:
    def post(self, certificate: tuple[Path, Path], host: str) -> FaultServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        names: list[str | None] = []
        context.sni_callback = lambda sock, name, ctx: names.append(name)
        with FaultServer(context) as server:
            server.script = [answer(200)]
            given = options(f"https://{host}:{server.port}/events", allow_private=True)
            emitter = HttpEmitter(given, resolve=resolving("127.0.0.1"), seconds=60)
            try:
                emit(emitter)
            finally:
                emitter.close()
                server.names = names
            return server

    def test_the_name_is_sent_and_verified_although_an_address_is_connected_to(
        self, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        server = self.post(certificate, "pas.example")
        assert server.names == ["pas.example"]
        assert server.requests[0].headers["host"] == f"pas.example:{server.port}"

    def test_a_certificate_of_another_name_is_refused(
        self, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with pytest.raises(StoreUnavailable, match=r"certificate|match"):
            self.post(certificate, "other.example")

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, certificate: tuple[Path, Path]
    ) -> None:
        with pytest.raises(StoreUnavailable, match="certificate"):
            self.post(certificate, "pas.example")


def test_retry_after_in_both_forms_and_capped() -> None:
    assert retry_after("12") == 12.0
    assert retry_after("999999999999999999999999") == 300.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == 300.0
    assert [retry_after(t) for t in ("", "-1", "soon", "1.5", "²")] == [None] * 5


def test_the_bytes_posted_give_the_hash(server: FaultServer, emitter: HttpEmitter) -> None:
    """A receiver needs nothing but the body."""
    from hashlib import sha256

    from bronze_tui.audit.event import parse_event

    server.script = [answer(200)]
    emit(emitter)
    event = parse_event(server.requests[0].body, where="")
    digest = sha256(canonical(event)).hexdigest()
    assert server.requests[0].headers["idempotency-key"] == f"sha256:{digest}"
