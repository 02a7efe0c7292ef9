"""Whether the holder of a lease lives: only what the same boot and namespace can know."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bronze_tui.remote import holder

CODE = (
    "import json; from bronze_tui.remote.holder import describe_self;"
    "print(json.dumps(describe_self()), flush=True); input()"
)

pytestmark = pytest.mark.skipif(
    "boot" not in holder.describe_self(), reason="this system does not name its boots"
)


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A living process and what it says of itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.communicate()


Child = tuple[subprocess.Popen[str], dict[str, Any]]


def until_zombie(pid: int) -> None:
    """Wait until the kernel has ended it; the test's own timeout bounds this."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)


def test_a_living_holder_is_not_dead(child: Child) -> None:
    assert not holder.has_died(child[1])


def test_a_killed_holder_is_dead_before_and_after_its_parent_looked(child: Child) -> None:
    process, note = child
    process.kill()
    until_zombie(process.pid)
    assert holder.has_died(note)
    process.communicate()
    assert holder.has_died(note)


def test_a_number_that_is_used_again_is_another_process(child: Child) -> None:
    note = child[1]
    assert holder.has_died({**note, "ticks": note["ticks"] - 1})


@pytest.mark.parametrize(
    "other",
    [
        {"boot": "x"},
        {"namespace": "pid:[1]"},
        {"pid": "12"},
        {"ticks": None},
        {"pid": True},
        {"pid": -1},
        {"pid": 2**70},
    ],
)
def test_what_cannot_be_known_counts_as_living(child: Child, other: dict[str, Any]) -> None:
    process, note = child
    process.kill()
    process.communicate()
    assert holder.has_died(note)
    assert not holder.has_died({**note, **other})
    assert not holder.has_died({})
