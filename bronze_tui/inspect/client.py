"""Talks to the inspecting child process: starts it when first needed, again after its death.

Safe from any thread; answers come as futures, so that a screen awaits them without a thread.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import IO, Any

from bronze_tui.domain.errors import BronzeError
from bronze_tui.domain.text import safe_text
from bronze_tui.inspect.setup import Setup

COMMAND = (sys.executable, "-P", "-m", "bronze_tui.inspect.child")
"""Without the working folder on the path: modules there are not ours."""

PATIENCE = 60.0
"""Seconds for a quick answer; then the child is taken for hung and ended."""

Progress = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class _Waiting:
    future: Future[Any]
    progress: Progress | None


class InspectClient:
    """One child process and the questions under way to it."""

    def __init__(self, setup: Setup, command: Sequence[str] = COMMAND) -> None:
        self._setup = setup
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._closed = False
        self.deaths = 0
        """How often the child ended without being asked to."""

    @property
    def pid(self) -> int | None:
        """Process id of the child; None when none runs."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def submit(self, op: str, *, progress: Progress | None = None, **args: Any) -> Future[Any]:
        """Ask; cancelling the future tells the child to stop.

        The future raises BronzeError: the child's refusal, or that it died. ``progress`` is called
        on a thread of the client.
        """
        future: Future[Any] = Future()
        with self._lock:
            self._number += 1
            number = self._number
            try:
                child = self._running()
                self._waiting[number] = _Waiting(future, progress)
                self._write(child, {"id": number, "op": op, "args": args})
            except OSError as error:
                self._waiting.pop(number, None)
                future.set_exception(_gone(f"cannot be started ({error.strerror or error})"))
                return future
        future.add_done_callback(lambda done: self._settled(number, done))
        return future

    async def ask(
        self,
        op: str,
        *,
        progress: Progress | None = None,
        patience: float | None = PATIENCE,
        **args: Any,
    ) -> Any:
        """Ask and await the answer; a cancelled task tells the child to stop.

        Raises:
            BronzeError: the child's refusal, its death, or no answer within ``patience`` seconds.
        """
        future = self.submit(op, progress=progress, **args)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), patience)
        except TimeoutError:
            self.kill()
            raise _gone(f"gave no answer for {patience:g} s and was ended") from None

    def kill(self) -> None:
        """End the child at once; the next question starts another."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child and refuse further questions; idempotent."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            try:
                child.stdin.close()
            except OSError:
                child.kill()
        try:
            child.wait(1.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5.0)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise OSError("this view is closed")
        if self._child is None or self._child.poll() is not None:
            child = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._child = child
            self._write(child, {"setup": self._setup.to_json()})
            threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return self._child

    @staticmethod
    def _write(child: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
        assert child.stdin is not None
        child.stdin.write(json.dumps(message).encode() + b"\n")
        child.stdin.flush()

    def _settled(self, number: int, future: Future[Any]) -> None:
        """Tell the child about an answer that nobody wants any more."""
        if not future.cancelled():
            return
        with self._lock:
            known = self._waiting.pop(number, None)
            if known is None or self._child is None:
                return
            try:
                self._write(self._child, {"cancel": number})
            except (OSError, ValueError):
                return

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        talk: deque[str] = deque(maxlen=20)
        reader = threading.Thread(target=_collect, args=(child.stderr, talk), daemon=True)
        reader.start()
        for line in child.stdout:
            try:
                self._hear(json.loads(line))
            except (ValueError, KeyError, TypeError):
                child.kill()
                break
        code = child.wait()
        reader.join(1.0)
        child.stdout.close()
        child.stderr.close()
        self._died(child, code, talk)

    def _hear(self, message: dict[str, Any]) -> None:
        number = message["id"]
        if "progress" in message:
            waiting = self._waiting.get(number)
            if waiting is not None and waiting.progress is not None:
                waiting.progress(message["progress"])
            return
        with self._lock:
            waiting = self._waiting.pop(number, None)
        if waiting is None or not waiting.future.set_running_or_notify_cancel():
            return
        if "error" in message:
            error = message["error"]
            waiting.future.set_exception(
                BronzeError(error["what"], where=error["where"], todo=error["todo"])
            )
        else:
            waiting.future.set_result(message["ok"])

    def _died(self, child: subprocess.Popen[bytes], code: int, talk: Sequence[str]) -> None:
        with self._lock:
            if self._child is not child:
                lost: list[_Waiting] = []
            else:
                self._child = None
                self.deaths += not self._closed
                lost, self._waiting = list(self._waiting.values()), {}
        error = _gone(_ending(code, talk))
        for waiting in lost:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(error)


def _gone(how: str) -> BronzeError:
    return BronzeError(
        f"the process that reads ledgers {how}",
        todo="nothing was changed; press r and it starts again",
    )


def _ending(code: int, talk: Sequence[str]) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        text = f"was ended by {name}"
        return f"{text} (perhaps too little memory)" if -code == signal.SIGKILL else text
    last = f": {safe_text(talk[-1])[:200]}" if talk else ""
    return f"ended with code {code}{last}"


def _collect(stream: IO[bytes], talk: deque[str]) -> None:
    for line in stream:
        text = line[:2_000].decode("utf-8", "replace").strip()
        if text:
            talk.append(text)
