"""A real headless Chromium for tests, spoken to over its DevTools port on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--window-size=1280,800",
)
_COLOURS = """
new Promise((told, failed) => {
  const image = new Image();
  image.onerror = failed;
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = image.width; canvas.height = image.height;
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const data = pen.getImageData(0, 0, image.width, image.height).data, found = {};
    for (let i = 0; i < data.length; i += 4) {
      const hex = [data[i], data[i+1], data[i+2]].map(v => v.toString(16).padStart(2, "0"));
      const name = "#" + hex.join("");
      found[name] = (found[name] || 0) + 1;
    }
    told(found);
  };
  image.src = "data:image/png;base64,PICTURE";
})"""


def processes_of(word: str) -> list[int]:
    """Processes that name ``word`` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(int(entry.name))
    return found


class Browser:
    """One page in a Chromium with an empty profile.

    Use as an asynchronous context manager; at its end no process of it is left.
    """

    def __init__(self, folder: Path) -> None:
        program = next((found for name in _NAMES if (found := shutil.which(name))), None)
        if program is None:
            pytest.skip("no Chromium is installed")
        self._profile = folder / "profile"
        self._command = [program, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._folder = folder
        self._number = 0
        self.received = b""
        """What came over the page's web sockets."""
        self.requested: list[str] = []
        """Addresses the page asked for."""
        self.said: list[str] = []
        """Complaints on the page's console."""

    async def __aenter__(self) -> Browser:
        self._child = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": str(self._folder)},
        )
        self._client = aiohttp.ClientSession()
        try:
            port = await self._port()
            async with self._client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [t for t in await answer.json() if t["type"] == "page"]
            address = pages[0]["webSocketDebuggerUrl"]
            self._socket = await self._client.ws_connect(address, max_msg_size=1 << 26)
            for domain in ("Page", "Network", "Runtime", "Log"):
                await self.ask(f"{domain}.enable")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _port(self) -> int:
        path = self._profile / "DevToolsActivePort"
        end = time.monotonic() + 60
        while time.monotonic() < end and self._child.poll() is None:
            text = path.read_text() if path.exists() else ""
            if "\n" in text:
                return int(text.split()[0])
            await asyncio.sleep(0.05)
        raise AssertionError(f"Chromium did not open its port (exit {self._child.poll()})")

    async def _end(self) -> None:
        await self._client.close()
        # The whole session of its own: renderers and helpers too.
        os.killpg(self._child.pid, signal.SIGTERM)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait(10)
        end = time.monotonic() + 10
        while left := processes_of(str(self._folder)):
            assert time.monotonic() < end, f"Chromium left {left}"
            await asyncio.sleep(0.05)

    async def ask(self, method: str, **params: Any) -> Any:
        """One DevTools command and its answer."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._take()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    async def until(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Listen to the page until a condition holds."""
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    await self._take()
        except TimeoutError:
            raise AssertionError(f"{what} did not come: {self.received[-2000:]!r}") from None

    async def _take(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._socket.receive()).data)
        about = message.get("params", {})
        match message.get("method"):
            case "Network.webSocketFrameReceived":
                frame = about["response"]
                text = frame["payloadData"]
                binary = frame["opcode"] == 2
                self.received += base64.b64decode(text) if binary else text.encode()
            case "Network.requestWillBeSent":
                self.requested.append(about["request"]["url"])
            case "Runtime.exceptionThrown":
                self.said.append(json.dumps(about["exceptionDetails"]))
            case "Log.entryAdded":
                self.said.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        return message

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression on the page, a promise's when it is kept."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """A printable key."""
        await self.ask("Input.dispatchKeyEvent", type="keyDown", text=key, key=key)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> tuple[bytes, dict[str, int]]:
        """The page as PNG, and how many pixels have which colour."""
        data = (await self.ask("Page.captureScreenshot", format="png"))["data"]
        return base64.b64decode(data), await self.evaluate(_COLOURS.replace("PICTURE", data))
