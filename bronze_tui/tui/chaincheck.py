"""Verifies an audit folder in a process of its own: threads beside the screens cost their keys.

``python -m bronze_tui.tui.chaincheck``: one JSON object on stdin (see ``Request``), one on stdout:
``broken`` (the evidence, empty when all is whole) and ``problem`` (why nothing can be said).
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.memory import memory_folder
from bronze_tui.audit.report import VerifyReport
from bronze_tui.audit.standing import alarm_line, standings, trusted_keys
from bronze_tui.domain.checkpoint import Checkpoint
from bronze_tui.domain.errors import BronzeError
from bronze_tui.tui.auditdesk import holes_of
from bronze_tui.tui.chainrows import broken_line
from bronze_tui.tui.pins import read_pins


@dataclass(frozen=True)
class Request:
    """What to verify: folders as text, empty where there is none."""

    pas_dir: str
    data_root: str = ""
    prefix: str = ""
    state_dir: str = ""
    pins_dir: str = ""


def check(request: Request) -> dict[str, str]:
    """Verify once."""
    try:
        # First the checkpoint: a copier at work writes it after the event.
        checkpoints = _checkpoints(_path(request.state_dir))
        report = verify_folder(
            Path(request.pas_dir),
            pins=read_pins(_path(request.pins_dir)),
            holes=holes_of(_path(request.data_root), request.prefix),
        )
    except BronzeError as error:
        return {"broken": "", "problem": str(error)}
    except OSError as error:
        problem = f"{error.filename or request.pas_dir}: {error.strerror or error}"
        return {"broken": "", "problem": problem}
    found = broken_line(report) or _disagreement(report, checkpoints)
    return {"broken": found or _alarm(report), "problem": ""}


def _alarm(report: VerifyReport) -> str:
    """A chain that is whole in itself, and not the one that was seen or signed."""
    return alarm_line(standings(report, trusted_keys(), memory_folder(os.environ)))


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _checkpoints(state_dir: Path | None) -> list[Checkpoint]:
    found = []
    for path in sorted(state_dir.glob("checkpoint_*.json")) if state_dir is not None else ():
        with suppress(OSError, BronzeError):
            found.append(Checkpoint.from_json(path.read_bytes(), where=path.name))
    return found


def _disagreement(report: VerifyReport, checkpoints: list[Checkpoint]) -> str:
    """An event that announces another file than the checkpoint's last partition.

    A checkpoint whose partition has no event says nothing: events may be filed later.
    """
    last = {(c.chain_key, c.last_partition): c.checksum for c in checkpoints if c.checksum}
    for chain in report.chains:
        for item in chain.line:
            event = item.event
            announced = {table.checksum for _, table in event.tables}
            if last.get((chain.chain_key, event.partition), "") not in {"", *announced}:
                what = f"checkpoint and event of ledgers {event.partition} disagree"
                return f"{chain.chain_key}: {what}"
    return ""


def main() -> int:
    """Answer one request."""
    with suppress(OSError):
        os.nice(10)
    request = Request(**json.loads(sys.stdin.buffer.read()))
    sys.stdout.write(json.dumps(check(request)))
    return 0


def encoded(request: Request) -> bytes:
    """The request as its process reads it."""
    return json.dumps(asdict(request)).encode()


if __name__ == "__main__":
    sys.exit(main())
