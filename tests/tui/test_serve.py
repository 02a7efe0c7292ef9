"""The browser's server: who may come, what they get, and the page in a real Chromium."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, processes_of
from calling import run_here
from piloting import run

from bronze_tui import cli
from bronze_tui.domain.errors import UsageError

NEED_WEB = pytest.mark.skipif(
    importlib.util.find_spec("textual_serve") is None, reason="the extra 'web' is not installed"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copied demo."""
    root = tmp_path_factory.mktemp("served")
    done = run_here("demo", "d", "--no-tui", "--ledgers", "64", cwd=root)
    assert done.returncode == 0, done.stderr
    return root / "d"


@pytest.fixture
def served(demo: Path) -> Iterator[Any]:
    """``served(*words)``: the printed address of ``bronze serve`` on a free port."""
    children: list[subprocess.Popen[str]] = []

    def serve(*words: str) -> str:
        command = [sys.executable, "-m", "bronze_tui.cli", "serve", "--port", "0"]
        child = subprocess.Popen(
            [*command, "--state-dir", str(demo / "state"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        line = child.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        return found[0]

    yield serve
    for child in children:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stderr.close()


def status(url: str, **headers: str) -> tuple[int, str]:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Set-Cookie") or error.read().decode()


@NEED_WEB
def test_on_loopback_the_page_is_served_to_this_machine_alone(served: Any) -> None:
    url = served()
    code, page = status(url)
    assert code == 200
    host = url.removeprefix("http://").rstrip("/")
    assert f"ws://{host}/ws" in page
    assert status(url, Host="evil.example")[0] == 403
    assert status(url + "ws", Origin="http://evil.example")[0] == 403
    assert status(url + "static/js/textual.js")[0] == 200


@NEED_WEB
def test_a_signal_as_soon_as_the_address_is_printed_is_an_orderly_end(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bronze_tui.tui import web

    def end(number: int, frame: object) -> None:
        raise AssertionError("nobody takes signals yet")

    said: list[str] = []

    def say(text: str, **options: object) -> None:
        said.append(text)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(web, "print", say, raising=False)
    before = signal.signal(signal.SIGTERM, end)
    try:
        assert web.serve(demo / "state", web.Options(port=0)) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(said) == 1


@NEED_WEB
def test_a_token_becomes_a_cookie(served: Any) -> None:
    url = served("--token", "x" * 24)
    plain = url.partition("?")[0]
    assert status(plain)[0] == 403
    assert status(plain + "ws")[0] == 403
    assert status(plain + "static/js/textual.js")[0] == 403
    assert status(plain + "?token=" + "y" * 24)[0] == 403
    code, cookie = status(url)
    assert code == 302
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert status(plain, Cookie=cookie.partition(";")[0])[0] == 200


@NEED_WEB
def test_other_hosts_get_a_token_made_up() -> None:
    from bronze_tui.tui.web import Options, settled

    assert settled(Options()).token == ""
    assert settled(Options(host="::1")).token == ""
    for host in ("0.0.0.0", "192.168.1.4", "example.org", "::"):
        assert len(settled(Options(host=host)).token) >= 24
    with pytest.raises(UsageError, match="shorter than 16"):
        settled(Options(token="short"))


@NEED_WEB
def test_a_browser_gets_the_app_and_sessions_are_counted(served: Any) -> None:
    import aiohttp

    url = served("--max-sessions", "1")

    async def go() -> None:
        async with aiohttp.ClientSession() as client:
            socket = await client.ws_connect(url + "ws?width=120&height=40")
            seen = b""
            async with asyncio.timeout(30):
                while b"READ ONLY" not in seen or b"DONE" not in seen:
                    message = await socket.receive()
                    assert message.type is not aiohttp.WSMsgType.CLOSED, seen[-500:]
                    data = message.data
                    seen += data if isinstance(data, bytes) else data.encode()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url + "ws")
            assert refused.value.status == 503
            await socket.close()

    run(go())


@NEED_WEB
def test_a_taken_port_is_said(served: Any, demo: Path, capsys: Any) -> None:
    port = served().rstrip("/").rpartition(":")[2]
    assert cli.main(["serve", "--port", port, "--state-dir", str(demo / "state")]) == 1
    assert "cannot listen" in capsys.readouterr().err


def test_without_the_extra_the_pip_command_is_said(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    monkeypatch.delitem(sys.modules, "bronze_tui.tui.web", raising=False)
    assert cli.main(["serve", "--state-dir", str(demo / "state")]) == 2
    assert "pip install 'bronze-tui[web]'" in capsys.readouterr().err


@NEED_WEB
def test_the_page_asks_no_other_host_for_anything(served: Any) -> None:
    url = served()
    page = status(url)[1]
    assert re.findall(r'(?:href|src)="https?://[^"]*"', page) == []
    font = re.search(r'url\("(/static/fonts/[^"]+)"\)', page)
    assert font, page[:500]
    with urllib.request.urlopen(url.rstrip("/") + font[1], timeout=60) as answer:
        assert len(answer.read()) > 10_000


@NEED_WEB
def test_in_a_real_browser(served: Any, demo: Path, tmp_path: Path) -> None:
    """The dashboard is painted, a key opens another page, nothing foreign is asked for, and no
    process is left behind."""
    url = served()

    async def go() -> None:
        async with Browser(tmp_path) as browser:
            await browser.ask("Page.navigate", url=url)
            await browser.until(lambda: b"DONE" in browser.received, "the verdict")
            await painted(browser)
            before = await dashboard(browser, tmp_path / "dashboard.png")
            browser.received = b""
            await browser.press("7")
            await browser.until(lambda: b"FOLLOWING" in browser.received, "the log")
            picture, after = await browser.picture()
            (tmp_path / "logs.png").write_bytes(picture)
            assert after != before
            asked = [a for a in browser.requested if not a.startswith(("data:", "about:"))]
            assert [a for a in asked if not a.startswith(url)] == []
            assert any(a.endswith(".ttf") for a in asked)
            assert not [s for s in browser.said if "Security Policy" in s or "Uncaught" in s]

    run(go())
    if pictures := os.environ.get("BRONZE_PICTURES"):
        for picture in tmp_path.glob("*.png"):
            (Path(pictures) / f"browser-{picture.name}").write_bytes(picture.read_bytes())
    end = time.monotonic() + 20
    while processes_of(f"attach\0--state-dir\0{demo / 'state'}"):
        assert time.monotonic() < end, "the closed page's app is still there"
        time.sleep(0.05)


async def painted(browser: Browser) -> None:
    """The page has faded its greeting out and the terminal in."""
    faded = "getComputedStyle(document.querySelector('.textual-terminal')).opacity === '1'"
    end = time.monotonic() + 30
    while not await browser.evaluate(f"document.fonts.ready.then(() => {faded})"):
        assert time.monotonic() < end, "the terminal stayed hidden"


async def dashboard(browser: Browser, path: Path) -> dict[str, int]:
    """The colours of the painted dashboard: mostly ground, and the theme's own in words and map."""
    end = time.monotonic() + 30
    while True:
        picture, colours = await browser.picture()
        path.write_bytes(picture)
        ground = near(colours, "#15130f") / sum(colours.values())
        if ground > 0.5 and min(near(colours, c) for c in ("#5ec4a8", "#d9a05b")) > 300:
            return colours
        assert time.monotonic() < end, (path, sorted(colours.items(), key=lambda c: -c[1])[:9])


def near(colours: dict[str, int], wanted: str) -> int:
    """Pixels of a colour; the screen's colour profile may move it a little."""

    def parts(colour: str) -> tuple[int, int, int]:
        return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

    aim = parts(wanted)
    return sum(
        count
        for colour, count in colours.items()
        if all(abs(a - b) <= 2 for a, b in zip(parts(colour), aim, strict=True))
    )
