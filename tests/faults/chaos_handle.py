"""Holds a chaos proxy: starts it, changes its troubles, reads what it did, ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

_PROGRAM = Path(__file__).with_name("chaos.py")


class Chaos:
    """A running proxy.

    Args:
        backend: port of the server it stands before.
        mode: ``http`` or ``tcp``.
        seed: of its faults.
        rates: share of requests by kind of fault.
    """

    def __init__(
        self,
        backend: int,
        *,
        mode: str = "http",
        seed: int = 0,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        words = [f"{kind}={share}" for kind, share in (rates or {}).items()]
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(_PROGRAM),
                str(backend),
                *words,
                "--mode",
                mode,
                "--seed",
                str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._answer()["port"])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Chaos:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        # A fork of this process may hold the other end of its standard input.
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def trouble(self, rates: Mapping[str, float], seed: int | None = None) -> None:
        """Make these faults from now on; a seed begins a new sequence."""
        self._ask({"rates": dict(rates)} | ({} if seed is None else {"seed": seed}))

    def before(self, port: int) -> None:
        """Stand before another server."""
        self._ask({"backend": port})

    def set_trap(self, n: int, effect: str, match: str = "", pid: int = 0) -> None:
        """Do ``effect`` to the n-th request from now whose line (over TCP: bytes) holds ``match``.

        Args:
            n: from 1; 0 counts only.
            effect: a kind of fault, ``kill-before`` or ``kill-after``.
            pid: the process to kill.
        """
        self._ask({"trap": {"n": n, "effect": effect, "match": match, "pid": pid}})

    def unset(self) -> int:
        """Take the trap away; how many requests matched."""
        matched = self._ask({})["matched"]
        self._ask({"trap": {}})
        return int(matched)

    def number(self) -> int:
        """How many requests it has seen."""
        return int(self._ask({})["number"])

    def faults(self) -> dict[str, int]:
        """How many of each kind it made."""
        found: dict[str, int] = self._ask({})["faults"]
        return found

    def log(self, *, forget: bool = False) -> list[dict[str, Any]]:
        """Every request since the start or since it was told to forget.

        Each has ``line`` (method and target), ``fault``, the server's ``status`` (0: it was not
        asked, or did not answer), whether the client was ``told`` it, and of audit events the
        ``sha256`` of what was posted or the ``answer`` to a question.
        """
        found: list[dict[str, Any]] = self._ask({"log": True})["log"]
        if forget:
            self._ask({"forget": True})
        return found

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the chaos proxy ended with {self._process.wait(10)}")
        found: dict[str, Any] = json.loads(line)
        return found
