"""The inspecting process: ``python -m bronze_tui.inspect.child``, JSON lines in and out.

It reads untrusted files and decodes untrusted bytes for a screen, so it has limits of its own and
may die without harm. It ends when its input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

from bronze_tui.domain.errors import BronzeError, Stopped
from bronze_tui.inspect.inspector import Inspector
from bronze_tui.inspect.setup import Setup

MEMORY = 6 << 30
"""Address space in bytes: libraries map far more than they use."""

SLOW = frozenset({"compare", "find_ledger", "find_transaction", "plugins", "preflight"})
"""Done beside the quick ones, so that a page can be looked at while a search goes on."""
PROGRESS = frozenset({"find_ledger", "find_transaction", "preflight"})
QUICK = frozenset(
    {
        "base64",
        "checks",
        "datasets",
        "dump",
        "ledger",
        "neighbour",
        "node",
        "partition",
        "rows",
        "text",
    }
)

Request = dict[str, Any]


class Server:
    """Answers requests on two lanes, each with an inspector of its own."""

    def __init__(self, setup: Setup, output: IO[str]) -> None:
        self._setup = setup
        self._output = output
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._lanes = {name: queue.SimpleQueue[Request]() for name in ("quick", "slow")}
        for lane in self._lanes.values():
            threading.Thread(target=self._work, args=(lane,), daemon=True).start()

    def take(self, message: Request) -> None:
        """One request or cancellation."""
        if "cancel" in message:
            self._cancelled.add(message["cancel"])
            return
        self._lanes["slow" if message.get("op") in SLOW else "quick"].put(message)

    def _work(self, lane: queue.SimpleQueue[Request]) -> None:
        inspector = Inspector(self._setup)
        while True:
            request = lane.get()
            number = request["id"]
            if number in self._cancelled:
                self._cancelled.discard(number)
                continue
            self._say({"id": number, **self._answer(inspector, request)})

    def _answer(self, inspector: Inspector, request: Request) -> dict[str, Any]:
        op, number = str(request["op"]), request["id"]
        if op not in SLOW | QUICK:
            return _refused(BronzeError(f"unknown operation {op!a}"))
        args = dict(request.get("args", {}))
        if op in PROGRESS:
            args["progress"] = lambda news: self._tell(number, news)
        try:
            return {"ok": getattr(inspector, op)(**args)}
        except Stopped as error:
            self._cancelled.discard(number)
            return _refused(error)
        except BronzeError as error:
            return _refused(error)
        except MemoryError:
            text = f"not enough memory for it (the reader may use {MEMORY >> 30} GiB)"
            return _refused(BronzeError(text))
        except (Exception, SystemExit) as error:
            # Whatever bad data or a plugin raises: it must not end the reader.
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return _refused(BronzeError(f"the stored data cannot be read ({text})"))

    def _tell(self, number: int, news: Mapping[str, Any]) -> bool:
        self._say({"id": number, "progress": dict(news)})
        return number not in self._cancelled

    def _say(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            self._output.write(json.dumps(message) + "\n")
            self._output.flush()


def _refused(error: BronzeError) -> dict[str, Any]:
    return {"error": {"what": error.what, "where": error.where, "todo": error.todo}}


def limit() -> None:
    """Bound memory and open files, leave no core file, and give way to the engine."""
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_NOFILE, 256)):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, hard))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(5)


def main() -> None:
    """Serve until standard input ends."""
    limit()
    # What a plugin prints must not become part of the protocol.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server: Server | None = None
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if server is None:
            server = Server(Setup.from_json(message["setup"]), output)
        else:
            server.take(message)
    # A lane may be deep in a search that nobody waits for any more.
    os._exit(0)


if __name__ == "__main__":
    main()
