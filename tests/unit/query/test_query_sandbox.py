"""The walls by themselves: a process behind them may read its folder and little else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TRIES = """
import json, socket, sys
from pathlib import Path
from bronze_tui.query import sandbox
inside, outside = Path(sys.argv[1]), Path(sys.argv[2])
walls = sandbox.enter([inside], extra_memory=1 << 30)
def attempt(what):
    try:
        what()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"
def connect():
    with socket.socket() as one:
        one.settimeout(1)
        one.connect(("127.0.0.1", 9))
print(json.dumps({
    "walls": walls,
    "read": attempt((inside / "a").read_bytes),
    "read outside": attempt((outside / "a").read_bytes),
    "write": attempt(lambda: (inside / "b").write_bytes(b"x")),
    "truncate": attempt(lambda: (inside / "a").open("wb").close()),
    "remove": attempt((inside / "a").unlink),
    "rename": attempt(lambda: (inside / "a").rename(inside / "c")),
    "memory": attempt(lambda: bytearray(2 << 30)),
    "network": attempt(connect),
}))
"""


def test_behind_the_walls(tmp_path: Path) -> None:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(b"as it was")
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(tmp_path / "inside"), str(tmp_path / "outside")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["read"] == "done"
    assert found["memory"] == "MemoryError"
    if not any("Landlock" in wall for wall in found["walls"]):
        pytest.skip("this kernel has no Landlock: file rights are not limited here")
    refused = ("read outside", "write", "truncate", "remove", "rename", "network")
    assert {name: found[name] for name in refused} == dict.fromkeys(refused, "PermissionError")
    assert (tmp_path / "inside" / "a").read_bytes() == b"as it was"
