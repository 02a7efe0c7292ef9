"""``bronze status``: what speaks for each chain besides its own events."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from copying import Site

from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.memory import memory_folder, recall
from bronze_tui.audit.names import signed_head_name
from bronze_tui.audit.note import SigningKey
from bronze_tui.audit.signedhead import leaf_hashes, sign_head
from bronze_tui.cli import group
from bronze_tui.testing.tiny_lake import write_tiny_lake

KEY = SigningKey("example.com/b", bytes(range(32)))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    write_tiny_lake(tmp_path / "lake", count=8)
    site = Site(tmp_path, tmp_path / "lake", {"era.ledger_end": 9, "era.partition_size": 4})
    assert site.run().code == 0
    return site


def status(site: Site) -> tuple[str, dict[str, Any]]:
    words = [word for pair in site.sets() for word in ("--set", pair)]
    said = []
    for more in ([], ["--json"]):
        result = CliRunner().invoke(group, ["status", *words, *more], standalone_mode=False)
        assert result.exit_code == 0, result.exception
        said.append(result.stdout)
    return said[0], json.loads(said[1])["chains"][0]


def sign(site: Site, events: int) -> Path:
    (chain,) = verify_folder(site.pas).chains
    leaves = leaf_hashes(item.event for item in chain.line)
    path = site.pas / signed_head_name(chain.chain_key)
    path.write_bytes(sign_head((leaves * 2)[:events], chain.chain_key, KEY))
    return path


def test_nothing_yet(site: Site) -> None:
    text, doc = status(site)
    assert "signed head not signed" in text
    assert "last seen   not yet" in text
    assert (doc["signed_head"], doc["last_seen"]) == (None, None)


def test_signed_and_seen(site: Site) -> None:
    path = sign(site, 1)
    os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    recall(verify_folder(site.pas), memory_folder(os.environ), now=1_768_213_784.0)
    text, doc = status(site)
    assert "signed head 1 of 2 events, signed by example.com/b, 2 h old" in text
    assert "last seen   2 events at 2026-01-12T10:29:44Z: the same head" in text
    assert (doc["signed_head"]["size"], doc["signed_head"]["state"]) == (1, "behind")
    assert doc["last_seen"]["in_chain"] is True


def test_what_was_seen_or_signed_is_gone(site: Site) -> None:
    sign(site, 3)
    recall(verify_folder(site.pas), memory_folder(os.environ), now=1_768_213_784.0)
    folder = memory_folder(os.environ)
    assert folder is not None
    (kept,) = folder.glob("*.json")
    doc = json.loads(kept.read_text())
    kept.write_text(json.dumps(doc | {"head": "sha256:" + "5" * 64}))
    text, facts = status(site)
    assert "3 of 2 events" in text
    assert "EVENTS ARE MISSING" in text
    assert "NOT IN THE CHAIN ANY MORE: 2 events at 2026-01-12T10:29:44Z, 2 now" in text
    assert f"head then {'5' * 64}" in text
    assert f"head now  {facts['head'].removeprefix('sha256:')}" in text
    assert facts["last_seen"]["in_chain"] is False


def test_a_head_that_is_none(site: Site) -> None:
    sign(site, 2).write_text("no note")
    assert "signed head malformed: not a signed note" in status(site)[0]
