"""The configured source asked for the same ledger; the preflight in the inspecting process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import KEY, loaded_of, rewrite, setup_of

from bronze_tui.config.load import load
from bronze_tui.domain.errors import Stopped, UsageError
from bronze_tui.inspect.inspector import Inspector
from bronze_tui.inspect.setup import Setup
from bronze_tui.testing.tiny_lake import remove, replace_object


def compared(site: Site, sequence: int = 24) -> dict[str, str]:
    inspector = Inspector(setup_of(site))
    try:
        return inspector.compare(KEY, sequence)
    finally:
        inspector.close()


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


def test_a_setup_survives_its_pipe(copied: Site) -> None:
    import json

    setup = setup_of(copied)
    again = Setup.from_json(json.loads(json.dumps(setup.to_json())))
    assert again.source_options() == setup.source_options()
    assert again.eras == setup.eras
    assert again.settings() == loaded_of(copied).settings


def test_a_setup_carries_secrets_lists_and_absent_values(tmp_path: Path) -> None:
    import json

    path = tmp_path / "config.yaml"
    path.write_text(
        "eras:\n"
        "  - {era_id: a, network: n, ledger_start: 2, ledger_end: 9, partition_size: 4}\n"
        "  - {era_id: b, network: n, ledger_start: 10}\n"
        "source: {local_path: /srv, options: {a: b}, poll_interval: 2.5}\n"
        "catalog: {postgres_dsn: 'postgres://u:hunter2@db/x'}\n"
        "plugins: {allow: [x, y]}\n"
    )
    loaded = load(path, [], {})
    again = Setup.from_json(json.loads(json.dumps(Setup.of(loaded, None, "").to_json())))
    assert again.settings() == loaded.settings


def test_the_preflight_tells_each_check_as_it_comes(copied: Site) -> None:
    told: list[dict[str, Any]] = []
    inspector = Inspector(setup_of(copied))
    arguments = {"pas_dir": str(copied.pas), "now": 1_900_000_000.0, "open_files": 1024}
    try:
        before = sorted(copied.data.rglob("*"))
        answer = inspector.preflight(
            write=True, **arguments, progress=lambda news: not told.append(news["check"])
        )
        with pytest.raises(Stopped):
            inspector.preflight(write=True, **arguments, progress=lambda news: False)
        assert sorted(copied.data.rglob("*")) == before
    finally:
        inspector.close()
    assert answer["checks"] == told
    assert {c["state"] for c in told} <= {"ok", "none", "warn"}
    assert ("store", "create", "ok") in {(c["group"], c["name"], c["state"]) for c in told}
    with pytest.raises(UsageError, match="no configuration"):
        Inspector(Setup.of(None, copied.data, "bronze/")).preflight(
            write=False, **arguments, progress=lambda news: True
        )
