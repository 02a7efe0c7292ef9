"""The process that parses Parquet files of others: ``python -m bronze_tui.audit.levels.rowchild``.

A crafted footer or page can end a native reader, or make it take all memory; here it ends this
process only. One JSON line a partition in (see ``rowreader``), heartbeats and one outcome out; it
ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from bronze_tui.audit.levels.trust import Trust
from bronze_tui.audit.levels.unit import Outcome, Unit
from bronze_tui.domain.audit import EventTable
from bronze_tui.domain.ledger import LedgerRange

MEMORY = 6 << 30
"""Address space in bytes: libraries map far more than they use."""
_HEARTBEAT = 1.0


def judge(request: dict[str, Any], output: IO[str]) -> dict[str, Any]:
    """Read one partition's file; the outcome as plain data."""
    from bronze_tui.audit.levels.rows import RowCheck

    unit = Unit(
        request["chain_key"],
        LedgerRange.parse(request["partition"]),
        tuple((name, EventTable(*table)) for name, table in request["tables"]),
        position=request["position"],
        event_file=request["event_file"],
    )
    out = Outcome(unit)
    rows: dict[int, str] = {}
    check = RowCheck(
        out,
        request["file"],
        _network(request, unit),
        by_go=request["by_go"],
        seen=rows.__setitem__ if request["rows"] else None,
    )
    check.run(
        Path(os.fsdecode(request["path"].encode("utf-8", "surrogateescape"))),
        request["manifest"],
        _Heartbeat(out, output),
    )
    return {
        "findings": [asdict(finding) for finding in out.findings],
        "edges": asdict(out.edges) if out.edges else None,
        "ledgers": out.ledgers,
        "signers": dict(out.signers),
        "unsigned": out.unsigned,
        "unchecked": out.unchecked,
        "first_signed": out.first_signed,
        "anchors": list(out.anchors.items()),
        "left_out": out.left_out,
        "rows": list(rows.items()),
    }


class _Heartbeat:
    """Says now and then that rows are being read: silence means that a file hung the reader."""

    def __init__(self, out: Outcome, output: IO[str]) -> None:
        self._out, self._output = out, output
        self._told = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._told >= _HEARTBEAT:
            self._told = now
            _say(self._output, {"alive": self._out.ledgers})


def _network(request: dict[str, Any], unit: Unit) -> Any:
    trusted = request["trust"]
    if trusted is None:
        return None
    from bronze_tui.audit.levels.network import NetworkCheck

    anchors = {int(ledger): str(known) for ledger, known in trusted["anchors"]}
    return NetworkCheck(Trust(trusted["passphrase"], anchors), unit.network)


def _say(output: IO[str], message: dict[str, Any]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()


def _limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Serve until standard input ends."""
    _limit()
    # What a library prints must not become part of the protocol.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        _say(output, {"outcome": judge(json.loads(line), output)})


if __name__ == "__main__":
    main()
