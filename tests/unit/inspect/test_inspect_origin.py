"""The configured source and store asked: the same ledger there, and the preflight."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import KEY, rewrite, setup_of

from bronze_tui.inspect.inspector import Inspector
from bronze_tui.inspect.origin import Origin
from bronze_tui.inspect.setup import Setup
from bronze_tui.testing.tiny_lake import remove, replace_object


def compared(site: Site, sequence: int = 24) -> dict[str, str]:
    inspector = Inspector(setup_of(site))
    try:
        return inspector.compare(KEY, sequence)
    finally:
        inspector.close()


def checked(setup: Setup, *, write: bool = False) -> dict[str, tuple[str, str]]:
    origin = Origin(setup)
    found = {c.name: (c.state, f"{c.text} {c.detail}") for c in origin.preflight(write=write)}
    origin.close()
    return found


@pytest.fixture
def lake(own: Site) -> Site:
    """With a lake of its own."""
    shutil.copytree(own.lake, own.root / "lake")
    own.lake = own.root / "lake"
    return own


def test_the_same_bytes(copied: Site) -> None:
    assert compared(copied)["state"] == "ok"
    assert "same bytes" in compared(copied)["text"]


def test_other_bytes_under_the_same_header(own: Site) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[6]["xdr_bytes"] = rows[6]["xdr_bytes"][:-1] + b"\x01"

    rewrite(own, 18, change)
    check = compared(own)
    assert check["state"] == "bad"
    assert "OTHER BYTES" in check["text"]
    assert "first difference at" in check["detail"]


def test_a_different_ledger(lake: Site) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[6]["xdr_bytes"] = rows[7]["xdr_bytes"]
        rows[6]["ledger_hash"] = rows[7]["ledger_hash"]

    rewrite(lake, 18, change)
    assert "DIFFERENT LEDGER" in compared(lake)["text"]


def test_a_source_that_cannot_tell_is_no_verdict(lake: Site) -> None:
    remove(lake.lake, 24)
    assert compared(lake)["state"] == "none"
    replace_object(lake.lake, 25, b"not a frame")
    assert compared(lake, 25)["state"] == "none"


def test_without_a_configuration_nothing_is_compared(copied: Site) -> None:
    inspector = Inspector(Setup.of(None, copied.data, "bronze/"))
    check = inspector.compare(KEY, 24)
    assert check["state"] == "none"
    assert "no source is known" in check["detail"]


def test_all_well(copied: Site) -> None:
    found = checked(setup_of(copied))
    assert {state for state, _ in found.values()} == {"ok"}
    assert "newest ledger 65" in found["source"][1]


def test_a_write_probe_leaves_nothing_behind(copied: Site) -> None:
    before = sorted(str(p) for p in copied.data.rglob("*") if p.is_file())
    assert checked(setup_of(copied), write=True)["write"][0] == "ok"
    assert sorted(str(p) for p in copied.data.rglob("*") if p.is_file()) == before


def test_read_only_writes_nothing(copied: Site, tmp_path: Path) -> None:
    setup = setup_of(copied, storage__local_dir=tmp_path / "new")
    found = checked(setup)
    assert found["write"] == ("ok", f"store folder writable {tmp_path}")
    assert not (tmp_path / "new").exists()


def test_a_source_that_is_not_there(copied: Site, tmp_path: Path) -> None:
    found = checked(setup_of(copied, source__local_path=tmp_path / "none"))
    assert found["source"][0] == "bad"
    assert "newest" not in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_one_may_not_write(own: Site) -> None:
    own.data.chmod(0o555)
    try:
        assert checked(setup_of(own))["write"][0] == "bad"
    finally:
        own.data.chmod(0o755)


def test_a_newest_ledger_that_is_damaged(lake: Site) -> None:
    replace_object(lake.lake, 65, b"not a frame")
    assert checked(setup_of(lake))["newest"][0] == "bad"


def test_a_setup_survives_its_pipe(copied: Site) -> None:
    import json

    setup = setup_of(copied)
    again = Setup.from_json(json.loads(json.dumps(setup.to_json())))
    assert again.source_options() == setup.source_options()
    assert again.store_options() == setup.store_options()
    assert again.eras == setup.eras
