"""One measured run of ``bronze run`` in a process of its own: what the benches of copying share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from resource import struct_rusage
from typing import Any


def run_copier(
    first: int,
    ledgers: int,
    size: int,
    settings: Mapping[str, Any],
    env: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], struct_rusage]:
    """Copy ``ledgers`` from ``first``, ``size`` a partition, into a fresh folder; remove it again.

    Args:
        settings: source and whatever else differs; storage is a folder where it names none.
        env: variables besides this process's.

    Returns:
        The closing record of the journal, and the process's CPU and peak memory.

    Raises:
        SystemExit: the copy failed.
    """
    out = Path(tempfile.mkdtemp(prefix="bronze-bench-"))
    given = {
        "era.network": "pubnet",
        "era.era_id": "bench",
        "era.ledger_start": first,
        "era.ledger_end": first + ledgers - 1,
        "era.partition_size": size,
        "storage.local_dir": out / "data",
        "checkpoint.dir": out / "state",
        "pas.enabled": "true",
        "pas.backup_dir": out / "pas",
        **settings,
    }
    command = [sys.executable, "-m", "bronze_tui.cli", "run", "--no-tui", "--json"]
    for key, value in given.items():
        command += ["--set", f"{key}={value}"]
    clean = {k: v for k, v in os.environ.items() if k != "CONFIG_FILE"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=clean | {**(env or {})}
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        last = line
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    shutil.rmtree(out)
    if process.returncode:
        raise SystemExit(f"copy failed with {process.returncode}: {last}")
    return json.loads(last), usage
